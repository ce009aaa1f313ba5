//! What is held and by whom: leases, what becomes of the work of a process that is gone, and
//! doubts about a hand-over.

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::domain::customer::Address;
use crate::domain::plan::Created;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Channel, CustomerId, Notification, NotificationId, Reason, Status};

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS, insert_created};
use super::row_locks::{Either, either};
use super::rows::{NotificationRow, json, notification_columns, notifications, parse_channel};
use super::sql::Tx;
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, batch, ids, in_tx, query};

/// How long a claim or an open attempt is held without a sign of life, by its owner, unless
/// the settings say otherwise.
pub const LEASE_MS: i64 = 30_000;

/// Claims without an attempt after which a notification is set aside.
const MAX_CLAIMS: i64 = 5;

pub(super) const RENEW: Either = either!(
    |lock| "
    WITH held AS MATERIALIZED (
        SELECT n.id AS held_id
          FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch
                FROM jsonb_each($1)) AS x
          JOIN notification AS n ON n.id = x.row_id AND n.epoch = x.row_epoch
         WHERE CASE WHEN n.status IN ('claimed', 'sending') THEN n.lease_until_ms > $3
                    ELSE false END ",
    lock,
    ")
    UPDATE notification SET lease_until_ms = $2 FROM held WHERE notification.id = held_id"
);

