//! Events waiting to be planned, and plans as they are recorded: one transaction each,
//! won by whoever moves `planned` first.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use crate::domain::plan::{Created, NewTask, Plan};
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, NotificationId, Reason};

use super::facts;
use super::opening::{Opened, Opening, write_down};
use super::pending::PendingEvent;
use super::promises::Promises;
use super::quotas;
use super::restored::held_until;
use super::row_locks::{Either, Lock, lock};
use super::rows::{NewNotification, json, parse_id};
use super::sql::Tx;
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, batch, ids, in_tx, query};

/// The plans of one case's next events, in their order.
#[derive(Debug, Clone)]
pub struct PlannedCase {
    pub id: CaseId,
    /// `planned` as it was read.
    pub expected: i64,
    /// The event's number and what it leads to, with the versions of what was read.
    pub plans: Vec<(i64, Plan, Value)>,
    /// The attempt at what one event wants said right away, opened as it is written down.
    pub opening: Option<Opening>,
}

/// What became of plans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The cases that are as planned.
    pub won: HashSet<CaseId>,
    /// What was claimed as it was written, and of which case. What was planned before, such as
    /// something said once per customer, is not: whoever planned it has it.
    pub claimed: HashMap<NotificationId, CaseId>,
    /// Those of them whose attempt is open. Its decision holds: nothing changed that it read.
    pub opened: Vec<Opened>,
}

const MOVE_CASES: &str = "
    UPDATE cases SET planned = x.planned, customer_id = x.customer, body = x.case_body,
                     waiting_for = NULL, wait_until_ms = 0
    FROM (SELECT value->>'id' AS case_key, CAST(value->>'expected' AS BIGINT) AS expected,
                 CAST(value->>'planned' AS BIGINT) AS planned, value->>'customer' AS customer,
                 value->>'body' AS case_body
          FROM jsonb_each($1)) AS x
    WHERE cases.id = x.case_key AND cases.planned = x.expected
    RETURNING id, head";

pub(super) const INSERT_NOTIFICATIONS: &str = "
    INSERT INTO notification (id, case_id, case_type, customer_id, notice, topic, urgency,
        trigger_key, occurrence, event_seq, state, happened_at_ms, collapse, held, escalates, status,
        reason, planned_at_ms, due_at_ms, next_at_ms, expires_at_ms, ring_again_at_ms, failed_channels,
        skipped, version, code, because, versions, keyed, once_customer, epoch, owner,
        lease_until_ms, claims, attempts, on_channel, channel)
    SELECT value->>'id', value->>'case_id', value->>'case_type', value->>'customer_id',
        value->>'notice', value->>'topic', CAST(value->>'urgency' AS BIGINT),
        value->>'trigger_key', CAST(value->>'occurrence' AS BIGINT),
        CAST(value->>'event_seq' AS BIGINT), value->>'state',
        CAST(value->>'happened_at_ms' AS BIGINT), value->>'collapse', value->>'held',
        value->>'escalates', value->>'status', value->>'reason', CAST(value->>'planned_at_ms' AS BIGINT),
        CAST(value->>'due_at_ms' AS BIGINT), CAST(value->>'next_at_ms' AS BIGINT),
        CAST(value->>'expires_at_ms' AS BIGINT), 0,
        value->>'failed_channels', value->>'skipped', value->>'version', value->>'code',
        value->>'because', value->>'versions', CAST(value->>'keyed' AS BOOLEAN),
        CAST(value->>'once_customer' AS BOOLEAN), CAST(value->>'epoch' AS BIGINT),
        value->>'owner', CAST(value->>'lease_until_ms' AS BIGINT),
        CAST(value->>'claims' AS BIGINT), CAST(value->>'attempts' AS BIGINT),
        CAST(value->>'on_channel' AS BIGINT), value->>'channel'
    FROM jsonb_each($1) WHERE true
    ON CONFLICT (id) DO NOTHING
    RETURNING id, case_id";

