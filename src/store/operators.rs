//! Who is signed in at the console, and which one-time codes were used.

use sqlx::FromRow;

use crate::domain::time::Instant;
use crate::domain::{Operator, Role};

use super::{Result, Store, StoreError, in_tx, query};

/// How often a page is noted, in milliseconds: a session that goes on is written this rarely.
/// It may end so much early, never late.
const NOTED_EVERY_MS: i64 = 60 * 1_000;

/// A session as it is kept. Whoever reads it does not learn the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token, in hex.
    pub hash: String,
    pub operator: Operator,
    /// The fingerprint of what let them in.
    pub entry: String,
    pub begun_at_ms: i64,
    /// The last page, to the minute.
    pub seen_at_ms: i64,
}

#[derive(FromRow)]
struct SessionRow {
    hash: String,
    operator: String,
    role: String,
    entry: String,
    begun_at_ms: i64,
    seen_at_ms: i64,
}

impl Store {
    /// Begins a session; the one before it in the same browser ends.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn begin_session(&self, session: Session, before: Option<String>) -> Result<()> {
        in_tx!(self, |tx| {
            if let Some(before) = before {
                query("DELETE FROM operator_sessions WHERE hash = $1")
                    .bind(before)
                    .execute(&mut *tx)
                    .await?;
            }
            query(
                "INSERT INTO operator_sessions
                    (hash, operator, role, entry, begun_at_ms, seen_at_ms)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(session.hash)
            .bind(session.operator.name)
            .bind(session.operator.role.as_str())
            .bind(session.entry)
            .bind(session.begun_at_ms)
            .bind(session.seen_at_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// The session with this hash; whether it is over is for the caller to say.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn session(&self, hash: &str) -> Result<Option<Session>> {
        let row: Option<SessionRow> = query(
            "SELECT hash, operator, role, entry, begun_at_ms, seen_at_ms
             FROM operator_sessions WHERE hash = $1",
        )
        .bind(hash)
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| {
            let role: Role = row.role.parse().map_err(StoreError::Damaged)?;
            Ok(Session {
                hash: row.hash,
                operator: Operator { name: row.operator, role },
                entry: row.entry,
                begun_at_ms: row.begun_at_ms,
                seen_at_ms: row.seen_at_ms,
            })
        })
        .transpose()
    }

    /// Notes that a page was seen in a session, unless one was within the last minute. One
    /// that has ended meanwhile stays ended.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn see_session(&self, session: &Session, now: Instant) -> Result<()> {
        let now_ms = now.timestamp_millis();
        if now_ms - session.seen_at_ms < NOTED_EVERY_MS {
            return Ok(());
        }
        let hash = session.hash.clone();
        in_tx!(self, |tx| {
            query(
                "UPDATE operator_sessions SET seen_at_ms = $2 WHERE hash = $1 AND seen_at_ms < $2",
            )
            .bind(hash)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn end_session(&self, hash: &str) -> Result<()> {
        let hash = hash.to_owned();
        in_tx!(self, |tx| {
            query("DELETE FROM operator_sessions WHERE hash = $1").bind(hash).execute(tx).await?;
            Ok(())
        })
    }

    /// Forgets sessions that began before an instant.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn forget_sessions(&self, begun_before: Instant) -> Result<()> {
        let before_ms = begun_before.timestamp_millis();
        in_tx!(self, |tx| {
            query("DELETE FROM operator_sessions WHERE begun_at_ms < $1")
                .bind(before_ms)
                .execute(tx)
                .await?;
            Ok(())
        })
    }

    /// Uses an operator's one-time code up, known by its step. False when that code or a later
    /// one was used before.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn spend_step(&self, operator: &str, step: i64) -> Result<bool> {
        let operator = operator.to_owned();
        in_tx!(self, |tx| {
            let spent = query(
                "INSERT INTO operator_code (operator, step) VALUES ($1, $2)
                 ON CONFLICT (operator) DO UPDATE SET step = excluded.step
                 WHERE operator_code.step < excluded.step",
            )
            .bind(operator)
            .bind(step)
            .execute(tx)
            .await?;
            Ok(spent > 0)
        })
    }
}
