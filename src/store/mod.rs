//! FACTS: the only module with SQL. Knows nothing of rules; every write that moves a
//! notification is conditional on the status and epoch it leaves.
//!
//! One SQL text serves both databases. A batch travels as one JSON parameter,
//! `{"0": row, "1": row, …}`, which `jsonb_each` takes apart on SQLite (3.51 and later) and
//! on PostgreSQL alike; so every statement is a constant, prepared once, whatever the batch.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::time::Instant;

mod address_faults;
pub mod ahead;
pub mod answers;
mod applying;
pub mod attempts;
pub mod audit;
mod auto_answers;
pub mod backup;
pub mod balance;
pub mod call_offers;
pub mod callbacks;
pub mod calls;
mod case_choice;
pub mod consent;
pub mod console;
mod contact_points;
pub mod customers;
pub mod drafts;
pub mod drains;
mod escalations;
mod facts;
pub mod filling;
mod followers;
pub mod glance;
mod group_commit;
pub mod heard;
pub mod history;
mod inbound;
#[cfg(test)]
mod indexed;
pub mod intake;
pub mod journeys;
pub mod kept_answers;
pub mod leases;
mod lifting;
pub mod listing;
mod lock;
pub mod moving;
mod news;
pub mod notifications;
pub mod opening;
pub mod operations;
pub mod operators;
pub mod outcomes;
pub mod pending;
mod place;
pub mod plans;
mod postgres;
pub mod promises;
pub mod quotas;
pub mod receipts;
pub mod recorded;
pub mod reports;
pub mod resolving;
pub mod restored;
mod riders;
mod row_locks;
mod rows;
mod schema;
mod scratch;
pub mod searching;
pub mod shadow;
mod source_links;
mod sql;
mod sqlite;
pub mod steering;
pub mod suppressions;
pub mod tasks;
pub mod timeline;
pub mod tried;
pub mod visits;
pub mod webhooks;
pub mod weights;
pub mod withdrawals;
mod writer;

use intake::Intake;
pub use lock::{Beside, DispatchLock};
use news::{About, News};
pub use place::Place;
use sql::{Readers, batch, ids, query};
use writer::Writer;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was done; the same call may work later.
    #[error("the store is not available: {detail}")]
    Unavailable { detail: String },
    /// The store cannot be used as it is; the message says how to mend it.
    #[error("{0}")]
    Refused(String),
    /// What was asked for is not there.
    #[error("{what} is not known")]
    NotFound { what: String },
    /// Two transactions stood in each other's way and this one gave way; nothing was done.
    #[error("two changes met: {detail}")]
    Conflict { detail: String },
    /// The stored data does not read as it was written: a broken invariant.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    fn unavailable(detail: &str) -> Self {
        Self::Unavailable { detail: detail.to_owned() }
    }

    fn closed() -> Self {
        Self::unavailable("it is shutting down or could not begin a transaction")
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound { what: "it".into() },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Damaged(error.to_string())
            }
            // Unique violation, serialization failure, deadlock (PostgreSQL manual, appendix A).
            sqlx::Error::Database(ref said)
                if said
                    .code()
                    .is_some_and(|code| matches!(&*code, "23505" | "40001" | "40P01")) =>
            {
                Self::Conflict { detail: error.to_string() }
            }
            other => Self::unavailable(&other.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// The system of record.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    intake: Intake,
    readers: Readers,
    place: Arc<Place>,
    news: News,
    lease_ms: i64,
    /// How long an address rests that a provider found unusable.
    found_for_ms: i64,
}

/// Runs a body in one write transaction. `$tx` is the connection; the body is `async` and
/// ends in `Ok(value)`.
macro_rules! in_tx {
    ($store:expr, |$tx:ident| $body:block) => {
        $store.writer.run(move |$tx| Box::pin(async move { $body })).await
    };
}
pub(crate) use in_tx;

impl Store {
    /// Opens the store at `url`, such as `sqlite:var/tidings.db` or
    /// `postgres://tidings@db.example.com/tidings`, creating what is missing and migrating it.
    ///
    /// # Errors
    /// `Refused` for an address, a version or settings that will not do, `Unavailable` when the
    /// database does not answer.
    pub async fn open(url: &str) -> Result<Self> {
        let store = Self::open_to_fill(url).await?;
        store.refuse_unfinished_move().await?;
        Ok(store)
    }

