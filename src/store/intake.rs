//! Events on their way in: durable, once, and numbered in their case.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use tokio::sync::{mpsc, oneshot};

use crate::domain::time::Instant;
use crate::domain::{CaseEvent, EventKey};

use super::facts;
use super::news::News;
use super::row_locks::{Lock, lock};
use super::rows::json;
use super::sql::Tx;
use super::writer::Writer;
use super::{Result, Store, StoreError, batch, ids, query};

/// An event with the fingerprint of what was sent, so that the same event sent again is
/// known from another one under the same id.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub event: CaseEvent,
    pub hash: String,
}

impl Incoming {
    /// `body` is what the caller sent, before any default was filled in.
    #[must_use]
    pub fn new(event: CaseEvent, body: &serde_json::Value) -> Self {
        // Objects are sorted maps, so the same body has the same text whatever its order.
        let hash = Sha256::digest(body.to_string().as_bytes());
        Self { event, hash: data_encoding::HEXLOWER.encode(&hash) }
    }
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// New, and on durable storage.
    New { seq: i64 },
    /// The same event with the same body was accepted before.
    Duplicate,
    /// The same event id came with another body.
    Conflict,
    /// The case is known under another case type.
    OtherCaseType { known: String },
}

/// What the store already knows about one incoming event and its case.
#[derive(FromRow)]
struct Known {
    n: String,
    body_hash: Option<String>,
    case_type: Option<String>,
    head: Option<i64>,
}

#[derive(Serialize)]
struct Asked<'a> {
    source: &'a str,
    id: &'a str,
    case_id: &'a str,
}

#[derive(Serialize)]
struct EventRow {
    source: String,
    id: String,
    case_id: String,
    case_type: String,
    customer_id: String,
    ordinal: i64,
    occurred_at_ms: i64,
    accepted_at_ms: i64,
    body: String,
    body_hash: String,
}

#[derive(Serialize)]
struct CaseRow {
    id: String,
    case_type: String,
    customer_id: String,
    events: i64,
}

const KNOWN: &str = "
    SELECT x.key AS n, e.body_hash, c.case_type, c.head
    FROM jsonb_each($1) AS x
    LEFT JOIN event AS e ON e.source = x.value->>'source' AND e.id = x.value->>'id'
    LEFT JOIN cases AS c ON c.id = x.value->>'case_id'";

const INSERT_EVENTS: &str = "
    INSERT INTO event (source, id, case_id, case_type, customer_id, ordinal, occurred_at_ms,
                       accepted_at_ms, body, body_hash)
    SELECT x.value->>'source', x.value->>'id', x.value->>'case_id', x.value->>'case_type',
           x.value->>'customer_id', CAST(x.value->>'ordinal' AS BIGINT),
           CAST(x.value->>'occurred_at_ms' AS BIGINT),
           CAST(x.value->>'accepted_at_ms' AS BIGINT), x.value->>'body', x.value->>'body_hash'
    FROM jsonb_each($1) AS x
    RETURNING seq, source, id";

const COUNT_EVENTS: &str = "
    INSERT INTO cases (id, case_type, customer_id, head, planned, wait_until_ms)
    SELECT x.value->>'id', x.value->>'case_type', x.value->>'customer_id',
           CAST(x.value->>'events' AS BIGINT), 0, 0
    FROM jsonb_each($1) AS x WHERE true
    ON CONFLICT (id) DO UPDATE SET head = cases.head + excluded.head";

/// Events one transaction takes.
const MAX_EVENTS: usize = 500;

/// How often a batch is taken again that met the same events elsewhere.
const MAX_TRIES: u32 = 20;

/// A caller's events, when they were accepted, and where the answer goes.
struct Delivery {
    incoming: Vec<Incoming>,
    now: Instant,
    answer: oneshot::Sender<Result<Vec<Accepted>>>,
}

/// Where callers hand their events in: what arrives while one transaction runs is the next.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    deliveries: mpsc::Sender<Delivery>,
}

/// An event as it is written down.
struct Taken {
    event: CaseEvent,
    body: String,
    hash: String,
    accepted_at_ms: i64,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({} events)", self.incoming.len())
    }
}

impl Intake {
    pub fn start(writer: Writer, news: News) -> Self {
        let (deliveries, mut waiting) = mpsc::channel::<Delivery>(1_000);
        tokio::spawn(async move {
            while let Some(first) = waiting.recv().await {
                let mut events = first.incoming.len();
                let mut batch = vec![first];
                while events < MAX_EVENTS
                    && let Ok(next) = waiting.try_recv()
                {
                    events += next.incoming.len();
                    batch.push(next);
                }
                take(&writer, &news, batch).await;
            }
        });
        Self { deliveries }
    }
}

