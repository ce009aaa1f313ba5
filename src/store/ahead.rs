//! What is planned, hour by hour and message by message, counted along indexes and no further
//! than a bound per cell.

use serde::Serialize;

use crate::domain::Notification;
use crate::domain::time::Instant;

use super::rows::{NotificationRow, notification_columns, notifications};
use super::{Result, Store, batch, query};

/// An hour of a message is counted no further; of everything, four times as far.
pub const MANY_AN_HOUR: i64 = 500;

/// A message is counted no further.
pub const MANY_OF_A_MESSAGE: i64 = 1_000;

#[derive(Serialize)]
struct Hour {
    n: i64,
    from: i64,
    to: i64,
}

#[derive(Serialize)]
struct Message<'a> {
    n: i64,
    case_type: &'a str,
    notice: &'a str,
}

macro_rules! of_urgency {
    ($rank:literal) => {
        concat!(
            "(SELECT count(*) FROM (SELECT 1 FROM notification WHERE status = 'planned' AND urgency = ",
            $rank,
            " AND next_at_ms >= CAST(h.value->>'from' AS BIGINT)
               AND next_at_ms < CAST(h.value->>'to' AS BIGINT) LIMIT 500) AS u",
            $rank,
            ")"
        )
    };
}

pub(super) const BY_HOUR: &str = concat!(
    "SELECT CAST(h.value->>'n' AS BIGINT) AS n, ",
    of_urgency!("0"),
    " + ",
    of_urgency!("1"),
    " + ",
    of_urgency!("2"),
    " + ",
    of_urgency!("3"),
    " AS planned FROM jsonb_each($1) AS h"
);

pub(super) const BY_HOUR_OF_MESSAGE: &str = "
    SELECT CAST(h.value->>'n' AS BIGINT) AS n,
           (SELECT count(*) FROM (SELECT 1 FROM notification
               WHERE status = 'planned' AND case_type = $2 AND notice = $3
                 AND next_at_ms >= CAST(h.value->>'from' AS BIGINT)
                 AND next_at_ms < CAST(h.value->>'to' AS BIGINT) LIMIT 500) AS m) AS planned
    FROM jsonb_each($1) AS h";

pub(super) const BY_MESSAGE: &str = "
    SELECT CAST(m.value->>'n' AS BIGINT) AS n,
           (SELECT count(*) FROM (SELECT 1 FROM notification
               WHERE status = 'planned' AND case_type = m.value->>'case_type'
                 AND notice = m.value->>'notice'
                 AND next_at_ms >= $2 AND next_at_ms < $3 LIMIT 1000) AS c) AS planned
    FROM jsonb_each($1) AS m";

macro_rules! first_of_urgency {
    ($rank:literal) => {
        concat!(
            "SELECT * FROM (SELECT ",
            notification_columns!(),
            " FROM notification WHERE status = 'planned' AND urgency = ",
            $rank,
            " AND next_at_ms >= $1 ORDER BY next_at_ms LIMIT 100) AS u",
            $rank
        )
    };
}

pub(super) const NEXT_PLANNED: &str = concat!(
    "SELECT * FROM (",
    first_of_urgency!("0"),
    " UNION ALL ",
    first_of_urgency!("1"),
    " UNION ALL ",
    first_of_urgency!("2"),
    " UNION ALL ",
    first_of_urgency!("3"),
    ") AS firsts ORDER BY next_at_ms, id LIMIT 100"
);

impl Store {
    /// How much is planned in each of these spans, in their order: of everything, or of one
    /// message (case type and notice).
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn planned_by_hour(
        &self,
        hours: &[(Instant, Instant)],
        message: Option<(&str, &str)>,
    ) -> Result<Vec<i64>> {
        let numbered = (0..).zip(hours).map(|(n, (from, to))| Hour {
            n,
            from: from.timestamp_millis(),
            to: to.timestamp_millis(),
        });
        let hours = batch(numbered);
        let mut counts: Vec<(i64, i64)> = match message {
            None => query(BY_HOUR).bind(hours),
            Some((case_type, notice)) => {
                query(BY_HOUR_OF_MESSAGE).bind(hours).bind(case_type).bind(notice)
            }
        }
        .fetch_all(&self.readers)
        .await?;
        counts.sort_unstable();
        Ok(counts.into_iter().map(|(_, planned)| planned).collect())
    }

    /// How much of each of these messages (case type and notice) is planned in a span, in
    /// their order.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn planned_by_message(
        &self,
        messages: &[(String, String)],
        from: Instant,
        to: Instant,
    ) -> Result<Vec<i64>> {
        let numbered =
            (0..).zip(messages).map(|(n, (case_type, notice))| Message { n, case_type, notice });
        let mut counts: Vec<(i64, i64)> = query(BY_MESSAGE)
            .bind(batch(numbered))
            .bind(from.timestamp_millis())
            .bind(to.timestamp_millis())
            .fetch_all(&self.readers)
            .await?;
        counts.sort_unstable();
        Ok(counts.into_iter().map(|(_, planned)| planned).collect())
    }

    /// The hundred planned ones that fall due first from `from` on.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn next_planned(&self, from: Instant) -> Result<Vec<Notification>> {
        let rows: Vec<NotificationRow> =
            query(NEXT_PLANNED).bind(from.timestamp_millis()).fetch_all(&self.readers).await?;
        notifications(rows)
    }
}
