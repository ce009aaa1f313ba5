//! Addresses that are used again: their owners take back what they said, or they show, or an
//! operator knows, that what was found is mended.

use serde_json::{Value, json};

use crate::domain::Channel;
use crate::domain::customer::Address;
use crate::domain::time::Instant;

use super::consent::{Act, NOT_MINE, STOP, STOP_AT_CARRIER, note_owners};
use super::sql::Tx;
use super::suppressions::{lock_owners, touch_owners};
use super::{Result, Store, ids, in_tx, query};

/// What an address is refused by and stays so, whoever lifts the rest.
const OWN_WORDS: &[&str] = &[STOP, STOP_AT_CARRIER];
const PEOPLES_WORDS: &[&str] = &[STOP, STOP_AT_CARRIER, NOT_MINE];

const LIFT_FOUND: &str = "
    UPDATE suppression SET until_ms = $3
     WHERE channel = $1 AND address_key = $2 AND until_ms > $3
       AND source NOT IN (SELECT x.value->>'id' FROM jsonb_each($4) AS x)";
const LIFT_OWN_WORD: &str = "
    UPDATE suppression SET until_ms = $3
     WHERE channel = $1 AND address_key = $2 AND until_ms > $3
       AND source IN (SELECT x.value->>'id' FROM jsonb_each($4) AS x)";

impl Store {
    /// An operator lets an address be used again that a provider found unusable, or a reader
    /// said is not theirs. What its owner refused stays. Answers whether there was anything to
    /// lift.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn lift_found(
        &self,
        channel: Channel,
        address: &Address,
        who: &str,
        now: Instant,
    ) -> Result<bool> {
        let key = address.compare_key();
        let act = Act { who: who.into(), source: "console".into(), text_version: String::new() };
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| { lift_found_in(tx, (channel, &key), OWN_WORDS, &act, now_ms).await })
    }

    /// A customer has shown that they read what comes to an address a provider found unusable.
    /// What anybody said of it stays: a STOP, or that it is not theirs. Answers whether there
    /// was anything to lift.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn lift_mended(
        &self,
        channel: Channel,
        address: &Address,
        act: &Act,
        now: Instant,
    ) -> Result<bool> {
        let key = address.compare_key();
        let act = act.clone();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| { lift_found_in(tx, (channel, &key), PEOPLES_WORDS, &act, now_ms).await })
    }

    /// Lifts what the owner of an address asked for, here or at the carrier: START after STOP.
    /// `source` says by which door they take it back. What a provider found stays.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn lift_suppression(
        &self,
        channel: Channel,
        address: &Address,
        source: &str,
        now: Instant,
    ) -> Result<()> {
        let key = address.compare_key();
        let act =
            Act { who: "customer".into(), source: source.into(), text_version: String::new() };
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let what = json!({ "started": channel });
            let lifted = (LIFT_OWN_WORD, OWN_WORDS);
            lift_in(tx, (channel, &key), lifted, (&what, &act), now_ms).await.map(drop)
        })
    }
}

/// Lifts all but what these said, and forgets what was counted against the address.
async fn lift_found_in(
    tx: &mut Tx,
    (channel, key): (Channel, &str),
    stays: &[&str],
    act: &Act,
    now_ms: i64,
) -> Result<bool> {
    let what = json!({ "usable": channel });
    if !lift_in(tx, (channel, key), (LIFT_FOUND, stays), (&what, act), now_ms).await? {
        return Ok(false);
    }
    query("DELETE FROM address_fault WHERE channel = $1 AND address_key = $2")
        .bind(channel.as_str())
        .bind(key)
        .execute(tx)
        .await?;
    Ok(true)
}

/// Lifts what a statement names, notes it for everyone who has the address and has them decided
/// anew.
async fn lift_in(
    tx: &mut Tx,
    (channel, key): (Channel, &str),
    (lift, sources): (&'static str, &[&str]),
    (what, act): (&Value, &Act),
    now_ms: i64,
) -> Result<bool> {
    lock_owners(tx, &[(channel, key.to_owned())]).await?;
    let lifted = query(lift)
        .bind(channel.as_str())
        .bind(key)
        .bind(now_ms)
        .bind(ids(sources))
        .execute(&mut *tx)
        .await?;
    if lifted == 0 {
        return Ok(false);
    }
    note_owners(tx, (channel.as_str(), key), what, act, now_ms).await?;
    touch_owners(tx, channel, key).await?;
    Ok(true)
}
