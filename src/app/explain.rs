//! Why a message was sent, held, changed or not sent: the stored reasons in plain words, on
//! the customer's clock.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::domain::time::{Instant, from_ms, local};
use crate::domain::{Channel, CustomerId, NotificationId, Reason, Status};
use crate::store::console::{Detail, EventView, NotificationView};
use crate::store::plans::LookedAt;
use crate::store::{Result, StoreError};

use super::App;

/// An explanation, for programs and for people.
#[derive(Debug, Clone)]
pub struct Explained {
    pub json: Value,
    pub text: String,
}

fn rfc3339(ms: i64) -> String {
    from_ms(ms).to_rfc3339()
}

/// A notification in a listing.
#[must_use]
pub fn view(n: &NotificationView) -> Value {
    let status = Status::from_name(&n.status);
    json!({
        "id": n.id, "case": n.case_id, "case_type": n.case_type, "customer": n.customer_id,
        "notice": n.notice, "topic": n.topic, "status": n.status, "reason": n.reason,
        "for_customer": status.map(Status::for_customer),
        "channel": n.channel, "state": n.state, "attempts": n.attempts,
        "planned_at": rfc3339(n.planned_at_ms), "due_at": rfc3339(n.due_at_ms),
        "next_at": rfc3339(n.next_at_ms), "expires_at": rfc3339(n.expires_at_ms),
        "told_at": n.told_at_ms.map(rfc3339), "code": n.code, "version": n.version,
    })
}

/// Everything about one notification.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn notification(app: &App, id: &NotificationId) -> Result<Explained> {
    let engine = &app.engine;
    let detail = engine.store.notification(id).await?;
    let zone = zone_of(app, &detail.notification.customer_id).await?;
    explain(&detail, &zone, engine.store.restored_at().await?)
}

async fn zone_of(app: &App, customer: &str) -> Result<TimeZone> {
    let engine = &app.engine;
    let id = CustomerId(customer.to_owned());
    let mut customers = engine.store.customers([&id], engine.clock.now()).await?;
    let rules = &engine.live.load().rules;
    Ok(customers.remove(&id).map_or(TimeZone::UTC, |customer| rules.zone_of(&customer)))
}

fn reasons(stored: &str) -> Result<Vec<Reason>> {
    serde_json::from_str(stored).map_err(StoreError::from)
}

/// `held_until`: the store was restored then, and nobody has confirmed it.
fn explain(detail: &Detail, zone: &TimeZone, held_until: Option<Instant>) -> Result<Explained> {
    let n = &detail.notification;
    let at = |ms: i64| local(from_ms(ms), zone).strftime("%a %-d %b %Y %H:%M:%S %Z").to_string();
    let mut text = String::new();
    let status = Status::from_name(&n.status);
    let _ = writeln!(text, "{} “{}” of case {}: {}", n.id, n.notice, n.case_id, n.status);
    if let Some(status) = status {
        let said = if n.reason.as_deref() == Some("shadow") {
            "This message was not handed over: this installation runs in shadow mode."
        } else {
            status.for_customer()
        };
        let _ = writeln!(text, "  {said}");
    }
    // Every stage: when, what, why.
    let mut stages: Vec<(i64, String, Vec<Reason>, Value)> = Vec::new();
    let planned = format!("planned, due {}", at(n.due_at_ms));
    stages.push((n.planned_at_ms, planned, reasons(&n.because)?, versions(&n.versions)));
    for decision in &detail.decisions {
        let what = decision.what.replace('_', " ");
        stages.push((
            decision.at_ms,
            what,
            reasons(&decision.reasons)?,
            versions(&decision.versions),
        ));
    }
    for attempt in &detail.attempts {
        let channel: Option<Channel> = attempt.channel.parse().ok();
        let what = format!(
            "attempt {} by {} through {}: {}{}",
            attempt.no,
            channel.map_or_else(|| attempt.channel.clone(), |channel| channel.spoken().to_owned()),
            attempt.provider,
            attempt.state.replace('_', " "),
            attempt
                .detail
                .as_deref()
                .filter(|d| !d.is_empty())
                .map(|d| format!(" ({d})"))
                .unwrap_or_default(),
        );
        stages.push((
            attempt.opened_at_ms,
            what,
            reasons(&attempt.because)?,
            versions(&attempt.versions),
        ));
    }
    stages.sort_by_key(|(ms, ..)| *ms);
    for (ms, what, reasons, _) in &stages {
        let _ = writeln!(text, "\n  {}  {what}", at(*ms));
        for reason in reasons {
            let _ = writeln!(text, "    - {}", reason.words(zone));
        }
    }
    for receipt in &detail.receipts {
        let _ = writeln!(
            text,
            "\n  {}  the provider reported attempt {}: {} {}",
            at(receipt.received_at_ms),
            receipt.no,
            receipt.outcome,
            receipt.detail
        );
    }
    if let Some(Status::Planned) = status {
        let held = held_until.filter(|until| n.due_at_ms <= until.timestamp_millis());
        let _ = match held {
            None => writeln!(text, "\n  Looked at next {}.", at(n.next_at_ms)),
            Some(until) => writeln!(
                text,
                "\n  The store was restored {}, and this was due before: it may have been sent then, and waits for `tidings restore --confirm`.",
                at(until.timestamp_millis())
            ),
        };
    }
    let mut json = view(n);
    let story: Vec<Value> = stages
        .iter()
        .map(|(ms, what, reasons, versions)| {
            let words: Vec<String> = reasons.iter().map(|reason| reason.words(zone)).collect();
            json!({"at": rfc3339(*ms), "what": what, "reasons": reasons, "words": words, "versions": versions})
        })
        .collect();
    json["explanation"] = story.into();
    json["attempts"] = detail
        .attempts
        .iter()
        .map(|a| {
            json!({
                "no": a.no, "channel": a.channel, "provider": a.provider, "state": a.state,
                "address": crate::domain::customer::Address::stored(a.address.clone()).to_string(),
                "opened_at": rfc3339(a.opened_at_ms), "closed_at": a.closed_at_ms.map(rfc3339),
                "provider_ref": a.provider_ref, "detail": a.detail, "parts": a.parts,
                "body_hash": a.body_hash,
            })
        })
        .collect();
    json["receipts"] = json!(detail.receipts);
    Ok(Explained { json, text })
}