const SETTLE_PENDING: &str = "
    UPDATE notification SET status = x.to_status, reason = x.code, epoch = epoch + 1
    FROM (SELECT value->>'id' AS row_id, value->>'status' AS to_status, value->>'reason' AS code
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id
      AND CASE WHEN notification.status IN ('planned', 'claimed') THEN true ELSE false END
    RETURNING id";

const MOVE_PENDING: &str = "
    UPDATE notification SET due_at_ms = x.due, next_at_ms = x.next, expires_at_ms = x.expires,
        ring_again_at_ms = 0, status = 'planned', epoch = epoch + 1
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'due' AS BIGINT) AS due,
                 CAST(value->>'next' AS BIGINT) AS next,
                 CAST(value->>'expires' AS BIGINT) AS expires
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id
      AND CASE WHEN notification.status IN ('planned', 'claimed') THEN true ELSE false END
    RETURNING id";

pub(super) const INSERT_DECISIONS: &str = "
    INSERT INTO decision (notification_id, at_ms, what, reasons, versions)
    SELECT value->>'id', $2, value->>'what', value->>'reasons', value->>'versions'
    FROM jsonb_each($1)";

const MARK_EVENTS: &str = "
    UPDATE event SET planned_at_ms = $2, silent = x.silent_code, looked_at = x.looks
    FROM (SELECT CAST(value->>'seq' AS BIGINT) AS event_key, value->>'silent' AS silent_code,
                 value->>'looked_at' AS looks
          FROM jsonb_each($1)) AS x
    WHERE event.seq = x.event_key";

/// Append-only: the last row is the choice in force.
const END_CHOICES: &str = "
    INSERT INTO case_choice (case_id, at_ms, channel, muted, source)
    SELECT x.value->>'id', $2, NULL, false, 'the case began again' FROM jsonb_each($1) AS x
    WHERE true
    ON CONFLICT (case_id, at_ms) DO UPDATE SET channel = NULL, muted = false";

/// Nobody of them is erased, and no consent changes, before the plans are written down. With
/// each, up to when a restore holds back what was due.
const CUSTOMERS: Either = Either {
    sqlite: concat!(
        "SELECT id, erased, revision, ",
        held_until!(),
        " FROM customer WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)"
    ),
    postgres: concat!(
        "SELECT id, erased, revision, ",
        held_until!(),
        " FROM customer WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
          ORDER BY id FOR SHARE"
    ),
};

const FORGET_EVENTS: &str = "
    UPDATE event SET body = '{}', looked_at = NULL
     WHERE customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
       AND planned_at_ms IS NOT NULL AND body <> '{}'";

#[derive(Serialize)]
struct MovedCase<'a> {
    id: &'a str,
    expected: i64,
    planned: i64,
    customer: &'a str,
    body: String,
}

#[derive(Serialize)]
struct SettledRow {
    id: String,
    status: &'static str,
    reason: Option<String>,
}

#[derive(Serialize)]
struct MovedRow {
    id: String,
    due: i64,
    next: i64,
    expires: i64,
}

/// Who claims new notifications as they are written.
#[derive(Debug)]
pub(super) struct Claim {
    ids: HashSet<NotificationId>,
    pub owner: String,
    pub lease_until_ms: i64,
    /// Those whose attempt is opened as well, and by which channel.
    pub open: HashMap<NotificationId, Channel>,
}

/// A decision that led to no attempt.
#[derive(Debug, Serialize)]
pub(super) struct DecisionRow {
    pub id: String,
    pub what: &'static str,
    pub reasons: String,
    pub versions: String,
}

#[derive(Serialize)]
struct EventMark {
    seq: i64,
    silent: Option<String>,
    looked_at: Option<String>,
}

/// What an event was looked at for without leading to a notification.
#[derive(Debug, Clone, Default, PartialEq, Serialize, serde::Deserialize)]
pub struct LookedAt {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<Reason>,
    /// Notice id and why it was not said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<(String, Reason)>,
}

