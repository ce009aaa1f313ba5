//! Claims: what is due is taken up by one process, and given back or ended when it leads to no
//! attempt. Every write is conditional on (id, status, epoch), each for a batch.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;
use serde_json::Value;

use crate::domain::notification::Lane;
use crate::domain::plan::Created;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{CustomerId, Held, Notification, NotificationId, Reason, Status};

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS, insert_created};
use super::restored::held_until;
use super::row_locks::{Either, Lock, either, lock};
use super::rows::{NotificationRow, json, notification_columns, notifications, parse_id};
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, batch, ids, in_tx, query};

/// How long a rung bell is trusted before it is rung again.
pub const RING_AGAIN_MS: i64 = 10_000;

pub(super) const TAKE_DUE: Either = either!(
    |lock| "
    WITH due AS MATERIALIZED (
        SELECT id AS due_id FROM notification
         WHERE status = 'planned' AND urgency IN (0, 1, 2, 3) AND urgency >= $4 AND urgency <= $5
           AND next_at_ms <= $1 AND ring_again_at_ms <= $1
           AND due_at_ms > COALESCE((SELECT CAST(meta.value AS BIGINT) FROM meta
                                      WHERE meta.key = 'restored_at_ms'), -4102444800000)
         ORDER BY next_at_ms LIMIT $3 ",
    lock,
    ")
    UPDATE notification SET ring_again_at_ms = $2 FROM due WHERE id = due_id
    RETURNING id, customer_id, held IS NOT NULL"
);

/// What waits for company travels in one ticket with the others of its customer, however
/// urgent each is.
pub(super) const TAKE_COMPANY: Either = either!(
    |lock| "
    WITH due AS MATERIALIZED (
        SELECT id AS due_id FROM notification
         WHERE customer_id IN (SELECT x.value->>'id' FROM jsonb_each($3) AS x)
           AND status = 'planned' AND held IS NOT NULL
           AND next_at_ms <= $1 AND ring_again_at_ms <= $1
           AND due_at_ms > COALESCE((SELECT CAST(meta.value AS BIGINT) FROM meta
                                      WHERE meta.key = 'restored_at_ms'), -4102444800000) ",
    lock,
    ")
    UPDATE notification SET ring_again_at_ms = $2 FROM due WHERE id = due_id
    RETURNING id, customer_id, true"
);

pub(super) const CLAIM: Either = either!(
    |lock| "
    WITH wanted AS MATERIALIZED (
        SELECT id AS wanted_id FROM notification
         WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
           AND CASE status WHEN 'planned' THEN next_at_ms <= $4 ELSE false END
           AND due_at_ms > COALESCE((SELECT CAST(meta.value AS BIGINT) FROM meta
                                      WHERE meta.key = 'restored_at_ms'), -4102444800000) ",
    lock,
    ")
    UPDATE notification SET status = 'claimed', epoch = epoch + 1, claims = claims + 1,
           owner = $2, lease_until_ms = $3
    FROM wanted WHERE id = wanted_id
    RETURNING ",
    notification_columns!()
);

const END_CLAIMED: &str = "
    UPDATE notification SET status = x.to_status, reason = x.code, next_at_ms = x.next,
        held = CASE WHEN x.holds = 'as it is' THEN held ELSE x.holds END,
        claims = CASE WHEN x.to_status = 'planned' THEN 0 ELSE claims END,
        ring_again_at_ms = 0, owner = NULL
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch,
                 value->>'status' AS to_status, value->>'reason' AS code,
                 value->>'held' AS holds, CAST(value->>'next_at_ms' AS BIGINT) AS next
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.epoch = x.row_epoch
      AND CASE notification.status WHEN 'claimed' THEN true ELSE false END
    RETURNING id";

/// Whether anything is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Something is due, claimed, on the wire or waiting to be planned.
    Busy,
    /// Nothing is, until this instant; `None` when nothing is planned at all.
    Quiet { until: Option<Instant> },
}

/// Ends of claims that led to no attempt: a snooze, or the end of the notification.
#[derive(Debug, Clone)]
pub struct EndOfClaim {
    pub notification: Notification,
    pub status: Status,
    pub next_at: Instant,
    pub reasons: Vec<Reason>,
    pub versions: Value,
    pub task: Option<&'static str>,
    /// What it waits for to ride in, where it is planned again.
    pub held: Option<Held>,
    /// What is planned because it ended.
    pub followers: Vec<Created>,
}

#[derive(Serialize)]
struct EndRow {
    id: String,
    epoch: i64,
    status: &'static str,
    reason: Option<String>,
    held: Option<&'static str>,
    next_at_ms: i64,
}

/// What waits for a message to ride in: over the cap whenever one goes, a member of a digest
/// once its slot has come.
pub(super) const CLAIM_HELD: Either = either!(
    |lock| "
    WITH wanted AS MATERIALIZED (
        SELECT id AS wanted_id FROM notification
         WHERE customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
           AND status = 'planned' AND held IS NOT NULL AND (held = 'cap' OR next_at_ms <= $4)
           AND due_at_ms > COALESCE((SELECT CAST(meta.value AS BIGINT) FROM meta
                                      WHERE meta.key = 'restored_at_ms'), -4102444800000) ",
    lock,
    ")
    UPDATE notification SET status = 'claimed', epoch = epoch + 1, claims = claims + 1,
           owner = $2, lease_until_ms = $3
    FROM wanted WHERE id = wanted_id
    RETURNING ",
    notification_columns!()
);

/// A claim given back stays held as it was.
const AS_IT_IS: &str = "as it is";

impl Store {
    /// Marks up to `limit` notifications of a lane due at `now` as rung: still planned, not
    /// rung again for 10 s. Rows of one customer come together.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; nothing is marked then.
    pub async fn take_due(
        &self,
        lane: Lane,
        now: Instant,
        limit: u32,
    ) -> Result<Vec<NotificationId>> {
        let now_ms = now.timestamp_millis();
        let (lowest, highest) = match lane {
            Lane::Now => (2_i64, 3_i64),
            Lane::Bulk => (0, 1),
        };
        let (due, company) = (self.pick(TAKE_DUE), self.pick(TAKE_COMPANY));
        let mut rows: Vec<(String, String, bool)> = in_tx!(self, |tx| {
            let mut rows: Vec<(String, String, bool)> = query(due)
                .bind(now_ms)
                .bind(now_ms + RING_AGAIN_MS)
                .bind(i64::from(limit))
                .bind(lowest)
                .bind(highest)
                .fetch_all(&mut *tx)
                .await?;
            let waiting = rows.iter().filter(|(_, _, held)| *held);
            let customers: BTreeSet<&String> = waiting.map(|(_, customer, _)| customer).collect();
            if !customers.is_empty() {
                let others: Vec<(String, String, bool)> = query(company)
                    .bind(now_ms)
                    .bind(now_ms + RING_AGAIN_MS)
                    .bind(ids(customers))
                    .fetch_all(tx)
                    .await?;
                rows.extend(others);
            }
            Ok(rows)
        })?;
        rows.sort_by(|a, b| a.1.cmp(&b.1));
        rows.iter().map(|(id, ..)| parse_id(id)).collect()
    }

    /// Which lanes have something due and not rung? Asked before `take_due`, which writes.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn lanes_due(&self, now: Instant) -> Result<Vec<Lane>> {
        let (soon, bulk): (bool, bool) = query(concat!(
            "SELECT EXISTS (SELECT 1 FROM notification WHERE status = 'planned'
                            AND urgency IN (2, 3) AND next_at_ms <= $1 AND ring_again_at_ms <= $1
                            AND due_at_ms > ",
            held_until!(),
            "),
                    EXISTS (SELECT 1 FROM notification WHERE status = 'planned'
                            AND urgency IN (0, 1) AND next_at_ms <= $1 AND ring_again_at_ms <= $1
                            AND due_at_ms > ",
            held_until!(),
            ")"
        ))
        .bind(now.timestamp_millis())
        .fetch_one(&self.readers)
        .await?;
        Ok([(soon, Lane::Now), (bulk, Lane::Bulk)]
            .into_iter()
            .filter_map(|(due, lane)| due.then_some(lane))
            .collect())
    }

    /// Is anything going on at `now`, and if not, when does something next?
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn outlook(&self, now: Instant) -> Result<Outlook> {
        // Each minimum is the first entry of a partial index.
        let (first, busy): (Option<i64>, bool) = query(concat!(
            "SELECT (SELECT min(at) FROM (
                  SELECT min(next_at_ms) AS at FROM notification WHERE status = 'planned' AND urgency = 0
                    AND due_at_ms > ", held_until!(), "
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 1
                    AND due_at_ms > ", held_until!(), "
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 2
                    AND due_at_ms > ", held_until!(), "
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 3
                    AND due_at_ms > ", held_until!(), "
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'in_doubt'
                  UNION ALL SELECT min(alarm_at_ms) FROM promise WHERE state = 'open'
                  UNION ALL SELECT min(wait_until_ms) FROM cases WHERE head > planned) AS instants),
               EXISTS (SELECT 1 FROM notification WHERE status IN ('claimed', 'sending'))
                 OR EXISTS (SELECT 1 FROM receipt WHERE applied_at_ms IS NULL)"
        ))
        .fetch_one(&self.readers)
        .await?;
        let first = first.map(from_ms);
        Ok(match first {
            _ if busy => Outlook::Busy,
            Some(first) if first <= now => Outlook::Busy,
            first => Outlook::Quiet { until: first },
        })
    }

    /// Takes those of these notifications that are planned and due, for `owner`.
    ///
    /// # Errors
    /// `Unavailable`; nothing was claimed then.
    pub async fn claim(
        &self,
        wanted: &[NotificationId],
        owner: &str,
        now: Instant,
    ) -> Result<Vec<Notification>> {
        let wanted = ids(wanted);
        let owner = owner.to_owned();
        let now_ms = now.timestamp_millis();
        let (sql, lease_ms) = (self.pick(CLAIM), self.lease_ms);
        let rows: Vec<NotificationRow> = in_tx!(self, |tx| {
            Ok(query(sql)
                .bind(wanted)
                .bind(owner)
                .bind(now_ms + lease_ms)
                .bind(now_ms)
                .fetch_all(tx)
                .await?)
        })?;
        notifications(rows)
    }

    /// Takes what these customers have waiting for a message to ride in, for `owner`.
    ///
    /// # Errors
    /// `Unavailable`; nothing was claimed then.
    pub async fn claim_held(
        &self,
        customers: impl IntoIterator<Item = &CustomerId>,
        owner: &str,
        now: Instant,
    ) -> Result<Vec<Notification>> {
        let customers = ids(customers);
        let owner = owner.to_owned();
        let now_ms = now.timestamp_millis();
        let (sql, lease_ms) = (self.pick(CLAIM_HELD), self.lease_ms);
        let rows: Vec<NotificationRow> = in_tx!(self, |tx| {
            Ok(query(sql)
                .bind(customers)
                .bind(owner)
                .bind(now_ms + lease_ms)
                .bind(now_ms)
                .fetch_all(tx)
                .await?)
        })?;
        notifications(rows)
    }

    /// Records decisions that led to no attempt. A claim lost meanwhile is left alone.
    ///
    /// # Errors
    /// `Unavailable`; nothing was recorded then, and the lease brings the rows back.
    pub async fn end_claims(&self, ends: Vec<EndOfClaim>, now: Instant) -> Result<()> {
        if ends.is_empty() {
            return Ok(());
        }
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let rows = ends.iter().map(|end| EndRow {
                id: end.notification.id.to_string(),
                epoch: end.notification.epoch,
                status: end.status.as_str(),
                reason: end.reasons.last().filter(|_| !end.status.is_open()).map(Reason::code),
                held: end.held.map(Held::as_str),
                next_at_ms: end.next_at.timestamp_millis(),
            });
            lock(tx, Lock::Notifications, ids(ends.iter().map(|end| end.notification.id))).await?;
            let ended: Vec<(String,)> =
                query(END_CLAIMED).bind(batch(rows)).fetch_all(&mut *tx).await?;
            let ended: HashSet<String> = ended.into_iter().map(|(id,)| id).collect();
            let ends =
                || ends.iter().filter(|end| ended.contains(&end.notification.id.to_string()));
            let decisions = ends().map(|end| DecisionRow {
                id: end.notification.id.to_string(),
                what: if end.status == Status::Planned { "held" } else { end.status.as_str() },
                reasons: json(&end.reasons),
                versions: end.versions.to_string(),
            });
            query(INSERT_DECISIONS).bind(batch(decisions)).bind(now_ms).execute(&mut *tx).await?;
            facts::notifications(tx, &ended, now_ms).await?;
            let tasks: Vec<NewTaskRow> = ends()
                .filter_map(|end| end.task.map(|why| NewTaskRow::not_told(&end.notification, why)))
                .collect();
            insert_tasks(tx, &tasks, now_ms).await?;
            let followers = ends().flat_map(|end| {
                end.followers.iter().map(|created| (created.clone(), end.versions.clone()))
            });
            insert_created(tx, &followers.collect::<Vec<_>>()).await
        })
    }

    /// Gives claims back unused: planned again, to be looked at once more at `at`.
    ///
    /// # Errors
    /// `Unavailable`; the lease brings the rows back then.
    pub async fn release(&self, claims: &[(NotificationId, i64)], at: Instant) -> Result<()> {
        let claims: Vec<_> = claims.iter().map(|(id, epoch)| (*id, *epoch, at)).collect();
        self.put_back(&claims).await
    }

    /// The same, each to be looked at again at its own instant.
    ///
    /// # Errors
    /// `Unavailable`; the lease brings the rows back then.
    pub async fn put_back(&self, claims: &[(NotificationId, i64, Instant)]) -> Result<()> {
        if claims.is_empty() {
            return Ok(());
        }
        let rows: Vec<EndRow> = claims
            .iter()
            .map(|(id, epoch, at)| EndRow {
                id: id.to_string(),
                epoch: *epoch,
                status: "planned",
                reason: None,
                held: Some(AS_IT_IS),
                next_at_ms: at.timestamp_millis(),
            })
            .collect();
        in_tx!(self, |tx| {
            lock(tx, Lock::Notifications, ids(rows.iter().map(|row| &row.id))).await?;
            query(END_CLAIMED).bind(batch(&rows)).execute(tx).await?;
            Ok(())
        })
    }
}
