//! Texts that came in: which of them were heard.

use chrono::TimeDelta;

use crate::domain::time::Instant;

use super::rows::reference;
use super::{Result, Store, in_tx, query};

/// How long a text is remembered. Providers repeat for a day or two; who kept one and says it
/// again may come later.
const REMEMBERED: TimeDelta = TimeDelta::days(400);

impl Store {
    /// Was this text heard? One without an id never was.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn heard_before(&self, provider: &str, id: &str) -> Result<bool> {
        if id.is_empty() {
            return Ok(false);
        }
        let found: Option<(String,)> =
            query("SELECT id FROM inbound_text WHERE provider = $1 AND id = $2")
                .bind(provider)
                .bind(reference(id))
                .fetch_optional(&self.readers)
                .await?;
        Ok(found.is_some())
    }

    /// Notes that a text was heard, once what it asked for is kept. Those of long ago are
    /// forgotten.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn note_heard(&self, provider: &str, id: &str, now: Instant) -> Result<()> {
        if id.is_empty() {
            return Ok(());
        }
        let (provider, id) = (provider.to_owned(), reference(id));
        let (now_ms, gone_ms) = (now.timestamp_millis(), (now - REMEMBERED).timestamp_millis());
        in_tx!(self, |tx| {
            query("DELETE FROM inbound_text WHERE at_ms < $1")
                .bind(gone_ms)
                .execute(&mut *tx)
                .await?;
            query(
                "INSERT INTO inbound_text (provider, id, at_ms) VALUES ($1, $2, $3)
                 ON CONFLICT (provider, id) DO NOTHING",
            )
            .bind(provider)
            .bind(id)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }
}