pub(super) const RING_LOST: Either = either!(
    |lock| "
    WITH rung AS MATERIALIZED (
        SELECT id AS rung_id FROM notification
         WHERE status = 'planned' AND urgency IN (0, 1, 2, 3) AND next_at_ms <= $1
           AND ring_again_at_ms > $1 ",
    lock,
    ")
    UPDATE notification SET ring_again_at_ms = 0 FROM rung WHERE id = rung_id"
);

pub(super) const LEAVE_IN_DOUBT: Either = either!(
    |lock| "
    WITH lost AS MATERIALIZED (
        SELECT id AS lost_id FROM notification
         WHERE status IN ('claimed', 'sending') AND status = 'sending' AND lease_until_ms <= $1 ",
    lock,
    ")
    UPDATE notification SET status = 'in_doubt', reason = 'lease_lost', next_at_ms = $2,
           owner = NULL
    FROM lost WHERE id = lost_id
    RETURNING id"
);

pub(super) const TAKE_BACK: Either = either!(
    |lock| "
    WITH lost AS MATERIALIZED (
        SELECT id AS lost_id FROM notification
         WHERE status IN ('claimed', 'sending') AND status = 'claimed' AND lease_until_ms <= $1 ",
    lock,
    ")
    UPDATE notification SET
        status = CASE WHEN claims >= $2 THEN 'quarantined' ELSE 'planned' END,
        reason = CASE WHEN claims >= $2 THEN 'too_many_claims' END,
        epoch = epoch + 1, owner = NULL, ring_again_at_ms = 0
    FROM lost WHERE id = lost_id
    RETURNING ",
    notification_columns!()
);

/// The case and notice of what rides in a message.
const ABOARD: &str = "
    SELECT case_id, notice FROM notification WHERE carrier = $1 AND status = 'folded'
    ORDER BY case_id, notice";

/// A notification that is in doubt, with its last attempt.
#[derive(Debug, Clone)]
pub struct InDoubt {
    pub notification: Notification,
    pub channel: Channel,
    pub provider: String,
    pub address: Address,
    /// The fingerprint of what was handed over.
    pub body_hash: String,
    pub opened_at: Instant,
}

impl Store {
    /// Renews the leases of claims, each named by its notification and epoch. What is not
    /// renewed is lost: a claim is planned again, an open attempt becomes in doubt.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn renew_leases(&self, claims: &[(NotificationId, i64)], now: Instant) -> Result<()> {
        #[derive(Serialize)]
        struct Row {
            id: String,
            epoch: i64,
        }
        if claims.is_empty() {
            return Ok(());
        }
        let claims =
            batch(claims.iter().map(|(id, epoch)| Row { id: id.to_string(), epoch: *epoch }));
        let now_ms = now.timestamp_millis();
        let (sql, lease_ms) = (self.pick(RENEW), self.lease_ms);
        in_tx!(self, |tx| {
            query(sql).bind(claims).bind(now_ms + lease_ms).bind(now_ms).execute(tx).await?;
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
        let (leave_in_doubt, take_back) = (self.pick(LEAVE_IN_DOUBT), self.pick(TAKE_BACK));
        in_tx!(self, |tx| {
            let doubtful: Vec<(String,)> = query(leave_in_doubt)
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
                query(INSERT_DECISIONS).bind(rows).bind(now_ms).execute(&mut *tx).await?;
                query(
                    "UPDATE attempt SET state = 'in_doubt', closed_at_ms = $2
                     WHERE state = 'open' AND notification_id IN
                        (SELECT x.value->>'id' FROM jsonb_each($1) AS x)",
                )
                .bind(ids(doubtful.iter().map(|(id,)| id)))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            }
            let lost: Vec<NotificationRow> =
                query(take_back).bind(lost_by).bind(MAX_CLAIMS).fetch_all(&mut *tx).await?;
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
                query(INSERT_DECISIONS).bind(rows).bind(now_ms).execute(&mut *tx).await?;
            }
            let ended = doubtful.iter().map(|(id,)| id.clone());
            facts::notifications(tx, ended.chain(aside().map(|n| n.id.to_string())), now_ms)
                .await?;
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
            last_address: String,
            last_hash: String,
            last_opened_ms: i64,
        }
        let rows: Vec<Row> = query(concat!(
            "SELECT ",
            notification_columns!(),
            ", (SELECT channel FROM attempt WHERE notification_id = notification.id AND no = attempts) AS last_channel,
               (SELECT provider FROM attempt WHERE notification_id = notification.id AND no = attempts) AS last_provider,
               (SELECT address FROM attempt WHERE notification_id = notification.id AND no = attempts) AS last_address,
               (SELECT body_hash FROM attempt WHERE notification_id = notification.id AND no = attempts) AS last_hash,
               (SELECT opened_at_ms FROM attempt WHERE notification_id = notification.id AND no = attempts) AS last_opened_ms
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
                    address: Address::stored(row.last_address),
                    body_hash: row.last_hash,
                    opened_at: from_ms(row.last_opened_ms),
                })
            })
            .collect()
    }

    /// Settles a doubt: it becomes `status` (planned for one more attempt, or unknown), and what
    /// follows from that is planned, each with the versions it was planned by. Answers false when
    /// something else settled it first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn settle_doubt(
        &self,
        doubt: &Notification,
        status: Status,
        reasons: Vec<Reason>,
        task: Option<&'static str>,
        followers: Vec<(Created, Value)>,
        now: Instant,
    ) -> Result<bool> {
        let doubt = doubt.clone();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            if !settle_in(tx, &doubt, status, &reasons, task, now_ms).await? {
                return Ok(false);
            }
            insert_created(tx, &followers).await?;
            Ok(true)
        })
    }

    /// Settles a doubt whose provider never heard of the message: the attempt sent nothing, and
    /// it is planned again. Answers false when something else settled it first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn never_taken(
        &self,
        doubt: &Notification,
        reasons: Vec<Reason>,
        now: Instant,
    ) -> Result<bool> {
        let doubt = doubt.clone();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            if !settle_in(tx, &doubt, Status::Planned, &reasons, None, now_ms).await? {
                return Ok(false);
            }
            query(
                "UPDATE attempt SET state = 'not_sent'
                 WHERE notification_id = $1 AND no = $2 AND state = 'in_doubt'",
            )
            .bind(doubt.id.to_string())
            .bind(doubt.attempts)
            .execute(tx)
            .await?;
            Ok(true)
        })
    }

    /// Leaves a doubt as it is until `at`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn ask_again(&self, doubt: &Notification, at: Instant) -> Result<()> {
        let (id, epoch) = (doubt.id.to_string(), doubt.epoch);
        in_tx!(self, |tx| {
            query(
                "UPDATE notification SET next_at_ms = $3
                 WHERE id = $1 AND epoch = $2 AND status = 'in_doubt'",
            )
            .bind(id)
            .bind(epoch)
            .bind(at.timestamp_millis())
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// The providers' own names for what a customer was sent a day before `around` and after.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn references_of(
        &self,
        customer: &CustomerId,
        around: Instant,
    ) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = query(
            "SELECT DISTINCT COALESCE(a.provider_ref, r.provider_ref) FROM notification AS n
             JOIN attempt AS a ON a.notification_id = n.id
             LEFT JOIN receipt AS r ON r.notification_id = a.notification_id AND r.no = a.no
                AND r.provider_ref <> ''
             WHERE n.customer_id = $1 AND a.opened_at_ms >= $2
               AND COALESCE(a.provider_ref, r.provider_ref) IS NOT NULL",
        )
        .bind(customer.as_str())
        .bind((around - chrono::TimeDelta::days(1)).timestamp_millis())
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(reference,)| reference).collect())
    }

    /// Rings again what was rung and is still due: for a caller who knows that no ticket is
    /// on its way.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn ring_lost(&self, now: Instant) -> Result<()> {
        let now_ms = now.timestamp_millis();
        let sql = self.pick(RING_LOST);
        in_tx!(self, |tx| {
            query(sql).bind(now_ms).execute(tx).await?;
            Ok(())
        })
    }

    /// Is there anything for the housekeeper: leases run out, doubts to settle, receipts to
    /// apply, events to plan?
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn needs_housekeeping(&self, now: Instant) -> Result<bool> {
        let (needed,): (bool,) = query(
            "SELECT EXISTS (SELECT 1 FROM notification WHERE status IN ('claimed', 'sending') AND lease_until_ms <= $1)
                 OR EXISTS (SELECT 1 FROM notification WHERE status = 'in_doubt' AND next_at_ms <= $1)
                 OR EXISTS (SELECT 1 FROM receipt WHERE applied_at_ms IS NULL)
                 OR EXISTS (SELECT 1 FROM promise WHERE state = 'open' AND alarm_at_ms <= $1)
                 OR EXISTS (SELECT 1 FROM cases WHERE head > planned AND wait_until_ms <= $1)",
        )
        .bind(now.timestamp_millis())
        .fetch_one(&self.readers)
        .await?;
        Ok(needed)
    }
}

async fn settle_in(
    tx: &mut Tx,
    doubt: &Notification,
    status: Status,
    reasons: &[Reason],
    task: Option<&'static str>,
    now_ms: i64,
) -> Result<bool> {
    let settled = query(
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
    if settled == 0 {
        return Ok(false);
    }
    if status == Status::Planned {
        super::riders::release(tx, [doubt.id].into_iter(), now_ms).await?;
    }
    let decision = DecisionRow {
        id: doubt.id.to_string(),
        what: status.as_str(),
        reasons: json(reasons),
        versions: "{}".into(),
    };
    query(INSERT_DECISIONS).bind(batch([decision])).bind(now_ms).execute(&mut *tx).await?;
    facts::notifications(tx, [doubt.id], now_ms).await?;
    let mut tasks = Vec::new();
    if let Some(why) = task {
        let aboard: Vec<(String, String)> =
            query(ABOARD).bind(doubt.id.to_string()).fetch_all(&mut *tx).await?;
        tasks.push(NewTaskRow::not_told(doubt, why).with(&aboard));
    }
    insert_tasks(tx, &tasks, now_ms).await?;
    Ok(true)
}
