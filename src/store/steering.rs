//! What a customer does to one message that is planned for them: move it, have it now, or
//! not have it at all. Each is a move of a `planned` row of theirs, and leaves a decision.

use crate::domain::time::Instant;
use crate::domain::{CustomerId, NotificationId, Reason};

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Lock, lock};
use super::rows::json;
use super::{Result, Store, StoreError, batch, ids, in_tx, query};

/// What becomes of a planned message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Not before this moment.
    MoveTo(Instant),
    /// As soon as the hour allows.
    Now,
    /// Never.
    Mute,
}

impl Store {
    /// Does what the customer asks with a message that is planned for them.
    ///
    /// # Errors
    /// `NotFound` when no such message of theirs is planned any more; `Refused` when it would
    /// come too late to be of use.
    pub async fn steer(
        &self,
        customer: &CustomerId,
        id: &NotificationId,
        steer: Steer,
        now: Instant,
    ) -> Result<()> {
        let (customer, id) = (customer.0.clone(), id.to_string());
        let now_ms = now.timestamp_millis();
        let (status, what, next_ms) = match steer {
            Steer::MoveTo(at) => ("planned", "moved", Some(at.timestamp_millis())),
            Steer::Now => ("planned", "asked_for_now", Some(now_ms)),
            Steer::Mute => ("suppressed", "suppressed", None),
        };
        in_tx!(self, |tx| {
            lock(tx, Lock::Notifications, ids([&id])).await?;
            let expires: Option<(i64,)> = query(
                "SELECT expires_at_ms FROM notification
                 WHERE id = $1 AND customer_id = $2 AND status = 'planned'",
            )
            .bind(&id)
            .bind(&customer)
            .fetch_optional(&mut *tx)
            .await?;
            let Some((expires_ms,)) = expires else {
                return Err(StoreError::NotFound { what: "a planned message".into() });
            };
            if next_ms.is_some_and(|next| next >= expires_ms) {
                return Err(StoreError::Refused("it would come too late to be of use".into()));
            }
            let reason = Reason::ByOperator { who: "the customer".into() };
            query(
                "UPDATE notification SET status = $3, epoch = epoch + 1, ring_again_at_ms = 0,
                    next_at_ms = COALESCE($4, next_at_ms),
                    reason = CASE WHEN $3 = 'planned' THEN reason ELSE $5 END
                 WHERE id = $1 AND customer_id = $2 AND status = 'planned'",
            )
            .bind(&id)
            .bind(&customer)
            .bind(status)
            .bind(next_ms)
            .bind(reason.code())
            .execute(&mut *tx)
            .await?;
            facts::notifications(tx, [&id], now_ms).await?;
            let decision =
                DecisionRow { id, what, reasons: json(&[&reason]), versions: "{}".into() };
            query(INSERT_DECISIONS).bind(batch([decision])).bind(now_ms).execute(tx).await?;
            Ok(())
        })
    }
}
