//! The life of a notification in the store. Claim, open and outcome are three facts, each a
//! conditional write on (id, status, epoch), each for a batch (RELIABILITY 3.1, 3.2).

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::domain::customer::Address;
use crate::domain::notification::Lane;
use crate::domain::plan::Created;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Channel, Notification, NotificationId, Reason, Status};

use super::plans::{DecisionRow, INSERT_DECISIONS, insert_created};
use super::rows::{
    NotificationRow, json, notification_columns, notifications, parse_channel, parse_id,
};
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, batch, ids, in_tx};

/// How long a rung bell is trusted before it is rung again.
pub const RING_AGAIN_MS: i64 = 10_000;

/// How long a claim or an open attempt is held without a sign of life, by its owner.
pub const LEASE_MS: i64 = 30_000;

/// Claims without an attempt after which a notification is set aside.
const MAX_CLAIMS: i64 = 5;

const TAKE_DUE: &str = "
    UPDATE notification SET ring_again_at_ms = $2
    WHERE id IN (SELECT id FROM notification
                 WHERE status = 'planned' AND urgency >= $4 AND urgency <= $5
                   AND next_at_ms <= $1 AND ring_again_at_ms <= $1
                 ORDER BY next_at_ms LIMIT $3)
    RETURNING id, customer_id";

const CLAIM: &str = concat!(
    "UPDATE notification SET status = 'claimed', epoch = epoch + 1, claims = claims + 1,
            owner = $2, lease_until_ms = $3
     WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
       AND status = 'planned' AND next_at_ms <= $4
     RETURNING ",
    notification_columns!()
);

const END_CLAIMED: &str = "
    UPDATE notification SET status = x.to_status, reason = x.code, next_at_ms = x.next,
        claims = CASE WHEN x.to_status = 'planned' THEN 0 ELSE claims END,
        ring_again_at_ms = 0, owner = NULL
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch,
                 value->>'status' AS to_status, value->>'reason' AS code,
                 CAST(value->>'next_at_ms' AS BIGINT) AS next
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.epoch = x.row_epoch
      AND notification.status = 'claimed'
    RETURNING id";

/// On SQLite the one writer is the consent lock: nothing can change between the comparison
/// and the commit.
const OPEN: &str = "
    UPDATE notification SET status = 'sending', attempts = attempts + 1, claims = 0,
        on_channel = CASE WHEN channel = x.by_channel THEN on_channel + 1 ELSE 1 END,
        lease_until_ms = $2, channel = x.by_channel
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch,
                 value->>'channel' AS by_channel,
                 CAST(value->>'case_revision' AS BIGINT) AS case_seen,
                 CAST(value->>'customer_revision' AS BIGINT) AS customer_seen
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.epoch = x.row_epoch
      AND notification.status = 'claimed' AND notification.lease_until_ms > $3
      AND EXISTS (SELECT 1 FROM cases WHERE cases.id = notification.case_id
                    AND cases.head = x.case_seen AND cases.planned = x.case_seen)
      AND EXISTS (SELECT 1 FROM customer WHERE customer.id = notification.customer_id
                    AND customer.revision = x.customer_seen)
    RETURNING id, attempts, on_channel";

const INSERT_ATTEMPTS: &str = "
    INSERT INTO attempt (notification_id, no, channel, provider, address, opened_at_ms, because,
                         versions, body_hash, parts, state)
    SELECT value->>'id', CAST(value->>'no' AS BIGINT), value->>'channel', value->>'provider',
           value->>'address', $2, value->>'because', value->>'versions', value->>'body_hash',
           CAST(value->>'parts' AS BIGINT), 'open'
    FROM jsonb_each($1)";

