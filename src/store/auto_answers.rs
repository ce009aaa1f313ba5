//! Which numbers had an automatic answer lately.

use sha2::{Digest, Sha256};

use crate::domain::customer::Address;
use crate::domain::time::Instant;

use super::{Result, Store, in_tx, query};

/// A number has one automatic answer in this time.
const ONCE_IN_MS: i64 = 3_600_000;

/// What a number is kept as where the number itself need not be.
pub(super) fn hash_of(number: &Address) -> String {
    let hash = Sha256::digest(number.compare_key().as_bytes());
    data_encoding::HEXLOWER.encode(&hash[..16])
}

impl Store {
    /// May this number have an automatic answer at `now`? If so, it counts as given.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn may_answer(&self, number: &Address, now: Instant) -> Result<bool> {
        let hash = hash_of(number);
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            query("DELETE FROM auto_answer WHERE at_ms <= $1")
                .bind(now_ms - ONCE_IN_MS)
                .execute(&mut *tx)
                .await?;
            let first = query(
                "INSERT INTO auto_answer (number_hash, at_ms) VALUES ($1, $2)
                 ON CONFLICT (number_hash) DO NOTHING",
            )
            .bind(hash)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(first > 0)
        })
    }
}
