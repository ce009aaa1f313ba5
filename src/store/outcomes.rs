//! What became of messages once they were handed over: what `planning::adaptive` learns from.

use std::ops::Range;

use chrono::TimeDelta;
use sqlx::FromRow;

use crate::domain::CustomerId;
use crate::domain::time::Instant;

use super::reports::is_contact;
use super::sql::{Query, Readers};
use super::{Result, Store, query};

/// One message that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[allow(clippy::struct_excessive_bools, reason = "a row of what did or did not happen")]
pub struct OutcomeRow {
    pub id: String,
    pub customer_id: String,
    pub case_type: String,
    pub channel: String,
    pub told_at_ms: i64,
    /// It did not come back. Not every channel has receipts, so they cannot be asked for.
    pub delivered: bool,
    /// A link in it was used.
    pub opened: bool,
    /// Its question was answered, or a key pressed.
    pub acknowledged: bool,
    /// The customer got in touch about the same case in the days after.
    pub contacted: bool,
    /// The customer's profile as JSON.
    pub profile: Option<String>,
}

macro_rules! outcomes {
    ($engine:ident, $which:literal) => {
        concat!(
            "SELECT n.id, n.customer_id, n.case_type, n.channel, n.told_at_ms,
                n.status IN ('sent', 'delivered') AS delivered,
                COALESCE(n.opened_at_ms < $5, false) AS opened,
                COALESCE(n.acknowledged_at_ms < $5, false) OR
                EXISTS (SELECT 1 FROM event AS answer WHERE answer.source = 'tidings'
                        AND answer.id = 'answer-' || n.id AND answer.occurred_at_ms < $5)
                    AS acknowledged,
                EXISTS (SELECT 1 FROM event AS e WHERE e.case_id = n.case_id
                        AND e.customer_id = n.customer_id AND e.occurred_at_ms >= n.told_at_ms
                        AND e.occurred_at_ms < n.told_at_ms + $3
                        AND e.occurred_at_ms < $5 AND ",
            is_contact!($engine),
            ") AS contacted, c.profile
             FROM notification AS n LEFT JOIN customer AS c ON c.id = n.customer_id
             WHERE n.told_at_ms >= $4 AND n.told_at_ms < $5 AND n.channel IS NOT NULL
               AND n.status IN ('sent', 'delivered', 'undelivered', 'failed', 'unknown') AND ",
            $which
        )
    };
}

/// Which messages, and what counts as a contact about them.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Handed over in it; what happened after its end is not known yet.
    pub period: Range<Instant>,
    pub contact_within: TimeDelta,
}

impl Asked {
    fn bind(&self, query: Query) -> Query {
        query
            .bind(self.contact_within.num_milliseconds())
            .bind(self.period.start.timestamp_millis())
            .bind(self.period.end.timestamp_millis())
    }
}

impl Store {
    /// What became of messages, after the id `after`, a page at a time.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn outcomes(
        &self,
        asked: &Asked,
        after: &str,
        limit: i64,
    ) -> Result<Vec<OutcomeRow>> {
        let sql = match self.readers {
            Readers::Sqlite(_) => outcomes!(sqlite, "n.id > $1 ORDER BY n.id LIMIT $2"),
            Readers::Postgres(_) => outcomes!(postgres, "n.id > $1 ORDER BY n.id LIMIT $2"),
        };
        let query = asked.bind(query(sql).bind(after).bind(limit));
        Ok(query.fetch_all(&self.readers).await?)
    }

    /// What became of the last messages to one customer.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn outcomes_of(
        &self,
        asked: &Asked,
        customer: &CustomerId,
        limit: i64,
    ) -> Result<Vec<OutcomeRow>> {
        let sql = match self.readers {
            Readers::Sqlite(_) => {
                outcomes!(sqlite, "n.customer_id = $1 ORDER BY n.told_at_ms DESC, n.id LIMIT $2")
            }
            Readers::Postgres(_) => {
                outcomes!(postgres, "n.customer_id = $1 ORDER BY n.told_at_ms DESC, n.id LIMIT $2")
            }
        };
        let query = asked.bind(query(sql).bind(customer.as_str()).bind(limit));
        Ok(query.fetch_all(&self.readers).await?)
    }
}