/// A receipt may have come before our own answer: then the attempt already says more.
const CLOSE: &str = "
    UPDATE notification SET
        status = CASE WHEN x.to_status = 'sent' AND EXISTS
                     (SELECT 1 FROM attempt WHERE attempt.notification_id = x.row_id
                        AND attempt.no = x.attempt_no AND attempt.state = 'delivered')
                 THEN 'delivered' ELSE x.to_status END,
        reason = x.code, next_at_ms = x.next, failed_channels = x.failed, ring_again_at_ms = 0,
        told_at_ms = COALESCE(x.told, told_at_ms), owner = NULL
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch,
                 CAST(value->>'no' AS BIGINT) AS attempt_no,
                 value->>'status' AS to_status, value->>'reason' AS code,
                 CAST(value->>'next_at_ms' AS BIGINT) AS next,
                 value->>'failed_channels' AS failed, CAST(value->>'told_at_ms' AS BIGINT) AS told
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.epoch = x.row_epoch
      AND notification.status = 'sending'
    RETURNING id";

const CLOSE_ATTEMPTS: &str = "
    UPDATE attempt SET state = x.to_state, closed_at_ms = $2,
                       provider_ref = COALESCE(x.ref, provider_ref), detail = x.why
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'no' AS BIGINT) AS row_no,
                 value->>'attempt' AS to_state, value->>'provider_ref' AS ref,
                 value->>'detail' AS why
          FROM jsonb_each($1)) AS x
    WHERE attempt.notification_id = x.row_id AND attempt.no = x.row_no AND attempt.state = 'open'";

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
}

/// What an attempt is opened with.
#[derive(Debug, Clone)]
pub struct Opening {
    pub id: NotificationId,
    pub epoch: i64,
    pub channel: Channel,
    pub provider: &'static str,
    pub address: Address,
    /// The revisions the decision read; the attempt opens only if they still hold.
    pub case_revision: i64,
    pub customer_revision: i64,
    pub because: Vec<Reason>,
    pub versions: Value,
    pub body_hash: String,
    pub parts: u32,
}

/// An attempt that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    pub id: NotificationId,
    /// Its number among all attempts, from 1.
    pub no: i64,
    /// Its number among the attempts on this channel, from 1.
    pub on_channel: i64,
}

/// How an attempt ended, and what that makes of its notification.
#[derive(Debug, Clone)]
pub struct Closing {
    pub notification: Notification,
    pub no: i64,
    pub attempt: AttemptState,
    pub status: Status,
    pub next_at: Instant,
    pub failed_channels: Vec<Channel>,
    pub provider_ref: Option<String>,
    pub detail: String,
    pub reasons: Vec<Reason>,
    pub versions: Value,
    pub task: Option<&'static str>,
    /// The address must not be used again, and why.
    pub suppress: Option<(Channel, Address, String)>,
    /// The next message of a notice that repeats.
    pub follow_up: Option<Created>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptState {
    Sent,
    NotSent,
    Deferred,
    Refused,
    InDoubt,
}

impl AttemptState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::NotSent => "not_sent",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
            Self::InDoubt => "in_doubt",
        }
    }
}

/// A notification that is in doubt, with its last attempt.
#[derive(Debug, Clone)]
pub struct InDoubt {
    pub notification: Notification,
    pub channel: Channel,
    pub provider: String,
}

#[derive(Serialize)]
struct EndRow {
    id: String,
    epoch: i64,
    status: &'static str,
    reason: Option<String>,
    next_at_ms: i64,
}

#[derive(Serialize)]
struct OpenRow {
    id: String,
    epoch: i64,
    channel: &'static str,
    case_revision: i64,
    customer_revision: i64,
}

#[derive(Serialize)]
struct AttemptRow {
    id: String,
    no: i64,
    channel: &'static str,
    provider: &'static str,
    address: String,
    because: String,
    versions: String,
    body_hash: String,
    parts: u32,
}

