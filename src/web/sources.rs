//! `POST /v1/sources/{name}`: a help desk's own webhook. The raw body is checked before it is
//! read; the answer is one its sender understands.
//!
//! Zendesk counts 2xx as done and tries again only after 409 (three times), after 429 and 503
//! with a Retry-After below 60 s, and when nobody answered in 12 s ("Creating and monitoring
//! webhooks"). Shopify wants a 2xx within 5 s and else tries again for 4 hours ("HTTPS
//! webhooks"); Chatwoot and `ServiceNow`'s `RESTMessageV2` do not try again. So what can never be
//! read is 422 at once, what was seen before is done, and only a store that is away is a 503.

use std::collections::BTreeMap;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::sources::{self, ItemResult, Payload, Received, Source};
use crate::domain::Fault;
use crate::domain::signature::Scheme;

use super::Web;
use super::api::body::bytes;
use super::api::schema;
use super::auth::is_local;
use super::error::{Problem, Result};
use super::guard::caller;

/// Take a help desk's own webhook, signed as its vendor signs
#[utoipa::path(
    post,
    path = "/v1/sources/{name}",
    tag = "sources",
    operation_id = "sources_receive",
    params(("name" = String, Path, description = "A source of config/sources, such as zendesk")),
    request_body(content = Value, description = "As the vendor sends it", content_type = "application/json"),
    security(()),
    responses(
        (status = 200, description = "Known already, or of no interest", body = schema::Document),
        (status = 202, description = "On durable storage", body = schema::Document),
        (status = 207, description = "Some events were not accepted", body = schema::Document),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "The signature is missing, wrong or old", body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such source is configured", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Failing keys, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many wrong signatures", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn receive(
    State(web): State<Web>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let settings = &web.app.settings;
    let (Some(section), Some(source)) =
        (settings.sources.sections.get(&name), web.app.sources.get(&name))
    else {
        let why = format!(
            "no source {name:?} is served; [sources.{name}] secret_file in the settings opens it"
        );
        return Err(Problem::new(StatusCode::NOT_FOUND, "Not found", why));
    };
    let from = caller(&web, &request);
    let headers = request.headers().clone();
    let here = is_local(&headers, request.extensions().get(), &web);
    let body = bytes(request, &web).await?;
    let now = web.app.engine.clock.now();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let checked = match &section.secret {
        Some(secret) => source.signature.verify(secret, header, &body, now),
        // The settings allow this only while we listen on loopback.
        None if section.insecure && here => Ok(()),
        None => Err("without a secret only this machine may send".to_owned()),
    };
    let verified = checked.is_ok().to_string();
    metrics::counter!("tidings_callback_total", "provider" => name.clone(), "verified" => verified)
        .increment(1);
    if let Err(why) = checked {
        // Who signs rightly never waits, even where others send from the same address.
        if let Some(wait) = web.app.guesses.must_wait(from, now) {
            let why = "too many wrong signatures came from there";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "Slow down", why);
            return Err(problem.retry_after(wait));
        }
        web.app.guesses.count(from, now);
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "Unauthorised", why));
    }
    let payload = Payload { body: body.to_vec(), headers: plain(&headers, source) };
    match sources::receive(&web.app, source, &payload).await? {
        Received::Ignored(why) => {
            let body = json!({ "result": "ignored", "why": why });
            Ok((StatusCode::OK, axum::Json(body)).into_response())
        }
        Received::Results(results) => answer(source, &results),
    }
}

/// The headers as a mapping reads them; what proves who sent it stays here.
fn plain(headers: &HeaderMap, source: &Source) -> BTreeMap<String, String> {
    let proof = match &source.signature {
        Scheme::Header(name) => name.as_str(),
        _ => "authorization",
    };
    let hidden = |name: &str| {
        ["authorization", "cookie"].contains(&name) || name.eq_ignore_ascii_case(proof)
    };
    let shown = headers.iter().filter(|(name, _)| !hidden(name.as_str()));
    shown
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn answer(source: &Source, results: &[ItemResult]) -> Result<Response> {
    let listed: Vec<Value> = results
        .iter()
        .map(|result| {
            let mut listed =
                json!({ "source": result.source, "id": result.id, "result": result.result });
            if !result.failing.is_empty() {
                listed["failing"] = json!(result.failing);
            }
            listed
        })
        .collect();
    let count = |wanted: &str| results.iter().filter(|result| result.result == wanted).count();
    let status = match (count("invalid"), count("accepted")) {
        (0, 0) => StatusCode::OK,
        (0, _) => StatusCode::ACCEPTED,
        (invalid, _) if invalid < results.len() => StatusCode::MULTI_STATUS,
        _ => {
            let faults = results.iter().flat_map(|result| &result.failing).map(|failing| {
                let key = format!("the key `{}` of {}", failing.key, source.file);
                Fault::new(&failing.pointer, format!("{key}: {}", failing.detail))
            });
            return Err(Problem::faults(faults.collect()).with("results", json!(listed)));
        }
    };
    Ok((status, axum::Json(json!({ "results": listed }))).into_response())
}