fn versions(stored: &str) -> Value {
    serde_json::from_str(stored).unwrap_or_default()
}

/// What came of the events with this id, from whichever source.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn event(app: &App, id: &str) -> Result<Explained> {
    let store = &app.engine.store;
    let events = store.events_named(id).await?;
    if events.is_empty() {
        return Err(StoreError::NotFound { what: format!("an event {id:?}") });
    }
    let held_until = store.restored_at().await?;
    let mut text = String::new();
    let mut all = Vec::new();
    for event in events {
        let zone = zone_of(app, &event.customer_id).await?;
        let caused = store.of_event(event.seq).await?;
        all.push(explain_event(&event, &caused, &zone, &mut text)?);
        for n in &caused {
            let id = NotificationId::parse(&n.id)
                .map_err(|_| StoreError::Damaged(format!("notification id {:?}", n.id)))?;
            let detail = store.notification(&id).await?;
            let explained = explain(&detail, &zone, held_until)?;
            let _ = writeln!(text, "\n{}", explained.text.trim_end());
        }
    }
    Ok(Explained { json: Value::Array(all), text })
}

fn explain_event(
    event: &EventView,
    caused: &[NotificationView],
    zone: &TimeZone,
    text: &mut String,
) -> Result<Value> {
    let at = |ms: i64| local(from_ms(ms), zone).strftime("%a %-d %b %Y %H:%M:%S %Z").to_string();
    let body: Value = serde_json::from_str(&event.body)?;
    let what = body["state"].as_str().or(body["event"].as_str()).unwrap_or("erased");
    let _ = writeln!(
        text,
        "Event {} from {}: case {} “{what}”, {}",
        event.id,
        event.source,
        event.case_id,
        at(event.occurred_at_ms)
    );
    let looked_at: LookedAt = match &event.looked_at {
        Some(stored) => serde_json::from_str(stored)?,
        None => LookedAt::default(),
    };
    if event.planned_at_ms.is_none() {
        let _ = writeln!(text, "  Not planned yet.");
    }
    if let Some(reason) = &looked_at.silent {
        let _ = writeln!(text, "  Nothing was said: {}", reason.words(zone));
    }
    for (notice, reason) in &looked_at.skipped {
        let _ = writeln!(text, "  “{notice}” was not said: {}", reason.words(zone));
    }
    let notifications: Vec<Value> = caused.iter().map(view).collect();
    Ok(json!({
        "source": event.source, "id": event.id, "case": event.case_id, "customer": event.customer_id,
        "occurred_at": rfc3339(event.occurred_at_ms), "accepted_at": rfc3339(event.accepted_at_ms),
        "planned_at": event.planned_at_ms.map(rfc3339),
        "silent": looked_at.silent, "skipped": looked_at.skipped, "notifications": notifications,
    }))
}

/// What happened with one customer, oldest first.
///
/// # Errors
/// `NotFound` when nobody told us about the customer.
pub async fn customer(app: &App, id: &CustomerId) -> Result<Explained> {
    let engine = &app.engine;
    engine.store.customer(id, engine.clock.now()).await?;
    let zone = zone_of(app, id.as_str()).await?;
    let entries = engine.store.customer_timeline(id, 500).await?;
    let mut text = format!("Customer {id}\n");
    for entry in &entries {
        let at = crate::domain::time::parse_instant(&entry.at).map_or_else(
            |_| entry.at.clone(),
            |at| local(at, &zone).strftime("%a %-d %b %Y %H:%M %Z").to_string(),
        );
        let _ = write!(text, "  {at}  case {}  {}  {}", entry.case, entry.kind, entry.what);
        for part in [&entry.channel, &entry.status, &entry.detail].into_iter().flatten() {
            let _ = write!(text, "  {part}");
        }
        text.push('\n');
    }
    Ok(Explained { json: json!({"customer": id, "timeline": entries}), text })
}
