//! Events waiting to be planned, and plans as they are recorded: one transaction each,
//! won by whoever moves `planned` first.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::domain::plan::{Created, NewTask, Plan};
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Case, CaseEvent, CaseId, CustomerId, Notification, Reason};

use super::rows::{NewNotification, NotificationRow, json, notification_columns, notifications};
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, batch, ids, in_tx};

/// A case with events to plan, and what planning needs to know of it.
#[derive(Debug, Clone)]
pub struct PendingCase {
    pub id: CaseId,
    /// How many events were planned: what `record_plans` compares.
    pub planned: i64,
    pub case: Option<Case>,
    /// In their order; events of one case are planned one after the other.
    pub events: Vec<PendingEvent>,
    pub notifications: Vec<Notification>,
}

#[derive(Debug, Clone)]
pub struct PendingEvent {
    pub seq: i64,
    pub accepted_at: Instant,
    pub event: CaseEvent,
}

/// The plans of one case's next events, in their order.
#[derive(Debug, Clone)]
pub struct PlannedCase {
    pub id: CaseId,
    /// `planned` as it was read.
    pub expected: i64,
    /// The event's number and what it leads to, with the versions of what was read.
    pub plans: Vec<(i64, Plan, Value)>,
}

#[derive(FromRow)]
struct CaseRow {
    id: String,
    planned: i64,
    body: Option<String>,
}

#[derive(FromRow)]
struct EventRow {
    seq: i64,
    case_id: String,
    accepted_at_ms: i64,
    body: String,
}

/// The most events of one case planned in one go.
const MAX_EVENTS_PER_CASE: i64 = 100;

const SELECT_CASES: &str = "
    SELECT c.id, c.planned, c.body
    FROM jsonb_each($1) AS x JOIN cases AS c ON c.id = x.value->>'id'
    WHERE c.head > c.planned";

const SELECT_EVENTS: &str = "
    SELECT e.seq, e.case_id, e.accepted_at_ms, e.body
    FROM jsonb_each($1) AS x JOIN cases AS c ON c.id = x.value->>'id'
    JOIN event AS e ON e.case_id = c.id AND e.ordinal > c.planned AND e.ordinal <= c.planned + $2
    ORDER BY e.case_id, e.ordinal";

const SELECT_OF_CASES: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification WHERE case_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
        AND (status IN ('planned', 'claimed', 'sending', 'in_doubt') OR keyed)
      ORDER BY case_id, occurrence, id"
);

const SELECT_ONCE: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification WHERE once_customer
        AND customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
      ORDER BY customer_id, occurrence, id"
);

const MOVE_CASES: &str = "
    UPDATE cases SET planned = x.planned, customer_id = x.customer, body = x.case_body,
                     waiting_for = NULL, wait_until_ms = 0
    FROM (SELECT value->>'id' AS case_key, CAST(value->>'expected' AS BIGINT) AS expected,
                 CAST(value->>'planned' AS BIGINT) AS planned, value->>'customer' AS customer,
                 value->>'body' AS case_body
          FROM jsonb_each($1)) AS x
    WHERE cases.id = x.case_key AND cases.planned = x.expected
    RETURNING id";

pub(super) const INSERT_NOTIFICATIONS: &str = "
    INSERT INTO notification (id, case_id, case_type, customer_id, notice, topic, urgency,
        trigger_key, occurrence, event_seq, state, happened_at_ms, collapse, status, reason,
        planned_at_ms, due_at_ms, next_at_ms, expires_at_ms, ring_again_at_ms, failed_channels,
        skipped, version, code, because, versions, keyed, once_customer, epoch, lease_until_ms,
        claims, attempts, on_channel)
    SELECT value->>'id', value->>'case_id', value->>'case_type', value->>'customer_id',
        value->>'notice', value->>'topic', CAST(value->>'urgency' AS BIGINT),
        value->>'trigger_key', CAST(value->>'occurrence' AS BIGINT),
        CAST(value->>'event_seq' AS BIGINT), value->>'state',
        CAST(value->>'happened_at_ms' AS BIGINT), value->>'collapse', value->>'status',
        value->>'reason', CAST(value->>'planned_at_ms' AS BIGINT),
        CAST(value->>'due_at_ms' AS BIGINT), CAST(value->>'next_at_ms' AS BIGINT),
        CAST(value->>'expires_at_ms' AS BIGINT), CAST(value->>'ring_again_at_ms' AS BIGINT),
        value->>'failed_channels', value->>'skipped', value->>'version', value->>'code',
        value->>'because', value->>'versions', CAST(value->>'keyed' AS BOOLEAN),
        CAST(value->>'once_customer' AS BOOLEAN), 0, 0, 0, 0, 0
    FROM jsonb_each($1) WHERE true
    ON CONFLICT (id) DO NOTHING
    RETURNING id";

