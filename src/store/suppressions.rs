//! Addresses that must not be used: refused by their owners, here or at the carrier, or found
//! dead by a provider.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::domain::{Channel, CustomerId};

use super::consent::{Act, NOT_MINE, STOP, STOP_AT_CARRIER, note_owners};
use super::row_locks::{Lock, lock};
use super::sql::Tx;
use super::{Result, Store, ids, in_tx, query};

/// The end of time, for what does not end by itself.
const NEVER_MS: i64 = i64::MAX;

/// An address that is refused now.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Stopped {
    /// As it is compared: [`crate::domain::customer::Address::compare_key`].
    pub address: String,
    pub since_ms: i64,
    /// `stop` or `carrier`.
    pub source: String,
}

/// An address that must not be used, with when and why.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct Suppressed {
    pub channel: String,
    /// As it is compared.
    pub address: String,
    pub since_ms: i64,
    pub reason: String,
    pub source: String,
}

impl Suppressed {
    /// Did its owner refuse it? Then only they can take that back.
    #[must_use]
    pub fn is_own_word(&self) -> bool {
        [STOP, STOP_AT_CARRIER].contains(&self.source.as_str())
    }

    /// Did a provider find that nothing arrives there? Then its owner may show that it does.
    #[must_use]
    pub fn was_found(&self) -> bool {
        !self.is_own_word() && self.source != NOT_MINE
    }
}

/// In force at $1, since $2 and before; newest first, without the first $3.
pub(super) const LISTED: &str = "
    SELECT channel, address_key AS address, since_ms, reason, source FROM suppression
    WHERE until_ms > $1 AND since_ms <= $2
    ORDER BY since_ms DESC, channel, address_key LIMIT 51 OFFSET $3";

impl Store {
    /// Addresses that must not be used at `now`, newest first: those since `until_ms` and
    /// before, without the first `skip`; 51 at most.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn suppressed_addresses(
        &self,
        now: Instant,
        until_ms: i64,
        skip: i64,
    ) -> Result<Vec<Suppressed>> {
        Ok(query(LISTED)
            .bind(now.timestamp_millis())
            .bind(until_ms)
            .bind(skip)
            .fetch_all(&self.readers)
            .await?)
    }

    /// Everything that keeps the addresses of a customer from being used at `now`, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn suppressions_of(&self, id: &CustomerId, now: Instant) -> Result<Vec<Suppressed>> {
        Ok(query(
            "SELECT s.channel, s.address_key AS address, s.since_ms, s.reason, s.source
             FROM contact_point AS c JOIN suppression AS s
               ON s.channel = c.channel AND s.address_key = c.address_key
             WHERE c.customer_id = $1 AND NOT c.removed AND s.since_ms <= $2 AND s.until_ms > $2
             ORDER BY s.since_ms DESC, s.channel, s.address_key, s.source",
        )
        .bind(id.as_str())
        .bind(now.timestamp_millis())
        .fetch_all(&self.readers)
        .await?)
    }

    /// Notes that an address must not be used. Every customer who has it is decided anew.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn suppress(
        &self,
        channel: Channel,
        address: &Address,
        reason: &str,
        source: &str,
        now: Instant,
    ) -> Result<()> {
        let key = address.compare_key();
        let (reason, source) = (reason.to_owned(), source.to_owned());
        let now_ms = now.timestamp_millis();
        let times = (now_ms, self.found_for_ms);
        in_tx!(self, |tx| { suppress_in(tx, channel, &key, &reason, &source, times).await })
    }

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

/// Locks these addresses and everyone who has one, before anything else is locked.
pub(super) async fn lock_owners(tx: &mut Tx, addresses: &[(Channel, String)]) -> Result<()> {
    if addresses.is_empty() || matches!(tx, Tx::Sqlite(_)) {
        return Ok(());
    }
    lock(tx, Lock::Addresses, ids(addresses.iter().map(|(_, key)| key))).await?;
    let mut owners: Vec<(String,)> = Vec::new();
    for (channel, key) in addresses {
        let more: Vec<(String,)> =
            query("SELECT customer_id FROM contact_point WHERE channel = $1 AND address_key = $2")
                .bind(channel.as_str())
                .bind(key)
                .fetch_all(&mut *tx)
                .await?;
        owners.extend(more);
    }
    lock(tx, Lock::Customers, ids(owners.into_iter().map(|(id,)| id))).await
}

/// Everyone who has this address is decided anew.
pub(super) async fn touch_owners(tx: &mut Tx, channel: Channel, key: &str) -> Result<()> {
    query(
        "UPDATE customer SET revision = revision + 1 WHERE id IN
            (SELECT customer_id FROM contact_point WHERE channel = $1 AND address_key = $2)",
    )
    .bind(channel.as_str())
    .bind(key)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn suppress_in(
    tx: &mut Tx,
    channel: Channel,
    address_key: &str,
    reason: &str,
    source: &str,
    (now_ms, found_for_ms): (i64, i64),
) -> Result<()> {
    lock_owners(tx, &[(channel, address_key.to_owned())]).await?;
    let own = [STOP, STOP_AT_CARRIER].contains(&source);
    // What its owner said holds until they say otherwise; what was found may have been mended.
    let until_ms = if own { NEVER_MS } else { now_ms.saturating_add(found_for_ms) };
    query(
        "INSERT INTO suppression (channel, address_key, since_ms, until_ms, reason, source)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (channel, address_key, since_ms) DO NOTHING",
    )
    .bind(channel.as_str())
    .bind(address_key)
    .bind(now_ms)
    .bind(until_ms)
    .bind(reason)
    .bind(source)
    .execute(&mut *tx)
    .await?;
    let what = serde_json::json!({ "stopped": channel });
    let who = if own { "customer" } else { source };
    let act = Act { who: who.into(), source: source.into(), text_version: String::new() };
    note_owners(tx, (channel.as_str(), address_key), &what, &act, now_ms).await?;
    touch_owners(tx, channel, address_key).await
}
