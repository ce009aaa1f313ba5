//! Tasks: work for a person because software could not.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::Notification;
use crate::domain::plan::{NewTask, TaskKind};
use crate::domain::time::Instant;

use super::callbacks::END_CALLBACK;
use super::facts;
use super::row_locks::{Lock, lock};
use super::sql::Tx;
use super::{Result, Store, StoreError, batch, ids, in_tx, query};

#[derive(Debug, Clone, Serialize)]
pub(super) struct NewTaskRow {
    pub key: String,
    pub kind: &'static str,
    pub detail: String,
    pub notification_id: Option<String>,
    pub event_seq: Option<i64>,
    pub case_id: Option<String>,
    pub customer_id: Option<String>,
}

impl NewTaskRow {
    pub fn of(task: &NewTask) -> Self {
        Self {
            key: task.key.clone(),
            kind: task.kind.as_str(),
            detail: task.detail.clone(),
            notification_id: None,
            event_seq: None,
            case_id: None,
            customer_id: None,
        }
    }

    /// The customer of this notification could not be told.
    pub fn not_told(notification: &Notification, why: &str) -> Self {
        Self {
            key: format!("not_told/{}", notification.id),
            kind: TaskKind::NotTold.as_str(),
            detail: format!(
                "Tell the customer of case {} about {:?}: {why}.",
                notification.case, notification.notice
            ),
            notification_id: Some(notification.id.to_string()),
            event_seq: notification.event_seq,
            case_id: Some(notification.case.0.clone()),
            customer_id: Some(notification.customer.0.clone()),
        }
    }

    /// The same, with the cases and notices of what rode in it.
    pub fn with(mut self, aboard: &[(String, String)]) -> Self {
        if !aboard.is_empty() {
            let named: Vec<String> =
                aboard.iter().map(|(case, notice)| format!("case {case} ({notice:?})")).collect();
            self.detail += " In the same message: ";
            self.detail += &named.join(", ");
            self.detail.push('.');
        }
        self
    }
}

const INSERT_TASKS: &str = "
    INSERT INTO task (key, kind, detail, notification_id, event_seq, case_id, customer_id, opened_at_ms)
    SELECT value->>'key', value->>'kind', value->>'detail', value->>'notification_id',
           CAST(value->>'event_seq' AS BIGINT), value->>'case_id', value->>'customer_id', $2
    FROM jsonb_each($1) WHERE true
    ON CONFLICT (key) WHERE done_at_ms IS NULL DO NOTHING
    RETURNING seq, kind, detail, notification_id, case_id, customer_id";

pub(super) async fn insert_tasks(tx: &mut Tx, tasks: &[NewTaskRow], now_ms: i64) -> Result<()> {
    if !tasks.is_empty() {
        // In the order of their keys: who writes the same task at once waits, and nobody for us.
        let mut tasks: Vec<&NewTaskRow> = tasks.iter().collect();
        tasks.sort_by_key(|task| &task.key);
        let opened =
            query(INSERT_TASKS).bind(batch(tasks)).bind(now_ms).fetch_all(&mut *tx).await?;
        facts::tasks(tx, opened, now_ms).await?;
    }
    Ok(())
}

/// A task as people and systems read it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct Task {
    pub seq: i64,
    pub kind: String,
    pub detail: String,
    pub notification_id: Option<String>,
    pub case_id: Option<String>,
    pub customer_id: Option<String>,
    pub opened_at_ms: i64,
    pub done_at_ms: Option<i64>,
    pub done_by: Option<String>,
}

impl Store {
    /// Asks a person for something. One open task per key.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn open_task(&self, task: &NewTask, now: Instant) -> Result<()> {
        let row = NewTaskRow::of(task);
        in_tx!(self, |tx| { insert_tasks(tx, &[row], now.timestamp_millis()).await })
    }

    /// Open tasks, oldest first, after `after`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn open_tasks(&self, after: i64, limit: i64) -> Result<Vec<Task>> {
        Ok(query(
            "SELECT seq, kind, detail, notification_id, case_id, customer_id, opened_at_ms,
                    done_at_ms, done_by
             FROM task WHERE done_at_ms IS NULL AND seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?)
    }

    /// Marks a task as done by somebody.
    ///
    /// # Errors
    /// `NotFound` when there is no such open task.
    pub async fn finish_task(&self, seq: i64, by: &str, now: Instant) -> Result<()> {
        let by = by.to_owned();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            // A task and the call it is about are written by who holds their customer; where the
            // customer is not known here, the call comes before the task, as everywhere.
            let about: Option<(Option<String>,)> =
                query("SELECT customer_id FROM task WHERE seq = $1")
                    .bind(seq)
                    .fetch_optional(&mut *tx)
                    .await?;
            let customer = about.and_then(|(customer,)| customer);
            lock(tx, Lock::Customers, ids(customer.iter())).await?;
            query(END_CALLBACK).bind(seq).bind(now_ms).execute(&mut *tx).await?;
            let done = query(
                "UPDATE task SET done_at_ms = $2, done_by = $3 WHERE seq = $1 AND done_at_ms IS NULL",
            )
            .bind(seq)
            .bind(now_ms)
            .bind(by)
            .execute(tx)
            .await?;
            if done == 0 {
                return Err(StoreError::NotFound { what: format!("an open task {seq}") });
            }
            Ok(())
        })
    }
}
