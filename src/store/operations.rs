//! What operators do to notifications: cancel, retry.

use crate::domain::time::Instant;
use crate::domain::{NotificationId, Reason};

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Lock, lock};
use super::rows::{json, parse_id};
use super::sql::Tx;
use super::{Result, Store, StoreError, batch, ids, in_tx, query};

/// What an operator does to many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMany {
    /// Not to be sent any more.
    Cancel,
    /// One more attempt.
    Retry,
    /// In doubt or unknown, and somebody knows that it arrived.
    Arrived,
    /// In doubt, and somebody knows that it did not go out: one more attempt.
    NotSent,
}

/// How many are written in one transaction.
const PAGE: usize = 500;

const CANCELLABLE: &[&str] = &["planned", "claimed"];
const RETRIABLE: &[&str] = &["failed", "unknown", "quarantined"];
const DOUBTFUL: &[&str] = &["in_doubt", "unknown"];

const ACT: &str = "
    UPDATE notification SET status = $2, reason = $3, epoch = epoch + 1,
           next_at_ms = $4, ring_again_at_ms = 0, claims = 0,
           failed_channels = CASE WHEN $2 = 'planned' THEN '[]' ELSE failed_channels END
    WHERE id IN (SELECT value->>'id' FROM jsonb_each($1))
      AND status IN (SELECT value->>'id' FROM jsonb_each($5))
    RETURNING id";

/// Notes the operator's word; the rows are locked. Answers how many moved.
async fn act_on(
    tx: &mut Tx,
    wanted: &[String],
    to: &'static str,
    from: &[&str],
    reason: &Reason,
    now_ms: i64,
) -> Result<usize> {
    let moved: Vec<(String,)> = query(ACT)
        .bind(ids(wanted))
        .bind(to)
        .bind(reason.code())
        .bind(now_ms)
        .bind(ids(from))
        .fetch_all(&mut *tx)
        .await?;
    let moved: Vec<String> = moved.into_iter().map(|(id,)| id).collect();
    if to == "planned" {
        super::riders::release(tx, moved.iter(), now_ms).await?;
    }
    facts::notifications(tx, moved.iter(), now_ms).await?;
    decided(tx, &moved, to, reason, now_ms).await?;
    Ok(moved.len())
}

async fn decided(
    tx: &mut Tx,
    moved: &[String],
    what: &'static str,
    reason: &Reason,
    now_ms: i64,
) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    let reasons = json(&[reason]);
    let decisions = moved.iter().map(|id| DecisionRow {
        id: id.clone(),
        what,
        reasons: reasons.clone(),
        versions: "{}".into(),
    });
    query(INSERT_DECISIONS).bind(batch(decisions)).bind(now_ms).execute(tx).await?;
    Ok(())
}

/// Somebody knows that these arrived: told, with what rode in them.
async fn arrived(tx: &mut Tx, wanted: &[String], reason: &Reason, now_ms: i64) -> Result<usize> {
    close_doubt(tx, wanted, DOUBTFUL, "sent").await?;
    let moved: Vec<(String,)> = query(
        "UPDATE notification SET status = 'sent', reason = $2, epoch = epoch + 1,
                ring_again_at_ms = 0, told_at_ms = COALESCE(told_at_ms, $3)
         WHERE id IN (SELECT value->>'id' FROM jsonb_each($1))
           AND status IN (SELECT value->>'id' FROM jsonb_each($4))
         RETURNING id",
    )
    .bind(ids(wanted))
    .bind(reason.code())
    .bind(now_ms)
    .bind(ids(DOUBTFUL))
    .fetch_all(&mut *tx)
    .await?;
    let moved: Vec<String> = moved.into_iter().map(|(id,)| id).collect();
    let known = moved.iter().map(|id| parse_id(id)).collect::<Result<Vec<_>>>()?;
    super::riders::tell(tx, known.into_iter(), now_ms).await?;
    facts::notifications(tx, moved.iter(), now_ms).await?;
    decided(tx, &moved, "sent", reason, now_ms).await?;
    Ok(moved.len())
}

/// The last attempts of those that stand at one of these ended as somebody says.
async fn close_doubt(
    tx: &mut Tx,
    wanted: &[String],
    from: &[&str],
    state: &'static str,
) -> Result<()> {
    query(
        "UPDATE attempt SET state = $2
         WHERE notification_id IN (SELECT value->>'id' FROM jsonb_each($1))
           AND state IN ('in_doubt', 'unknown')
           AND no = (SELECT n.attempts FROM notification AS n WHERE n.id = attempt.notification_id
                     AND n.status IN (SELECT value->>'id' FROM jsonb_each($3)))",
    )
    .bind(ids(wanted))
    .bind(state)
    .bind(ids(from))
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Cancels a notification that has not left yet.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Refused` when it is past cancelling.
    pub async fn cancel(&self, id: &NotificationId, who: &str, now: Instant) -> Result<()> {
        let reason = Reason::ByOperator { who: who.to_owned() };
        self.act(id, "cancelled", CANCELLABLE, reason, now).await
    }

    /// Plans one more attempt of a notification that ended without reaching the customer.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Refused` when it needs no retry.
    pub async fn retry(&self, id: &NotificationId, who: &str, now: Instant) -> Result<()> {
        let reason = Reason::ByOperator { who: who.to_owned() };
        self.act(id, "planned", RETRIABLE, reason, now).await
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
            act_on(tx, &[id], to, from, &reason, now_ms).await?;
            Ok(())
        })
    }

    /// The same with many, as far as each still can: cancelled, or planned for one more
    /// attempt. Answers how many. Committed in pages; one that fails leaves those before done.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn act_on_many(
        &self,
        wanted: &[String],
        act: OnMany,
        who: &str,
        now: Instant,
    ) -> Result<usize> {
        let reason = Reason::ByOperator { who: who.to_owned() };
        let now_ms = now.timestamp_millis();
        let mut done = 0;
        for page in wanted.chunks(PAGE) {
            let (page, reason) = (page.to_vec(), reason.clone());
            done += in_tx!(self, |tx| {
                lock(tx, Lock::Notifications, ids(&page)).await?;
                match act {
                    OnMany::Cancel => {
                        act_on(tx, &page, "cancelled", CANCELLABLE, &reason, now_ms).await
                    }
                    OnMany::Retry => act_on(tx, &page, "planned", RETRIABLE, &reason, now_ms).await,
                    OnMany::Arrived => arrived(tx, &page, &reason, now_ms).await,
                    OnMany::NotSent => {
                        close_doubt(tx, &page, &["in_doubt"], "not_sent").await?;
                        act_on(tx, &page, "planned", &["in_doubt"], &reason, now_ms).await
                    }
                }
            })?;
        }
        Ok(done)
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
