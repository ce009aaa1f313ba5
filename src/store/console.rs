//! Reading back what happened: sums, lists, everything about one notification.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::NotificationId;

pub use super::balance::Balance;
use super::balance::settled_events;
use super::{Result, Store, StoreError, query};

/// The sum over all accepted events, and over all notifications.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub balance: Balance,
    /// Notifications by status.
    pub by_status: BTreeMap<String, i64>,
    /// Silent events by the code of their reason.
    pub by_reason: BTreeMap<String, i64>,
    /// Messages told by channel.
    pub by_channel: BTreeMap<String, i64>,
}

/// Every event by what became of it and why.
const OUTCOMES: &str = concat!(
    "SELECT outcome, reason, count(*) AS events FROM (",
    settled_events!(),
    ") AS settled GROUP BY outcome, reason"
);

/// A notification with everything known about it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct NotificationView {
    pub id: String,
    pub case_id: String,
    pub case_type: String,
    pub customer_id: String,
    pub notice: String,
    pub topic: String,
    pub urgency: i64,
    pub status: String,
    pub reason: Option<String>,
    pub channel: Option<String>,
    pub state: Option<String>,
    pub event_seq: Option<i64>,
    pub planned_at_ms: i64,
    pub due_at_ms: i64,
    pub next_at_ms: i64,
    pub expires_at_ms: i64,
    pub told_at_ms: Option<i64>,
    pub version: String,
    pub code: String,
    pub because: String,
    pub versions: String,
    pub attempts: i64,
}

macro_rules! view_columns {
    () => {
        "id, case_id, case_type, customer_id, notice, topic, urgency, status, reason, channel, \
         state, event_seq, planned_at_ms, due_at_ms, next_at_ms, expires_at_ms, told_at_ms, \
         version, code, because, versions, attempts"
    };
}
pub(super) use view_columns;

/// A decision that led to no attempt, as it was stored.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct DecisionView {
    pub at_ms: i64,
    pub what: String,
    pub reasons: String,
    pub versions: String,
}

/// A hand-over, as it was stored.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct AttemptView {
    pub no: i64,
    pub channel: String,
    pub provider: String,
    #[serde(skip)]
    pub address: String,
    pub opened_at_ms: i64,
    pub because: String,
    pub versions: String,
    pub body_hash: String,
    pub parts: i64,
    pub state: String,
    pub closed_at_ms: Option<i64>,
    pub provider_ref: Option<String>,
    pub detail: Option<String>,
}

#[derive(Debug, Clone, FromRow, Serialize)]
pub struct ReceiptView {
    pub no: i64,
    pub outcome: String,
    pub detail: String,
    pub received_at_ms: i64,
}

/// Everything about one notification.
#[derive(Debug, Clone)]
pub struct Detail {
    pub notification: NotificationView,
    pub decisions: Vec<DecisionView>,
    pub attempts: Vec<AttemptView>,
    pub receipts: Vec<ReceiptView>,
}

/// An event and what planning made of it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct EventView {
    pub seq: i64,
    pub source: String,
    pub id: String,
    pub case_id: String,
    pub case_type: String,
    pub customer_id: String,
    pub occurred_at_ms: i64,
    pub accepted_at_ms: i64,
    pub planned_at_ms: Option<i64>,
    pub body: String,
    pub silent: Option<String>,
    pub looked_at: Option<String>,
}

macro_rules! event_columns {
    () => {
        "seq, source, id, case_id, case_type, customer_id, occurred_at_ms, accepted_at_ms, \
         planned_at_ms, body, silent, looked_at"
    };
}
pub(super) use event_columns;

/// Which notifications to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub customer: Option<String>,
    pub case: Option<String>,
    pub status: Option<String>,
    /// The last id of the page before.
    pub after: Option<String>,
    pub limit: i64,
}

/// What happened since three points in the logs.
#[derive(Debug)]
pub struct News {
    pub events: Vec<EventView>,
    pub held: Vec<Held>,
    pub sent: Vec<SentOut>,
}

/// A decision that led to no attempt, with whom it is about.
#[derive(Debug, FromRow)]
pub struct Held {
    pub seq: i64,
    pub customer_id: String,
    pub notice: String,
    pub at_ms: i64,
    pub what: String,
    pub reasons: String,
}

/// A hand-over, with whom it is to.
#[derive(Debug, FromRow)]
pub struct SentOut {
    pub seq: i64,
    pub customer_id: String,
    pub notice: String,
    pub channel: String,
    pub opened_at_ms: i64,
    pub detail: Option<String>,
}

/// Figures of this moment, for `/metrics`.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Standing {
    /// When the first thing planned is due.
    pub first_due_ms: Option<i64>,
    pub in_doubt: i64,
    pub tasks_open: i64,
    pub unplanned: i64,
}

