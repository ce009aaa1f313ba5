//! The figures of this moment, for the console's first page. Each is counted along an index
//! and no further than [`MANY`], so that they cost the same however much the store holds.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::time::Instant;

use super::{Result, Store, query};

/// Nothing is counted beyond this.
pub const MANY: i64 = 10_000;

/// What goes on. A count of [`MANY`] and more says only that there are many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow, Serialize)]
pub struct Glance {
    /// Planned, and its time has come.
    pub due: i64,
    /// Claimed or on the wire.
    pub sending: i64,
    pub in_doubt: i64,
    pub tasks_open: i64,
    /// Cases with events nobody planned yet.
    pub unplanned: i64,
    /// When the first thing planned is due.
    pub first_due_ms: Option<i64>,
}

/// One of the last hand-overs.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LastAttempt {
    pub channel: String,
    pub provider: String,
    pub state: String,
    pub opened_at_ms: i64,
}

pub(super) const GLANCE: &str = "
    SELECT (SELECT count(*) FROM (SELECT 1 FROM notification WHERE status = 'planned' AND urgency = 0
                AND next_at_ms <= $1 LIMIT 10001) AS low)
         + (SELECT count(*) FROM (SELECT 1 FROM notification WHERE status = 'planned' AND urgency = 1
                AND next_at_ms <= $1 LIMIT 10001) AS normal)
         + (SELECT count(*) FROM (SELECT 1 FROM notification WHERE status = 'planned' AND urgency = 2
                AND next_at_ms <= $1 LIMIT 10001) AS high)
         + (SELECT count(*) FROM (SELECT 1 FROM notification WHERE status = 'planned' AND urgency = 3
                AND next_at_ms <= $1 LIMIT 10001) AS urgent) AS due,
           (SELECT count(*) FROM (SELECT 1 FROM notification
                WHERE status IN ('claimed', 'sending') LIMIT 10001) AS held) AS sending,
           (SELECT count(*) FROM (SELECT 1 FROM notification
                WHERE status = 'in_doubt' LIMIT 10001) AS doubts) AS in_doubt,
           (SELECT count(*) FROM (SELECT 1 FROM task
                WHERE done_at_ms IS NULL LIMIT 10001) AS tasks) AS tasks_open,
           (SELECT count(*) FROM (SELECT 1 FROM cases
                WHERE head > planned LIMIT 10001) AS unplanned) AS unplanned,
           (SELECT min(at) FROM (
                SELECT min(next_at_ms) AS at FROM notification WHERE status = 'planned' AND urgency = 0
                UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 1
                UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 2
                UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 3
           ) AS firsts) AS first_due_ms";

pub(super) const TROUBLE: &str = "
    SELECT status, count(*) AS ended FROM (
        SELECT status FROM notification
        WHERE status IN ('undelivered', 'failed', 'unknown', 'expired', 'quarantined')
          AND next_at_ms > $1 LIMIT 10001) AS ended
    GROUP BY status ORDER BY status";

pub(super) const LAST_ATTEMPTS: &str = "
    SELECT channel, provider, state, opened_at_ms FROM (
        SELECT channel, provider, state, opened_at_ms FROM attempt ORDER BY seq DESC LIMIT 1000
    ) AS last WHERE opened_at_ms > $1";

/// From the event's acceptance to the first hand-over, of what was to go at once.
pub(super) const LATENCIES: &str = "
    SELECT a.opened_at_ms - e.accepted_at_ms AS took_ms
    FROM (SELECT notification_id, opened_at_ms, no FROM attempt ORDER BY seq DESC LIMIT 500) AS a
    JOIN notification AS n ON n.id = a.notification_id
    JOIN event AS e ON e.seq = n.event_seq
    WHERE a.opened_at_ms > $1 AND a.no = 1 AND n.due_at_ms <= n.planned_at_ms
      AND NOT EXISTS (SELECT 1 FROM decision AS d
                      WHERE d.notification_id = n.id AND d.what = 'held')";

impl Store {
    /// What goes on at `now`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn glance(&self, now: Instant) -> Result<Glance> {
        let row = query(GLANCE).bind(now.timestamp_millis()).fetch_one(&self.readers).await?;
        Ok(row)
    }

    /// What ended badly after `since`, by status.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn trouble_since(&self, since: Instant) -> Result<Vec<(String, i64)>> {
        Ok(query(TROUBLE).bind(since.timestamp_millis()).fetch_all(&self.readers).await?)
    }

    /// The last hand-overs opened after `since`, a thousand at most.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn last_attempts(&self, since: Instant) -> Result<Vec<LastAttempt>> {
        Ok(query(LAST_ATTEMPTS).bind(since.timestamp_millis()).fetch_all(&self.readers).await?)
    }

    /// How long the last messages opened after `since` took from event to hand-over, in
    /// milliseconds: those that were to go at once and that nothing held up.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn latencies(&self, since: Instant) -> Result<Vec<i64>> {
        let rows: Vec<(i64,)> =
            query(LATENCIES).bind(since.timestamp_millis()).fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|(took_ms,)| took_ms).collect())
    }
}
