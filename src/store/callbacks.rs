//! Calls that customers asked for, and how long people wait for one. An open call is a task;
//! finishing the task ends the call, in time or late.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::plan::TaskKind;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{CaseId, Channel, CustomerId};

use super::facts;
use super::row_locks::{Lock, lock};
use super::sql::Tx;
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, StoreError, ids, in_tx, query};

/// How long customers wait for a person on a channel, as the switchboard told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, Serialize)]
pub struct WaitTime {
    pub at_ms: i64,
    pub shortest_s: i64,
    pub longest_s: i64,
}

/// How long what the switchboard said holds, in milliseconds: four hours.
const WAIT_HOLDS_MS: i64 = 4 * 60 * 60 * 1_000;

impl WaitTime {
    /// In whole minutes, rounded up: the shortest and the longest.
    #[must_use]
    pub const fn minutes(&self) -> (i64, i64) {
        ((self.shortest_s + 59) / 60, (self.longest_s + 59) / 60)
    }
}

/// When a call was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, Serialize)]
pub struct Callback {
    pub seq: i64,
    pub asked_at_ms: i64,
    /// 0 for as soon as possible.
    pub from_ms: i64,
    pub to_ms: i64,
    /// How often it was tried before, or not kept.
    pub tries: i64,
}

impl Callback {
    /// When it begins; `None` for as soon as possible.
    #[must_use]
    pub fn from(&self) -> Option<Instant> {
        (self.from_ms > 0).then(|| from_ms(self.from_ms))
    }

    /// The end of the promise.
    #[must_use]
    pub fn to(&self) -> Instant {
        from_ms(self.to_ms)
    }
}

/// How one try of a promised call ended without a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheld {
    /// We called, and nobody answered.
    NotReached,
    /// The promised time is over and nobody called.
    Overdue,
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
            let moved = query(
                "UPDATE callback SET status = 'moved', ended_at_ms = $2
                 WHERE customer_id = $1 AND status = 'open'",
            )
            .bind(wish.customer.as_str())
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            promise(tx, &wish, 0, now_ms).await?;
            reword_task(tx, &task.key, &task.detail).await?;
            insert_tasks(tx, &[task], now_ms).await?;
            facts::callback(tx, &wish, moved > 0, now_ms).await
        })
    }

    /// Ends a try that led to no conversation: the call moves to another time, or ends for good
    /// where there is none; its task stays for a person, with these words. False when it was
    /// over already.
    ///
    /// # Errors
    /// `Refused` when the window is full.
    pub async fn end_try(
        &self,
        (customer, call): (&CustomerId, Callback),
        ended: Unheld,
        next: Option<Wish>,
        detail: &str,
        now: Instant,
    ) -> Result<bool> {
        let (customer, detail) = (customer.clone(), detail.to_owned());
        let now_ms = now.timestamp_millis();
        let status = match (ended, &next) {
            (Unheld::Overdue, _) => "late",
            (Unheld::NotReached, Some(_)) => "moved",
            (Unheld::NotReached, None) => "missed",
        };
        in_tx!(self, |tx| {
            if let Some(from) = next.as_ref().and_then(|next| next.from) {
                let window = format!("window:{}", from.timestamp_millis());
                lock(tx, Lock::Addresses, ids([window])).await?;
            }
            lock(tx, Lock::Customers, ids([&customer])).await?;
            let over = query(
                "UPDATE callback SET status = $2, ended_at_ms = $3
                 WHERE seq = $1 AND status = 'open'",
            )
            .bind(call.seq)
            .bind(status)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            if over == 0 {
                return Ok(false);
            }
            if let Some(next) = &next {
                promise(tx, next, call.tries + 1, now_ms).await?;
            }
            reword_task(tx, &format!("call:{customer}"), &detail).await?;
            Ok(true)
        })
    }

    /// Promised calls whose time is over at `now`, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn overdue_callbacks(&self, now: Instant, limit: i64) -> Result<Vec<CustomerId>> {
        let overdue: Vec<(String,)> = query(
            "SELECT customer_id FROM callback WHERE status = 'open' AND to_ms < $1
             ORDER BY to_ms LIMIT $2",
        )
        .bind(now.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(overdue.into_iter().map(|(id,)| CustomerId(id)).collect())
    }

    /// Promised calls whose time has come and nobody was rung for, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn callbacks_to_ring(&self, now: Instant, limit: i64) -> Result<Vec<CustomerId>> {
        let due: Vec<(String,)> = query(
            "SELECT customer_id FROM callback WHERE status = 'open' AND rung_at_ms IS NULL
             AND from_ms <= $1 AND to_ms >= $1 ORDER BY to_ms LIMIT $2",
        )
        .bind(now.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(due.into_iter().map(|(id,)| CustomerId(id)).collect())
    }

    /// Takes a promised call to be rung; false when somebody took it before.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn ring_callback(&self, seq: i64, now: Instant) -> Result<bool> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let rung = query(
                "UPDATE callback SET rung_at_ms = $2
                 WHERE seq = $1 AND status = 'open' AND rung_at_ms IS NULL",
            )
            .bind(seq)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(rung > 0)
        })
    }

    /// A promised call was held: it and its task are done. False when it was over already.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn keep_callback(&self, id: &CustomerId, seq: i64, now: Instant) -> Result<bool> {
        let (id, now_ms) = (id.0.clone(), now.timestamp_millis());
        in_tx!(self, |tx| {
            lock(tx, Lock::Customers, ids([&id])).await?;
            let kept = query(
                "UPDATE callback SET ended_at_ms = $2,
                    status = CASE WHEN to_ms >= $2 THEN 'kept' ELSE 'late' END
                 WHERE seq = $1 AND status = 'open'",
            )
            .bind(seq)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            if kept == 0 {
                return Ok(false);
            }
            query(
                "UPDATE task SET done_at_ms = $2, done_by = 'a call of the house'
                 WHERE key = 'call:' || $1 AND done_at_ms IS NULL",
            )
            .bind(&id)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(true)
        })
    }

    /// The call a customer was promised and has not had.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn open_callback(&self, id: &CustomerId) -> Result<Option<Callback>> {
        Ok(query(
            "SELECT seq, asked_at_ms, from_ms, to_ms, tries FROM callback
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

    /// How long customers wait at `now`, as told last: what was said hours ago is worth nothing.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn wait_time(&self, channel: Channel, now: Instant) -> Result<Option<WaitTime>> {
        Ok(query(
            "SELECT at_ms, shortest_s, longest_s FROM wait_time
             WHERE channel = $1 AND at_ms >= $2 ORDER BY seq DESC LIMIT 1",
        )
        .bind(channel.as_str())
        .bind(now.timestamp_millis() - WAIT_HOLDS_MS)
        .fetch_optional(&self.readers)
        .await?)
    }
}