    /// The same for a store that a move may have left half full.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_to_fill(url: &str) -> Result<Self> {
        let place = Place::parse(url)?;
        let (writer, readers) = match &place {
            Place::File(file) => sqlite::open(file).await?,
            Place::Server(options) => postgres::open(options).await?,
        };
        let news = News::of(&writer, &readers);
        let intake = Intake::start(writer.clone(), news.clone());
        Ok(Self {
            writer,
            intake,
            readers,
            place: Arc::new(place),
            news,
            lease_ms: leases::LEASE_MS,
            found_for_ms: i64::MAX,
        })
    }

    /// The same store with leases of another length, in milliseconds.
    #[must_use]
    pub fn with_found_for(self, found_for_ms: i64) -> Self {
        Self { found_for_ms, ..self }
    }

    /// The same, with leases of this length.
    #[must_use]
    pub fn with_leases_of(self, lease_ms: i64) -> Self {
        Self { lease_ms, ..self }
    }

    /// Where the store is, without its password.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Changes whenever another process has committed something worth looking at.
    #[must_use]
    pub fn foreign_commits(&self) -> watch::Receiver<u64> {
        self.news.of_others(About::Work)
    }

    /// Changes when another process may have published a version of the journeys.
    #[must_use]
    pub fn foreign_publications(&self) -> watch::Receiver<u64> {
        self.news.of_others(About::Publication)
    }

    /// How far the clock of the database is ahead of `now`, in milliseconds; `None` where the
    /// store is a file of this machine.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn clock_ahead_ms(&self, now: impl Fn() -> Instant) -> Result<Option<i64>> {
        if matches!(self.readers, Readers::Sqlite(_)) {
            return Ok(None);
        }
        let before = now().timestamp_millis();
        // The one question to the database's clock; every decision takes `now` as a value.
        let (there,): (i64,) =
            query("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")
                .fetch_one(&self.readers)
                .await?;
        let after = now().timestamp_millis();
        Ok(Some(there - i64::midpoint(before, after)))
    }

    /// Is the store there? For `/readyz` and `doctor`.
    ///
    /// # Errors
    /// `Unavailable` when it is not.
    pub async fn ping(&self) -> Result<()> {
        in_tx!(self, |tx| {
            query("UPDATE meta SET value = value WHERE key = 'key'").execute(tx).await?;
            Ok(())
        })
    }

    /// The installation's secret key: 32 bytes, made at first migration.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn installation_key(&self) -> Result<[u8; 32]> {
        let fresh: [u8; 32] = rand::random();
        let fresh = data_encoding::HEXLOWER.encode(&fresh);
        let kept: String = in_tx!(self, |tx| {
            query("INSERT INTO meta (key, value) VALUES ('key', $1) ON CONFLICT (key) DO NOTHING")
                .bind(fresh)
                .execute(&mut *tx)
                .await?;
            let (kept,): (String,) =
                query("SELECT value FROM meta WHERE key = 'key'").fetch_one(tx).await?;
            Ok(kept)
        })?;
        let bytes = data_encoding::HEXLOWER.decode(kept.as_bytes()).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| StoreError::Damaged("the installation key is not 32 bytes".into()))
    }

    /// Notes the settings in force, so that a decision's hash can be read back later.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn note_settings(&self, hash: &str, body: &str, now_ms: i64) -> Result<()> {
        let (hash, body) = (hash.to_owned(), body.to_owned());
        in_tx!(self, |tx| {
            query(
                "INSERT INTO settings_version (hash, first_seen_ms, body) VALUES ($1, $2, $3)
                 ON CONFLICT (hash) DO NOTHING",
            )
            .bind(hash)
            .bind(now_ms)
            .bind(body)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// The version of the schema, for `doctor`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn schema_version(&self) -> Result<i64> {
        let (version,): (i64,) =
            query("SELECT max(version) FROM _sqlx_migrations").fetch_one(&self.readers).await?;
        Ok(version)
    }
}
