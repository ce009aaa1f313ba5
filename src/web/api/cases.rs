//! A case: its state and facts, what was told, what is planned next and why.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::staff;
use crate::domain::fault::Fields;
use crate::domain::time::from_ms;
use crate::domain::{CaseChoice, CaseId, Channel};
use crate::store::console::{Filter, NotificationView};
use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

use super::body::Json;
use super::schema;

/// Read how a case stands, what was told, and what is planned and why
#[utoipa::path(
    get,
    path = "/v1/cases/{id}",
    tag = "cases",
    operation_id = "cases_get",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The case", body = schema::Document),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let store = &web.app.engine.store;
    let id = CaseId(id);
    let mut cases = store.cases([&id]).await?;
    let standing =
        cases.remove(&id).ok_or_else(|| Problem::not_found(format!("the case {id:?}")))?;
    let filter = Filter { case: Some(id.0.clone()), limit: 500, ..Filter::default() };
    let mut notifications = store.notifications(&filter).await?;
    notifications.sort_by_key(|n| (n.planned_at_ms, n.next_at_ms));
    let of = |statuses: &[&str]| -> Vec<Value> {
        let chosen = notifications.iter().filter(|n| statuses.contains(&n.status.as_str()));
        chosen.map(summary).collect()
    };
    let customer = store.customer(&standing.case.customer, web.app.engine.clock.now()).await.ok();
    let mut told = of(&["sent", "delivered", "undelivered", "unknown"]);
    for entry in &mut told {
        let view = notifications.iter().find(|n| entry["id"] == n.id.as_str());
        let words = view
            .zip(customer.as_ref())
            .and_then(|(view, customer)| staff::words(&web.app, view, &standing.case, customer));
        if let Some(words) = words {
            entry["staff"] = words.into();
        }
    }
    let timeline = store.case_timeline(&id, 500).await?;
    let case = &standing.case;
    let notes = customer.as_ref().map_or_else(Vec::new, |of| staff::notes(&web.app, case, of));
    let notes: Vec<Value> =
        notes.into_iter().map(|(notice, text)| json!({ "notice": notice, "text": text })).collect();
    Ok(axum::Json(json!({
        "id": case.id, "case_type": case.case_type, "customer": case.customer,
        "state": case.state, "previous_state": case.previous_state, "since": case.since.to_rfc3339(),
        "opened_at": case.opened_at.to_rfc3339(), "facts": case.facts,
        "events": standing.head, "planned_events": case.revision,
        "choice": standing.choice,
        "staff": notes, "told": told,
        "planned": of(&["planned", "claimed", "sending", "in_doubt"]),
        "not_told": of(&["cancelled", "superseded", "suppressed", "expired", "failed", "quarantined", "folded"]),
        "timeline": timeline,
    })))
}

/// One notification in a listing, with why it stands as it does.
fn summary(n: &NotificationView) -> Value {
    let because: Value = serde_json::from_str(&n.because).unwrap_or_default();
    json!({
        "id": n.id, "notice": n.notice, "topic": n.topic, "status": n.status, "reason": n.reason,
        "channel": n.channel, "due_at": from_ms(n.due_at_ms).to_rfc3339(),
        "next_at": from_ms(n.next_at_ms).to_rfc3339(),
        "told_at": n.told_at_ms.map(|ms| from_ms(ms).to_rfc3339()),
        "because": because,
    })
}

/// Choose a channel for this case only, or mute it
#[utoipa::path(
    put,
    path = "/v1/cases/{id}/choice",
    tag = "cases",
    operation_id = "cases_choose",
    params(("id" = String, Path)),
    request_body = schema::CaseChoice,
    responses(
        (status = 204, description = "Chosen"),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn choose(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<StatusCode> {
    let mut faults = Vec::new();
    let mut choice = CaseChoice::default();
    if let Some(mut fields) = Fields::of(&body, "", &mut faults) {
        choice.channel = fields.parse("channel", str::parse::<Channel>);
        choice.muted = fields.boolean("muted").unwrap_or(false);
        fields.refuse_unknown();
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    set(&web, &caller, id, choice).await
}

/// Take the choice for this case back
#[utoipa::path(
    delete,
    path = "/v1/cases/{id}/choice",
    tag = "cases",
    operation_id = "cases_unchoose",
    params(("id" = String, Path)),
    responses(
        (status = 204, description = "As the customer chose in general"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn unchoose(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    set(&web, &caller, id, CaseChoice::default()).await
}

async fn set(web: &Web, caller: &Manager, id: String, choice: CaseChoice) -> Result<StatusCode> {
    let engine = &web.app.engine;
    let source = format!("api:{}", caller.name);
    engine.store.choose_for_case(&CaseId(id), choice, &source, engine.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
