//! FACTS: the only module with SQL. Knows nothing of rules; every write that moves a
//! notification is conditional on the status and epoch it leaves.
//!
//! One SQL text serves both databases. A batch travels as one JSON parameter,
//! `{"0": row, "1": row, …}`, which `jsonb_each` takes apart on SQLite (3.51 and later) and
//! on PostgreSQL alike; so every statement is a constant, prepared once, whatever the batch.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::types::Json;
use sqlx::{ConnectOptions, SqliteConnection};

mod answers;
pub mod attempts;
pub mod console;
pub mod customers;
pub mod intake;
pub mod journeys;
pub mod kept_answers;
pub mod leases;
mod lock;
pub mod notifications;
mod operations;
pub mod plans;
pub mod receipts;
mod rows;
pub mod tasks;
pub mod timeline;
mod writer;

use intake::Intake;
pub use lock::DispatchLock;
use writer::Writer;

/// The oldest SQLite without the bug that can lose committed writes when two connections
/// checkpoint at once (sqlite.org/wal.html, "WAL-reset bug").
const OLDEST_SQLITE: &str = "3.51.3";

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
    readers: SqlitePool,
    file: PathBuf,
}

/// Runs a body in one write transaction. `$tx` is the connection; the body is `async` and
/// ends in `Ok(value)`.
macro_rules! in_tx {
    ($store:expr, |$tx:ident| $body:block) => {
        $store.writer.run(move |$tx| Box::pin(async move { $body })).await
    };
}
pub(crate) use in_tx;

/// One JSON parameter that carries many rows.
pub(crate) fn batch<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Json<Box<RawValue>> {
    struct Numbered<I>(std::cell::RefCell<Option<I>>);
    impl<T: Serialize, I: Iterator<Item = T>> Serialize for Numbered<I> {
        fn serialize<S: serde::Serializer>(
            &self,
            serializer: S,
        ) -> std::result::Result<S::Ok, S::Error> {
            let rows = self.0.borrow_mut().take().expect("serialised once");
            serializer.collect_map(rows.enumerate().map(|(n, row)| (n.to_string(), row)))
        }
    }
    let rows = Numbered(std::cell::RefCell::new(Some(rows.into_iter())));
    Json(serde_json::value::to_raw_value(&rows).expect("rows are plain data"))
}

/// One JSON parameter that carries many ids, each once.
pub(crate) fn ids<T: std::fmt::Display>(ids: impl IntoIterator<Item = T>) -> Json<Box<RawValue>> {
    #[derive(Serialize)]
    struct Row {
        id: String,
    }
    let ids: std::collections::BTreeSet<String> =
        ids.into_iter().map(|id| id.to_string()).collect();
    batch(ids.into_iter().map(|id| Row { id }))
}

impl Store {
    /// Opens the store at `url`, such as `sqlite:var/tidings.db`, creating and migrating it.
    ///
    /// # Errors
    /// `Refused` for an old SQLite, a newer schema or settings that do not hold.
    pub async fn open(url: &str) -> Result<Self> {
        let file = sqlite_file(url)?;
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                StoreError::Refused(format!(
                    "cannot create the folder {}: {error}",
                    folder.display()
                ))
            })?;
        }
        let options = options(&file);
        let mut connection = options.clone().connect().await.map_err(|error| {
            StoreError::Refused(format!("cannot open {}: {error}", file.display()))
        })?;
        check_sqlite(&mut connection).await?;
        migrate(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await?;
        let writer = Writer::start(connection);
        Ok(Self { intake: Intake::start(writer.clone()), writer, readers, file })
    }

    /// The file of the store.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Changes whenever another process has committed something.
    #[must_use]
    pub fn foreign_commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.writer.foreign_commits()
    }

    /// Is the store there? For `/readyz` and `doctor`.
    ///
    /// # Errors
    /// `Unavailable` when it is not.
    pub async fn ping(&self) -> Result<()> {
        in_tx!(self, |tx| {
            sqlx::query("UPDATE meta SET value = value WHERE key = 'key'").execute(tx).await?;
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
            sqlx::query(
                "INSERT INTO meta (key, value) VALUES ('key', $1) ON CONFLICT (key) DO NOTHING",
            )
            .bind(fresh)
            .execute(&mut *tx)
            .await?;
            Ok(sqlx::query_scalar("SELECT value FROM meta WHERE key = 'key'").fetch_one(tx).await?)
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
            sqlx::query(
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
        Ok(sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&self.readers)
            .await?)
    }
}

/// The file a `sqlite:` address names.
///
/// # Errors
/// `Refused` for any other address.
pub fn sqlite_file(url: &str) -> Result<PathBuf> {
    let path = url.strip_prefix("sqlite:").ok_or_else(|| {
        StoreError::Refused(format!(
            "[store] url {url:?} is no store; write it like sqlite:var/tidings.db"
        ))
    })?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return Err(StoreError::Refused("[store] url must name a file".into()));
    }
    Ok(PathBuf::from(path))
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
        .row_buffer_size(512)
}

/// A setting that silently differs would break a promise, so each is read back.
async fn check_sqlite(connection: &mut SqliteConnection) -> Result<()> {
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *connection).await?;
    let number =
        |text: &str| -> Vec<u32> { text.split('.').filter_map(|n| n.parse().ok()).collect() };
    if number(&version) < number(OLDEST_SQLITE) {
        return Err(StoreError::Refused(format!(
            "this binary carries SQLite {version}, which can lose committed writes; build with {OLDEST_SQLITE} or later"
        )));
    }
    let journal: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
    if journal != "wal" || synchronous != 2 {
        return Err(StoreError::Refused(format!(
            "the store runs with journal_mode {journal} and synchronous {synchronous}; wal and 2 (FULL) are needed: is the file on a network drive?"
        )));
    }
    Ok(())
}

async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    let migrator = sqlx::migrate!("src/store/migrations");
    match migrator.run(connection).await {
        Ok(()) => Ok(()),
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => {
            Err(StoreError::Refused(format!(
                "the store has schema version {version}, which this binary does not know: it was written by a newer Tidings; use that one"
            )))
        }
        Err(error) => Err(StoreError::Refused(format!("the store could not be migrated: {error}"))),
    }
}
