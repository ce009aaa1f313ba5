//! What customers do on their own pages: the log of it, codes they enter, links they use once.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::domain::{Channel, CustomerId};

use super::rows::parse_channel;
use super::{Result, Store, StoreError, in_tx, query};

/// How long a code can be used, in milliseconds: ten minutes.
const CODE_MS: i64 = 10 * 60 * 1_000;

/// Wrong tries after which a code is worthless.
pub const MAX_TRIES: i64 = 5;

/// Codes and links sent to one customer within an hour.
pub const MAX_CODES_PER_HOUR: i64 = 6;

/// One thing a customer did.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct Action {
    pub seq: i64,
    pub at_ms: i64,
    pub kind: String,
    pub detail: String,
}

/// A code on its way, as it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCode {
    pub seq: i64,
    pub channel: Channel,
    pub address: Address,
    /// Milliseconds since 1970; the digits are derived from it.
    pub sent_ms: i64,
    pub tries: i64,
}

impl Store {
    /// Notes what a customer did; of one who was forgotten nothing is noted.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn note_action(
        &self,
        id: &CustomerId,
        kind: &'static str,
        detail: &str,
        now: Instant,
    ) -> Result<()> {
        let (id, detail) = (id.0.clone(), detail.to_owned());
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            query(
                "INSERT INTO customer_action (customer_id, at_ms, kind, detail)
                 SELECT id, $2, $3, $4 FROM customer WHERE id = $1 AND NOT erased",
            )
            .bind(id)
            .bind(now_ms)
            .bind(kind)
            .bind(detail)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// What a customer did, the newest `limit`, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn actions(&self, id: &CustomerId, limit: i64) -> Result<Vec<Action>> {
        let mut actions: Vec<Action> = query(
            "SELECT seq, at_ms, kind, detail FROM customer_action
             WHERE customer_id = $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(id.as_str())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        actions.reverse();
        Ok(actions)
    }

    /// Notes that a code goes to an address, unless too many went within the hour: then
    /// nothing is noted and nothing may be sent.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn begin_code(
        &self,
        id: &CustomerId,
        purpose: &'static str,
        (channel, address): (Channel, &Address),
        now: Instant,
    ) -> Result<bool> {
        let (id, address) = (id.0.clone(), address.expose().to_owned());
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let begun = query(
                "INSERT INTO contact_code
                    (customer_id, purpose, channel, address, sent_at_ms, tries, spent)
                 SELECT $1, $2, $3, $4, $5, 0, false
                 WHERE (SELECT count(*) FROM contact_code
                        WHERE customer_id = $1 AND sent_at_ms > $6) < $7",
            )
            .bind(id)
            .bind(purpose)
            .bind(channel.as_str())
            .bind(address)
            .bind(now_ms)
            .bind(now_ms - 60 * 60 * 1_000)
            .bind(MAX_CODES_PER_HOUR)
            .execute(tx)
            .await?;
            Ok(begun > 0)
        })
    }

    /// The last code sent for a purpose that may still be used. Looking at it costs a try.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn try_code(
        &self,
        id: &CustomerId,
        purpose: &'static str,
        now: Instant,
    ) -> Result<Option<SentCode>> {
        let id = id.0.clone();
        let now_ms = now.timestamp_millis();
        let row: Option<(i64, String, String, i64, i64)> = in_tx!(self, |tx| {
            Ok(query(
                "UPDATE contact_code SET tries = tries + 1
                 WHERE seq = (SELECT max(seq) FROM contact_code
                              WHERE customer_id = $1 AND purpose = $2)
                   AND NOT spent AND tries < $3 AND sent_at_ms > $4
                 RETURNING seq, channel, address, sent_at_ms, tries",
            )
            .bind(id)
            .bind(purpose)
            .bind(MAX_TRIES)
            .bind(now_ms - CODE_MS)
            .fetch_optional(tx)
            .await?)
        })?;
        row.map(|(seq, channel, address, sent_ms, tries)| {
            let (channel, address) = (parse_channel(&channel)?, Address::stored(address));
            Ok(SentCode { seq, channel, address, sent_ms, tries })
        })
        .transpose()
    }

    /// Uses a code up. False when somebody was quicker.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn spend_code(&self, seq: i64) -> Result<bool> {
        in_tx!(self, |tx| {
            let spent = query("UPDATE contact_code SET spent = true WHERE seq = $1 AND NOT spent")
                .bind(seq)
                .execute(tx)
                .await?;
            Ok(spent > 0)
        })
    }

    /// Uses a link up, known by its fingerprint. False when it was used before.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn spend_link(&self, fingerprint: &str, now: Instant) -> Result<bool> {
        let fingerprint = fingerprint.to_owned();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let spent = query(
                "INSERT INTO spent_link (hash, spent_at_ms) VALUES ($1, $2)
                 ON CONFLICT (hash) DO NOTHING",
            )
            .bind(fingerprint)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(spent > 0)
        })
    }

    /// Customers who have a verified address that may be used, at most five.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn owners_of(&self, channel: Channel, address: &Address) -> Result<Vec<CustomerId>> {
        let owners: Vec<(String,)> = query(
            "SELECT p.customer_id FROM contact_point AS p
             JOIN customer AS c ON c.id = p.customer_id
             WHERE p.channel = $1 AND p.address_key = $2 AND p.verified AND NOT p.removed
               AND NOT c.erased
             ORDER BY p.customer_id LIMIT 5",
        )
        .bind(channel.as_str())
        .bind(address.compare_key())
        .fetch_all(&self.readers)
        .await?;
        Ok(owners.into_iter().map(|(id,)| CustomerId(id)).collect())
    }

    /// Forgets what nobody can use any more: links and codes of the day before.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn forget_spent(&self, now: Instant) -> Result<()> {
        let before = now.timestamp_millis() - 24 * 60 * 60 * 1_000;
        in_tx!(self, |tx| {
            for sql in [
                "DELETE FROM spent_link WHERE spent_at_ms < $1",
                "DELETE FROM contact_code WHERE sent_at_ms < $1",
            ] {
                query(sql).bind(before).execute(&mut *tx).await?;
            }
            Ok::<(), StoreError>(())
        })
    }
}