impl Store {
    /// Records the plans of up to 500 events in one transaction. Answers which cases were
    /// won; a case whose `planned` moved meanwhile is left for its reader to plan again.
    /// The notifications in `claim` are claimed by `owner` in the same breath, for the caller
    /// to dispatch; those with an [opening](PlannedCase::opening) that still holds are opened,
    /// for the caller to hand over.
    ///
    /// # Errors
    /// `Unavailable`; nothing was recorded then.
    pub async fn record_plans(
        &self,
        cases: Vec<PlannedCase>,
        claim: HashSet<NotificationId>,
        owner: &str,
        now: Instant,
    ) -> Result<Recorded> {
        let now_ms = now.timestamp_millis();
        let mut claim = Claim {
            ids: claim,
            owner: owner.to_owned(),
            lease_until_ms: now_ms + self.lease_ms,
            open: HashMap::new(),
        };
        let customers = self.pick(CUSTOMERS);
        let last = |case: &PlannedCase| case.plans.last().map(|(_, plan, _)| json(&plan.case));
        let bodies: Vec<Option<String>> = cases.iter().map(last).collect();
        in_tx!(self, |tx| {
            // A later event of the same case may have changed what the first wanted said.
            let of_one_event = || cases.iter().filter(|case| case.plans.len() == 1);
            let openings = || of_one_event().filter_map(|case| case.opening.as_ref());
            quotas::lock_counts(tx, openings()).await?;
            // Whoever was erased since the plan was made is not written down again.
            let named = cases.iter().flat_map(|case| &case.plans);
            let named = ids(named.map(|(_, plan, _)| &plan.case.customer));
            let named: Vec<(String, bool, i64, i64)> =
                query(customers).bind(named).fetch_all(&mut *tx).await?;
            // An event sent again after a restore may have been told before it.
            let held_until_ms =
                named.first().map_or(i64::MAX, |(.., held_until_ms)| *held_until_ms);
            for created in cases.iter().flat_map(|case| &case.plans).flat_map(|p| &p.1.create) {
                if created.notification.due_at.timestamp_millis() <= held_until_ms {
                    claim.ids.remove(&created.notification.id);
                }
            }
            let (gone, here): (Vec<_>, Vec<_>) = named.into_iter().partition(|(_, gone, ..)| *gone);
            let erased: HashSet<String> = gone.into_iter().map(|(id, ..)| id).collect();
            let revisions: HashMap<String, i64> =
                here.into_iter().map(|(id, _, revision, _)| (id, revision)).collect();
            lock(tx, Lock::Cases, ids(cases.iter().map(|case| &case.id))).await?;
            let moved = cases.iter().zip(bodies).filter_map(|(case, body)| {
                let (_, last, _) = case.plans.last()?;
                let mut body = body?;
                if erased.contains(last.case.customer.as_str()) {
                    let mut nameless = last.case.clone();
                    nameless.facts.clear();
                    body = json(&nameless);
                }
                Some(MovedCase {
                    id: case.id.as_str(),
                    expected: case.expected,
                    planned: last.case.revision,
                    customer: last.case.customer.as_str(),
                    body,
                })
            });
            let heads: Vec<(String, i64)> =
                query(MOVE_CASES).bind(batch(moved)).fetch_all(&mut *tx).await?;
            let heads: HashMap<String, i64> = heads.into_iter().collect();
            let unchanged = |opening: &&Opening| {
                claim.ids.contains(&opening.id)
                    && heads.get(opening.case.as_str()) == Some(&opening.case_revision)
                    && revisions.get(opening.customer.as_str()) == Some(&opening.customer_revision)
            };
            let fit = quotas::that_fit(tx, openings().filter(unchanged).collect(), now).await?;
            claim.open = fit.iter().map(|opening| (opening.id, opening.channel)).collect();
            let won: HashSet<CaseId> = heads.into_keys().map(CaseId).collect();
            let mut writes = Writes::default();
            for case in cases.iter().filter(|case| won.contains(&case.id)) {
                for (seq, plan, versions) in &case.plans {
                    writes.add(*seq, plan, versions, &claim);
                }
            }
            let claimed = writes.write(tx, now_ms, &claim).await?;
            let first = |opening: &Opening| Opened { id: opening.id, no: 1, on_channel: 1 };
            let opened: Vec<(&Opening, Opened)> = fit
                .into_iter()
                .filter(|opening| claimed.contains_key(&opening.id))
                .map(|opening| (opening, first(opening)))
                .collect();
            write_down(tx, &opened, now).await?;
            let opened = opened.into_iter().map(|(_, opened)| opened).collect();
            if !erased.is_empty() {
                let erased = ids(&erased);
                query(FORGET_EVENTS).bind(erased).execute(tx).await?;
            }
            Ok(Recorded { won, claimed, opened })
        })
    }