/// Takes all deliveries in one transaction and answers each.
async fn take(writer: &Writer, news: &News, batch: Vec<Delivery>) {
    let mut all = Vec::new();
    let mut answers = Vec::with_capacity(batch.len());
    for Delivery { incoming, now, answer } in batch {
        answers.push((incoming.len(), answer));
        all.extend(incoming.into_iter().map(|Incoming { event, hash }| Taken {
            body: json(&event),
            event,
            hash,
            accepted_at_ms: now.timestamp_millis(),
        }));
    }
    let all = Arc::new(all);
    let accept_all = || {
        let all = Arc::clone(&all);
        writer.run(move |tx| Box::pin(async move { accept(tx, &all).await }))
    };
    // Another process may have taken the same event under another case in this very moment;
    // the next try sees it. Each try lost is one won elsewhere.
    let mut taken = accept_all().await;
    for _ in 0..MAX_TRIES {
        if !matches!(taken, Err(StoreError::Conflict { .. })) {
            break;
        }
        taken = accept_all().await;
    }
    match taken {
        Ok(results) => {
            if results.iter().any(|result| matches!(result, Accepted::New { .. })) {
                news.there_is_work();
            }
            let mut results = results.into_iter();
            for (count, answer) in answers {
                // A caller that went away no longer wants to know.
                let _ = answer.send(Ok(results.by_ref().take(count).collect()));
            }
        }
        Err(error) => {
            for (_, answer) in answers {
                let _ = answer.send(Err(StoreError::unavailable(&error.to_string())));
            }
        }
    }
}

async fn accept(tx: &mut Tx, incoming: &[Taken]) -> Result<Vec<Accepted>> {
    let named = ids(incoming.iter().map(|Taken { event, .. }| event.case.as_str()));
    lock(tx, Lock::CaseNames, named.clone()).await?;
    let asked = batch(incoming.iter().map(|Taken { event, .. }| Asked {
        source: &event.source,
        id: &event.id,
        case_id: event.case.as_str(),
    }));
    let known: Vec<Known> = query(KNOWN).bind(asked).fetch_all(&mut *tx).await?;
    let mut hashes: HashMap<EventKey, String> = HashMap::new();
    let mut cases: HashMap<String, (String, i64)> = HashMap::new();
    for row in known {
        let event = row.n.parse().ok().and_then(|n: usize| incoming.get(n));
        let event = &event.ok_or_else(StoreError::closed)?.event;
        if let Some(hash) = row.body_hash {
            hashes.insert(event.key(), hash);
        }
        if let (Some(case_type), Some(head)) = (row.case_type, row.head) {
            cases.insert(event.case.0.clone(), (case_type, head));
        }
    }

    let mut results = Vec::with_capacity(incoming.len());
    let mut new_events = Vec::new();
    let mut counted: HashMap<String, CaseRow> = HashMap::new();
    for Taken { event, body, hash, accepted_at_ms } in incoming {
        if let Some(known) = hashes.get(&event.key()) {
            let same = known == hash;
            results.push(if same { Accepted::Duplicate } else { Accepted::Conflict });
            continue;
        }
        let (case_type, head) =
            cases.entry(event.case.0.clone()).or_insert_with(|| (event.case_type.clone(), 0));
        if *case_type != event.case_type {
            results.push(Accepted::OtherCaseType { known: case_type.clone() });
            continue;
        }
        *head += 1;
        hashes.insert(event.key(), hash.clone());
        let case = counted.entry(event.case.0.clone()).or_insert_with(|| CaseRow {
            id: event.case.0.clone(),
            case_type: event.case_type.clone(),
            customer_id: event.customer.0.clone(),
            events: 0,
        });
        case.events += 1;
        new_events.push(EventRow {
            source: event.source.clone(),
            id: event.id.clone(),
            case_id: event.case.0.clone(),
            case_type: event.case_type.clone(),
            customer_id: event.customer.0.clone(),
            ordinal: *head,
            occurred_at_ms: event.occurred_at.timestamp_millis(),
            accepted_at_ms: *accepted_at_ms,
            body: body.clone(),
            body_hash: hash.clone(),
        });
        results.push(Accepted::New { seq: 0 });
    }
    if new_events.is_empty() {
        return Ok(results);
    }
    lock(tx, Lock::Cases, named).await?;
    query(COUNT_EVENTS).bind(batch(counted.values())).execute(&mut *tx).await?;
    let inserted: Vec<(i64, String, String)> =
        query(INSERT_EVENTS).bind(batch(&new_events)).fetch_all(&mut *tx).await?;
    let seqs: HashMap<EventKey, i64> =
        inserted.into_iter().map(|(seq, source, id)| (EventKey { source, id }, seq)).collect();
    for (result, taken) in results.iter_mut().zip(incoming) {
        if let Accepted::New { seq } = result {
            *seq = seqs[&taken.event.key()];
        }
    }
    let news = incoming.iter().zip(&results);
    let news = news.filter(|(_, result)| matches!(result, Accepted::New { .. }));
    let now_ms = incoming.first().map_or(0, |taken| taken.accepted_at_ms);
    let news = news.map(|(taken, _)| &taken.event).collect();
    facts::answers(tx, news, now_ms).await?;
    Ok(results)
}

impl Store {
    /// Accepts up to 500 events. When this returns, they are on disk.
    ///
    /// # Errors
    /// `Unavailable`; nothing was accepted then.
    pub async fn accept_events(
        &self,
        incoming: Vec<Incoming>,
        now: Instant,
    ) -> Result<Vec<Accepted>> {
        let (answer, answered) = oneshot::channel();
        let delivery = Delivery { incoming, now, answer };
        self.intake.deliveries.send(delivery).await.map_err(|_| StoreError::closed())?;
        answered.await.map_err(|_| StoreError::closed())?
    }
}
