//! Calls that customers asked for, and how long people wait for one. An open call is a task;
//! finishing the task ends the call, in time or late.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::plan::TaskKind;
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, CustomerId};

use super::row_locks::{Lock, lock};
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, StoreError, ids, in_tx, query};

/// How long customers wait for a person on a channel, as the switchboard told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, Serialize)]
pub struct WaitTime {
    pub at_ms: i64,
    pub shortest_s: i64,
    pub longest_s: i64,
}

/// When a call was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, Serialize)]
pub struct Callback {
    pub seq: i64,
    pub asked_at_ms: i64,
    /// 0 for as soon as possible.
    pub from_ms: i64,
    pub to_ms: i64,
}

/// How calls ended that were promised as soon as possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Kept {
    pub kept: i64,
    pub ended: i64,
}

/// What a customer asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub customer: CustomerId,
    pub case: Option<CaseId>,
    /// A window with a beginning and an end; `None` for as soon as possible.
    pub from: Option<Instant>,
    /// The end of the promise.
    pub to: Instant,
    /// What the person who calls reads.
    pub detail: String,
    /// Calls that one window holds.
    pub room: i64,
}

impl Store {
    /// A customer asks to be called as soon as possible, within a day.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn ask_for_call(&self, customer: &CustomerId, now: Instant) -> Result<()> {
        let wish = Wish {
            customer: customer.clone(),
            case: None,
            from: None,
            to: now + chrono::TimeDelta::days(1),
            detail: format!("Call the customer {customer}: they asked for it on their page."),
            room: 0,
        };
        self.ask_for_callback(wish, now).await
    }

    /// Keeps a wish for a call; an earlier one of the customer that is still open moves to it.
    /// The task is one, however often they ask.
    ///
    /// # Errors
    /// `Refused` when the window is full.
    pub async fn ask_for_callback(&self, wish: Wish, now: Instant) -> Result<()> {
        let now_ms = now.timestamp_millis();
        let from_ms = wish.from.map_or(0, |from| from.timestamp_millis());
        let task = NewTaskRow {
            key: format!("call:{}", wish.customer),
            kind: TaskKind::CallBack.as_str(),
            detail: wish.detail.clone(),
            notification_id: None,
            event_seq: None,
            case_id: wish.case.as_ref().map(|case| case.0.clone()),
            customer_id: Some(wish.customer.0.clone()),
        };
        in_tx!(self, |tx| {
            // Who asks for the same window at once waits, and counts again.
            lock(tx, Lock::Addresses, ids([format!("window:{from_ms}")])).await?;
            lock(tx, Lock::Customers, ids([&wish.customer])).await?;
            query(
                "UPDATE callback SET status = 'moved', ended_at_ms = $2
                 WHERE customer_id = $1 AND status = 'open'",
            )
            .bind(wish.customer.as_str())
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            let kept = query(
                "INSERT INTO callback (customer_id, case_id, asked_at_ms, from_ms, to_ms, status)
                 SELECT $1, $2, $3, $4, $5, 'open'
                 WHERE $4 = 0 OR (SELECT count(*) FROM callback
                                  WHERE status = 'open' AND from_ms = $4) < $6",
            )
            .bind(wish.customer.as_str())
            .bind(wish.case.as_ref().map(CaseId::as_str))
            .bind(now_ms)
            .bind(from_ms)
            .bind(wish.to.timestamp_millis())
            .bind(wish.room)
            .execute(&mut *tx)
            .await?;
            if kept == 0 {
                return Err(StoreError::Refused("this time is taken".into()));
            }
            query("UPDATE task SET detail = $2 WHERE key = $1 AND done_at_ms IS NULL")
                .bind(&task.key)
                .bind(&task.detail)
                .execute(&mut *tx)
                .await?;
            insert_tasks(tx, &[task], now_ms).await
        })
    }

    /// The call a customer was promised and has not had.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn open_callback(&self, id: &CustomerId) -> Result<Option<Callback>> {
        Ok(query(
            "SELECT seq, asked_at_ms, from_ms, to_ms FROM callback
             WHERE customer_id = $1 AND status = 'open' ORDER BY seq DESC LIMIT 1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await?)
    }

    /// Takes the wish back.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn cancel_callback(&self, id: &CustomerId, now: Instant) -> Result<()> {
        let (id, now_ms) = (id.0.clone(), now.timestamp_millis());
        in_tx!(self, |tx| {
            lock(tx, Lock::Customers, ids([&id])).await?;
            query(
                "UPDATE callback SET status = 'cancelled', ended_at_ms = $2
                 WHERE customer_id = $1 AND status = 'open'",
            )
            .bind(&id)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            query(
                "UPDATE task SET done_at_ms = $2, done_by = 'the customer'
                 WHERE key = 'call:' || $1 AND done_at_ms IS NULL",
            )
            .bind(&id)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// How many calls are promised in each window that begins between two moments.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn taken_windows(&self, from: Instant, to: Instant) -> Result<Vec<(i64, i64)>> {
        Ok(query(
            "SELECT from_ms, count(*) FROM callback
             WHERE status = 'open' AND from_ms >= $1 AND from_ms < $2 GROUP BY from_ms",
        )
        .bind(from.timestamp_millis())
        .bind(to.timestamp_millis())
        .fetch_all(&self.readers)
        .await?)
    }

    /// How the last hundred calls ended that were asked for as soon as possible.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn kept_callbacks(&self) -> Result<Kept> {
        Ok(query(
            "SELECT count(CASE WHEN status = 'kept' THEN 1 END) AS kept, count(*) AS ended FROM
                (SELECT status FROM callback WHERE from_ms = 0 AND status IN ('kept', 'late')
                 ORDER BY seq DESC LIMIT 100) AS last",
        )
        .fetch_one(&self.readers)
        .await?)
    }

    /// Sets how long customers wait for a person.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn set_wait_time(
        &self,
        channel: Channel,
        shortest_s: i64,
        longest_s: i64,
        now: Instant,
    ) -> Result<()> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            query(
                "INSERT INTO wait_time (channel, at_ms, shortest_s, longest_s)
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(channel.as_str())
            .bind(now_ms)
            .bind(shortest_s)
            .bind(longest_s)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// How long customers wait, as told last and after `since`: older words are worth nothing.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn wait_time(&self, channel: Channel, since: Instant) -> Result<Option<WaitTime>> {
        Ok(query(
            "SELECT at_ms, shortest_s, longest_s FROM wait_time
             WHERE channel = $1 AND at_ms >= $2 ORDER BY seq DESC LIMIT 1",
        )
        .bind(channel.as_str())
        .bind(since.timestamp_millis())
        .fetch_optional(&self.readers)
        .await?)
    }
}

/// Ends the call a task was about: in time or late.
pub(super) const END_CALLBACK: &str = "
    UPDATE callback SET status = CASE WHEN to_ms >= $2 THEN 'kept' ELSE 'late' END,
        ended_at_ms = $2
    WHERE status = 'open' AND customer_id =
        (SELECT customer_id FROM task WHERE seq = $1 AND kind = 'call_back')";