impl Store {
    /// Figures of this moment.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn standing(&self) -> Result<Standing> {
        Ok(query(
            "SELECT (SELECT min(at) FROM (
                        SELECT min(next_at_ms) AS at FROM notification WHERE status = 'planned' AND urgency = 0
                        UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 1
                        UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 2
                        UNION ALL SELECT min(next_at_ms) FROM notification WHERE status = 'planned' AND urgency = 3
                     ) AS firsts) AS first_due_ms,
                    (SELECT count(*) FROM notification WHERE status = 'in_doubt') AS in_doubt,
                    (SELECT count(*) FROM task WHERE done_at_ms IS NULL) AS tasks_open,
                    (SELECT count(*) FROM cases WHERE head > planned) AS unplanned",
        )
        .fetch_one(&self.readers)
        .await?)
    }

    /// What happened since: events, silences and hand-overs, each in its order.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn news(&self, event: i64, attempt: i64, decision: i64) -> Result<News> {
        let events =
            query(concat!("SELECT ", event_columns!(), " FROM event WHERE seq > $1 ORDER BY seq"))
                .bind(event)
                .fetch_all(&self.readers)
                .await?;
        let held = query(
            "SELECT d.seq, n.customer_id, n.notice, d.at_ms, d.what, d.reasons
             FROM decision AS d JOIN notification AS n ON n.id = d.notification_id
             WHERE d.seq > $1 ORDER BY d.seq",
        )
        .bind(decision)
        .fetch_all(&self.readers)
        .await?;
        let sent = query(
            "SELECT a.seq, n.customer_id, n.notice, a.channel, a.opened_at_ms, a.detail
             FROM attempt AS a JOIN notification AS n ON n.id = a.notification_id
             WHERE a.seq > $1 ORDER BY a.seq",
        )
        .bind(attempt)
        .fetch_all(&self.readers)
        .await?;
        Ok(News { events, held, sent })
    }

    /// The sums over everything.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn summary(&self) -> Result<Summary> {
        let outcomes: Vec<(String, String, i64)> = query(OUTCOMES).fetch_all(&self.readers).await?;
        let mut summary = Summary::default();
        for (outcome, reason, events) in outcomes {
            summary.balance.count(&outcome, events);
            if outcome == "silent" {
                *summary.by_reason.entry(reason).or_default() += events;
            }
        }
        let by_status: Vec<(String, i64)> =
            query("SELECT status, count(*) FROM notification GROUP BY status")
                .fetch_all(&self.readers)
                .await?;
        summary.by_status = by_status.into_iter().collect();
        let by_channel: Vec<(String, i64)> = query(
            "SELECT channel, count(*) FROM notification
             WHERE status IN ('sent', 'delivered') AND channel IS NOT NULL
               AND COALESCE(reason, '') <> 'shadow' GROUP BY channel",
        )
        .fetch_all(&self.readers)
        .await?;
        summary.by_channel = by_channel.into_iter().collect();
        Ok(summary)
    }

    /// One notification with its decisions, attempts and receipts.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn notification(&self, id: &NotificationId) -> Result<Detail> {
        let text = id.to_string();
        let view: Option<NotificationView> =
            query(concat!("SELECT ", view_columns!(), " FROM notification WHERE id = $1"))
                .bind(&text)
                .fetch_optional(&self.readers)
                .await?;
        let notification =
            view.ok_or_else(|| StoreError::NotFound { what: format!("the notification {id}") })?;
        let decisions = query(
            "SELECT at_ms, what, reasons, versions FROM decision WHERE notification_id = $1 ORDER BY seq",
        )
        .bind(&text)
        .fetch_all(&self.readers)
        .await?;
        let attempts = query(
            "SELECT no, channel, provider, address, opened_at_ms, because, versions, body_hash, parts,
                    state, closed_at_ms, provider_ref, detail
             FROM attempt WHERE notification_id = $1 ORDER BY no",
        )
        .bind(&text)
        .fetch_all(&self.readers)
        .await?;
        let receipts = query(
            "SELECT no, outcome, detail, received_at_ms FROM receipt WHERE notification_id = $1 ORDER BY seq",
        )
        .bind(&text)
        .fetch_all(&self.readers)
        .await?;
        Ok(Detail { notification, decisions, attempts, receipts })
    }

    /// Notifications by filter, in the order of their ids, a page at a time.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn notifications(&self, filter: &Filter) -> Result<Vec<NotificationView>> {
        Ok(query(concat!(
            "SELECT ",
            view_columns!(),
            " FROM notification
             WHERE ($1 IS NULL OR customer_id = $1) AND ($2 IS NULL OR case_id = $2)
               AND ($3 IS NULL OR status = $3) AND ($4 IS NULL OR id > $4)
             ORDER BY id LIMIT $5"
        ))
        .bind(&filter.customer)
        .bind(&filter.case)
        .bind(&filter.status)
        .bind(&filter.after)
        .bind(filter.limit)
        .fetch_all(&self.readers)
        .await?)
    }

    /// The notification a customer verifies by its code.
    ///
    /// # Errors
    /// `NotFound` when no message carries the code.
    pub async fn by_code(&self, code: &str) -> Result<NotificationView> {
        let view: Option<NotificationView> = query(concat!(
            "SELECT ",
            view_columns!(),
            " FROM notification WHERE code = $1 AND attempts > 0 LIMIT 1"
        ))
        .bind(code)
        .fetch_optional(&self.readers)
        .await?;
        view.ok_or_else(|| StoreError::NotFound { what: "a message with this code".into() })
    }

    /// Events with this id, from whichever source.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn events_named(&self, id: &str) -> Result<Vec<EventView>> {
        Ok(query(concat!("SELECT ", event_columns!(), " FROM event WHERE id = $1 ORDER BY seq"))
            .bind(id)
            .fetch_all(&self.readers)
            .await?)
    }

    /// The notifications an event caused.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn of_event(&self, seq: i64) -> Result<Vec<NotificationView>> {
        Ok(query(concat!(
            "SELECT ",
            view_columns!(),
            " FROM notification WHERE event_seq = $1
                AND case_id = (SELECT event.case_id FROM event WHERE event.seq = $1)
              ORDER BY planned_at_ms, id"
        ))
        .bind(seq)
        .fetch_all(&self.readers)
        .await?)
    }
}
