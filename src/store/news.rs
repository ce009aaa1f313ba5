//! What other processes committed: seen by `PRAGMA data_version` on SQLite, told by
//! LISTEN/NOTIFY on PostgreSQL. A word that is lost is made good by the reconciler.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;

use super::sql::{Readers, Tx, query};
use super::writer::Writer;
use super::{Result, Store};

/// What a word is about; each kind is a channel of PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Something to plan.
    Work,
    /// A version of the journeys: rare, and dear to take up.
    Publication,
}

impl About {
    const fn channel(self) -> &'static str {
        match self {
            Self::Work => "tidings/work",
            Self::Publication => "tidings/publication",
        }
    }
}

/// How long a listener waits before it connects again.
const CONNECT_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct News {
    source: Source,
    /// Tells our own words from those of others.
    origin: Arc<str>,
}

type Heard = Arc<OnceLock<watch::Receiver<u64>>>;

#[derive(Debug, Clone)]
enum Source {
    Noticed(watch::Receiver<u64>),
    /// Listened to from the first question on.
    Told {
        pool: PgPool,
        work: Heard,
        publications: Heard,
        /// Counts what is to be told of work.
        words: watch::Sender<u64>,
    },
}

impl News {
    pub fn of(writer: &Writer, readers: &Readers) -> Self {
        let origin: [u8; 8] = rand::random();
        let origin: Arc<str> = data_encoding::HEXLOWER.encode(&origin).into();
        let source = match (writer, readers) {
            (_, Readers::Postgres(pool)) | (Writer::Postgres(pool, _), _) => {
                let (work, publications) = (Heard::default(), Heard::default());
                let (words, to_tell) = watch::channel(0);
                tokio::spawn(tell(pool.clone(), to_tell, Arc::clone(&origin)));
                Source::Told { pool: pool.clone(), work, publications, words }
            }
            (Writer::Sqlite(writer, _), Readers::Sqlite(_)) => {
                Source::Noticed(writer.foreign_commits())
            }
        };
        Self { source, origin }
    }

    /// Tells the other processes that there is something to plan. After the commit: a NOTIFY
    /// inside makes commits wait for one another. What is said while a word is on its way is
    /// one word.
    pub fn there_is_work(&self) {
        if let Source::Told { words, .. } = &self.source {
            words.send_modify(|count| *count += 1);
        }
    }

    /// Changes when others committed something of this kind; a file only knows that they
    /// committed something.
    pub fn of_others(&self, about: About) -> watch::Receiver<u64> {
        let (pool, heard) = match (&self.source, about) {
            (Source::Noticed(noticed), _) => return noticed.clone(),
            (Source::Told { pool, work, .. }, About::Work) => (pool, work),
            (Source::Told { pool, publications, .. }, About::Publication) => (pool, publications),
        };
        heard
            .get_or_init(|| {
                let (tell, told) = watch::channel(0);
                tokio::spawn(listen(pool.clone(), about, Arc::clone(&self.origin), tell));
                told
            })
            .clone()
    }
}

impl Store {
    /// Who we are to the other processes, for [`announce_publication`].
    pub(super) fn origin(&self) -> Arc<str> {
        Arc::clone(&self.news.origin)
    }
}

/// Tells the other processes, once this transaction is committed, of a new version.
pub(super) async fn announce_publication(tx: &mut Tx, origin: &str) -> Result<()> {
    if let Tx::Postgres(_) = tx {
        let channel = About::Publication.channel();
        query("SELECT pg_notify($1, $2)").bind(channel).bind(origin).execute(tx).await?;
    }
    Ok(())
}

async fn tell(pool: PgPool, mut words: watch::Receiver<u64>, origin: Arc<str>) {
    while words.changed().await.is_ok() {
        let told = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(About::Work.channel())
            .bind(&*origin)
            .execute(&pool)
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, "other processes are not told; their reconcilers look");
        }
    }
}

async fn listen(pool: PgPool, about: About, origin: Arc<str>, tell: watch::Sender<u64>) {
    while !tell.is_closed() {
        if let Err(error) = hear(&pool, about, &origin, &tell).await {
            tracing::debug!(%error, "the words of other processes are not heard; listening again");
        }
        tokio::time::sleep(CONNECT_AGAIN).await;
        // What was said meanwhile.
        tell.send_modify(|count| *count += 1);
    }
}

async fn hear(
    pool: &PgPool,
    about: About,
    origin: &str,
    tell: &watch::Sender<u64>,
) -> std::result::Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(about.channel()).await?;
    while !tell.is_closed() {
        let Some(word) = listener.try_recv().await? else { return Ok(()) };
        if word.payload() != origin {
            tell.send_modify(|count| *count += 1);
        }
    }
    Ok(())
}
