//! A copy of a store in a file, made while it is used, and the way back.
//!
//! A copy carries a mark of its own: opened in the place of a store, it is known to be one, and
//! what may have been sent since waits for a person ([`super::restored`]).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::domain::time::{Instant, from_ms};

use super::lock::lock_file;
use super::{Place, Result, StoreError, schema};

/// How long the copy waits for whoever writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to do instead where the store is a server's.
const ON_A_SERVER: &str = "this store is on PostgreSQL, which has its own: `pg_dump --format=custom` and `pg_restore`; after a restore, `tidings restore --mark` keeps back what may have been sent since";

/// A copy that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    pub bytes: u64,
    pub schema_version: i64,
    pub events: i64,
    pub notifications: i64,
    /// When the copy was made.
    pub made_at: Option<Instant>,
}

/// A store that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    pub copy: Copy,
    /// Where the store that stood there is now.
    pub moved_away: Option<PathBuf>,
}

/// Copies the store at `place` into a new file, and checks it. Others may go on using the store.
///
/// # Errors
/// `Refused` when the store is no file, is not there, or the file is; `Damaged` when the copy is
/// not whole.
pub async fn backup(place: &Place, to: &Path, now: Instant) -> Result<Copy> {
    let Place::File(file) = place else { return Err(StoreError::Refused(ON_A_SERVER.into())) };
    if !file.exists() {
        return Err(refused(file, "there is no store here yet"));
    }
    if to.exists() {
        return Err(refused(to, "is there already; a copy never takes the place of another file"));
    }
    let part = beside(to, "part");
    remove(&part)?;
    let mut store = open(file, file).await?;
    let done = sqlx::query("VACUUM INTO $1").bind(text(&part)?).execute(&mut store).await;
    let _ = store.close().await;
    if let Err(error) = done {
        let _ = remove(&part);
        return Err(refused(to, &format!("the copy could not be written: {error}")));
    }
    let mut made = open(&part, to).await?;
    sqlx::query(
        "INSERT INTO meta (key, value) VALUES ('backup_at_ms', $1)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(now.timestamp_millis().to_string())
    .execute(&mut made)
    .await?;
    let checked = check(&mut made, &part, to).await;
    made.close().await?;
    if checked.is_err() {
        let _ = remove(&part);
    }
    let copy = checked?;
    into_place(&part, to)?;
    Ok(copy)
}

/// Puts a copy in the place of a store. It is marked before anybody can open it there.
///
/// # Errors
/// `Refused` when the store is no file, is in use, or is there and `replace` is not asked for;
/// `Damaged` when the copy is not whole: then nothing was changed.
pub async fn restore(place: &Place, from: &Path, replace: bool, now: Instant) -> Result<Restored> {
    let Place::File(file) = place else { return Err(StoreError::Refused(ON_A_SERVER.into())) };
    if !from.is_file() {
        return Err(refused(from, "there is no such file"));
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| refused(folder, &error.to_string()))?;
    }
    let _lock = lock_file(file, "restore")?;
    if file.exists() {
        if !replace {
            let why = "there is a store here already; --replace moves it aside and keeps it";
            return Err(refused(file, why));
        }
        nobody_else(file).await?;
    }
    let part = beside(file, "part");
    remove(&part)?;
    std::fs::copy(from, &part).map_err(|error| refused(from, &error.to_string()))?;
    let checked = mark(&part, from, now).await;
    if checked.is_err() {
        let _ = remove(&part);
    }
    let copy = checked.map_err(|error| match error {
        StoreError::Refused(_) | StoreError::Damaged(_) => error,
        other => refused(from, &format!("is no copy of a store: {other}")),
    })?;
    let moved_away = if file.exists() { Some(move_away(file, now)?) } else { None };
    // What a store left beside itself belongs to that store alone.
    remove(&beside(file, "-wal"))?;
    remove(&beside(file, "-shm"))?;
    into_place(&part, file)?;
    Ok(Restored { copy, moved_away })
}

