//! How attempts end: closed with what the provider said, or taken back.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use crate::domain::customer::{Address, AddressFault};
use crate::domain::plan::{Created, NewTask};
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, Notification, NotificationId, Reason, Status};

use super::address_faults::{Fault, count_fault};
use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS, insert_created};
use super::quotas::{self, GivenBack};
use super::riders;
use super::row_locks::{Lock, lock};
use super::rows::{json, reference};
use super::sql::Tx;
use super::suppressions::lock_owners;
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, batch, ids, in_tx, query};

// Statements about the rows of one parameter find each by its id. Their status is looked at in a
// CASE, and what stands beside them in a subquery of its own: PostgreSQL takes the rows of a
// status for few, and would else go through all of them for each row of the parameter.

/// A receipt may have come before our own answer: then the attempt already says more.
const CLOSE: &str = "
    UPDATE notification SET
        status = CASE WHEN x.to_status = 'sent' AND EXISTS
                     (SELECT 1 FROM attempt WHERE attempt.notification_id = x.row_id
                        AND attempt.no = x.attempt_no
                        AND CASE attempt.state WHEN 'delivered' THEN true ELSE false END)
                 THEN 'delivered' ELSE x.to_status END,
        reason = x.code, next_at_ms = x.next, failed_channels = x.failed, ring_again_at_ms = 0,
        told_at_ms = COALESCE(x.told, told_at_ms), owner = NULL,
        held = CASE WHEN x.told IS NULL THEN held END
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch,
                 CAST(value->>'no' AS BIGINT) AS attempt_no,
                 value->>'status' AS to_status, value->>'reason' AS code,
                 CAST(value->>'next_at_ms' AS BIGINT) AS next,
                 value->>'failed_channels' AS failed, CAST(value->>'told_at_ms' AS BIGINT) AS told
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.epoch = x.row_epoch
      AND CASE notification.status WHEN 'sending' THEN true ELSE false END
    RETURNING id";

const CLOSE_ATTEMPTS: &str = "
    UPDATE attempt SET state = x.to_state, closed_at_ms = $2, fault = x.faulty,
                       provider_ref = COALESCE(x.ref, provider_ref), detail = x.why
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'no' AS BIGINT) AS row_no,
                 value->>'attempt' AS to_state, value->>'provider_ref' AS ref,
                 value->>'detail' AS why, value->>'fault' = 'true' AS faulty
          FROM jsonb_each($1)) AS x
    WHERE attempt.notification_id = x.row_id AND attempt.no = x.row_no
      AND CASE attempt.state WHEN 'open' THEN true ELSE false END";

const CLOSE_UNSENT: &str = "
    UPDATE attempt SET state = 'not_sent', closed_at_ms = $2,
                       detail = 'the store did not answer in time'
    WHERE CASE state WHEN 'open' THEN true ELSE false END AND notification_id IN
        (SELECT n.id FROM jsonb_each($1) AS x JOIN notification AS n
            ON n.id = x.value->>'id' AND n.epoch = CAST(x.value->>'epoch' AS BIGINT)
          WHERE n.owner = COALESCE($3, n.owner)
            AND CASE n.status WHEN 'sending' THEN true ELSE false END)";

const PLAN_AGAIN: &str = "
    UPDATE notification SET status = 'planned', next_at_ms = $2, ring_again_at_ms = 0,
        claims = 0, owner = NULL, epoch = epoch + 1
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.epoch = x.row_epoch
      AND notification.owner = COALESCE($3, notification.owner)
      AND CASE WHEN notification.status IN ('claimed', 'sending') THEN true ELSE false END";

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
    /// It speaks against the provider, not against this message.
    pub fault: bool,
    pub reasons: Vec<Reason>,
    pub versions: Value,
    pub task: Option<&'static str>,
    /// Work that is not about this customer: a template, credentials, our standing.
    pub alert: Option<NewTask>,
    /// What was said against the address.
    pub suppress: Option<(Channel, Address, AddressFault)>,
    /// Does anything ride in it?
    pub carries: bool,
    /// What is planned because it was told.
    pub followers: Vec<Created>,
    /// What it counted and did not use.
    pub given_back: Option<GivenBack>,
}

impl Closing {
    /// Counts as said: it was handed over, or would have been but for shadow mode.
    fn tells(&self) -> bool {
        self.attempt == AttemptState::Sent || self.status == Status::Sent
    }
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
    /// A word: the two databases read a truth value out of JSON differently.
    fault: &'static str,
}

impl CloseRow {
    fn of(closing: &Closing, now_ms: i64) -> Self {
        Self {
            id: closing.notification.id.to_string(),
            epoch: closing.notification.epoch,
            no: closing.no,
            status: closing.status.as_str(),
            attempt: closing.attempt.as_str(),
            reason: closing.reasons.last().map(Reason::code),
            next_at_ms: closing.next_at.timestamp_millis(),
            failed_channels: json(&closing.failed_channels),
            told_at_ms: closing.tells().then_some(now_ms),
            provider_ref: closing.provider_ref.as_deref().map(reference),
            detail: closing.detail.clone(),
            fault: if closing.fault { "true" } else { "false" },
        }
    }
}

