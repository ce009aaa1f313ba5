//! What became of messages once they were handed over: what `planning::adaptive` learns from.

use sqlx::FromRow;

use crate::domain::CustomerId;

use super::reports::is_contact;
use super::sql::Readers;
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
                n.opened_at_ms IS NOT NULL AS opened,
                n.acknowledged_at_ms IS NOT NULL OR
                EXISTS (SELECT 1 FROM event AS answer WHERE answer.source = 'tidings'
                        AND answer.id = 'answer-' || n.id) AS acknowledged,
                EXISTS (SELECT 1 FROM event AS e WHERE e.case_id = n.case_id
                        AND e.customer_id = n.customer_id AND e.occurred_at_ms >= n.told_at_ms
                        AND e.occurred_at_ms < n.told_at_ms + $3 AND ",
            is_contact!($engine),
            ") AS contacted, c.profile
             FROM notification AS n LEFT JOIN customer AS c ON c.id = n.customer_id
             WHERE n.told_at_ms IS NOT NULL AND n.channel IS NOT NULL
               AND n.status IN ('sent', 'delivered', 'undelivered', 'failed', 'unknown') AND ",
            $which
        )
    };
}

impl Store {
    /// Messages that were handed over, after the id `after`, a page at a time. A contact within
    /// `within_ms` counts.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn outcomes(
        &self,
        after: &str,
        limit: i64,
        within_ms: i64,
    ) -> Result<Vec<OutcomeRow>> {
        let sql = match self.readers {
            Readers::Sqlite(_) => outcomes!(sqlite, "n.id > $1 ORDER BY n.id LIMIT $2"),
            Readers::Postgres(_) => outcomes!(postgres, "n.id > $1 ORDER BY n.id LIMIT $2"),
        };
        Ok(query(sql).bind(after).bind(limit).bind(within_ms).fetch_all(&self.readers).await?)
    }

    /// The last messages that were handed over to one customer.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn outcomes_of(
        &self,
        customer: &CustomerId,
        limit: i64,
        within_ms: i64,
    ) -> Result<Vec<OutcomeRow>> {
        let sql = match self.readers {
            Readers::Sqlite(_) => {
                outcomes!(sqlite, "n.customer_id = $1 ORDER BY n.told_at_ms DESC, n.id LIMIT $2")
            }
            Readers::Postgres(_) => {
                outcomes!(postgres, "n.customer_id = $1 ORDER BY n.told_at_ms DESC, n.id LIMIT $2")
            }
        };
        let id = customer.as_str();
        Ok(query(sql).bind(id).bind(limit).bind(within_ms).fetch_all(&self.readers).await?)
    }
}
