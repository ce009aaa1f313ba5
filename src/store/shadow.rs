//! What was decided in shadow mode, for the comparison with what another system sent.

use std::ops::Range;

use sqlx::FromRow;

use crate::domain::time::Instant;

use super::{Result, Store, query};

/// Rows read at a time.
const PAGE: i64 = 5_000;

/// A message that would have left.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ShadowMessage {
    pub id: String,
    pub customer_id: String,
    pub case_id: String,
    pub case_type: String,
    pub notice: String,
    pub channel: String,
    pub told_at_ms: i64,
}

impl Store {
    /// The next five thousand messages after the id `after` that would have left in a period.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn shadow_messages(
        &self,
        after: &str,
        period: Range<Instant>,
    ) -> Result<Vec<ShadowMessage>> {
        Ok(query(
            "SELECT id, customer_id, case_id, case_type, notice, channel, told_at_ms
             FROM notification
             WHERE id > $1 AND reason = 'shadow' AND channel IS NOT NULL
               AND told_at_ms >= $2 AND told_at_ms < $3
             ORDER BY id LIMIT $4",
        )
        .bind(after)
        .bind(period.start.timestamp_millis())
        .bind(period.end.timestamp_millis())
        .bind(PAGE)
        .fetch_all(&self.readers)
        .await?)
    }
}
