//! What operators do to notifications: cancel, retry.

use crate::domain::time::Instant;
use crate::domain::{NotificationId, Reason};

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Lock, lock};
use super::rows::json;
use super::{Result, Store, StoreError, batch, ids, in_tx, query};

impl Store {
    /// Cancels a notification that has not left yet.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Refused` when it is past cancelling.
    pub async fn cancel(&self, id: &NotificationId, who: &str, now: Instant) -> Result<()> {
        let reason = Reason::ByOperator { who: who.to_owned() };
        self.act(id, "cancelled", &["planned", "claimed"], reason, now).await
    }

    /// Plans one more attempt of a notification that ended without reaching the customer.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Refused` when it needs no retry.
    pub async fn retry(&self, id: &NotificationId, who: &str, now: Instant) -> Result<()> {
        let reason = Reason::ByOperator { who: who.to_owned() };
        self.act(id, "planned", &["failed", "unknown", "quarantined"], reason, now).await
    }

    async fn act(
        &self,
        id: &NotificationId,
        to: &'static str,
        from: &'static [&'static str],
        reason: Reason,
        now: Instant,
    ) -> Result<()> {
        let id = id.to_string();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            lock(tx, Lock::Notifications, ids([&id])).await?;
            let status: Option<(String,)> = query("SELECT status FROM notification WHERE id = $1")
                .bind(&id)
                .fetch_optional(&mut *tx)
                .await?;
            let Some((status,)) = status else {
                return Err(StoreError::NotFound { what: format!("the notification {id}") });
            };
            if !from.contains(&status.as_str()) {
                return Err(StoreError::Refused(format!(
                    "the notification is {status}; only {} can become {to}",
                    from.join(", ")
                )));
            }
            query(
                "UPDATE notification SET status = $3, reason = $4, epoch = epoch + 1,
                        next_at_ms = $5, ring_again_at_ms = 0, claims = 0,
                        failed_channels = CASE WHEN $3 = 'planned' THEN '[]' ELSE failed_channels END
                 WHERE id = $1 AND status = $2",
            )
            .bind(&id)
            .bind(&status)
            .bind(to)
            .bind(reason.code())
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            if to == "planned" {
                super::riders::release(tx, [&id].into_iter(), now_ms).await?;
            }
            facts::notifications(tx, [&id], now_ms).await?;
            let decision =
                DecisionRow { id, what: to, reasons: json(&[&reason]), versions: "{}".into() };
            query(INSERT_DECISIONS).bind(batch([decision])).bind(now_ms).execute(tx).await?;
            Ok(())
        })
    }

    /// Cancels everything planned, with one reason: the end of a played file.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn cancel_planned(&self, reason: Reason, now: Instant) -> Result<u64> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let cancelled: Vec<(String,)> = query(
                "UPDATE notification SET status = 'cancelled', reason = $1, epoch = epoch + 1
                 WHERE status = 'planned' RETURNING id",
            )
            .bind(reason.code())
            .fetch_all(&mut *tx)
            .await?;
            let reasons = json(&[&reason]);
            let decisions = cancelled.iter().map(|(id,)| DecisionRow {
                id: id.clone(),
                what: "cancelled",
                reasons: reasons.clone(),
                versions: "{}".into(),
            });
            let rows = batch(decisions);
            query(INSERT_DECISIONS).bind(rows).bind(now_ms).execute(tx).await?;
            Ok(cancelled.len() as u64)
        })
    }
}
