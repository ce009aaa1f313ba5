//! Channels, and single providers, that an operator has stopped: nothing new is handed over by them, on any process,
//! until an operator lets them go on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::time::Instant;
use crate::domain::{Channel, ChannelMap};

use super::row_locks::{Lock, lock};
use super::{Result, Store, ids, in_tx, query};

/// Decisions looked at in one go when a channel goes on.
const PAGE: i64 = 2_000;

/// Who stopped a channel, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub by: String,
    pub reason: String,
    pub since_ms: i64,
    /// The last decision before it: what waits was held after this one.
    after: i64,
}

/// What is stopped: a whole channel, or one provider of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub channel: Channel,
    /// Its name in the settings.
    pub provider: Option<String>,
}

impl From<Channel> for Target {
    fn from(channel: Channel) -> Self {
        Self { channel, provider: None }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.provider {
            None => write!(f, "{}", self.channel),
            Some(name) => write!(f, "{}/{name}", self.channel),
        }
    }
}

/// Providers that are stopped, by channel and name.
pub type OfProviders = BTreeMap<(Channel, String), Drain>;

fn key(target: &Target) -> String {
    format!("drain/{target}")
}

/// Where the last drain is kept once it is over.
fn past_key(target: &Target) -> String {
    format!("drained/{target}")
}

const RELEASE: &str = "
    UPDATE notification SET next_at_ms = $2, ring_again_at_ms = 0
    WHERE id IN (SELECT value->>'id' FROM jsonb_each($1))
      AND status = 'planned' AND next_at_ms > $2 AND next_at_ms <= $3";

impl Store {
    /// Which channels are stopped.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn drains(&self) -> Result<ChannelMap<Option<Drain>>> {
        let rows: Vec<(String, String)> = query(
            "SELECT key, value FROM meta WHERE key IN ('drain/email', 'drain/sms', 'drain/voice')",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut drains = ChannelMap::default();
        for channel in Channel::ALL {
            if let Some((_, value)) = rows.iter().find(|(name, _)| *name == key(&channel.into())) {
                *drains.get_mut(channel) = Some(serde_json::from_str(value)?);
            }
        }
        Ok(drains)
    }

    /// Which single providers are stopped.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn drains_of_providers(&self) -> Result<OfProviders> {
        let rows: Vec<(String, String)> =
            query("SELECT key, value FROM meta WHERE key > 'drain/' AND key < 'drain0'")
                .fetch_all(&self.readers)
                .await?;
        let mut drains = OfProviders::new();
        for (key, value) in rows {
            let mut parts = key.splitn(3, '/').skip(1);
            let channel = parts.next().and_then(|name| name.parse::<Channel>().ok());
            if let (Some(channel), Some(name)) = (channel, parts.next()) {
                drains.insert((channel, name.to_owned()), serde_json::from_str(&value)?);
            }
        }
        Ok(drains)
    }

    /// Stops a channel, or one provider of it. Answers whether it went on until now.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn drain(
        &self,
        target: impl Into<Target>,
        by: &str,
        reason: &str,
        now: Instant,
    ) -> Result<bool> {
        let (by, reason, key) = (by.to_owned(), reason.to_owned(), key(&target.into()));
        let since_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let (after,): (i64,) =
                query("SELECT COALESCE(max(seq), 0) FROM decision").fetch_one(&mut *tx).await?;
            let drain = Drain { by, reason, since_ms, after };
            let value = serde_json::to_string(&drain)?;
            let stopped =
                query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
                    .bind(&key)
                    .bind(value)
                    .execute(tx)
                    .await?;
            Ok(stopped > 0)
        })
    }

    /// Lets a channel, or one provider of it, go on. Answers whether it was stopped.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn undrain(&self, target: impl Into<Target>) -> Result<bool> {
        let target = target.into();
        in_tx!(self, |tx| {
            let drain: Option<(String,)> = query("DELETE FROM meta WHERE key = $1 RETURNING value")
                .bind(key(&target))
                .fetch_optional(&mut *tx)
                .await?;
            let Some((drain,)) = drain else { return Ok(false) };
            query(
                "INSERT INTO meta (key, value) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .bind(past_key(&target))
            .bind(drain)
            .execute(tx)
            .await?;
            Ok(true)
        })
    }

    /// Brings forward to `now` what waited for a channel that goes on again, itself or by one of
    /// its providers, as long as it would
    /// have been looked at again by `horizon`. Answers how much that was. Every process does so
    /// once it knows: until then it may have held more.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; what was not brought forward comes by itself.
    pub async fn release_drained(
        &self,
        target: impl Into<Target>,
        now: Instant,
        horizon: Instant,
    ) -> Result<u64> {
        let target = target.into();
        let past: Option<(String,)> = query("SELECT value FROM meta WHERE key = $1")
            .bind(past_key(&target))
            .fetch_optional(&self.readers)
            .await?;
        let Some((past,)) = past else { return Ok(0) };
        let drain: Drain = serde_json::from_str(&past)?;
        let (mut after, mut released) = (drain.after, 0);
        let held = format!("%\"code\":\"drained\",\"channel\":\"{}\"%", target.channel);
        loop {
            let page: Vec<(i64, String, bool)> = query(
                "SELECT seq, notification_id, what = 'held' AND reasons LIKE $3 AS waits
                 FROM decision WHERE seq > $1 ORDER BY seq LIMIT $2",
            )
            .bind(after)
            .bind(PAGE)
            .bind(&held)
            .fetch_all(&self.readers)
            .await?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            let waiting: Vec<String> =
                page.into_iter().filter(|(.., waits)| *waits).map(|(_, id, _)| id).collect();
            if waiting.is_empty() {
                continue;
            }
            released += in_tx!(self, |tx| {
                lock(tx, Lock::Notifications, ids(&waiting)).await?;
                Ok(query(RELEASE)
                    .bind(ids(&waiting))
                    .bind(now.timestamp_millis())
                    .bind(horizon.timestamp_millis())
                    .execute(tx)
                    .await?)
            })?;
        }
        Ok(released)
    }
}
