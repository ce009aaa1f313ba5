//! Planned times resolved again, and what they were last resolved with.

use serde::Serialize;

use crate::domain::time::Instant;
use crate::domain::{Notification, NotificationId, Reason};
use crate::planning::resolve::Times;

use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Lock, lock};
use super::rows::{NotificationRow, json, notification_columns, notifications};
use super::{Result, Store, batch, ids, in_tx, query};

const RESOLVED_WITH: &str = "resolved_with";

/// A planned notification whose times are others now.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub id: NotificationId,
    /// When it was due; if somebody moved it meanwhile, it stays.
    pub was_due_at: Instant,
    pub times: Times,
    pub reason: Reason,
}

#[derive(Serialize)]
struct Row {
    id: String,
    was_due: i64,
    due: i64,
    next: i64,
    expires: i64,
}

const RESOLVE: &str = "
    UPDATE notification SET due_at_ms = x.due, next_at_ms = x.next, expires_at_ms = x.expires,
        ring_again_at_ms = 0
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'was_due' AS BIGINT) AS was_due,
                 CAST(value->>'due' AS BIGINT) AS due, CAST(value->>'next' AS BIGINT) AS next,
                 CAST(value->>'expires' AS BIGINT) AS expires
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.status = 'planned'
      AND notification.due_at_ms = x.was_due
    RETURNING id";

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

    /// Moves notifications that are still planned as they were read, and says why on each.
    /// Answers how many.
    ///
    /// # Errors
    /// `Unavailable`; nothing changed then.
    pub async fn resolve(
        &self,
        resolved: Vec<Resolved>,
        versions: String,
        now: Instant,
    ) -> Result<usize> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            lock(tx, Lock::Notifications, ids(resolved.iter().map(|moved| &moved.id))).await?;
            let rows = resolved.iter().map(|Resolved { id, was_due_at, times, .. }| Row {
                id: id.to_string(),
                was_due: was_due_at.timestamp_millis(),
                due: times.due_at.timestamp_millis(),
                next: times.next_at.timestamp_millis(),
                expires: times.expires_at.timestamp_millis(),
            });
            let moved: Vec<(String,)> =
                query(RESOLVE).bind(batch(rows)).fetch_all(&mut *tx).await?;
            let decisions = moved.iter().filter_map(|(id,)| {
                let resolved = resolved.iter().find(|resolved| resolved.id.to_string() == *id)?;
                Some(DecisionRow {
                    id: id.clone(),
                    what: "moved",
                    reasons: json(&[&resolved.reason]),
                    versions: versions.clone(),
                })
            });
            let decisions = batch(decisions.collect::<Vec<_>>());
            query(INSERT_DECISIONS).bind(decisions).bind(now_ms).execute(tx).await?;
            Ok(moved.len())
        })
    }
}
