//! Published versions: journeys and messages under one hash. The last publication for all cases
//! is in force; a later one for some of them is a trial beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::domain::time::Instant;

use super::news::announce_publication;
use super::rows::json;
use super::sql::Tx;
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
    /// The second person, where one said yes.
    pub approved_by: Option<String>,
    /// Why a second person had to, or why there was none; empty where none was needed.
    pub four_eyes: String,
    /// For so many per cent of the cases.
    pub percent: i64,
    /// The draft it came from.
    pub draft: Option<i64>,
}

/// A version to be put in force.
#[derive(Debug, Clone, Default)]
pub struct NewPublication {
    pub hash: String,
    pub files: VersionFiles,
    pub author: String,
    pub reason: String,
    pub approved_by: Option<String>,
    pub four_eyes: String,
    pub percent: u8,
    /// The draft it comes from, as it was when it was judged: its number and revision.
    pub draft: Option<(i64, i64)>,
    /// The last publication when it was judged; another one since then is a conflict.
    pub after: Option<i64>,
}

/// What holds, by name: for all cases, and beside it for some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub hash: String,
    /// The version that is tried, and on how many per cent of the cases.
    pub trial: Option<(String, u8)>,
    /// The number of the last publication.
    pub seq: i64,
}

impl Store {
    /// The version in force, if anything was ever published.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn published(&self) -> Result<Option<(String, VersionFiles)>> {
        let row: Option<(String, String)> = query(
            "SELECT v.hash, v.body FROM publication AS p JOIN journey_version AS v ON v.hash = p.hash
             WHERE p.percent = 100 ORDER BY p.seq DESC LIMIT 1",
        )
        .fetch_optional(&self.readers)
        .await?;
        row.map(|(hash, body)| Ok((hash, serde_json::from_str(&body)?))).transpose()
    }

    /// The names of what is in force, for who has the files already.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn in_force(&self) -> Result<Option<InForce>> {
        let rows: Vec<(i64, String, i64)> = query(
            "SELECT seq, hash, percent FROM publication
             WHERE seq >= (SELECT max(seq) FROM publication WHERE percent = 100) ORDER BY seq",
        )
        .fetch_all(&self.readers)
        .await?;
        let (Some((_, base, _)), Some((seq, hash, percent))) = (rows.first(), rows.last()) else {
            return Ok(None);
        };
        let trial = u8::try_from(*percent).ok().filter(|percent| *percent < 100);
        Ok(Some(InForce {
            hash: base.clone(),
            trial: trial.map(|percent| (hash.clone(), percent)),
            seq: *seq,
        }))
    }

    /// Publishes a version for all cases: stored for ever, in force from this commit on.
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
        let new = NewPublication {
            hash: hash.to_owned(),
            files: files.clone(),
            author: author.to_owned(),
            reason: reason.to_owned(),
            percent: 100,
            ..NewPublication::default()
        };
        self.put_in_force(new, now).await
    }

    /// Publishes a version as it was judged. A draft it comes from is published with it.
    ///
    /// # Errors
    /// `Conflict` when another version was published since, or the draft is no longer what was
    /// judged; `Unavailable`. The version before stays in force then.
    pub async fn put_in_force(&self, new: NewPublication, now: Instant) -> Result<()> {
        let body = json(&new.files);
        let origin = self.origin();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            lock_publishing(tx).await?;
            if let Some(after) = new.after {
                let (last,): (i64,) = query("SELECT COALESCE(max(seq), 0) FROM publication")
                    .fetch_one(&mut *tx)
                    .await?;
                if last != after {
                    let detail = "another version was published meanwhile".to_owned();
                    return Err(StoreError::Conflict { detail });
                }
            }
            if let Some((draft, revision)) = new.draft {
                let by = new.approved_by.as_ref().unwrap_or(&new.author).clone();
                super::drafts::mark_published(tx, draft, revision, &new.hash, by, now_ms).await?;
            }
            query(
                "INSERT INTO journey_version (hash, body) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING",
            )
            .bind(&new.hash)
            .bind(body)
            .execute(&mut *tx)
            .await?;
            query(
                "INSERT INTO publication
                    (hash, at_ms, author, reason, approved_by, four_eyes, percent, draft)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(new.hash)
            .bind(now_ms)
            .bind(new.author)
            .bind(new.reason)
            .bind(new.approved_by)
            .bind(new.four_eyes)
            .bind(i64::from(new.percent))
            .bind(new.draft.map(|(seq, _)| seq))
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
        let not_found = || StoreError::NotFound { what: format!("the version {hash:?}") };
        if hash.is_empty() {
            return Err(not_found());
        }
        let mut rows: Vec<(String, String)> = query(
            "SELECT hash, body FROM journey_version WHERE substr(hash, 1, length($1)) = $1 LIMIT 2",
        )
        .bind(hash)
        .fetch_all(&self.readers)
        .await?;
        if rows.len() > 1 {
            return Err(StoreError::Refused(format!("more than one version begins with {hash:?}")));
        }
        let (hash, body) = rows.pop().ok_or_else(not_found)?;
        Ok((hash, serde_json::from_str(&body)?))
    }

    /// All publications, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn publications(&self) -> Result<Vec<Publication>> {
        Ok(query(
            "SELECT seq, hash, at_ms, author, reason, approved_by, four_eyes, percent, draft
             FROM publication ORDER BY seq DESC",
        )
        .fetch_all(&self.readers)
        .await?)
    }
}

/// One publication at a time: who waits sees what the other published.
async fn lock_publishing(tx: &mut Tx) -> Result<()> {
    query("INSERT INTO meta (key, value) VALUES ('publishing', '') ON CONFLICT (key) DO UPDATE SET value = ''")
        .execute(tx)
        .await?;
    Ok(())
}
