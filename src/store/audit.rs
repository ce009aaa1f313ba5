//! The audit log: who at the console did what to what. Rows are added and never changed.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::Operator;
use crate::domain::time::Instant;

use super::sql::{Tx, query_built};
use super::{Result, Store, in_tx, query};

/// An action, as it is noted. Whoever makes one has masked the addresses in it.
#[derive(Debug, Clone)]
pub struct Noted {
    pub at_ms: i64,
    pub who: String,
    pub role: &'static str,
    pub action: &'static str,
    /// What it was done to: the id of a notification, a customer, a version; empty for none.
    pub subject: String,
    /// JSON.
    pub detail: String,
}

impl Noted {
    #[must_use]
    pub fn new(
        by: &Operator,
        action: &'static str,
        subject: &str,
        detail: String,
        now: Instant,
    ) -> Self {
        Self {
            at_ms: now.timestamp_millis(),
            who: by.name.clone(),
            role: by.role.as_str(),
            action,
            subject: subject.to_owned(),
            detail,
        }
    }
}

/// An action, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct AuditRow {
    pub seq: i64,
    pub at_ms: i64,
    pub who: String,
    pub role: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
}

/// Which actions to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub who: Option<String>,
    pub action: Option<String>,
    pub subject: Option<String>,
    /// The last number of the page before: older ones follow.
    pub before: Option<i64>,
    pub limit: i64,
}

/// Notes an action in the transaction that does it.
pub(super) async fn append(tx: &mut Tx, noted: &Noted) -> Result<()> {
    query(
        "INSERT INTO audit_log (at_ms, who, role, action, subject, detail)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(noted.at_ms)
    .bind(&noted.who)
    .bind(noted.role)
    .bind(noted.action)
    .bind(&noted.subject)
    .bind(&noted.detail)
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Notes an action.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn note_audit(&self, noted: Noted) -> Result<()> {
        in_tx!(self, |tx| { append(tx, &noted).await })
    }

    /// Actions by filter, the newest first, a page at a time.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn audit_log(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>> {
        let columns =
            [("who", &filter.who), ("action", &filter.action), ("subject", &filter.subject)];
        let asked: Vec<_> =
            columns.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
        // Only what is asked for is compared, so that an index serves it.
        let conditions: Vec<String> = asked
            .iter()
            .enumerate()
            .map(|(place, (name, _))| format!("AND {name} = ${} ", place + 3))
            .collect();
        let conditions = conditions.concat();
        let sql = format!(
            "SELECT seq, at_ms, who, role, action, subject, detail FROM audit_log
             WHERE seq < $1 {conditions}ORDER BY seq DESC LIMIT $2"
        );
        let mut statement =
            query_built(sql).bind(filter.before.unwrap_or(i64::MAX)).bind(filter.limit);
        for (_, value) in asked {
            statement = statement.bind(value);
        }
        Ok(statement.fetch_all(&self.readers).await?)
    }
}
