//! One customer and one case, as those see them who help on the phone: addresses masked.

use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{App, staff};
use crate::domain::time::{Instant, from_ms};
use crate::domain::{CaseId, CustomerId, Notification, Reason};
use crate::store::console::NotificationView;
use crate::store::listing::Wanted;
use crate::store::timeline::Entry;
use crate::store::{Result, StoreError};

use super::veil::veil;

/// Cases, planned messages and entries of a timeline that are shown.
const MAX_SHOWN: i64 = 20;

/// What has happened, newest first.
fn newest_first(entries: Vec<Entry>) -> Vec<Entry> {
    let veiled = |entry: Entry| Entry {
        what: veil(&entry.what),
        detail: entry.detail.as_deref().map(veil),
        ..entry
    };
    entries.into_iter().rev().take(60).map(veiled).collect()
}

/// A message that is planned, and why.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedLine {
    pub id: String,
    pub message: String,
    pub case: String,
    /// RFC 3339.
    pub at: String,
}

impl PlannedLine {
    fn of(n: &Notification) -> Self {
        Self {
            id: n.id.to_string(),
            message: format!("{}/{}", n.case_type, n.notice),
            case: n.case.0.clone(),
            at: n.next_at.to_rfc3339(),
        }
    }
}

/// Everything on a customer's page. With `shown` the addresses are not masked.
///
/// # Errors
/// `NotFound` when nobody is known by this id.
pub async fn customer(app: &App, id: &CustomerId, shown: bool, now: Instant) -> Result<Value> {
    let store = &app.engine.store;
    let customer = store.customer(id, now).await?;
    let rules = &app.engine.live.load_full().rules;
    let points = customer.contact_points.iter().map(|point| {
        let address =
            if shown { point.address.expose().to_owned() } else { point.address.to_string() };
        json!({
            "channel": point.channel.spoken(), "address": address, "verified": point.verified,
            "suppressed": point.suppressed.as_deref().map(veil),
        })
    });
    let points: Vec<Value> = points.collect();
    let cases = store.cases_of(id, MAX_SHOWN).await?;
    let cases = cases.iter().map(|case| {
        let journey = rules.journeys.of(&case.case_type, &case.id);
        let open = journey.is_none_or(|journey| !journey.is_final(case.state.as_deref()));
        json!({
            "id": case.id, "case_type": case.case_type, "state": case.state, "open": open,
            "since": case.since.to_rfc3339(), "opened_at": case.opened_at.to_rfc3339(),
        })
    });
    let cases: Vec<Value> = cases.collect();
    let planned = store.planned_for(id, MAX_SHOWN).await?;
    let chosen = json!(customer.chosen);
    let choices: Vec<Value> = json!(customer.preferences)
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let own = chosen.get(name).is_some_and(|own| own == value);
            json!({ "name": name, "value": plain(value), "own": own })
        })
        .collect();
    let profile = &customer.profile;
    Ok(json!({
        "id": id, "name": profile.name, "locale": profile.locale,
        "zone": rules.zone_of(&customer).iana_name(), "erased": customer.erased,
        "attributes": facts(&json!(profile.attributes)),
        "points": points, "shown": shown, "cases": cases, "choices": choices,
        "planned": planned.iter().map(PlannedLine::of).collect::<Vec<_>>(),
        "timeline": newest_first(store.customer_timeline(id, MAX_SHOWN).await?),
    }))
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Names and values, for a table.
fn facts(facts: &Value) -> Vec<(String, String)> {
    let members = facts.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// Everything on a case's page.
///
/// # Errors
/// `NotFound` when no such case was planned yet.
pub async fn case(app: &App, id: &CaseId) -> Result<Value> {
    let store = &app.engine.store;
    let mut cases = store.cases([id]).await?;
    let standing = cases
        .remove(id)
        .ok_or_else(|| StoreError::NotFound { what: format!("the case {:?}", id.0) })?;
    let wanted = Wanted { case: Some(id.0.clone()), ..Wanted::default() };
    let listed = store.list(&wanted, None).await?;
    let zone = &app.console.zone;
    let of = |statuses: &[&str]| -> Result<Vec<Value>> {
        let fit = listed.rows.iter().filter(|n| statuses.contains(&n.status.as_str()));
        fit.map(|n| line(n, zone)).collect()
    };
    let promises = store.promises_of(id).await?;
    let promises = promises.iter().take(5).map(|promise| {
        json!({
            "state": promise.state, "made_at": from_ms(promise.made_at_ms).to_rfc3339(),
            "due_at": from_ms(promise.due_at_ms).to_rfc3339(),
            "settled_at": promise.settled_at_ms.map(|ms| from_ms(ms).to_rfc3339()),
        })
    });
    let case = &standing.case;
    let now = app.engine.clock.now();
    let customer = store.customer(&case.customer, now).await.ok();
    let notes = customer.map_or_else(Vec::new, |customer| staff::notes(app, case, &customer));
    Ok(json!({
        "notes": notes,
        "id": case.id, "case_type": case.case_type, "customer": case.customer,
        "state": case.state, "previous_state": case.previous_state,
        "since": case.since.to_rfc3339(), "opened_at": case.opened_at.to_rfc3339(),
        "facts": facts(&json!(case.facts)), "events": standing.head,
        "unplanned": standing.head - case.revision,
        "choice": if standing.choice.muted { Some("muted".to_owned()) }
                  else { standing.choice.channel.map(|channel| channel.spoken().to_owned()) },
        "told": of(&["sent", "delivered", "undelivered", "unknown"])?,
        "planned": of(&["planned", "claimed", "sending", "in_doubt"])?,
        "not_told": of(&["cancelled", "superseded", "suppressed", "expired", "failed", "quarantined", "folded"])?,
        "more": listed.next.is_some(),
        "promises": promises.collect::<Vec<_>>(),
        "timeline": newest_first(store.case_timeline(id, MAX_SHOWN).await?),
    }))
}

/// One notification in a list, with why it was planned.
fn line(n: &NotificationView, zone: &jiff::tz::TimeZone) -> Result<Value> {
    let because: Vec<Reason> = serde_json::from_str(&n.because)?;
    let words: Vec<String> = because.iter().map(|reason| reason.words(zone)).collect();
    Ok(json!({
        "id": n.id, "notice": n.notice, "status": n.status, "reason": n.reason,
        "channel": n.channel, "next_at": from_ms(n.next_at_ms).to_rfc3339(),
        "told_at": n.told_at_ms.map(|ms| from_ms(ms).to_rfc3339()), "why": words,
    }))
}
