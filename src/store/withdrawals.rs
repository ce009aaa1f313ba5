//! Channels that deliver too little, and since when.

use sqlx::FromRow;

use crate::domain::{Channel, ChannelMap};

use super::{Result, Store, in_tx, query};

/// A channel that was withdrawn, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Withdrawal {
    pub since_ms: i64,
    pub until_ms: i64,
    /// Of the messages measured, delivered.
    pub percent: i64,
    pub measured: i64,
}

impl Store {
    /// Of the last messages by a channel opened after `since_ms`, `limit` at most, whose last
    /// receipt came: how many were delivered, and how many there are.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn delivered_of_last(
        &self,
        channel: Channel,
        since_ms: i64,
        limit: u32,
    ) -> Result<(i64, i64)> {
        let row: (i64, i64) = query(
            "SELECT CAST(COALESCE(SUM(CASE WHEN state = 'delivered' THEN 1 ELSE 0 END), 0)
                         AS BIGINT) AS delivered,
                    count(*) AS measured
             FROM (SELECT state, opened_at_ms FROM attempt
                   WHERE channel = $1 AND state IN ('delivered', 'undelivered')
                   ORDER BY seq DESC LIMIT $3) AS last
             WHERE opened_at_ms > $2",
        )
        .bind(channel.as_str())
        .bind(since_ms)
        .bind(i64::from(limit))
        .fetch_one(&self.readers)
        .await?;
        Ok(row)
    }

    /// The last withdrawal of each channel, over or not.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn withdrawals(&self) -> Result<ChannelMap<Option<Withdrawal>>> {
        let mut last = ChannelMap::default();
        for channel in Channel::ALL {
            *last.get_mut(channel) = query(
                "SELECT since_ms, until_ms, percent, measured FROM withdrawal
                 WHERE channel = $1 ORDER BY seq DESC LIMIT 1",
            )
            .bind(channel.as_str())
            .fetch_optional(&self.readers)
            .await?;
        }
        Ok(last)
    }

    /// Withdraws a channel, unless it is withdrawn at that time already. Answers whether it was
    /// in use until now.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn withdraw(&self, channel: Channel, withdrawal: Withdrawal) -> Result<bool> {
        in_tx!(self, |tx| {
            let withdrawn = query(
                "INSERT INTO withdrawal (channel, since_ms, until_ms, percent, measured)
                 SELECT $1, $2, $3, $4, $5
                 WHERE NOT EXISTS (SELECT 1 FROM withdrawal WHERE channel = $1 AND until_ms > $2)
                 ON CONFLICT (channel, since_ms) DO NOTHING",
            )
            .bind(channel.as_str())
            .bind(withdrawal.since_ms)
            .bind(withdrawal.until_ms)
            .bind(withdrawal.percent)
            .bind(withdrawal.measured)
            .execute(tx)
            .await?;
            Ok(withdrawn > 0)
        })
    }
}