#[derive(Serialize)]
struct CloseRow {
    id: String,
    epoch: i64,
    no: i64,
    status: &'static str,
    attempt: &'static str,
    reason: Option<String>,
    next_at_ms: i64,
    failed_channels: String,
    told_at_ms: Option<i64>,
    provider_ref: Option<String>,
    detail: String,
}

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
        let mut rows: Vec<(String, String)> = in_tx!(self, |tx| {
            Ok(sqlx::query_as(TAKE_DUE)
                .bind(now_ms)
                .bind(now_ms + RING_AGAIN_MS)
                .bind(i64::from(limit))
                .bind(lowest)
                .bind(highest)
                .fetch_all(tx)
                .await?)
        })?;
        rows.sort_by(|a, b| a.1.cmp(&b.1));
        rows.iter().map(|(id, _)| parse_id(id)).collect()
    }

    /// Which lanes have something due and not rung? Asked before `take_due`, which writes.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn lanes_due(&self, now: Instant) -> Result<Vec<Lane>> {
        let (soon, bulk): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM notification WHERE status = 'planned' AND urgency >= 2
                            AND next_at_ms <= $1 AND ring_again_at_ms <= $1),
                    EXISTS (SELECT 1 FROM notification WHERE status = 'planned' AND urgency <= 1
                            AND next_at_ms <= $1 AND ring_again_at_ms <= $1)",
        )
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
        let (first, busy): (Option<i64>, bool) = sqlx::query_as(
            "SELECT (SELECT min(at) FROM (
                  SELECT min(next_at_ms) AS at FROM notification WHERE status = 'planned' AND urgency = 0
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 1
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 2
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 3
                  UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'in_doubt'
                  UNION ALL SELECT min(wait_until_ms) FROM cases WHERE head > planned) AS instants),
               EXISTS (SELECT 1 FROM notification WHERE status IN ('claimed', 'sending'))
                 OR EXISTS (SELECT 1 FROM receipt WHERE applied_at_ms IS NULL)",
        )
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
        let rows: Vec<NotificationRow> = in_tx!(self, |tx| {
            Ok(sqlx::query_as(CLAIM)
                .bind(wanted)
                .bind(owner)
                .bind(now_ms + LEASE_MS)
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
                next_at_ms: end.next_at.timestamp_millis(),
            });
            let ended: Vec<(String,)> =
                sqlx::query_as(END_CLAIMED).bind(batch(rows)).fetch_all(&mut *tx).await?;
            let ended: HashSet<String> = ended.into_iter().map(|(id,)| id).collect();
            let ends =
                || ends.iter().filter(|end| ended.contains(&end.notification.id.to_string()));
            let decisions = ends().map(|end| DecisionRow {
                id: end.notification.id.to_string(),
                what: if end.status == Status::Planned { "held" } else { end.status.as_str() },
                reasons: json(&end.reasons),
                versions: end.versions.to_string(),
            });
            sqlx::query(INSERT_DECISIONS)
                .bind(batch(decisions))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            let tasks: Vec<NewTaskRow> = ends()
                .filter_map(|end| end.task.map(|why| NewTaskRow::not_told(&end.notification, why)))
                .collect();
            insert_tasks(tx, &tasks, now_ms).await
        })
    }

    /// Gives claims back unused: planned again, to be looked at once more at `at`.
    ///
    /// # Errors
    /// `Unavailable`; the lease brings the rows back then.
    pub async fn release(&self, claims: &[(NotificationId, i64)], at: Instant) -> Result<()> {
        let at_ms = at.timestamp_millis();
        let rows: Vec<EndRow> = claims
            .iter()
            .map(|(id, epoch)| EndRow {
                id: id.to_string(),
                epoch: *epoch,
                status: "planned",
                reason: None,
                next_at_ms: at_ms,
            })
            .collect();
        in_tx!(self, |tx| {
            sqlx::query(END_CLAIMED).bind(batch(&rows)).execute(tx).await?;
            Ok(())
        })
    }

    /// Opens attempts: in one transaction, consent and case are compared with what the
    /// decision read, and the attempt is written down. Answers which opened; the others must
    /// be decided again.
    ///
    /// # Errors
    /// `Unavailable`; nothing was opened then.
    pub async fn open_attempts(&self, openings: Vec<Opening>, now: Instant) -> Result<Vec<Opened>> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let rows = openings.iter().map(|opening| OpenRow {
                id: opening.id.to_string(),
                epoch: opening.epoch,
                channel: opening.channel.as_str(),
                case_revision: opening.case_revision,
                customer_revision: opening.customer_revision,
            });
            let opened: Vec<(String, i64, i64)> = sqlx::query_as(OPEN)
                .bind(batch(rows))
                .bind(now_ms + LEASE_MS)
                .bind(now_ms)
                .fetch_all(&mut *tx)
                .await?;
            let numbers: HashMap<String, (i64, i64)> =
                opened.into_iter().map(|(id, no, on_channel)| (id, (no, on_channel))).collect();
            let mut attempts = Vec::with_capacity(numbers.len());
            let mut answer = Vec::with_capacity(numbers.len());
            for opening in &openings {
                let id = opening.id.to_string();
                let Some((no, on_channel)) = numbers.get(&id) else { continue };
                answer.push(Opened { id: opening.id, no: *no, on_channel: *on_channel });
                attempts.push(AttemptRow {
                    id,
                    no: *no,
                    channel: opening.channel.as_str(),
                    provider: opening.provider,
                    address: opening.address.expose().to_owned(),
                    because: json(&opening.because),
                    versions: opening.versions.to_string(),
                    body_hash: opening.body_hash.clone(),
                    parts: opening.parts,
                });
            }
            if !attempts.is_empty() {
                sqlx::query(INSERT_ATTEMPTS)
                    .bind(batch(&attempts))
                    .bind(now_ms)
                    .execute(tx)
                    .await?;
            }
            Ok(answer)
        })
    }

    /// Records how attempts ended. An attempt that was reaped meanwhile is left in doubt.
    ///
    /// # Errors
    /// `Unavailable`; nothing was recorded then, and the lease makes the rows in doubt.
    pub async fn close_attempts(&self, closings: Vec<Closing>, now: Instant) -> Result<()> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let rows: Vec<CloseRow> = closings
                .iter()
                .map(|closing| CloseRow {
                    id: closing.notification.id.to_string(),
                    epoch: closing.notification.epoch,
                    no: closing.no,
                    status: closing.status.as_str(),
                    attempt: closing.attempt.as_str(),
                    reason: closing.reasons.last().map(Reason::code),
                    next_at_ms: closing.next_at.timestamp_millis(),
                    failed_channels: json(&closing.failed_channels),
                    told_at_ms: (closing.attempt == AttemptState::Sent).then_some(now_ms),
                    provider_ref: closing.provider_ref.clone(),
                    detail: closing.detail.clone(),
                })
                .collect();
            let rows = batch(&rows);
            let closed: Vec<(String,)> =
                sqlx::query_as(CLOSE).bind(&rows).fetch_all(&mut *tx).await?;
            let closed: HashSet<String> = closed.into_iter().map(|(id,)| id).collect();
            sqlx::query(CLOSE_ATTEMPTS).bind(&rows).bind(now_ms).execute(&mut *tx).await?;
            let mut decisions = Vec::new();
            let mut tasks = Vec::new();
            let mut follow_ups = Vec::new();
            for closing in closings {
                let id = closing.notification.id.to_string();
                if !closed.contains(&id) {
                    continue;
                }
                if closing.attempt != AttemptState::Sent {
                    decisions.push(DecisionRow {
                        id,
                        what: closing.attempt.as_str(),
                        reasons: json(&closing.reasons),
                        versions: closing.versions.to_string(),
                    });
                }
                tasks.extend(
                    closing.task.map(|why| NewTaskRow::not_told(&closing.notification, why)),
                );
                if let Some((channel, address, why)) = closing.suppress {
                    let key = address.compare_key();
                    super::customers::suppress_in(tx, channel, &key, &why, "provider", now_ms)
                        .await?;
                }
                let versions = closing.versions;
                follow_ups.extend(closing.follow_up.map(|created| (created, versions)));
            }
            if !decisions.is_empty() {
                sqlx::query(INSERT_DECISIONS)
                    .bind(batch(&decisions))
                    .bind(now_ms)
                    .execute(&mut *tx)
                    .await?;
            }
            insert_tasks(tx, &tasks, now_ms).await?;
            insert_created(tx, &follow_ups).await
        })
    }

    /// Renews what this process holds. A process that stops renewing loses its claims, and
    /// its open attempts become in doubt.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn renew_leases(&self, owner: &str, now: Instant) -> Result<()> {
        let owner = owner.to_owned();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            sqlx::query(
                "UPDATE notification SET lease_until_ms = $2
                 WHERE status IN ('claimed', 'sending') AND owner = $1 AND lease_until_ms > $3",
            )
            .bind(owner)
            .bind(now_ms + LEASE_MS)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// Takes back what was held by processes that are gone: a claim is planned again (and
    /// set aside after five), an open attempt is in doubt. Answers how many of each.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn reap(&self, now: Instant, settle_by: Instant) -> Result<(u64, u64)> {
        self.reap_where(now, settle_by, false).await
    }

    /// The same for everything held, whatever its lease: for the one process that has just
    /// taken the dispatch lock, so that nobody else can hold anything.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn reap_all(&self, now: Instant, settle_by: Instant) -> Result<(u64, u64)> {
        self.reap_where(now, settle_by, true).await
    }

    async fn reap_where(&self, now: Instant, settle_by: Instant, all: bool) -> Result<(u64, u64)> {
        let now_ms = now.timestamp_millis();
        let lost_by = if all { i64::MAX } else { now_ms };
        in_tx!(self, |tx| {
            let doubtful: Vec<(String,)> = sqlx::query_as(
                "UPDATE notification SET status = 'in_doubt', reason = 'lease_lost',
                        next_at_ms = $2, owner = NULL
                 WHERE status = 'sending' AND lease_until_ms <= $1 RETURNING id",
            )
            .bind(lost_by)
            .bind(settle_by.timestamp_millis())
            .fetch_all(&mut *tx)
            .await?;
            let decisions: Vec<DecisionRow> = doubtful
                .iter()
                .map(|(id,)| DecisionRow {
                    id: id.clone(),
                    what: "in_doubt",
                    reasons: json(&[Reason::LeaseLost]),
                    versions: "{}".into(),
                })
                .collect();
            if !decisions.is_empty() {
                let rows = batch(&decisions);
                sqlx::query(INSERT_DECISIONS).bind(rows).bind(now_ms).execute(&mut *tx).await?;
                sqlx::query(
                    "UPDATE attempt SET state = 'in_doubt', closed_at_ms = $2
                     WHERE state = 'open' AND notification_id IN
                        (SELECT x.value->>'id' FROM jsonb_each($1) AS x)",
                )
                .bind(ids(doubtful.iter().map(|(id,)| id)))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            }
            let lost: Vec<NotificationRow> = sqlx::query_as(concat!(
                "UPDATE notification SET
                    status = CASE WHEN claims >= $2 THEN 'quarantined' ELSE 'planned' END,
                    reason = CASE WHEN claims >= $2 THEN 'too_many_claims' END,
                    epoch = epoch + 1, owner = NULL, ring_again_at_ms = 0
                 WHERE status = 'claimed' AND lease_until_ms <= $1 RETURNING ",
                notification_columns!()
            ))
            .bind(lost_by)
            .bind(MAX_CLAIMS)
            .fetch_all(&mut *tx)
            .await?;
            let lost = notifications(lost)?;
            let aside = || lost.iter().filter(|n| n.status == Status::Quarantined);
            let tasks: Vec<NewTaskRow> = aside()
                .map(|n| NewTaskRow::not_told(n, "it was taken up five times without being sent"))
                .collect();
            let decisions: Vec<DecisionRow> = aside()
                .map(|n| DecisionRow {
                    id: n.id.to_string(),
                    what: "quarantined",
                    reasons: json(&[Reason::TooManyClaims { claims: n.claims }]),
                    versions: "{}".into(),
                })
                .collect();
            if !decisions.is_empty() {
                let rows = batch(&decisions);
                sqlx::query(INSERT_DECISIONS).bind(rows).bind(now_ms).execute(&mut *tx).await?;
            }
            insert_tasks(tx, &tasks, now_ms).await?;
            Ok((lost.len() as u64, doubtful.len() as u64))
        })
    }

    /// Notifications in doubt whose time to be settled has come.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn doubts_due(&self, now: Instant, limit: i64) -> Result<Vec<InDoubt>> {
        #[derive(FromRow)]
        struct Row {
            #[sqlx(flatten)]
            notification: NotificationRow,
            last_channel: String,
            last_provider: String,
        }
        let rows: Vec<Row> = sqlx::query_as(concat!(
            "SELECT ",
            notification_columns!(),
            ", (SELECT channel FROM attempt WHERE notification_id = notification.id AND no = attempts) AS last_channel,
               (SELECT provider FROM attempt WHERE notification_id = notification.id AND no = attempts) AS last_provider
             FROM notification WHERE status = 'in_doubt' AND next_at_ms <= $1
             ORDER BY next_at_ms LIMIT $2"
        ))
        .bind(now.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(InDoubt {
                    notification: row.notification.try_into()?,
                    channel: parse_channel(&row.last_channel)?,
                    provider: row.last_provider,
                })
            })
            .collect()
    }

    /// Settles a doubt: it becomes `status` (planned for one more attempt, or unknown).
    /// Answers false when something else settled it first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn settle_doubt(
        &self,
        doubt: &Notification,
        status: Status,
        reasons: Vec<Reason>,
        task: Option<&'static str>,
        now: Instant,
    ) -> Result<bool> {
        let doubt = doubt.clone();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let settled = sqlx::query(
                "UPDATE notification SET status = $3, reason = $4, epoch = epoch + 1,
                        next_at_ms = $5, ring_again_at_ms = 0
                 WHERE id = $1 AND status = 'in_doubt' AND epoch = $2",
            )
            .bind(doubt.id.to_string())
            .bind(doubt.epoch)
            .bind(status.as_str())
            .bind(reasons.last().map(Reason::code))
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            if settled.rows_affected() == 0 {
                return Ok(false);
            }
            let decision = DecisionRow {
                id: doubt.id.to_string(),
                what: status.as_str(),
                reasons: json(&reasons),
                versions: "{}".into(),
            };
            sqlx::query(INSERT_DECISIONS)
                .bind(batch([decision]))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            let tasks: Vec<NewTaskRow> =
                task.map(|why| NewTaskRow::not_told(&doubt, why)).into_iter().collect();
            insert_tasks(tx, &tasks, now_ms).await?;
            Ok(true)
        })
    }

    /// Cancels everything planned, with one reason: the end of a played file.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn cancel_planned(&self, reason: Reason, now: Instant) -> Result<u64> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let cancelled: Vec<(String,)> = sqlx::query_as(
                "UPDATE notification SET status = 'cancelled', reason = $1, epoch = epoch + 1
                 WHERE status = 'planned' RETURNING id",
            )
            .bind(reason.code())
            .fetch_all(&mut *tx)
            .await?;
            let reasons = json(&[&reason]);
            let decisions = cancelled.iter().map(|(id,)| DecisionRow {
                id: id.clone(),
                what: "cancelled",
                reasons: reasons.clone(),
                versions: "{}".into(),
            });
            let rows = batch(decisions);
            sqlx::query(INSERT_DECISIONS).bind(rows).bind(now_ms).execute(tx).await?;
            Ok(cancelled.len() as u64)
        })
    }

    /// Rings again what was rung and is still due: for a caller who knows that no ticket is
    /// on its way.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn ring_lost(&self, now: Instant) -> Result<()> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            sqlx::query(
                "UPDATE notification SET ring_again_at_ms = 0
                 WHERE status = 'planned' AND next_at_ms <= $1 AND ring_again_at_ms > $1",
            )
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// Is there anything for the housekeeper: leases run out, doubts to settle, receipts to
    /// apply, events to plan?
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn needs_housekeeping(&self, now: Instant) -> Result<bool> {
        let (needed,): (bool,) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM notification WHERE status IN ('claimed', 'sending') AND lease_until_ms <= $1)
                 OR EXISTS (SELECT 1 FROM notification WHERE status = 'in_doubt' AND next_at_ms <= $1)
                 OR EXISTS (SELECT 1 FROM receipt WHERE applied_at_ms IS NULL)
                 OR EXISTS (SELECT 1 FROM cases WHERE head > planned AND wait_until_ms <= $1)",
        )
        .bind(now.timestamp_millis())
        .fetch_one(&self.readers)
        .await?;
        Ok(needed)
    }
}
