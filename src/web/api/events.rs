//! `POST /v1/events`: one event or up to a hundred. 202 means on durable storage.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::{CaseEvent, Fault};
use crate::store::intake::{Accepted, Incoming};
use crate::web::Web;
use crate::web::auth::Ingester;
use crate::web::error::{Problem, Result};

use super::body::Json;

/// The most events of one request.
const MAX_EVENTS: usize = 100;

/// What became of one event of a request.
#[derive(Debug, Serialize)]
struct ItemResult {
    source: Value,
    id: Value,
    result: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

pub async fn accept(State(web): State<Web>, _: Ingester, Json(body): Json) -> Result<Response> {
    match body {
        Value::Array(items) => {
            if items.len() > MAX_EVENTS {
                let why =
                    format!("holds {} events; send at most {MAX_EVENTS} at a time", items.len());
                return Err(Problem::faults(vec![Fault::new("", why)]));
            }
            let results = take(&web, &items, |index| format!("/{index}")).await?;
            let fine = results.iter().all(|r| matches!(r.result, "accepted" | "duplicate"));
            let status = if fine { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
            Ok((status, axum::Json(json!({ "results": results }))).into_response())
        }
        one => {
            let mut results = take(&web, std::slice::from_ref(&one), |_| String::new()).await?;
            let result = results.pop().expect("one result per event");
            let body = json!([result]);
            match result.result {
                "accepted" | "duplicate" => {
                    Ok((StatusCode::ACCEPTED, axum::Json(json!({ "results": body })))
                        .into_response())
                }
                "conflict" => {
                    let detail =
                        result.errors.first().map(|f| f.detail.clone()).unwrap_or_default();
                    let problem =
                        Problem::new(StatusCode::CONFLICT, "Another event has this id", detail);
                    Err(problem.with("results", body))
                }
                _ => Err(Problem::faults(result.errors).with("results", body)),
            }
        }
    }
}

async fn take(
    web: &Web,
    items: &[Value],
    pointer: impl Fn(usize) -> String,
) -> Result<Vec<ItemResult>> {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let mut results: Vec<Option<ItemResult>> = Vec::with_capacity(items.len());
    let mut incoming = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match CaseEvent::from_json(item, &pointer(index), now) {
            Ok(event) => {
                incoming.push((index, Incoming::new(event, item)));
                results.push(None);
            }
            Err(errors) => results.push(Some(named(item, "invalid", errors))),
        }
    }
    if !incoming.is_empty() {
        let (places, incoming): (Vec<usize>, Vec<Incoming>) = incoming.into_iter().unzip();
        let accepted = engine.store.accept_events(incoming, now).await?;
        let mut seqs = Vec::new();
        for (index, accepted) in places.into_iter().zip(accepted) {
            let at = pointer(index);
            let (result, errors) = match accepted {
                Accepted::New { seq } => {
                    seqs.push(seq);
                    ("accepted", Vec::new())
                }
                Accepted::Duplicate => ("duplicate", Vec::new()),
                Accepted::Conflict => {
                    let why = "another event with this source and id was accepted before; give it an id of its own";
                    ("conflict", vec![Fault::new(format!("{at}/id"), why)])
                }
                Accepted::OtherCaseType { known } => {
                    let why = format!("the case is known as {known:?}; a case keeps its type");
                    ("invalid", vec![Fault::new(format!("{at}/case_type"), why)])
                }
            };
            metrics::counter!("tidings_events_total", "result" => result).increment(1);
            results[index] = Some(named(&items[index], result, errors));
        }
        engine.ring_plan(&seqs);
    }
    Ok(results.into_iter().flatten().collect())
}

fn named(item: &Value, result: &'static str, errors: Vec<Fault>) -> ItemResult {
    let field = |name: &str| item.get(name).cloned().unwrap_or(Value::Null);
    ItemResult { source: field("source"), id: field("id"), result, errors }
}
