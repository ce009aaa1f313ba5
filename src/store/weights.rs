//! Weight that moved between the providers of a channel, and the counts that move it.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::domain::Channel;
use crate::domain::time::Instant;

use super::{Result, Store, in_tx, query};

/// The weights in force since a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// Which move it was: the next one names it.
    pub seq: i64,
    /// What the settings said then.
    pub settings: String,
    pub weights: BTreeMap<String, u32>,
    pub at_ms: i64,
}

/// A move as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct WeightMove {
    pub channel: String,
    pub provider: String,
    pub points: i64,
    pub reason: String,
    pub at_ms: i64,
}

/// What a provider did lately.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Counts {
    pub channel: String,
    pub provider: String,
    pub errors: i64,
    pub measured: i64,
    pub slow: i64,
}

/// The stretches of time counts are taken over, and when a receipt is slow; in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    pub errors_ms: i64,
    pub receipts_ms: i64,
    pub slow_ms: i64,
}

const COUNTS: &str = "
    SELECT channel, provider,
           CAST(SUM(CASE WHEN fault AND closed_at_ms > $2 THEN 1 ELSE 0 END) AS BIGINT) AS errors,
           CAST(SUM(CASE WHEN state IN ('sent', 'delivered', 'undelivered')
                          AND (word_at_ms IS NOT NULL OR opened_at_ms <= $3)
                    THEN 1 ELSE 0 END) AS BIGINT) AS measured,
           CAST(SUM(CASE WHEN state IN ('sent', 'delivered', 'undelivered')
                          AND COALESCE(word_at_ms, $4) - opened_at_ms >= $5
                    THEN 1 ELSE 0 END) AS BIGINT) AS slow
    FROM attempt WHERE opened_at_ms > $1 AND opened_at_ms <= $4
    GROUP BY channel, provider ORDER BY channel, provider";

impl Store {
    /// What each provider did before `now`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn provider_counts(&self, windows: Windows, now: Instant) -> Result<Vec<Counts>> {
        let now_ms = now.timestamp_millis();
        Ok(query(COUNTS)
            .bind(now_ms - windows.receipts_ms)
            .bind(now_ms - windows.errors_ms)
            .bind(now_ms - windows.slow_ms)
            .bind(now_ms)
            .bind(windows.slow_ms)
            .fetch_all(&self.readers)
            .await?)
    }

    /// The weights a channel's last move brought into force.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn weights(&self, channel: Channel) -> Result<Option<InForce>> {
        let row: Option<(i64, String, String, i64)> = query(
            "SELECT seq, settings, weights, at_ms FROM weight_move WHERE channel = $1
             ORDER BY seq DESC LIMIT 1",
        )
        .bind(channel.as_str())
        .fetch_optional(&self.readers)
        .await?;
        let Some((seq, settings, weights, at_ms)) = row else { return Ok(None) };
        Ok(Some(InForce { seq, settings, weights: serde_json::from_str(&weights)?, at_ms }))
    }

    /// Moves weight, if nobody else did since `before` (its `seq`) was in force. Answers whether
    /// it moved.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn move_weight(
        &self,
        moved: WeightMove,
        to: &InForce,
        before: Option<&InForce>,
    ) -> Result<bool> {
        let weights = serde_json::to_string(&to.weights)?;
        let settings = to.settings.clone();
        let after = before.map_or(0, |before| before.seq);
        in_tx!(self, |tx| {
            let made = query(
                "INSERT INTO weight_move
                     (channel, after, settings, weights, provider, points, reason, at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (channel, after) DO NOTHING",
            )
            .bind(&moved.channel)
            .bind(after)
            .bind(&settings)
            .bind(&weights)
            .bind(&moved.provider)
            .bind(moved.points)
            .bind(&moved.reason)
            .bind(moved.at_ms)
            .execute(tx)
            .await?;
            Ok(made > 0)
        })
    }

    /// The last moves, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn weight_moves(&self, limit: i64) -> Result<Vec<WeightMove>> {
        Ok(query(
            "SELECT channel, provider, points, reason, at_ms FROM weight_move
             ORDER BY seq DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await?)
    }
}
