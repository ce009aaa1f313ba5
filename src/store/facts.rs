//! Facts that other systems are told by webhook, each noted in the transaction that makes it
//! true, with a delivery for every hook that wants it. Without hooks nothing is done here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::FromRow;
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::case::{OWN_SOURCE, WROTE};
use crate::domain::plan::Promise;
use crate::domain::time::from_ms;
use crate::domain::webhook::{
    AT_RISK, CALLBACK, CSAT, NOTIFICATION, Outbound, PREFERENCE, REPLIED, SURVEY, TASK, TOLD,
};
use crate::domain::{CaseEvent, Status};

use super::callbacks::Wish;
use super::consent::Act;
use super::sql::Tx;
use super::{Result, Store, batch, ids, query};

/// The longest text of a task that is told, in characters.
const MAX_DETAIL: usize = 2_000;

/// What the ids of facts are derived in.
const FACTS: Uuid = Uuid::from_u128(0x7b1d_94c2_30a6_4f5e_9c0e_51f2_a8d3_6b47);

/// Where facts are noted, once somebody said which are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts(Arc<OnceLock<Wanted>>);

#[derive(Debug)]
struct Wanted {
    outbound: Outbound,
    /// How many were noted, committed or not.
    noted: AtomicU64,
    /// Changes once some of them are committed.
    bell: watch::Sender<u64>,
}

impl Facts {
    /// A number that grows with every fact.
    pub fn noted(&self) -> u64 {
        self.0.get().map_or(0, |wanted| wanted.noted.load(Ordering::SeqCst))
    }

    pub fn ring(&self) {
        if let Some(wanted) = self.0.get() {
            wanted.bell.send_modify(|rung| *rung += 1);
        }
    }

    /// What is wanted, if anything of this kind is.
    fn wanted(&self, is: impl FnOnce(&Outbound) -> bool) -> Option<&Wanted> {
        self.0.get().filter(|wanted| is(&wanted.outbound))
    }
}

impl Store {
    /// The same store, which notes from now on what these hooks want. The first word counts,
    /// for every clone.
    #[must_use]
    pub fn with_outbound(self, outbound: Outbound) -> Self {
        if !outbound.hooks.is_empty() {
            let (bell, _) = watch::channel(0);
            let wanted = Wanted { outbound, noted: AtomicU64::new(0), bell };
            let _ = self.writer.facts().0.set(wanted);
        }
        self
    }

    /// Changes whenever this process committed a fact that some hook wants; closed when none
    /// wants anything.
    #[must_use]
    pub fn facts_noted(&self) -> watch::Receiver<u64> {
        match self.writer.facts().0.get() {
            Some(wanted) => wanted.bell.subscribe(),
            None => watch::channel(0).1,
        }
    }
}

/// A fact to be noted.
struct Fact {
    /// What makes it this fact and no other, in this installation and elsewhere.
    key: String,
    kind: String,
    case: Option<String>,
    customer: Option<String>,
    data: Value,
}

const INSERT_EVENTS: &str = "
    INSERT INTO webhook_event (id, kind, occurred_at_ms, case_id, customer_id, data)
    SELECT value->>'id', value->>'kind', $2, value->>'case_id', value->>'customer_id',
           value->>'data'
    FROM jsonb_each($1) WHERE true
    ON CONFLICT (id) DO NOTHING
    RETURNING seq, kind";

const INSERT_DELIVERIES: &str = "
    INSERT INTO webhook_delivery (event_seq, hook, status, attempts, next_at_ms, epoch)
    SELECT CAST(value->>'event_seq' AS BIGINT), value->>'hook', 'pending', 0, $2, 0
    FROM jsonb_each($1)";

#[derive(Serialize)]
struct EventRow {
    id: String,
    kind: String,
    case_id: Option<String>,
    customer_id: Option<String>,
    data: String,
}

#[derive(Serialize)]
struct DeliveryRow {
    event_seq: i64,
    hook: String,
}

