//! Group commit: the one connection that writes to SQLite.
//!
//! What arrives while one commit runs is the next commit; there is no timer. A job runs
//! inside the shared transaction and is answered only after it is on disk.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot, watch};

use super::StoreError;
use super::facts::Facts;
use super::sql::{Tx, Writing, query};

/// The most jobs that share one transaction; each is itself at most 500 rows.
const MAX_JOBS: usize = 64;

/// How often an idle writer looks for commits of other processes.
const FOREIGN_COMMIT_CHECK: Duration = Duration::from_millis(200);

/// What a job leaves behind: whether it failed, and how to tell its caller.
struct Answer {
    failed: bool,
    deliver: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

type Job = Box<dyn for<'c> FnOnce(&'c mut Tx) -> BoxFuture<'c, Answer> + Send>;

#[derive(Debug, Clone)]
pub struct GroupCommit {
    jobs: mpsc::Sender<Job>,
    /// Counts the commits of other processes that were noticed.
    foreign_commits: watch::Receiver<u64>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl GroupCommit {
    pub fn start(connection: SqliteConnection, facts: Facts) -> Self {
        let (jobs, receiver) = mpsc::channel(1_000);
        let (noticed, foreign_commits) = watch::channel(0);
        let tx = Tx::Sqlite(Writing { on: connection, facts });
        let writing = run(tx, receiver, noticed);
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            tokio::spawn(writing);
        } else {
            on_a_thread_of_its_own(writing);
        }
        Self { jobs, foreign_commits }
    }

    /// Changes whenever another process has committed something.
    pub fn foreign_commits(&self) -> watch::Receiver<u64> {
        self.foreign_commits.clone()
    }

    /// Runs `work` in the next transaction and answers once it is durable.
    ///
    /// # Errors
    /// What `work` said (its writes are undone, those of other jobs are not), or
    /// `Unavailable` when the transaction could not be had or kept.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Tx) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                let result = work(connection).await;
                Answer {
                    failed: result.is_err(),
                    deliver: Box::new(move |commit| {
                        // A caller that went away no longer wants to know.
                        let _ = answer.send(commit.and(result));
                    }),
                }
            })
        });
        self.jobs.send(job).await.map_err(|_| StoreError::closed())?;
        answered.await.map_err(|_| StoreError::closed())?
    }
}

/// Whoever writes waits for SQLite between two statements, and must not wait for the other work
/// of this process each time.
fn on_a_thread_of_its_own(writing: impl Future<Output = ()> + Send + 'static) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("it has a clock");
    std::thread::Builder::new()
        .name("tidings-writer".into())
        .spawn(move || runtime.block_on(writing))
        .expect("threads can be started");
}

async fn run(
    mut connection: Tx,
    mut jobs: mpsc::Receiver<Job>,
    foreign_commits: watch::Sender<u64>,
) {
    // Known before anybody reads the store, so that no commit of others falls between.
    let mut seen_version = data_version(&mut connection).await;
    loop {
        let first = tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => job,
                None => break,
            },
            () = tokio::time::sleep(FOREIGN_COMMIT_CHECK) => {
                look_for_foreign_commits(&mut connection, &mut seen_version, &foreign_commits).await;
                continue;
            }
        };
        let mut batch = vec![first];
        while batch.len() < MAX_JOBS
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        commit(&mut connection, batch).await;
    }
    // Leaves the WAL checkpointed for whoever opens the file next.
    if let Tx::Sqlite(writing) = connection {
        let _ = writing.on.close().await;
    }
}

/// `PRAGMA data_version` changes when another connection commits, and not by our own writes.
async fn look_for_foreign_commits(
    connection: &mut Tx,
    seen: &mut Option<i64>,
    foreign_commits: &watch::Sender<u64>,
) {
    if let Some(version) = data_version(connection).await {
        if seen.is_some_and(|seen| seen != version) {
            foreign_commits.send_modify(|count| *count += 1);
        }
        *seen = Some(version);
    }
}

async fn data_version(connection: &mut Tx) -> Option<i64> {
    let row: Result<(i64,), _> = query("PRAGMA data_version").fetch_one(connection).await;
    row.ok().map(|(version,)| version)
}

async fn commit(connection: &mut Tx, batch: Vec<Job>) {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE").await {
        // The jobs are dropped unrun; their callers learn that the store is away.
        tracing::error!(%error, jobs = batch.len(), "no write transaction to be had");
        return;
    }
    let alone = batch.len() == 1;
    let mut answers = Vec::with_capacity(batch.len());
    let mut broken = None;
    for job in batch {
        if !alone && let Err(error) = execute(connection, "SAVEPOINT job").await {
            broken = Some(error);
            break;
        }
        let answer = job(connection).await;
        let undone = match (answer.failed, alone) {
            (true, false) => execute(connection, "ROLLBACK TO job").await,
            (true, true) | (false, _) => Ok(()),
        };
        answers.push(answer);
        let released = if alone { Ok(()) } else { execute(connection, "RELEASE job").await };
        if let Err(error) = undone.and(released) {
            broken = Some(error);
            break;
        }
    }
    let only_failed = alone && answers.iter().all(|answer| answer.failed);
    let end = if broken.is_some() || only_failed { "ROLLBACK" } else { "COMMIT" };
    let mut ended = execute(connection, end).await;
    if ended.is_err() && end == "COMMIT" {
        let _ = execute(connection, "ROLLBACK").await;
    }
    if let Some(error) = broken {
        ended = Err(error);
    }
    if let Err(error) = &ended {
        tracing::error!(%error, "a write transaction was lost");
    }
    for answer in answers {
        (answer.deliver)(match &ended {
            Ok(()) => Ok(()),
            Err(error) => Err(StoreError::unavailable(&error.to_string())),
        });
    }
}

async fn execute(connection: &mut Tx, sql: &'static str) -> Result<(), sqlx::Error> {
    query(sql).execute(connection).await.map(drop)
}