    /// Notes that a case waits for a customer nobody told us about, and asks a person to
    /// look once the wait is over.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn wait_for_customer(
        &self,
        case: &CaseId,
        event: &PendingEvent,
        until: Instant,
        task: Option<NewTask>,
        now: Instant,
    ) -> Result<()> {
        let (case, seq, customer) = (case.clone(), event.seq, event.event.customer.clone());
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            // Who arrived since the events were read is not waited for.
            lock(tx, Lock::CustomerNames, ids([&customer])).await?;
            let waits = query(
                "UPDATE cases SET waiting_for = $2, wait_until_ms = $3
                 WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM customer WHERE customer.id = $2)",
            )
            .bind(case.as_str())
            .bind(customer.as_str())
            .bind(until.timestamp_millis())
            .execute(&mut *tx)
            .await?;
            if waits == 0 {
                return Ok(());
            }
            if let Some(task) = task {
                let row = NewTaskRow {
                    event_seq: Some(seq),
                    case_id: Some(case.0),
                    customer_id: Some(customer.0),
                    ..NewTaskRow::of(&task)
                };
                insert_tasks(tx, &[row], now_ms).await?;
            }
            Ok(())
        })
    }
}

/// The rows one batch of plans writes, gathered so that each table is written once.
#[derive(Default)]
struct Writes {
    created: Vec<NewNotification>,
    settled: Vec<SettledRow>,
    moved: Vec<MovedRow>,
    decisions: Vec<DecisionRow>,
    events: Vec<EventMark>,
    tasks: Vec<NewTaskRow>,
    promises: Promises,
    /// Cases whose choice ended with them.
    choice_ends: Vec<String>,
}

impl Writes {
    fn add(&mut self, seq: i64, plan: &Plan, versions: &Value, claim: &Claim) {
        for created in &plan.create {
            let claimed = claim.ids.contains(&created.notification.id).then_some(claim);
            self.created.push(NewNotification::new(created, versions, claimed));
            if let Some(why) = created.task {
                self.tasks.push(NewTaskRow::not_told(&created.notification, why));
            }
        }
        for settled in &plan.settle {
            // A row that was made and settled in one batch must be there when it is settled:
            // the statements run in this order.
            self.settled.push(SettledRow {
                id: settled.id.to_string(),
                status: settled.status.as_str(),
                reason: settled.reasons.last().map(Reason::code),
            });
            self.decisions.push(DecisionRow {
                id: settled.id.to_string(),
                what: settled.status.as_str(),
                reasons: json(&settled.reasons),
                versions: versions.to_string(),
            });
        }
        for moved in &plan.moved {
            self.moved.push(MovedRow {
                id: moved.id.to_string(),
                due: moved.due_at.timestamp_millis(),
                next: moved.next_at.timestamp_millis(),
                expires: moved.expires_at.timestamp_millis(),
            });
            self.decisions.push(DecisionRow {
                id: moved.id.to_string(),
                what: "moved",
                reasons: json(&moved.reasons),
                versions: versions.to_string(),
            });
        }
        self.promises.add(plan);
        if plan.choice_ends {
            self.choice_ends.push(plan.case.id.0.clone());
        }
        let looked_at = LookedAt { silent: plan.silent.clone(), skipped: plan.skipped.clone() };
        self.events.push(EventMark {
            seq,
            silent: plan.silent.as_ref().map(Reason::code),
            looked_at: (looked_at != LookedAt::default()).then(|| json(&looked_at)),
        });
        if let Some(task) = &plan.task {
            // Not tied to the event: it is silent, and the task is one per case type and state.
            self.tasks.push(NewTaskRow {
                case_id: Some(plan.case.id.0.clone()),
                customer_id: Some(plan.case.customer.0.clone()),
                ..NewTaskRow::of(task)
            });
        }
    }