impl Store {
    /// Gives back claims whose opening was not answered. Where an attempt was opened after all
    /// it is closed as not sent: the caller knows that nothing left.
    ///
    /// # Errors
    /// `Unavailable`; nothing changed then.
    pub async fn take_back(&self, claims: &[(NotificationId, i64)], now: Instant) -> Result<()> {
        let (rows, now_ms) = (claim_rows(claims), now.timestamp_millis());
        in_tx!(self, |tx| {
            lock(tx, Lock::Notifications, ids(rows.iter().map(|row| &row.id))).await?;
            riders::release(tx, rows.iter().map(|row| &row.id), now_ms).await?;
            plan_again(tx, &rows, None, now_ms).await
        })
    }

    /// The same for what may have been planned and opened for `owner` in a transaction that was
    /// not answered. The rows may not be there yet: whoever writes them holds their `cases`. What
    /// somebody else planned and claimed under the same names and epochs is theirs.
    ///
    /// # Errors
    /// `Unavailable`; nothing changed then.
    pub async fn take_back_plans(
        &self,
        claims: &[(NotificationId, i64)],
        cases: &[CaseId],
        owner: &str,
        now: Instant,
    ) -> Result<()> {
        let (rows, now_ms) = (claim_rows(claims), now.timestamp_millis());
        let (cases, owner) = (cases.to_vec(), owner.to_owned());
        in_tx!(self, |tx| {
            lock(tx, Lock::Cases, ids(&cases)).await?;
            lock(tx, Lock::Notifications, ids(rows.iter().map(|row| &row.id))).await?;
            plan_again(tx, &rows, Some(&owner), now_ms).await
        })
    }

    /// Records how attempts ended. An attempt that was reaped meanwhile is left in doubt.
    ///
    /// # Errors
    /// `Unavailable`; nothing was recorded then, and the lease makes the rows in doubt.
    pub async fn close_attempts(&self, closings: Vec<Closing>, now: Instant) -> Result<()> {
        let (now_ms, found_for_ms) = (now.timestamp_millis(), self.found_for_ms);
        let rows = batch(closings.iter().map(|closing| CloseRow::of(closing, now_ms)));
        let named = ids(closings.iter().map(|closing| closing.notification.id));
        in_tx!(self, |tx| {
            let suppressed = closings.iter().filter_map(|closing| closing.suppress.as_ref());
            let suppressed: Vec<(Channel, String)> =
                suppressed.map(|(channel, address, _)| (*channel, address.compare_key())).collect();
            quotas::lock_given_back(tx, &closings).await?;
            lock_owners(tx, &suppressed).await?;
            lock(tx, Lock::Notifications, named).await?;
            quotas::give_back(tx, &closings).await?;
            let closed: Vec<(String,)> = query(CLOSE).bind(&rows).fetch_all(&mut *tx).await?;
            let closed: HashSet<String> = closed.into_iter().map(|(id,)| id).collect();
            query(CLOSE_ATTEMPTS).bind(&rows).bind(now_ms).execute(&mut *tx).await?;
            let told = |closing: &&Closing| closing.tells() && closing.carries;
            let unsent = |closing: &&Closing| {
                matches!(closing.status, Status::Planned | Status::Failed)
                    && closed.contains(&closing.notification.id.to_string())
            };
            riders::tell(tx, closings.iter().filter(told).map(|c| c.notification.id), now_ms)
                .await?;
            riders::release(tx, closings.iter().filter(unsent).map(|c| c.notification.id), now_ms)
                .await?;
            facts::notifications(tx, &closed, now_ms).await?;
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
                tasks.extend(closing.alert.as_ref().map(NewTaskRow::of));
                tasks.extend(
                    closing.task.map(|why| NewTaskRow::not_told(&closing.notification, why)),
                );
                if let Some((channel, address, fault)) = closing.suppress {
                    let key = address.compare_key();
                    let counted =
                        Fault { channel, key: &key, what: fault, detail: &closing.detail };
                    count_fault(tx, counted, "provider", (now_ms, found_for_ms)).await?;
                }
                let versions = closing.versions;
                let followers = closing.followers.into_iter();
                follow_ups.extend(followers.map(|created| (created, versions.clone())));
            }
            if !decisions.is_empty() {
                query(INSERT_DECISIONS)
                    .bind(batch(&decisions))
                    .bind(now_ms)
                    .execute(&mut *tx)
                    .await?;
            }
            insert_tasks(tx, &tasks, now_ms).await?;
            insert_created(tx, &follow_ups).await
        })
    }
}

#[derive(Serialize)]
struct ClaimRow {
    id: String,
    epoch: i64,
}

fn claim_rows(claims: &[(NotificationId, i64)]) -> Vec<ClaimRow> {
    claims.iter().map(|(id, epoch)| ClaimRow { id: id.to_string(), epoch: *epoch }).collect()
}

/// Plans claims again; `owner` where only theirs are meant.
async fn plan_again(
    tx: &mut Tx,
    rows: &[ClaimRow],
    owner: Option<&String>,
    now_ms: i64,
) -> Result<()> {
    let rows = batch(rows);
    query(CLOSE_UNSENT).bind(&rows).bind(now_ms).bind(owner.cloned()).execute(&mut *tx).await?;
    query(PLAN_AGAIN).bind(&rows).bind(now_ms).bind(owner.cloned()).execute(tx).await?;
    Ok(())
}
