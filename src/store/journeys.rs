//! Published versions: journeys and messages under one hash. The last publication is in force.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::domain::time::Instant;

use super::news::announce_publication;
use super::rows::json;
use super::{Result, Store, StoreError, in_tx, query};

/// The files of one version, by name: `journeys/return.toml`, `messages/return/received.en.j2`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFiles {
    pub files: BTreeMap<String, String>,
}

/// A publication, for listings.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct Publication {
    pub seq: i64,
    pub hash: String,
    pub at_ms: i64,
    pub author: String,
    pub reason: String,
}

impl Store {
    /// The version in force, if anything was ever published.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn published(&self) -> Result<Option<(String, VersionFiles)>> {
        let row: Option<(String, String)> = query(
            "SELECT v.hash, v.body FROM publication AS p JOIN journey_version AS v ON v.hash = p.hash
             ORDER BY p.seq DESC LIMIT 1",
        )
        .fetch_optional(&self.readers)
        .await?;
        row.map(|(hash, body)| Ok((hash, serde_json::from_str(&body)?))).transpose()
    }

    /// The hash of the version in force, for who has its files already.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn published_hash(&self) -> Result<Option<String>> {
        let row: Option<(String,)> =
            query("SELECT hash FROM publication ORDER BY seq DESC LIMIT 1")
                .fetch_optional(&self.readers)
                .await?;
        Ok(row.map(|(hash,)| hash))
    }

    /// Publishes a version: stored for ever, in force from this commit on.
    ///
    /// # Errors
    /// `Unavailable`; the version before stays in force.
    pub async fn publish(
        &self,
        hash: &str,
        files: &VersionFiles,
        author: &str,
        reason: &str,
        now: Instant,
    ) -> Result<()> {
        let (hash, body) = (hash.to_owned(), json(files));
        let (author, reason) = (author.to_owned(), reason.to_owned());
        let origin = self.origin();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            query(
                "INSERT INTO journey_version (hash, body) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING",
            )
            .bind(&hash)
            .bind(body)
            .execute(&mut *tx)
            .await?;
            query("INSERT INTO publication (hash, at_ms, author, reason) VALUES ($1, $2, $3, $4)")
                .bind(hash)
                .bind(now_ms)
                .bind(author)
                .bind(reason)
                .execute(&mut *tx)
                .await?;
            announce_publication(tx, &origin).await
        })
    }

    /// A stored version, by its hash or the beginning of it.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn version(&self, hash: &str) -> Result<(String, VersionFiles)> {
        let row: Option<(String, String)> = query(
            "SELECT hash, body FROM journey_version WHERE substr(hash, 1, length($1)) = $1 LIMIT 1",
        )
        .bind(hash)
        .fetch_optional(&self.readers)
        .await?;
        let (hash, body) =
            row.ok_or_else(|| StoreError::NotFound { what: format!("the version {hash}") })?;
        Ok((hash, serde_json::from_str(&body)?))
    }

    /// All publications, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn publications(&self) -> Result<Vec<Publication>> {
        Ok(query("SELECT seq, hash, at_ms, author, reason FROM publication ORDER BY seq DESC")
            .fetch_all(&self.readers)
            .await?)
    }
}