const SETTLE_PENDING: &str = "
    UPDATE notification SET status = x.to_status, reason = x.code, epoch = epoch + 1
    FROM (SELECT value->>'id' AS row_id, value->>'status' AS to_status, value->>'reason' AS code
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.status IN ('planned', 'claimed')
    RETURNING id";

const MOVE_PENDING: &str = "
    UPDATE notification SET due_at_ms = x.due, next_at_ms = x.next, expires_at_ms = x.expires,
        ring_again_at_ms = 0, status = 'planned', epoch = epoch + 1
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'due' AS BIGINT) AS due,
                 CAST(value->>'next' AS BIGINT) AS next,
                 CAST(value->>'expires' AS BIGINT) AS expires
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.status IN ('planned', 'claimed')
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
    /// The next event of each case that has one to plan at `now`, longest waiting first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn unplanned_events(&self, now: Instant, limit: i64) -> Result<Vec<i64>> {
        let rows: Vec<(i64,)> = sqlx::query_as(
            "SELECT e.seq FROM cases AS c
             JOIN event AS e ON e.case_id = c.id AND e.ordinal = c.planned + 1
             WHERE c.head > c.planned AND c.wait_until_ms <= $1
             ORDER BY c.wait_until_ms LIMIT $2",
        )
        .bind(now.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(seq,)| seq).collect())
    }

    /// Cases as they stand, with how many events were accepted for each. Cases of which
    /// nothing is planned yet are left out.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn cases(
        &self,
        wanted: impl IntoIterator<Item = &CaseId>,
    ) -> Result<HashMap<CaseId, (Case, i64)>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT c.body, c.head FROM jsonb_each($1) AS x
             JOIN cases AS c ON c.id = x.value->>'id' WHERE c.body IS NOT NULL",
        )
        .bind(ids(wanted))
        .fetch_all(&self.readers)
        .await?;
        let mut cases = HashMap::with_capacity(rows.len());
        for (body, head) in rows {
            let case: Case = serde_json::from_str(&body)?;
            cases.insert(case.id.clone(), (case, head));
        }
        Ok(cases)
    }

    /// The cases of these events that still have something to plan.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn cases_of_events(&self, seqs: &[i64]) -> Result<Vec<CaseId>> {
        #[derive(Serialize)]
        struct Seq {
            seq: i64,
        }
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT e.case_id
             FROM jsonb_each($1) AS x
             JOIN event AS e ON e.seq = CAST(x.value->>'seq' AS BIGINT)
             JOIN cases AS c ON c.id = e.case_id
             WHERE c.head > c.planned",
        )
        .bind(batch(seqs.iter().map(|seq| Seq { seq: *seq })))
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(id,)| CaseId(id)).collect())
    }

    /// Reads what planning needs of these cases. Cases with nothing to plan are left out.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn pending_cases(&self, wanted: &[CaseId]) -> Result<Vec<PendingCase>> {
        let mut tx = self.readers.begin().await?; // one snapshot for all reads
        let wanted = ids(wanted);
        let cases: Vec<CaseRow> =
            sqlx::query_as(SELECT_CASES).bind(&wanted).fetch_all(&mut *tx).await?;
        let events: Vec<EventRow> = sqlx::query_as(SELECT_EVENTS)
            .bind(&wanted)
            .bind(MAX_EVENTS_PER_CASE)
            .fetch_all(&mut *tx)
            .await?;
        let of_cases: Vec<NotificationRow> =
            sqlx::query_as(SELECT_OF_CASES).bind(&wanted).fetch_all(&mut *tx).await?;
        let mut pending: BTreeMap<String, PendingCase> = BTreeMap::new();
        for row in cases {
            let case = row.body.as_deref().map(serde_json::from_str).transpose()?;
            let id = CaseId(row.id.clone());
            let (planned, events, notifications) = (row.planned, Vec::new(), Vec::new());
            pending.insert(row.id, PendingCase { id, planned, case, events, notifications });
        }
        let mut customers: HashSet<CustomerId> = HashSet::new();
        for row in events {
            let event: CaseEvent = serde_json::from_str(&row.body)?;
            customers.insert(event.customer.clone());
            if let Some(case) = pending.get_mut(&row.case_id) {
                let accepted_at = from_ms(row.accepted_at_ms);
                case.events.push(PendingEvent { seq: row.seq, accepted_at, event });
            }
        }
        let mut of_customers: HashMap<CustomerId, Vec<Notification>> = HashMap::new();
        let once: Vec<NotificationRow> =
            sqlx::query_as(SELECT_ONCE).bind(ids(&customers)).fetch_all(&mut *tx).await?;
        for notification in notifications(once)? {
            of_customers.entry(notification.customer.clone()).or_default().push(notification);
        }
        for notification in notifications(of_cases)? {
            if let Some(case) = pending.get_mut(notification.case.as_str()) {
                case.notifications.push(notification);
            }
        }
        for case in pending.values_mut() {
            let named: HashSet<&CustomerId> =
                case.events.iter().map(|event| &event.event.customer).collect();
            for elsewhere in named.into_iter().filter_map(|id| of_customers.get(id)).flatten() {
                if !case.notifications.iter().any(|known| known.id == elsewhere.id) {
                    case.notifications.push(elsewhere.clone());
                }
            }
        }
        Ok(pending.into_values().filter(|case| !case.events.is_empty()).collect())
    }

    /// Records the plans of up to 500 events in one transaction. Answers which cases were
    /// won; a case whose `planned` moved meanwhile is left for its reader to plan again.
    /// Notifications due by `now` are marked as rung, for the caller to dispatch.
    ///
    /// # Errors
    /// `Unavailable`; nothing was recorded then.
    pub async fn record_plans(
        &self,
        cases: Vec<PlannedCase>,
        now: Instant,
        ring_again_at: Instant,
    ) -> Result<HashSet<CaseId>> {
        let (now_ms, ring_again_ms) = (now.timestamp_millis(), ring_again_at.timestamp_millis());
        in_tx!(self, |tx| {
            let moved = cases.iter().filter_map(|case| {
                let (_, last, _) = case.plans.last()?;
                Some(MovedCase {
                    id: case.id.as_str(),
                    expected: case.expected,
                    planned: last.case.revision,
                    customer: last.case.customer.as_str(),
                    body: json(&last.case),
                })
            });
            let won: Vec<(String,)> =
                sqlx::query_as(MOVE_CASES).bind(batch(moved)).fetch_all(&mut *tx).await?;
            let won: HashSet<CaseId> = won.into_iter().map(|(id,)| CaseId(id)).collect();
            let mut writes = Writes::default();
            for case in cases.iter().filter(|case| won.contains(&case.id)) {
                for (seq, plan, versions) in &case.plans {
                    writes.add(*seq, plan, versions, ring_again_ms);
                }
            }
            writes.write(tx, now_ms).await?;
            Ok(won)
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
            sqlx::query("UPDATE cases SET waiting_for = $2, wait_until_ms = $3 WHERE id = $1")
                .bind(case.as_str())
                .bind(customer.as_str())
                .bind(until.timestamp_millis())
                .execute(&mut *tx)
                .await?;
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
}

impl Writes {
    fn add(&mut self, seq: i64, plan: &Plan, versions: &Value, ring_again_ms: i64) {
        for created in &plan.create {
            self.created.push(NewNotification::new(created, versions, ring_again_ms));
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

    async fn write(self, tx: &mut sqlx::SqliteConnection, now_ms: i64) -> Result<()> {
        if !self.created.is_empty() {
            sqlx::query(INSERT_NOTIFICATIONS).bind(batch(&self.created)).execute(&mut *tx).await?;
        }
        if !self.moved.is_empty() {
            sqlx::query(MOVE_PENDING).bind(batch(&self.moved)).execute(&mut *tx).await?;
        }
        if !self.settled.is_empty() {
            sqlx::query(SETTLE_PENDING).bind(batch(&self.settled)).execute(&mut *tx).await?;
        }
        if !self.decisions.is_empty() {
            sqlx::query(INSERT_DECISIONS)
                .bind(batch(&self.decisions))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
        }
        if !self.events.is_empty() {
            sqlx::query(MARK_EVENTS)
                .bind(batch(&self.events))
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
        }
        insert_tasks(tx, &self.tasks, now_ms).await
    }
}

/// New notifications that no event planned: the next of a repeat.
pub(super) async fn insert_created(
    tx: &mut sqlx::SqliteConnection,
    created: &[(Created, Value)],
) -> Result<()> {
    if created.is_empty() {
        return Ok(());
    }
    let rows = created.iter().map(|(created, versions)| NewNotification::new(created, versions, 0));
    sqlx::query(INSERT_NOTIFICATIONS).bind(batch(rows)).execute(tx).await?;
    Ok(())
}
