//! Addresses whose owners refused them, here or at the carrier: for comparing with what the
//! carrier holds.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::Channel;
use crate::domain::time::Instant;

use super::{Result, Store, query};

/// An address that is refused now.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Stopped {
    /// As it is compared: [`crate::domain::customer::Address::compare_key`].
    pub address: String,
    pub since_ms: i64,
    /// `stop` or `carrier`.
    pub source: String,
}

impl Store {
    /// Every address of a channel that its owner refuses at `now`, in the order of addresses.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn stopped(&self, channel: Channel, now: Instant) -> Result<Vec<Stopped>> {
        Ok(query(
            "SELECT address_key AS address, min(since_ms) AS since_ms, min(source) AS source
             FROM suppression
             WHERE channel = $1 AND source IN ('stop', 'carrier')
               AND since_ms <= $2 AND until_ms > $2
             GROUP BY address_key ORDER BY address_key",
        )
        .bind(channel.as_str())
        .bind(now.timestamp_millis())
        .fetch_all(&self.readers)
        .await?)
    }
}