    /// Answers what was claimed by being written.
    async fn write(
        mut self,
        tx: &mut Tx,
        now_ms: i64,
        claim: &Claim,
    ) -> Result<HashMap<NotificationId, CaseId>> {
        let mut claimed = HashMap::new();
        let mut ended = Vec::new();
        if !self.created.is_empty() {
            // What is said once per customer may be planned for two cases at once: by id, so
            // that no two planners wait for each other.
            self.created.sort_by(|a, b| a.id().cmp(b.id()));
            let written: Vec<(String, String)> =
                query(INSERT_NOTIFICATIONS).bind(batch(&self.created)).fetch_all(&mut *tx).await?;
            for (id, case) in written {
                ended.push(id.clone());
                let id = parse_id(&id)?;
                if claim.ids.contains(&id) {
                    claimed.insert(id, CaseId(case));
                }
            }
        }
        let touched = self.moved.iter().map(|row| &row.id);
        let touched = touched.chain(self.settled.iter().map(|row| &row.id));
        if !self.moved.is_empty() || !self.settled.is_empty() {
            lock(tx, Lock::Notifications, ids(touched)).await?;
        }
        if !self.moved.is_empty() {
            query(MOVE_PENDING).bind(batch(&self.moved)).execute(&mut *tx).await?;
        }
        if !self.settled.is_empty() {
            let settled: Vec<(String,)> =
                query(SETTLE_PENDING).bind(batch(&self.settled)).fetch_all(&mut *tx).await?;
            ended.extend(settled.into_iter().map(|(id,)| id));
        }
        facts::notifications(tx, ended, now_ms).await?;
        if !self.decisions.is_empty() {
            query(INSERT_DECISIONS)
                .bind(batch(&self.decisions))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
        }
        if !self.events.is_empty() {
            query(MARK_EVENTS).bind(batch(&self.events)).bind(now_ms).execute(&mut *tx).await?;
        }
        insert_tasks(tx, &self.tasks, now_ms).await?;
        self.promises.write(tx, now_ms).await?;
        if !self.choice_ends.is_empty() {
            query(END_CHOICES).bind(ids(&self.choice_ends)).bind(now_ms).execute(tx).await?;
        }
        Ok(claimed)
    }
}

/// The words of a case that nothing but time brings, as far along as these or further, that are
/// still to be said.
pub(super) const WATCHED: &str = "
    SELECT DISTINCT x.value->>'id' FROM jsonb_each($1) AS x
    JOIN notification AS n ON n.case_id = x.value->>'case_id'
     AND n.notice = x.value->>'notice' AND n.customer_id = x.value->>'customer_id'
    WHERE n.status IN ('planned', 'claimed', 'sending', 'in_doubt') AND n.escalates IS NULL
      AND n.occurrence >= CAST(x.value->>'occurrence' AS BIGINT) AND n.id <> x.value->>'id'";

/// New notifications that no event planned: the next of a repeat, of a watch. A case is watched
/// by one word of each notice, whichever message it follows from.
pub(super) async fn insert_created(tx: &mut Tx, created: &[(Created, Value)]) -> Result<()> {
    if created.is_empty() {
        return Ok(());
    }
    let row =
        |(created, versions): &(Created, Value)| NewNotification::new(created, versions, None);
    let is_watch = |(created, _): &&(Created, Value)| created.notification.is_watch();
    let watches: Vec<NewNotification> = created.iter().filter(is_watch).map(row).collect();
    let watched: HashSet<String> = if watches.is_empty() {
        HashSet::new()
    } else {
        let found: Vec<(String,)> = query(WATCHED).bind(batch(watches)).fetch_all(&mut *tx).await?;
        found.into_iter().map(|(id,)| id).collect()
    };
    let rows = created.iter().map(row).filter(|row| !watched.contains(row.id()));
    query(INSERT_NOTIFICATIONS).bind(batch(rows)).execute(tx).await?;
    Ok(())
}
