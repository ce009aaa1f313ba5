//! A store in a PostgreSQL database, shared by any number of processes.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::facts::Facts;
use super::sql::Readers;
use super::writer::Writer;
use super::{Result, StoreError, schema};

/// Connections of one process: what it reads, and its write transactions.
pub(super) const MAX_CONNECTIONS: u32 = 12;

/// The oldest PostgreSQL that is tried, as `server_version_num`.
const OLDEST_POSTGRES: i64 = 140_000;

/// How long a statement waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the database and migrates it.
pub(super) async fn open(options: &PgConnectOptions) -> Result<(Writer, Readers)> {
    let options = options.clone().application_name("tidings").options([
        // A process that stopped in the middle of a transaction must not hold up the others.
        ("idle_in_transaction_session_timeout", "10s"),
        ("lock_timeout", "10s"),
        ("statement_timeout", "60s"),
        // Statements join the rows of one parameter with an index. Before a table's statistics
        // are there, the planner would rather read it whole, for every statement.
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("random_page_cost", "1.1"),
        ("jit", "off"),
        // The rows of a statement come in one parameter: its text alone says how to plan it.
        ("plan_cache_mode", "force_generic_plan"),
        // A statement sees what was committed before it: locks are taken in the one before.
        ("default_transaction_isolation", "read committed"),
        ("timezone", "UTC"),
    ]);
    migrate(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    Ok((Writer::Postgres(pool.clone(), Facts::default()), Readers::Postgres(pool)))
}

/// Checks the server and migrates. One process does it at a time, however long it takes; the
/// others wait for it.
async fn migrate(options: &PgConnectOptions) -> Result<()> {
    let patient = options.clone().options([("lock_timeout", "0"), ("statement_timeout", "0")]);
    let mut connection = connect(&patient).await?;
    check(&mut connection).await?;
    schema::refused(schema::postgres_migrator().run(&mut connection).await)?;
    let _ = connection.close().await;
    Ok(())
}

/// One connection. What no waiting mends is `Refused`: a name, a password, a database.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
    let error = match connected {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(error)) => error,
        Err(_) => return Err(StoreError::unavailable("[store] url: the server does not answer")),
    };
    let detail = format!("[store] url: no connection to the database: {error}");
    match &error {
        // Class 28 is a wrong name or password, 3D a database that does not exist, 42 a right
        // that is missing (PostgreSQL manual, appendix A).
        sqlx::Error::Database(said)
            if said.code().is_some_and(|code| {
                ["28", "3D", "42"].iter().any(|class| code.starts_with(class))
            }) =>
        {
            Err(StoreError::Refused(detail))
        }
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => Err(StoreError::Refused(detail)),
        _ => Err(StoreError::Unavailable { detail }),
    }
}

/// A setting that silently differs would break a promise, so each is read back.
async fn check(connection: &mut PgConnection) -> Result<()> {
    let (version, commits, read_only, encoding, replica): (String, String, String, String, bool) =
        sqlx::query_as(
            "SELECT current_setting('server_version_num'), current_setting('synchronous_commit'),
                    current_setting('transaction_read_only'), current_setting('server_encoding'),
                    pg_is_in_recovery()",
        )
        .fetch_one(connection)
        .await?;
    if version.parse().unwrap_or(0) < OLDEST_POSTGRES {
        return Err(StoreError::Refused(format!(
            "[store] url: PostgreSQL {version} is too old; 14 or later is needed"
        )));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Refused(format!(
            "[store] url names a database in {encoding}, which cannot keep every name; CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 makes one that can"
        )));
    }
    if commits == "off" {
        return Err(StoreError::Refused(
            "[store] url: the database answers before a commit is durable (synchronous_commit = off); ALTER ROLE … SET synchronous_commit = on mends it".into(),
        ));
    }
    if replica {
        return Err(StoreError::Refused(
            "[store] url names a replica, which cannot be written to; name the primary".into(),
        ));
    }
    if read_only == "on" {
        return Err(StoreError::Refused(
            "[store] url names a database that is read only (default_transaction_read_only = on)"
                .into(),
        ));
    }
    Ok(())
}
