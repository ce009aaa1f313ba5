//! Who may dispatch. From a SQLite store one process at a time does: whoever holds the lock on
//! `<file>.lock`. From PostgreSQL any number of workers do, but nobody beside a play, whose
//! clock is not theirs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::{Place, Result, Store, StoreError, postgres};

/// The number of the advisory lock ("tidings", in a way).
const LOCK: i64 = 0x0071_d1d6;

/// The server may hear a little later that a process is gone; its lock goes with it.
const WAIT_FOR_THE_GONE: &str = "SET lock_timeout = '3s'";

/// `lock_not_available` (PostgreSQL, "Error Codes").
const NOT_AVAILABLE: &str = "55P03";

/// Beside whom one dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Other workers, where the store can be shared.
    Others,
    Nobody,
}

/// Held as long as it lives.
#[derive(Debug)]
pub struct DispatchLock {
    held: Held,
}

#[derive(Debug)]
enum Held {
    File {
        _file: File,
    },
    /// The lock lasts as long as its session.
    Session {
        _session: Box<PgConnection>,
        beside: Beside,
    },
}

impl DispatchLock {
    /// Is nobody else dispatching, so that what seems held is held by nobody?
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        !matches!(self.held, Held::Session { beside: Beside::Others, .. })
    }
}

impl Store {
    /// Takes the right to dispatch, for `what` (such as `serve`).
    ///
    /// # Errors
    /// `Refused`, naming who holds it, when another process dispatches from this store.
    pub async fn lock_dispatch(&self, what: &str, beside: Beside) -> Result<DispatchLock> {
        let held = match self.place() {
            Place::File(file) => Held::File { _file: lock_file(file, what)? },
            Place::Server(options) => lock_session(options, what, beside).await?,
        };
        Ok(DispatchLock { held })
    }
}

fn refused(place: &str, detail: &str) -> StoreError {
    StoreError::Refused(format!("{place}: {detail}"))
}

pub(super) fn lock_file(file: &Path, what: &str) -> Result<File> {
    let mut path = file.as_os_str().to_owned();
    path.push(".lock");
    let path = std::path::PathBuf::from(path);
    let refused = |detail: &str| refused(&path.display().to_string(), detail);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| refused(&error.to_string()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(refused(&format!(
                "another process dispatches from this store ({}); stop it first, or share the work through PostgreSQL and Redis",
                holder.trim()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(refused(&error.to_string())),
    }
    let holder = format!("tidings {what}, process {}", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(|error| refused(&error.to_string()))?;
    Ok(file)
}

async fn lock_session(options: &PgConnectOptions, what: &str, beside: Beside) -> Result<Held> {
    let options = options.clone().application_name(&format!("tidings {what}"));
    let mut session = postgres::connect(&options).await?;
    let sql = match beside {
        Beside::Others => "SELECT pg_advisory_lock_shared($1)",
        Beside::Nobody => "SELECT pg_advisory_lock($1)",
    };
    sqlx::query(WAIT_FOR_THE_GONE).execute(&mut session).await?;
    match sqlx::query(sql).bind(LOCK).execute(&mut session).await {
        Ok(_) => return Ok(Held::Session { _session: Box::new(session), beside }),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NOT_AVAILABLE) => {}
        Err(error) => return Err(error.into()),
    }
    let holders: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT a.application_name || ' at ' || COALESCE(host(a.client_addr), 'this host')
         FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
         JOIN pg_database AS d ON d.oid = l.database AND d.datname = current_database()
         WHERE l.locktype = 'advisory' AND l.granted AND l.objid = $1 AND l.objsubid = 1",
    )
    .bind(sqlx::postgres::types::Oid(u32::try_from(LOCK).unwrap_or_default()))
    .fetch_all(&mut session)
    .await?;
    let holders = holders.join(", ");
    Err(refused(
        &Place::Server(Box::new(options)).to_string(),
        &match beside {
            Beside::Others => format!("a play is going on ({holders}); wait for its end"),
            Beside::Nobody => {
                format!("other processes dispatch from this store ({holders}); stop them first")
            }
        },
    ))
}
