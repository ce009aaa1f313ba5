//! What happened to a customer or in a case, one thing after the other.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::domain::case::OWN_SOURCE;
use crate::domain::time::from_ms;
use crate::domain::{CaseId, CustomerId};

use super::console::{
    AttemptView, DecisionView, EventView, NotificationView, ReceiptView, event_columns,
    view_columns,
};
use super::{Result, Store, ids, query};

/// One thing that happened, for a timeline. Instants are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub at: String,
    /// `consent`, `customer` (what they did on their pages), `event`, `planned`, `decision`,
    /// `attempt`, `receipt`.
    pub kind: &'static str,
    /// Empty for what is about no case.
    pub case: String,
    /// The notification, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What happened to one notification.
#[derive(Default)]
struct Happened {
    decisions: Vec<DecisionView>,
    attempts: Vec<AttemptView>,
    receipts: Vec<ReceiptView>,
}

/// A row, and which notification it is about.
#[derive(FromRow)]
struct Of<T> {
    notification_id: String,
    #[sqlx(flatten)]
    what: T,
}

/// The kinds of entries, causes before what they cause.
const KINDS: [&str; 7] =
    ["customer", "consent", "event", "planned", "decision", "attempt", "receipt"];

impl Store {
    /// What happened with one customer, oldest first, before `limit` is reached.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn customer_timeline(&self, id: &CustomerId, limit: i64) -> Result<Vec<Entry>> {
        let events = concat!(
            "SELECT ",
            event_columns!(),
            " FROM event WHERE customer_id = $1 ORDER BY seq DESC LIMIT $2"
        );
        let views = concat!(
            "SELECT ",
            view_columns!(),
            " FROM notification WHERE customer_id = $1 ORDER BY planned_at_ms DESC, id LIMIT $2"
        );
        let mut timed = self.timeline(events, views, id.as_str(), limit).await?;
        timed.extend(self.own_doing(id, limit).await?);
        Ok(in_order(timed))
    }

    /// What a customer did and chose themselves.
    async fn own_doing(&self, id: &CustomerId, limit: i64) -> Result<Vec<(i64, Entry)>> {
        let entry = |at_ms: i64, kind, what: String, detail: String| {
            let entry = Entry {
                at: from_ms(at_ms).to_rfc3339(),
                kind,
                case: String::new(),
                notification: None,
                what,
                status: None,
                channel: None,
                detail: Some(detail).filter(|detail| !detail.is_empty()),
            };
            (at_ms, entry)
        };
        let mut timed = Vec::new();
        for action in self.actions(id, limit).await? {
            timed.push(entry(action.at_ms, "customer", action.kind, action.detail));
        }
        for consent in self.consents(id).await? {
            let by = format!("{} by {}", consent.source, consent.who);
            timed.push(entry(consent.at_ms, "consent", by, consent.what));
        }
        Ok(timed)
    }

    /// What happened with one case, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn case_timeline(&self, id: &CaseId, limit: i64) -> Result<Vec<Entry>> {
        let events = concat!(
            "SELECT ",
            event_columns!(),
            " FROM event WHERE case_id = $1 ORDER BY seq DESC LIMIT $2"
        );
        let views = concat!(
            "SELECT ",
            view_columns!(),
            " FROM notification WHERE case_id = $1 ORDER BY planned_at_ms DESC, id LIMIT $2"
        );
        Ok(in_order(self.timeline(events, views, id.as_str(), limit).await?))
    }

    async fn timeline(
        &self,
        events: &'static str,
        views: &'static str,
        id: &str,
        limit: i64,
    ) -> Result<Vec<(i64, Entry)>> {
        let events: Vec<EventView> =
            query(events).bind(id).bind(limit).fetch_all(&self.readers).await?;
        let views: Vec<NotificationView> =
            query(views).bind(id).bind(limit).fetch_all(&self.readers).await?;
        self.entries(events, views).await
    }

    /// Decisions, attempts and receipts of these notifications.
    async fn details(&self, views: &[NotificationView]) -> Result<HashMap<String, Happened>> {
        let named = ids(views.iter().map(|view| &view.id));
        let mut details: HashMap<String, Happened> = HashMap::new();
        let decisions: Vec<Of<DecisionView>> = query(
            "SELECT notification_id, at_ms, what, reasons, versions FROM decision
             WHERE notification_id IN (SELECT value->>'id' FROM jsonb_each($1)) ORDER BY seq",
        )
        .bind(&named)
        .fetch_all(&self.readers)
        .await?;
        for of in decisions {
            details.entry(of.notification_id).or_default().decisions.push(of.what);
        }
        let attempts: Vec<Of<AttemptView>> = query(
            "SELECT notification_id, no, channel, provider, address, opened_at_ms, because, versions,
                    body_hash, parts, state, closed_at_ms, provider_ref, detail
             FROM attempt
             WHERE notification_id IN (SELECT value->>'id' FROM jsonb_each($1)) ORDER BY seq",
        )
        .bind(&named)
        .fetch_all(&self.readers)
        .await?;
        for of in attempts {
            details.entry(of.notification_id).or_default().attempts.push(of.what);
        }
        let receipts: Vec<Of<ReceiptView>> = query(
            "SELECT notification_id, no, outcome, detail, received_at_ms FROM receipt
             WHERE notification_id IN (SELECT value->>'id' FROM jsonb_each($1)) ORDER BY seq",
        )
        .bind(&named)
        .fetch_all(&self.readers)
        .await?;
        for of in receipts {
            details.entry(of.notification_id).or_default().receipts.push(of.what);
        }
        Ok(details)
    }

    async fn entries(
        &self,
        events: Vec<EventView>,
        views: Vec<NotificationView>,
    ) -> Result<Vec<(i64, Entry)>> {
        let mut timed: Vec<(i64, Entry)> = Vec::new();
        for event in events {
            let body: Value = serde_json::from_str(&event.body)?;
            let what = body["state"].as_str().or(body["event"].as_str()).unwrap_or_default();
            let said = &body["facts"];
            let what = match said["answer"].as_str().or(said["reply"].as_str()) {
                Some(answer) if event.source == OWN_SOURCE => format!("{what}: {answer}"),
                _ => what.to_owned(),
            };
            let entry = Entry {
                at: from_ms(event.occurred_at_ms).to_rfc3339(),
                kind: "event",
                case: event.case_id,
                notification: None,
                what,
                status: None,
                channel: None,
                detail: event.silent,
            };
            timed.push((event.occurred_at_ms, entry));
        }
        let mut details = self.details(&views).await?;
        for view in views {
            let entry = |at_ms: i64, kind, what: String, status, channel, detail| {
                let entry = Entry {
                    at: from_ms(at_ms).to_rfc3339(),
                    kind,
                    case: view.case_id.clone(),
                    notification: Some(view.id.clone()),
                    what,
                    status,
                    channel,
                    detail,
                };
                (at_ms, entry)
            };
            let detail = details.remove(&view.id).unwrap_or_default();
            timed.push(entry(
                view.planned_at_ms,
                "planned",
                view.notice.clone(),
                Some(view.status.clone()),
                None,
                view.reason.clone(),
            ));
            for decision in detail.decisions {
                let reasons: Vec<Value> = serde_json::from_str(&decision.reasons)?;
                let why = reasons.last().and_then(|reason| reason["code"].as_str());
                timed.push(entry(
                    decision.at_ms,
                    "decision",
                    format!("{}: {}", view.notice, decision.what),
                    None,
                    None,
                    why.map(str::to_owned),
                ));
            }
            for attempt in detail.attempts {
                timed.push(entry(
                    attempt.opened_at_ms,
                    "attempt",
                    view.notice.clone(),
                    Some(attempt.state),
                    Some(attempt.channel),
                    attempt.detail,
                ));
            }
            for receipt in detail.receipts {
                timed.push(entry(
                    receipt.received_at_ms,
                    "receipt",
                    view.notice.clone(),
                    Some(receipt.outcome),
                    None,
                    Some(receipt.detail).filter(|detail| !detail.is_empty()),
                ));
            }
        }
        Ok(timed)
    }
}

/// Of one instant, causes come first.
fn in_order(mut timed: Vec<(i64, Entry)>) -> Vec<Entry> {
    timed.sort_by_key(|(at, entry)| (*at, KINDS.iter().position(|kind| *kind == entry.kind)));
    timed.into_iter().map(|(_, entry)| entry).collect()
}
