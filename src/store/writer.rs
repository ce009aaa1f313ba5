//! Write transactions: one writer that commits in groups on SQLite, a pool on PostgreSQL.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::PgPool;

use super::facts::Facts;
use super::group_commit::GroupCommit;
use super::sql::{Tx, Writing, is_connection_lost};
use super::{Result, StoreError};

/// How often a transaction is begun anew when its connection turns out to be dead. As many
/// as the pool has connections, and one.
const MAX_TRIES: u32 = super::postgres::MAX_CONNECTIONS + 1;

/// The longest a transaction may take; what takes longer is cut off from its server.
const MAX_TRANSACTION: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(super) enum Writer {
    Sqlite(GroupCommit, Facts),
    Postgres(PgPool, Facts),
}

impl Writer {
    /// Runs `work` in a transaction and answers once it is durable.
    ///
    /// # Errors
    /// What `work` said (its writes are undone), or `Unavailable` when the transaction could
    /// not be had or kept.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Tx) -> BoxFuture<'c, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let noted = self.facts().noted();
        let done = match self {
            Self::Sqlite(writer, _) => writer.run(work).await,
            Self::Postgres(pool, facts) => {
                let (pool, facts) = (pool.clone(), facts.clone());
                // In a task of its own: a caller that goes away leaves no half-done transaction.
                let done = tokio::spawn(async move {
                    tokio::time::timeout(MAX_TRANSACTION, transaction(&pool, facts, work)).await
                });
                match done.await {
                    Ok(Ok(done)) => done,
                    Ok(Err(_)) => Err(StoreError::unavailable("the database does not answer")),
                    Err(_) => Err(StoreError::closed()),
                }
            }
        };
        if done.is_ok() && self.facts().noted() != noted {
            self.facts().ring();
        }
        done
    }

    /// What others are told of what is written.
    pub const fn facts(&self) -> &Facts {
        match self {
            Self::Sqlite(_, facts) | Self::Postgres(_, facts) => facts,
        }
    }
}

async fn transaction<T>(
    pool: &PgPool,
    facts: Facts,
    work: impl for<'c> FnOnce(&'c mut Tx) -> BoxFuture<'c, Result<T>>,
) -> Result<T> {
    let mut tries = 0;
    let begun = loop {
        tries += 1;
        match pool.begin().await {
            // After a restart of the server every connection of the pool is dead.
            Err(error) if tries < MAX_TRIES && is_connection_lost(&error) => {}
            begun => break begun?,
        }
    };
    let mut tx = Tx::Postgres(Writing { on: begun, facts });
    let done = work(&mut tx).await;
    let Tx::Postgres(Writing { on: transaction, .. }) = tx else {
        return Err(StoreError::closed());
    };
    match done {
        Ok(value) => {
            transaction.commit().await?;
            Ok(value)
        }
        Err(error) => {
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}
