//! What providers say against an address: some words close it at once, others when they were
//! said on enough days. Days are counted, not replies: the retries of one message are one word.

use crate::domain::Channel;
use crate::domain::customer::AddressFault;

use super::consent::refused_by;
use super::sql::Tx;
use super::suppressions::{lock_owners, suppress_in};
use super::{Result, query};

const DAY_MS: i64 = 86_400_000;

/// What a provider said, and of which address.
pub(super) struct Fault<'a> {
    pub channel: Channel,
    /// As it is compared.
    pub key: &'a str,
    pub what: AddressFault,
    /// Its words.
    pub detail: &'a str,
}

/// The name a fault is kept under, on how many days it must be said, and within how many.
const fn rule(fault: AddressFault) -> Option<(&'static str, i64, i64)> {
    match fault {
        AddressFault::Unusable | AddressFault::OptedOut => None,
        AddressFault::Doubtful => Some(("doubtful", 2, 30)),
        AddressFault::Full => Some(("full", 3, 7)),
    }
}

/// Counts a fault, and closes the address when that was enough.
pub(super) async fn count_fault(
    tx: &mut Tx,
    told: Fault<'_>,
    provider: &'static str,
    (now_ms, found_for_ms): (i64, i64),
) -> Result<()> {
    let Fault { channel, key, what: fault, detail } = told;
    if let Some((name, wanted, within)) = rule(fault) {
        // Two replies at once are counted one after the other.
        lock_owners(tx, &[(channel, key.to_owned())]).await?;
        let today = now_ms.div_euclid(DAY_MS);
        query(
            "INSERT INTO address_fault (channel, address_key, fault, day) VALUES ($1, $2, $3, $4)
             ON CONFLICT (channel, address_key, fault, day) DO NOTHING",
        )
        .bind(channel.as_str())
        .bind(key)
        .bind(name)
        .bind(today)
        .execute(&mut *tx)
        .await?;
        query(
            "DELETE FROM address_fault
             WHERE channel = $1 AND address_key = $2 AND fault = $3 AND day <= $4",
        )
        .bind(channel.as_str())
        .bind(key)
        .bind(name)
        .bind(today - within)
        .execute(&mut *tx)
        .await?;
        let said: Option<(i64,)> = query(
            "SELECT count(*) FROM address_fault
             WHERE channel = $1 AND address_key = $2 AND fault = $3",
        )
        .bind(channel.as_str())
        .bind(key)
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?;
        if said.is_none_or(|(days,)| days < wanted) {
            return Ok(());
        }
    }
    suppress_in(tx, channel, key, detail, refused_by(fault, provider), (now_ms, found_for_ms)).await
}
