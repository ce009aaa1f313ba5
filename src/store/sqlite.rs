//! A store in one SQLite file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::facts::Facts;
use super::group_commit::GroupCommit;
use super::sql::Readers;
use super::writer::Writer;
use super::{Result, StoreError, schema};

/// The oldest SQLite without the bug that can lose committed writes when two connections
/// checkpoint at once (sqlite.org/wal.html, "WAL-reset bug").
const OLDEST_SQLITE: &str = "3.51.3";

/// How long a connection waits for another that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file, creating and migrating it.
pub(super) async fn open(file: &Path) -> Result<(Writer, Readers)> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            StoreError::Refused(format!("cannot create the folder {}: {error}", folder.display()))
        })?;
    }
    let options = options(file);
    let mut connection = connect(&options, file).await?;
    check(&mut connection).await?;
    migrate(&mut connection).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(4)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options.read_only(true))
        .await?;
    let facts = Facts::default();
    let writer = GroupCommit::start(connection, facts.clone());
    Ok((Writer::Sqlite(writer, facts), Readers::Sqlite(readers)))
}

/// Migrates. Nothing keeps two processes from migrating one file at once: who comes second
/// finds the tables there, and looks again at what is left to do.
async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    loop {
        let before = newest_migration(connection).await;
        let done = schema::migrator().run(&mut *connection).await;
        if done.is_err() && newest_migration(connection).await > before {
            continue;
        }
        return schema::refused(done);
    }
}

async fn newest_migration(connection: &mut SqliteConnection) -> Option<i64> {
    // No such table, before the first.
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await.ok()
}

/// One connection. Turning a new file to WAL takes it for a moment, and SQLite makes others
/// fail then instead of wait (sqlite.org/wal.html, section 9).
async fn connect(options: &SqliteConnectOptions, file: &Path) -> Result<SqliteConnection> {
    let give_up_at = Instant::now() + BUSY_TIMEOUT;
    loop {
        let error = match options.clone().connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let is_locked = matches!(&error, sqlx::Error::Database(said)
            if said.code().is_some_and(|code| code == "5"));
        if !is_locked || Instant::now() >= give_up_at {
            return Err(StoreError::Refused(format!("cannot open {}: {error}", file.display())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The file a `sqlite:` address names.
///
/// # Errors
/// `Refused` for an address without a file.
pub(super) fn file_of(path: &str) -> Result<PathBuf> {
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
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-16000")
        .pragma("temp_store", "memory")
        .row_buffer_size(512)
}

/// A setting that silently differs would break a promise, so each is read back.
async fn check(connection: &mut SqliteConnection) -> Result<()> {
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