/// Notes facts, with a delivery for each hook that wants them. Nothing is locked that others
/// wait for: ids belong to one fact.
async fn note(tx: &mut Tx, facts: Vec<Fact>, now_ms: i64) -> Result<()> {
    let slot = tx.facts().clone();
    let Some(wanted) = slot.0.get() else { return Ok(()) };
    let wants = |fact: &Fact| wanted.outbound.wants(&fact.kind);
    let rows: Vec<EventRow> = facts
        .into_iter()
        .filter(wants)
        .map(|fact| EventRow {
            id: format!("msg_{}", Uuid::new_v5(&FACTS, fact.key.as_bytes()).simple()),
            kind: fact.kind,
            case_id: fact.case,
            customer_id: fact.customer,
            data: fact.data.to_string(),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let noted: Vec<(i64, String)> =
        query(INSERT_EVENTS).bind(batch(rows)).bind(now_ms).fetch_all(&mut *tx).await?;
    let deliveries = noted.iter().flat_map(|(event_seq, kind)| {
        wanted
            .outbound
            .hooks_for(kind)
            .map(|hook| DeliveryRow { event_seq: *event_seq, hook: hook.to_owned() })
    });
    let deliveries = batch(deliveries.collect::<Vec<_>>());
    query(INSERT_DELIVERIES).bind(deliveries).bind(now_ms).execute(tx).await?;
    wanted.noted.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

#[derive(FromRow)]
struct Stood {
    id: String,
    case_id: String,
    case_type: String,
    customer_id: String,
    notice: String,
    topic: String,
    status: String,
    reason: Option<String>,
    channel: Option<String>,
    planned_at_ms: i64,
    epoch: i64,
    attempts: i64,
    carrier: Option<String>,
}

const STOOD: &str = "
    SELECT id, case_id, case_type, customer_id, notice, topic, status, reason, channel,
           planned_at_ms, epoch, attempts, carrier
    FROM notification WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id";

/// Notes what became of notifications that this transaction has just moved. What is planned,
/// claimed or on its way is not told.
pub(super) fn notifications(
    tx: &mut Tx,
    moved: impl IntoIterator<Item = impl std::fmt::Display>,
    now_ms: i64,
) -> BoxFuture<'_, Result<()>> {
    if tx.facts().wanted(Outbound::wants_notifications).is_none() {
        return Box::pin(std::future::ready(Ok(())));
    }
    let moved: Vec<String> = moved.into_iter().map(|id| id.to_string()).collect();
    Box::pin(stood(tx, moved, None, now_ms))
}

/// Notes that a message came back, whatever its notification does next.
pub(super) async fn undelivered(tx: &mut Tx, id: &str, now_ms: i64) -> Result<()> {
    stood(tx, vec![id.to_owned()], Some(Status::Undelivered), now_ms).await
}

async fn stood(
    tx: &mut Tx,
    moved: Vec<String>,
    as_status: Option<Status>,
    now_ms: i64,
) -> Result<()> {
    let slot = tx.facts().clone();
    let Some(wanted) = slot.wanted(Outbound::wants_notifications) else { return Ok(()) };
    if moved.is_empty() {
        return Ok(());
    }
    let rows: Vec<Stood> = query(STOOD).bind(ids(moved)).fetch_all(&mut *tx).await?;
    let told = rows.into_iter().filter_map(|row| {
        let status = as_status.or_else(|| Status::from_name(&row.status))?;
        TOLD.contains(&status).then(|| of_notification(row, status, &wanted.outbound.public_url))
    });
    let told = told.collect();
    note(tx, told, now_ms).await
}

fn of_notification(row: Stood, status: Status, public_url: &str) -> Fact {
    let status = status.as_str();
    Fact {
        key: format!(
            "notification/{}/{}/{status}/{}/{}",
            row.id, row.planned_at_ms, row.epoch, row.attempts
        ),
        kind: format!("{NOTIFICATION}{status}"),
        data: json!({
            "case": row.case_id,
            "case_type": row.case_type,
            "customer": row.customer_id,
            "notification": row.id,
            "message": format!("{}/{}", row.case_type, row.notice),
            "topic": row.topic,
            "channel": row.channel,
            "status": status,
            "reason": row.reason,
            "attempts": row.attempts,
            "rides_in": row.carrier,
            "explain": format!("{public_url}/v1/notifications/{}", row.id),
        }),
        case: Some(row.case_id),
        customer: Some(row.customer_id),
    }
}

/// A task that has just been opened.
#[derive(Debug, FromRow)]
pub(super) struct OpenedTask {
    pub seq: i64,
    pub kind: String,
    pub detail: String,
    pub notification_id: Option<String>,
    pub case_id: Option<String>,
    pub customer_id: Option<String>,
}

/// Notes tasks.
pub(super) async fn tasks(tx: &mut Tx, opened: Vec<OpenedTask>, now_ms: i64) -> Result<()> {
    let facts = opened.into_iter().map(|task| Fact {
        key: format!("task/{}/{now_ms}", task.seq),
        kind: TASK.to_owned(),
        data: json!({
            "task": task.seq,
            "kind": task.kind,
            "detail": task.detail.chars().take(MAX_DETAIL).collect::<String>(),
            "notification": task.notification_id,
            "case": task.case_id,
            "customer": task.customer_id,
        }),
        case: task.case_id,
        customer: task.customer_id,
    });
    note(tx, facts.collect(), now_ms).await
}

/// Notes what customers changed: who, and the line of the record of consent. What a case system
/// told us itself is not told back.
pub(super) async fn preferences(
    tx: &mut Tx,
    changed: Vec<(String, String)>,
    act: &Act,
    now_ms: i64,
) -> Result<()> {
    let slot = tx.facts().clone();
    if act.source == "import" || slot.wanted(|outbound| outbound.wants(PREFERENCE)).is_none() {
        return Ok(());
    }
    let fact = |(customer, what): (String, String)| Fact {
        key: format!("preference/{customer}/{now_ms}/{what}"),
        kind: PREFERENCE.to_owned(),
        data: json!({
            "customer": customer,
            "changed": serde_json::from_str::<Value>(&what).unwrap_or_default(),
            "by": act.who,
            "source": act.source,
        }),
        case: None,
        customer: Some(customer),
    };
    let facts = changed.into_iter().map(fact).collect();
    note(tx, facts, now_ms).await
}

/// Notes that a customer asked to be called, or moved the call they were promised.
pub(super) async fn callback(tx: &mut Tx, wish: &Wish, moved: bool, now_ms: i64) -> Result<()> {
    let fact = Fact {
        key: format!("callback/{}/{now_ms}", wish.customer),
        kind: CALLBACK.to_owned(),
        data: json!({
            "customer": wish.customer,
            "case": wish.case,
            // None: as soon as possible.
            "from": wish.from.map(|from| from.to_rfc3339()),
            "to": wish.to.to_rfc3339(),
            "moved": moved,
        }),
        case: wish.case.as_ref().map(|case| case.0.clone()),
        customer: Some(wish.customer.0.clone()),
    };
    note(tx, vec![fact], now_ms).await
}

/// A promise whose last day has begun.
pub(super) struct AtRisk<'a> {
    pub seq: i64,
    pub case: &'a str,
    pub case_type: &'a str,
    pub customer: &'a str,
    pub promise: Promise,
}

/// Notes promises that will break unless somebody says something.
pub(super) async fn at_risk(tx: &mut Tx, promises: &[AtRisk<'_>], now_ms: i64) -> Result<()> {
    let facts = promises.iter().map(|open| Fact {
        key: format!("promise/{}/{}/{}", open.case, open.seq, open.promise.due_at),
        kind: AT_RISK.to_owned(),
        data: json!({
            "case": open.case,
            "case_type": open.case_type,
            "customer": open.customer,
            "due_at": open.promise.due_at.to_rfc3339(),
        }),
        case: Some(open.case.to_owned()),
        customer: Some(open.customer.to_owned()),
    });
    note(tx, facts.collect(), now_ms).await
}

#[derive(FromRow)]
struct Asked {
    id: String,
    notice: String,
    topic: String,
    channel: Option<String>,
}

const ASKED: &str = "
    SELECT id, notice, topic, channel FROM notification
    WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)";

/// The beginning of the id of an event that is an answer; the notification that asked follows.
const ANSWER: &str = "answer-";

/// The same for a reply by mail: the notification it answers follows, then which reply it is.
const REPLY: &str = "reply-";

/// The notification whose answer or reply an event is.
fn asked_by(event: &str) -> Option<&str> {
    let reply = || event.strip_prefix(REPLY)?.get(..36);
    event.strip_prefix(ANSWER).or_else(reply)
}

/// Notes the answers and replies among newly accepted events.
pub(super) async fn answers(tx: &mut Tx, accepted: Vec<&CaseEvent>, now_ms: i64) -> Result<()> {
    let slot = tx.facts().clone();
    let wants = |outbound: &Outbound| outbound.wants(REPLIED) || outbound.wants(CSAT);
    if slot.wanted(wants).is_none() {
        return Ok(());
    }
    let own: Vec<&CaseEvent> =
        accepted.into_iter().filter(|event| event.source == OWN_SOURCE).collect();
    let texts: Vec<&CaseEvent> =
        own.iter().copied().filter(|event| event.id.starts_with(WROTE)).collect();
    let answers: Vec<(&str, &CaseEvent)> =
        own.into_iter().filter_map(|event| Some((asked_by(&event.id)?, event))).collect();
    wrote(tx, &texts, now_ms).await?;
    if answers.is_empty() {
        return Ok(());
    }
    let asked: Vec<Asked> =
        query(ASKED).bind(ids(answers.iter().map(|(id, _)| id))).fetch_all(&mut *tx).await?;
    let asked: HashMap<&str, &Asked> = asked.iter().map(|row| (row.id.as_str(), row)).collect();
    let facts = answers.iter().map(|(id, event)| {
        let asked = asked.get(id);
        let is_reply = event.id.starts_with(REPLY);
        let rating = !is_reply && asked.is_some_and(|asked| asked.topic == SURVEY);
        let which = if is_reply { &event.id } else { *id };
        Fact {
            key: format!("answer/{which}/{}", event.occurred_at),
            kind: if rating { CSAT } else { REPLIED }.to_owned(),
            data: json!({
                "case": event.case,
                "case_type": event.case_type,
                "customer": event.customer,
                "notification": id,
                "message": asked.map(|asked| format!("{}/{}", event.case_type, asked.notice)),
                "channel": asked.and_then(|asked| asked.channel.as_deref()),
                "answer": event.facts.get("answer").filter(|_| !is_reply),
                "text": event.facts.get("reply"),
                "answered_at": event.occurred_at.to_rfc3339(),
            }),
            case: Some(event.case.0.clone()),
            customer: Some(event.customer.0.clone()),
        }
    });
    note(tx, facts.collect(), now_ms).await
}

/// What customers wrote in words of their own.
async fn wrote(tx: &mut Tx, texts: &[&CaseEvent], now_ms: i64) -> Result<()> {
    if texts.is_empty() || tx.facts().clone().wanted(|outbound| outbound.wants(REPLIED)).is_none() {
        return Ok(());
    }
    let facts = texts.iter().map(|event| Fact {
        key: event.id.clone(),
        kind: REPLIED.to_owned(),
        data: json!({
            "case": event.case,
            "case_type": event.case_type,
            "customer": event.customer,
            "channel": "sms",
            "text": event.facts.get("text"),
            "answered_at": event.occurred_at.to_rfc3339(),
        }),
        case: Some(event.case.0.clone()),
        customer: Some(event.customer.0.clone()),
    });
    note(tx, facts.collect(), now_ms).await
}

/// The payload of a fact as it is sent: the same bytes at every attempt.
pub(super) fn payload(seq: i64, kind: &str, occurred_at_ms: i64, data: &str) -> Result<String> {
    let mut data: Value = serde_json::from_str(data)?;
    // Grows with each fact: what is about one case can be put in order by it.
    data["sequence"] = seq.into();
    let timestamp = from_ms(occurred_at_ms).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    Ok(json!({ "type": kind, "timestamp": timestamp, "data": data }).to_string())
}
