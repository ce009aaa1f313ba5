//! The sums that show that nothing was lost: what became of each accepted event.
//!
//! One definition, [`settled_events`], for every sum that is printed: `tidings balance`, the
//! summaries of `work`, `play` and `demo`.

use serde::Serialize;
use sqlx::FromRow;

use super::{Result, Store, query};

/// accepted = open + told + silent + task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    pub accepted: i64,
    pub open: i64,
    pub told: i64,
    pub silent: i64,
    pub task: i64,
}

impl Balance {
    #[must_use]
    pub const fn adds_up(&self) -> bool {
        self.accepted == self.open + self.told + self.silent + self.task
    }

    /// Counts `events` of one outcome; one that is none of the four leaves a gap.
    pub fn count(&mut self, outcome: &str, events: i64) {
        self.accepted += events;
        match outcome {
            "open" => self.open += events,
            "told" => self.told += events,
            "silent" => self.silent += events,
            "task" => self.task += events,
            _ => {}
        }
    }

    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.accepted += other.accepted;
        self.open += other.open;
        self.told += other.told;
        self.silent += other.silent;
        self.task += other.task;
        self
    }
}

/// Each event with what became of it: open while something it caused is unsettled, then the
/// first of task, told, silent that holds. Silence has a reason: the event's own, that of
/// everything it caused, or that another event of the case had already caused the same; what
/// was decided in shadow mode told nobody. What is none of them is `lost`. (`+ 0` keeps PostgreSQL
/// from looking for the first of an event along the index of all by time.)
macro_rules! settled_events {
    () => {
        "SELECT e.seq, e.source, e.id, e.case_id, e.case_type, e.accepted_at_ms, CASE
            WHEN e.planned_at_ms IS NULL AND EXISTS
                (SELECT 1 FROM task WHERE key = 'unknown_customer/' || e.customer_id AND done_at_ms IS NULL)
                THEN 'task'
            WHEN e.planned_at_ms IS NULL THEN 'open'
            WHEN EXISTS (SELECT 1 FROM notification AS n
                         LEFT JOIN notification AS c ON c.id = n.carrier AND n.status = 'folded'
                         WHERE n.case_id = e.case_id AND n.event_seq = e.seq
                           AND COALESCE(c.status, n.status)
                               IN ('planned', 'claimed', 'sending', 'in_doubt')) THEN 'open'
            WHEN EXISTS (SELECT 1 FROM task AS t WHERE t.event_seq = e.seq
                         AND COALESCE(t.done_by, '') <> 'customer arrived') THEN 'task'
            WHEN EXISTS (SELECT 1 FROM notification AS n
                         JOIN task AS t ON t.notification_id = n.carrier
                         WHERE n.case_id = e.case_id AND n.event_seq = e.seq
                           AND n.status = 'folded') THEN 'task'
            WHEN EXISTS (SELECT 1 FROM notification AS n
                         LEFT JOIN notification AS c ON c.id = n.carrier AND n.status = 'folded'
                         WHERE n.case_id = e.case_id AND n.event_seq = e.seq
                           AND COALESCE(c.status, n.status) IN ('sent', 'delivered')
                           AND COALESCE(c.reason, n.reason, '') <> 'shadow') THEN 'told'
            WHEN e.silent IS NOT NULL THEN 'silent'
            WHEN EXISTS (SELECT 1 FROM notification AS n
                         LEFT JOIN notification AS c ON c.id = n.carrier AND n.status = 'folded'
                         WHERE n.case_id = e.case_id AND n.event_seq = e.seq
                           AND COALESCE(c.reason, n.reason) = 'shadow') THEN 'silent'
            WHEN EXISTS (SELECT 1 FROM notification AS n
                         WHERE n.case_id = e.case_id AND n.event_seq = e.seq
                           AND (n.reason IS NULL OR n.status NOT IN
                              ('cancelled', 'superseded', 'suppressed', 'expired'))) THEN 'lost'
            WHEN EXISTS (SELECT 1 FROM notification AS n
                         WHERE n.case_id = e.case_id AND n.event_seq IS NOT NULL
                         OR n.customer_id = e.customer_id AND n.once_customer) THEN 'silent'
            ELSE 'lost' END AS outcome,
            COALESCE(e.silent,
                (SELECT n.reason FROM notification AS n
                 WHERE n.case_id = e.case_id AND n.event_seq = e.seq
                 ORDER BY n.planned_at_ms + 0, n.id LIMIT 1), 'already_said') AS reason
        FROM event AS e"
    };
}
pub(super) use settled_events;

