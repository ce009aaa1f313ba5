//! Calls back, and how long people wait for one.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::centre::{calls, person};
use crate::domain::fault::Fields;
use crate::domain::{Channel, CustomerId};
use crate::web::Web;
use crate::web::auth::Manager;
use crate::web::error::{Problem, Result};

use super::body::Json;
use super::schema;

/// The longest wait that means anything, in seconds: a week.
const MAX_WAIT_S: i64 = 7 * 24 * 60 * 60;

/// Say how long customers wait for a person, per channel
#[utoipa::path(
    put,
    path = "/v1/wait-times",
    tag = "calls",
    operation_id = "wait_times_set",
    request_body = schema::WaitTimes,
    responses(
        (status = 204, description = "Kept; it holds for four hours"),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_wait_times(
    State(web): State<Web>,
    _: Manager,
    Json(body): Json,
) -> Result<StatusCode> {
    let mut faults = Vec::new();
    let mut told = Vec::new();
    if let Some(mut fields) = Fields::of(&body, "", &mut faults) {
        for channel in Channel::ALL {
            let pointer = fields.pointer(channel.as_str());
            let Some(value) = fields.value(channel.as_str()) else { continue };
            told.extend(wait(channel, value, &pointer, fields.faults()));
        }
        fields.refuse_unknown();
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    let engine = &web.app.engine;
    let now = engine.clock.now();
    for (channel, shortest_s, longest_s) in told {
        engine.store.set_wait_time(channel, shortest_s, longest_s, now).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn wait(
    channel: Channel,
    value: &Value,
    pointer: &str,
    faults: &mut Vec<crate::domain::Fault>,
) -> Option<(Channel, i64, i64)> {
    let mut fields = Fields::of(value, pointer, faults)?;
    fields.require("shortest_s");
    fields.require("longest_s");
    let shortest_s = fields.integer("shortest_s");
    let longest_s = fields.integer("longest_s");
    if let (Some(shortest_s), Some(longest_s)) = (shortest_s, longest_s) {
        if !(0..=MAX_WAIT_S).contains(&shortest_s) {
            fields.fault("shortest_s", format!("lies between 0 and {MAX_WAIT_S}"));
        } else if !(shortest_s..=MAX_WAIT_S).contains(&longest_s) {
            fields.fault("longest_s", format!("lies between shortest_s and {MAX_WAIT_S}"));
        }
    }
    fields.refuse_unknown();
    Some((channel, shortest_s?, longest_s?))
}

/// Ask for a call to a customer, as soon as possible
#[utoipa::path(
    post,
    path = "/v1/callbacks",
    tag = "calls",
    operation_id = "callbacks_ask",
    request_body = schema::Callback,
    responses(
        (status = 202, description = "Promised", body = schema::PromisedCall),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn ask(
    State(web): State<Web>,
    _: Manager,
    Json(body): Json,
) -> Result<(StatusCode, axum::Json<Value>)> {
    let mut faults = Vec::new();
    let mut id = None;
    if let Some(mut fields) = Fields::of(&body, "", &mut faults) {
        id = fields.required_text("customer", crate::domain::id::MAX_ID_CHARS);
        fields.refuse_unknown();
    }
    let Some(id) = id.filter(|_| faults.is_empty()) else { return Err(Problem::faults(faults)) };
    let now = web.app.engine.clock.now();
    let person = person(&web.app, &CustomerId(id), now).await?;
    calls::ask(&web.app, &person, "soon", now).await?;
    let call = calls::calls(&web.app, &person, now).await?.open;
    let by = call.map(|call| call.to).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, axum::Json(json!({ "by": by }))))
}
