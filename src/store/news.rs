//! What other processes committed: seen by `PRAGMA data_version` on SQLite, told by
//! LISTEN/NOTIFY on PostgreSQL. A word that is lost is made good by the reconciler.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;

use super::sql::{Readers, Tx, query};
use super::writer::Writer;
use super::{Result, Store};

/// The name of PostgreSQL's channel.
const CHANNEL: &str = "tidings";

/// How long a listener waits before it connects again.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct News {
    source: Source,
    /// Tells our own words from those of others.
    origin: Arc<str>,
}

#[derive(Debug, Clone)]
enum Source {
    Noticed(watch::Receiver<u64>),
    /// Listened to from the first question on.
    Told(PgPool, Arc<OnceLock<watch::Receiver<u64>>>),
}

impl News {
    pub fn of(writer: &Writer, readers: &Readers) -> Self {
        let origin: [u8; 8] = rand::random();
        let source = match (writer, readers) {
            (_, Readers::Postgres(pool)) | (Writer::Postgres(pool), _) => {
                Source::Told(pool.clone(), Arc::default())
            }
            (Writer::Sqlite(writer), Readers::Sqlite(_)) => {
                Source::Noticed(writer.foreign_commits())
            }
        };
        Self { source, origin: data_encoding::HEXLOWER.encode(&origin).into() }
    }

    pub fn origin(&self) -> Arc<str> {
        Arc::clone(&self.origin)
    }

    pub fn foreign_commits(&self) -> watch::Receiver<u64> {
        match &self.source {
            Source::Noticed(noticed) => noticed.clone(),
            Source::Told(pool, told) => told
                .get_or_init(|| {
                    let (tell, told) = watch::channel(0);
                    tokio::spawn(listen(pool.clone(), Arc::clone(&self.origin), tell));
                    told
                })
                .clone(),
        }
    }
}

impl Store {
    /// Who we are to the other processes, for [`announce`].
    pub(super) fn origin(&self) -> Arc<str> {
        self.news.origin()
    }
}

/// Tells the other processes, once this transaction is committed, that there is something new.
pub(super) async fn announce(tx: &mut Tx, origin: &str) -> Result<()> {
    if let Tx::Postgres(_) = tx {
        query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(origin).execute(tx).await?;
    }
    Ok(())
}

async fn listen(pool: PgPool, origin: Arc<str>, tell: watch::Sender<u64>) {
    while !tell.is_closed() {
        if let Err(error) = hear(&pool, &origin, &tell).await {
            tracing::debug!(%error, "the words of other processes are not heard; listening again");
        }
        tokio::time::sleep(CONNECT_AGAIN).await;
        // What was said meanwhile.
        tell.send_modify(|count| *count += 1);
    }
}

async fn hear(
    pool: &PgPool,
    origin: &str,
    tell: &watch::Sender<u64>,
) -> std::result::Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    while !tell.is_closed() {
        let Some(word) = listener.try_recv().await? else { return Ok(()) };
        if word.payload() != origin {
            tell.send_modify(|count| *count += 1);
        }
    }
    Ok(())
}