/// The events accepted on one day that had one outcome.
#[derive(Debug, Clone, FromRow)]
pub struct DayCount {
    /// Days since 1970-01-01, in UTC.
    pub day: i64,
    pub case_type: String,
    pub outcome: String,
    pub events: i64,
}

/// An accepted event of which nothing came: neither open, told, silent with a reason, nor a task.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct LostEvent {
    pub source: String,
    pub id: String,
    pub case_id: String,
    pub case_type: String,
    pub accepted_at_ms: i64,
}

/// A case that was promised more events than are stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct ShortCase {
    pub case_id: String,
    /// Events answered with 202.
    pub accepted: i64,
    pub stored: i64,
}

/// What came of words that no event caused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow, Serialize)]
pub struct Unprompted {
    pub planned: i64,
    pub open: i64,
    pub told: i64,
    /// Ended with a reason: cancelled, replaced, suppressed, expired.
    pub silent: i64,
    pub task: i64,
}

/// Instants from which and before which, in milliseconds.
pub type Period = std::ops::Range<i64>;

impl Store {
    /// Events accepted in a period, by day, case type and outcome.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn balance_by_day(&self, period: Period) -> Result<Vec<DayCount>> {
        Ok(query(concat!(
            "SELECT settled.accepted_at_ms / 86400000 AS day, case_type, outcome, count(*) AS events
             FROM (",
            settled_events!(),
            " WHERE e.accepted_at_ms >= $1 AND e.accepted_at_ms < $2) AS settled
             GROUP BY settled.accepted_at_ms / 86400000, case_type, outcome
             ORDER BY 1, 2, 3"
        ))
        .bind(period.start)
        .bind(period.end)
        .fetch_all(&self.readers)
        .await?)
    }

    /// The events of a period of which nothing came, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn lost_events(&self, period: Period, limit: i64) -> Result<Vec<LostEvent>> {
        Ok(query(concat!(
            "SELECT source, id, case_id, case_type, accepted_at_ms FROM (",
            settled_events!(),
            " WHERE e.accepted_at_ms >= $1 AND e.accepted_at_ms < $2) AS settled
             WHERE outcome = 'lost' ORDER BY seq LIMIT $3"
        ))
        .bind(period.start)
        .bind(period.end)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?)
    }

    /// Cases whose count of accepted events is not the number of events stored.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn short_cases(&self, limit: i64) -> Result<Vec<ShortCase>> {
        Ok(query(
            "SELECT c.id AS case_id, c.head AS accepted, COALESCE(e.events, 0) AS stored
             FROM cases AS c LEFT JOIN
                (SELECT case_id, count(*) AS events FROM event GROUP BY case_id) AS e
                ON e.case_id = c.id
             WHERE c.head <> COALESCE(e.events, 0) ORDER BY c.id LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await?)
    }

    /// What came of the words of a period that no event caused, by when they were planned.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn unprompted(&self, period: Period) -> Result<Unprompted> {
        Ok(query(
            "SELECT count(*) AS planned,
                count(CASE WHEN open THEN 1 END) AS open,
                count(CASE WHEN NOT open AND NOT task AND told THEN 1 END) AS told,
                count(CASE WHEN NOT open AND NOT task AND NOT told THEN 1 END) AS silent,
                count(CASE WHEN NOT open AND task THEN 1 END) AS task
             FROM (SELECT status IN ('planned', 'claimed', 'sending', 'in_doubt') AS open,
                          status IN ('sent', 'delivered', 'folded')
                            AND COALESCE((SELECT c.reason FROM notification AS c
                                           WHERE c.id = n.carrier AND n.status = 'folded'),
                                         reason, '') <> 'shadow' AS told,
                          EXISTS (SELECT 1 FROM task AS t WHERE t.notification_id = n.id) AS task
                   FROM notification AS n
                   WHERE n.event_seq IS NULL AND n.planned_at_ms >= $1 AND n.planned_at_ms < $2) AS words",
        )
        .bind(period.start)
        .bind(period.end)
        .fetch_one(&self.readers)
        .await?)
    }
}
