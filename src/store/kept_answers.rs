//! Answers kept for requests that are sent again under one Idempotency-Key.

use sqlx::FromRow;

use crate::domain::time::Instant;

use super::{Result, Store, in_tx, query};

/// How long an answer is given again, in milliseconds: a day.
const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct KeptAnswer {
    /// Of method, path and body: the same request, or another one under the same key?
    pub fingerprint: String,
    pub status: i64,
    pub content_type: String,
    pub body: String,
}

impl Store {
    /// The answer given under a key, for a day.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn kept_answer(&self, key_hash: &str, now: Instant) -> Result<Option<KeptAnswer>> {
        Ok(query(
            "SELECT fingerprint, status, content_type, body FROM kept_answer
             WHERE key_hash = $1 AND kept_at_ms > $2",
        )
        .bind(key_hash)
        .bind(now.timestamp_millis() - KEPT_MS)
        .fetch_optional(&self.readers)
        .await?)
    }

    /// Keeps an answer, and forgets those that are over.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn keep_answer(
        &self,
        key_hash: &str,
        answer: KeptAnswer,
        now: Instant,
    ) -> Result<()> {
        let key_hash = key_hash.to_owned();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            query("DELETE FROM kept_answer WHERE kept_at_ms <= $1")
                .bind(now_ms - KEPT_MS)
                .execute(&mut *tx)
                .await?;
            query(
                "INSERT INTO kept_answer
                    (key_hash, fingerprint, status, content_type, body, kept_at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key_hash) DO NOTHING",
            )
            .bind(key_hash)
            .bind(answer.fingerprint)
            .bind(answer.status)
            .bind(answer.content_type)
            .bind(answer.body)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }
}
