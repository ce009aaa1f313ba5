//! Planned times resolved again, and what they were last resolved with.

use serde::Serialize;

use crate::domain::Notification;
use crate::domain::plan::Moved;
use crate::domain::time::Instant;

use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::restored::held_until;
use super::row_locks::{Lock, lock};
use super::rows::{NotificationRow, json, notification_columns, notifications};
use super::{Result, Store, batch, ids, in_tx, query};

const RESOLVED_WITH: &str = "resolved_with";

#[derive(Serialize)]
struct Row {
    id: String,
    was_due: i64,
    due: i64,
    next: i64,
    expires: i64,
}

/// What a restore holds back keeps its time: it is compared with the mark.
const RESOLVE: &str = concat!(
    "
    UPDATE notification SET due_at_ms = x.due, next_at_ms = x.next, expires_at_ms = x.expires,
        ring_again_at_ms = 0
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'was_due' AS BIGINT) AS was_due,
                 CAST(value->>'due' AS BIGINT) AS due, CAST(value->>'next' AS BIGINT) AS next,
                 CAST(value->>'expires' AS BIGINT) AS expires
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.status = 'planned'
      AND notification.due_at_ms = x.was_due
      AND notification.due_at_ms > ",
    held_until!(),
    " RETURNING id"
);

impl Store {
    /// What planned times were last resolved with.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn resolved_with(&self) -> Result<Option<String>> {
        let row: Option<(String,)> = query("SELECT value FROM meta WHERE key = $1")
            .bind(RESOLVED_WITH)
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.map(|(value,)| value))
    }

    /// Notes what planned times are resolved with from now on.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn set_resolved_with(&self, with: &str) -> Result<()> {
        let with = with.to_owned();
        in_tx!(self, |tx| {
            query(
                "INSERT INTO meta (key, value) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .bind(RESOLVED_WITH)
            .bind(with)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// Planned notifications after the id `after`, a page at a time.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn planned_after(&self, after: &str, limit: i64) -> Result<Vec<Notification>> {
        let rows: Vec<NotificationRow> = query(concat!(
            "SELECT ",
            notification_columns!(),
            " FROM notification WHERE status = 'planned' AND id > $1 ORDER BY id LIMIT $2"
        ))
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        notifications(rows)
    }

    /// Moves notifications that are still planned for the instant they were read with, and says
    /// why on each. Answers how many.
    ///
    /// # Errors
    /// `Unavailable`; nothing changed then.
    pub async fn resolve(
        &self,
        moves: Vec<(Instant, Moved)>,
        versions: String,
        now: Instant,
    ) -> Result<usize> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            lock(tx, Lock::Notifications, ids(moves.iter().map(|(_, to)| &to.id))).await?;
            let rows = moves.iter().map(|(was_due_at, to)| Row {
                id: to.id.to_string(),
                was_due: was_due_at.timestamp_millis(),
                due: to.due_at.timestamp_millis(),
                next: to.next_at.timestamp_millis(),
                expires: to.expires_at.timestamp_millis(),
            });
            let moved: Vec<(String,)> =
                query(RESOLVE).bind(batch(rows)).fetch_all(&mut *tx).await?;
            let decisions = moved.iter().filter_map(|(id,)| {
                let (_, to) = moves.iter().find(|(_, to)| to.id.to_string() == *id)?;
                Some(DecisionRow {
                    id: id.clone(),
                    what: "moved",
                    reasons: json(&to.reasons),
                    versions: versions.clone(),
                })
            });
            let decisions = batch(decisions.collect::<Vec<_>>());
            query(INSERT_DECISIONS).bind(decisions).bind(now_ms).execute(tx).await?;
            Ok(moved.len())
        })
    }
}
