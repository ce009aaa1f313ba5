//! After a restore: what was due by then may have been sent by the store that was lost. Nothing
//! of it leaves until a person says so.
//!
//! The mark is an instant in `meta`. Every statement that takes something up compares the
//! moment a notification is due with it, so that tickets of before, retries after a doubt and
//! events sent a second time wait too.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::Reason;
use crate::domain::time::{Instant, from_ms};

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Lock, lock};
use super::rows::json;
use super::{Result, Store, batch, ids, in_tx, query};

/// Due up to this instant waits for a person; without a mark, an instant before all others.
macro_rules! held_until {
    () => {
        "COALESCE((SELECT CAST(meta.value AS BIGINT) FROM meta
                    WHERE meta.key = 'restored_at_ms'), -4102444800000)"
    };
}
pub(super) use held_until;

/// Rows cancelled in one transaction.
const BATCH: i64 = 500;

/// Messages of one notice that wait.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct WaitingRow {
    pub case_type: String,
    pub notice: String,
    pub messages: i64,
    pub oldest_due_ms: i64,
    pub newest_due_ms: i64,
    /// Due within an hour before the restore, within a day, within a week, and before that.
    pub within_hour: i64,
    pub within_day: i64,
    pub within_week: i64,
    pub older: i64,
}

impl Store {
    /// Marks the store as restored at `at`; a later mark takes the place of an earlier one.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn mark_restored(&self, at: Instant) -> Result<()> {
        let at_ms = at.timestamp_millis().to_string();
        in_tx!(self, |tx| {
            query(
                "INSERT INTO meta (key, value) VALUES ('restored_at_ms', $1)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .bind(at_ms)
            .execute(&mut *tx)
            .await?;
            query("DELETE FROM meta WHERE key = 'backup_at_ms'").execute(tx).await?;
            Ok(())
        })
    }

    /// A store that is the copy `tidings backup` made is one that was restored, however it came
    /// to its place: it is marked. Answers whether it was.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn mark_if_a_backup(&self, now: Instant) -> Result<bool> {
        let copy: Option<(String,)> = query("SELECT value FROM meta WHERE key = 'backup_at_ms'")
            .fetch_optional(&self.readers)
            .await?;
        if copy.is_some() {
            self.mark_restored(now).await?;
        }
        Ok(copy.is_some())
    }

    /// When the store was restored, where nobody has confirmed it yet.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn restored_at(&self) -> Result<Option<Instant>> {
        let at: Option<(i64,)> =
            query("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'restored_at_ms'")
                .fetch_optional(&self.readers)
                .await?;
        Ok(at.map(|(at,)| from_ms(at)))
    }

    /// What waits for a person since the restore, by notice.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn waiting_since_restore(&self) -> Result<Vec<WaitingRow>> {
        Ok(query(concat!(
            "SELECT case_type, notice, count(*) AS messages, min(due_at_ms) AS oldest_due_ms,
                max(due_at_ms) AS newest_due_ms,
                count(CASE WHEN due_at_ms > held - 3600000 THEN 1 END) AS within_hour,
                count(CASE WHEN due_at_ms <= held - 3600000
                            AND due_at_ms > held - 86400000 THEN 1 END) AS within_day,
                count(CASE WHEN due_at_ms <= held - 86400000
                            AND due_at_ms > held - 604800000 THEN 1 END) AS within_week,
                count(CASE WHEN due_at_ms <= held - 604800000 THEN 1 END) AS older
             FROM (SELECT case_type, notice, due_at_ms, ",
            held_until!(),
            " AS held FROM notification
                    WHERE status IN ('planned', 'claimed', 'sending', 'in_doubt')) AS waiting
             WHERE due_at_ms <= held GROUP BY case_type, notice ORDER BY 3 DESC, 1, 2"
        ))
        .fetch_all(&self.readers)
        .await?)
    }

    /// Cancels what waits since the restore and may have been sent before `before`: it was due
    /// by then, and the copy did not have it put off past then. What is over its customer's cap
    /// may have ridden in any message since it was due; what is planned since the restore says
    /// nothing of when it was sent before. Answers how many.
    ///
    /// # Errors
    /// `Unavailable`; what was cancelled by then stays cancelled.
    pub async fn cancel_waiting(&self, before: Instant, who: &str, now: Instant) -> Result<u64> {
        let (before_ms, now_ms) = (before.timestamp_millis(), now.timestamp_millis());
        let reason = Reason::NotSinceRestore { who: who.to_owned() };
        let mut cancelled = 0;
        loop {
            let reason = reason.clone();
            let page: u64 = in_tx!(self, |tx| {
                let waiting: Vec<(String,)> = query(concat!(
                    "SELECT n.id FROM notification AS n WHERE n.status IN ('planned', 'claimed')
                        AND n.due_at_ms < $1 AND n.due_at_ms <= ",
                    held_until!(),
                    " AND (n.next_at_ms < $1 OR n.held = 'cap' OR n.planned_at_ms >= ",
                    held_until!(),
                    ") ORDER BY n.id LIMIT $2"
                ))
                .bind(before_ms)
                .bind(BATCH)
                .fetch_all(&mut *tx)
                .await?;
                let waiting: Vec<String> = waiting.into_iter().map(|(id,)| id).collect();
                lock(tx, Lock::Notifications, ids(&waiting)).await?;
                // Who claimed it before the restore finds another epoch.
                let ended: Vec<(String,)> = query(
                    "UPDATE notification SET status = 'cancelled', reason = $1, epoch = epoch + 1
                     WHERE id IN (SELECT value->>'id' FROM jsonb_each($2))
                       AND status IN ('planned', 'claimed')
                     RETURNING id",
                )
                .bind(reason.code())
                .bind(ids(&waiting))
                .fetch_all(&mut *tx)
                .await?;
                facts::notifications(tx, ended.iter().map(|(id,)| id), now_ms).await?;
                let reasons = json(&[&reason]);
                let decisions = ended.iter().map(|(id,)| DecisionRow {
                    id: id.clone(),
                    what: "cancelled",
                    reasons: reasons.clone(),
                    versions: "{}".into(),
                });
                let rows = batch(decisions);
                query(INSERT_DECISIONS).bind(rows).bind(now_ms).execute(tx).await?;
                Ok(ended.len() as u64)
            })?;
            cancelled += page;
            if page == 0 {
                return Ok(cancelled);
            }
        }
    }

    /// How much the copy had in hand when it was made: on the wire, in doubt, or accepted and
    /// not planned. A process that starts on the store sorts it while the mark holds it back.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn in_hand_since_restore(&self) -> Result<i64> {
        let (count,): (i64,) = query(concat!(
            "SELECT count(*) FROM notification
             WHERE status IN ('sending', 'in_doubt') AND due_at_ms <= ",
            held_until!()
        ))
        .fetch_one(&self.readers)
        .await?;
        Ok(count)
    }

    /// A person has said that the rest may go: the mark is taken away.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn confirm_restored(&self) -> Result<()> {
        in_tx!(self, |tx| {
            query("DELETE FROM meta WHERE key = 'restored_at_ms'").execute(tx).await?;
            Ok(())
        })
    }
}