/// Writes a promise down, where its window has room.
async fn promise(tx: &mut Tx, wish: &Wish, tries: i64, now_ms: i64) -> Result<()> {
    let kept = query(
        "INSERT INTO callback (customer_id, case_id, asked_at_ms, from_ms, to_ms, status, tries)
         SELECT $1, $2, $3, $4, $5, 'open', $7
         WHERE $4 = 0 OR (SELECT count(*) FROM callback
                          WHERE status = 'open' AND from_ms = $4) < $6",
    )
    .bind(wish.customer.as_str())
    .bind(wish.case.as_ref().map(CaseId::as_str))
    .bind(now_ms)
    .bind(wish.from.map_or(0, |from| from.timestamp_millis()))
    .bind(wish.to.timestamp_millis())
    .bind(wish.room)
    .bind(tries)
    .execute(tx)
    .await?;
    if kept == 0 {
        return Err(StoreError::Refused("this time is taken".into()));
    }
    Ok(())
}

async fn reword_task(tx: &mut Tx, key: &str, detail: &str) -> Result<()> {
    query("UPDATE task SET detail = $2 WHERE key = $1 AND done_at_ms IS NULL")
        .bind(key)
        .bind(detail)
        .execute(tx)
        .await?;
    Ok(())
}

/// Ends the call a task was about: in time or late.
pub(super) const END_CALLBACK: &str = "
    UPDATE callback SET status = CASE WHEN to_ms >= $2 THEN 'kept' ELSE 'late' END,
        ended_at_ms = $2
    WHERE status = 'open' AND customer_id =
        (SELECT customer_id FROM task WHERE seq = $1 AND kind = 'call_back')";