/// Checks a copy and marks it as restored.
async fn mark(part: &Path, from: &Path, now: Instant) -> Result<Copy> {
    let mut copy = open(part, from).await?;
    let checked = check(&mut copy, part, from).await?;
    let newest = schema::newest();
    if checked.schema_version > newest {
        let why = format!(
            "the copy has schema {}, newer than this binary, which knows {newest}",
            checked.schema_version
        );
        return Err(StoreError::Refused(why));
    }
    sqlx::query(
        "INSERT INTO meta (key, value) VALUES ('restored_at_ms', $1)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(now.timestamp_millis().to_string())
    .execute(&mut copy)
    .await?;
    sqlx::query("DELETE FROM meta WHERE key = 'backup_at_ms'").execute(&mut copy).await?;
    copy.close().await?;
    Ok(checked)
}

/// `named` is what the person who asked calls the file.
async fn check(copy: &mut SqliteConnection, file: &Path, named: &Path) -> Result<Copy> {
    let said: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(&mut *copy).await?;
    if said != ["ok"] {
        let why = format!("{} is not whole: {}", named.display(), said.join("; "));
        return Err(StoreError::Damaged(why));
    }
    let schema_version =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut *copy);
    let schema_version: i64 = schema_version.await?;
    let (events, notifications): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM notification)")
            .fetch_one(&mut *copy)
            .await?;
    let made_at: Option<i64> =
        sqlx::query_scalar("SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'backup_at_ms'")
            .fetch_optional(&mut *copy)
            .await?;
    let bytes = std::fs::metadata(file).map_err(|error| refused(file, &error.to_string()))?.len();
    Ok(Copy { bytes, schema_version, events, notifications, made_at: made_at.map(from_ms) })
}

/// Is anybody connected to the store, also one that does not dispatch?
async fn nobody_else(file: &Path) -> Result<()> {
    let in_use = |detail: &str| {
        refused(file, &format!("another process uses this store ({detail}); stop it first"))
    };
    let options = options(file).busy_timeout(Duration::ZERO).pragma("locking_mode", "exclusive");
    let mut store = options.connect().await.map_err(|error| in_use(&error.to_string()))?;
    // What is only in the log is brought into the file that is moved aside.
    let done = async {
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut store).await?;
        sqlx::query("COMMIT").execute(&mut store).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut store).await
    };
    let done: std::result::Result<_, sqlx::Error> = done.await;
    let _ = store.close().await;
    done.map(drop).map_err(|error| in_use(&error.to_string()))
}

fn move_away(file: &Path, now: Instant) -> Result<PathBuf> {
    let aside = beside(file, &format!("before-restore-{}", now.format("%Y%m%dT%H%M%SZ")));
    if aside.exists() {
        return Err(refused(&aside, "is there already"));
    }
    std::fs::rename(file, &aside).map_err(|error| refused(file, &error.to_string()))?;
    Ok(aside)
}

/// On the disk, and only then under its name.
fn into_place(part: &Path, to: &Path) -> Result<()> {
    let done = File::open(part)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(part, to))
        .and_then(|()| match to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => File::open(".")?.sync_all(),
        });
    done.map_err(|error| refused(to, &error.to_string()))
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).create_if_missing(false).busy_timeout(PATIENCE)
}

async fn open(file: &Path, named: &Path) -> Result<SqliteConnection> {
    let opened = options(file).connect().await;
    opened.map_err(|error| refused(named, &format!("cannot be opened as a store: {error}")))
}

/// `<file>-wal`, `<file>.part`: a name beside another.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    if !ending.starts_with('-') {
        name.push(".");
    }
    name.push(ending);
    PathBuf::from(name)
}

fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(refused(file, &error.to_string()))
        }
        _ => Ok(()),
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| refused(path, "the name must be UTF-8"))
}

fn refused(file: &Path, detail: &str) -> StoreError {
    StoreError::Refused(format!("{}: {detail}", file.display()))
}
