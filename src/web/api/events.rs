//! `POST /v1/events`: one event or up to a hundred. 202 means on durable storage.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::Seam;
use crate::domain::Fault;
use crate::store::intake::{Accepted, Incoming};
use crate::web::Web;
use crate::web::auth::Ingester;
use crate::web::cloud_events::{Item, Mode, media_type};
use crate::web::error::{Problem, Result};

use super::body::{bytes, parse, unsupported};
use super::schema;

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

/// What a request holds.
enum Sent {
    One(Item),
    Many(Vec<Item>),
}

async fn sent(request: Request, web: &Web) -> Result<Sent> {
    let headers = request.headers().clone();
    let mode = Mode::of(&headers);
    let json = media_type(&headers).is_none_or(|media_type| media_type == "application/json");
    if mode == Mode::Plain && !json {
        return Err(unsupported("application/json or a CloudEvent"));
    }
    let body = bytes(request, web).await?;
    if mode == Mode::Binary {
        return Ok(Sent::One(Item::binary(&headers, &body)));
    }
    Ok(match (mode, parse(&body)?) {
        (Mode::Structured, one) => Sent::One(Item::structured(&one)),
        (Mode::Batched, Value::Array(items)) => {
            Sent::Many(items.iter().map(Item::structured).collect())
        }
        (Mode::Batched, _) => {
            return Err(Problem::faults(vec![Fault::new("", "a batch is a JSON array")]));
        }
        (_, Value::Array(items)) => Sent::Many(items.into_iter().map(Item::plain).collect()),
        (_, one) => Sent::One(Item::plain(one)),
    })
}

/// Accept one event, or up to a hundred. Also CloudEvents 1.0: structured, batched, binary.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    operation_id = "events_accept",
    request_body(content(
        (schema::Events = "application/json"),
        (schema::CloudEvent = "application/cloudevents+json"),
        (Vec<schema::CloudEvent> = "application/cloudevents-batch+json"),
    )),
    responses(
        (status = 202, description = "On durable storage, or known already", body = schema::EventResults),
        (status = 207, description = "Some were not accepted", body = schema::EventResults),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),        (status = 409, description = "Not possible as it stands", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn accept(State(web): State<Web>, _: Ingester, request: Request) -> Result<Response> {
    match sent(request, &web).await? {
        Sent::Many(items) => {
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
        Sent::One(one) => {
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
    items: &[Item],
    base: impl Fn(usize) -> String,
) -> Result<Vec<ItemResult>> {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let mut results: Vec<Option<ItemResult>> = Vec::with_capacity(items.len());
    let mut incoming = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match item.read(now) {
            Ok(event) => {
                incoming.push((index, Incoming::new(event, &item.event)));
                results.push(None);
            }
            Err(faults) => {
                let below = |fault: Fault| {
                    Fault::new(format!("{}{}", base(index), fault.pointer), fault.detail)
                };
                let faults = faults.into_iter().map(below).collect();
                results.push(Some(named(&item.event, "invalid", faults)));
            }
        }
    }
    if !incoming.is_empty() {
        let (places, incoming): (Vec<usize>, Vec<Incoming>) = incoming.into_iter().unzip();
        let accepted = engine.store.accept_events(incoming, now).await?;
        engine.seams.pass(Seam::AfterEventCommit).await;
        let mut seqs = Vec::new();
        for (index, accepted) in places.into_iter().zip(accepted) {
            let at = |pointer: &str| format!("{}{}", base(index), items[index].pointer(pointer));
            let (result, errors) = match accepted {
                Accepted::New { seq } => {
                    seqs.push(seq);
                    ("accepted", Vec::new())
                }
                Accepted::Duplicate => ("duplicate", Vec::new()),
                Accepted::Conflict => {
                    let why = "another event with this source and id was accepted before; give it an id of its own";
                    ("conflict", vec![Fault::new(at("/id"), why)])
                }
                Accepted::OtherCaseType { known } => {
                    let why = format!("the case is known as {known:?}; a case keeps its type");
                    ("invalid", vec![Fault::new(at("/case_type"), why)])
                }
            };
            metrics::counter!("tidings_events_total", "result" => result).increment(1);
            results[index] = Some(named(&items[index].event, result, errors));
        }
        engine.ring_plan(&seqs);
    }
    Ok(results.into_iter().flatten().collect())
}

fn named(item: &Value, result: &'static str, errors: Vec<Fault>) -> ItemResult {
    let field = |name: &str| item.get(name).cloned().unwrap_or(Value::Null);
    ItemResult { source: field("source"), id: field("id"), result, errors }
}
