//! Hooks of other systems: how they are doing, what they were told, telling it again.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Query;
use super::schema;
use crate::app::webhooks::standing;
use crate::domain::time::parse_instant;
use crate::store::webhooks::Wanted;
use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

/// How a delivery stands.
const STATUSES: [&str; 3] = ["pending", "delivered", "failed"];

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The name of a hook.
    hook: Option<String>,
    /// `pending`, `delivered` or `failed`.
    status: Option<String>,
    /// The type of the event.
    r#type: Option<String>,
    /// RFC 3339: events since then.
    since: Option<String>,
    /// `next` of the page before.
    before: Option<i64>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Meant {
    /// The name of a hook.
    hook: Option<String>,
    /// `failed` when left out; `pending`, `delivered`, or `all`.
    status: Option<String>,
    /// The type of the event.
    r#type: Option<String>,
    /// RFC 3339: events since then.
    since: String,
    /// How many deliveries are meant, as counted without it: then they are sent.
    expect: Option<i64>,
}

fn bad(why: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Bad request", why)
}

fn wanted(
    hook: Option<String>,
    status: Option<String>,
    kind: Option<String>,
    since: Option<&str>,
) -> Result<Wanted> {
    if let Some(status) = status.as_deref().filter(|status| !STATUSES.contains(status)) {
        let why = format!("status={status}: there is no such status; use {}", STATUSES.join(", "));
        return Err(bad(why));
    }
    let since = since.map(|text| parse_instant(text).map_err(|why| bad(format!("since: {why}"))));
    let since_ms = since.transpose()?.map_or(0, |since| since.timestamp_millis());
    Ok(Wanted { hook, status, kind, since_ms })
}

/// List the hooks, and how they are doing
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    operation_id = "webhooks_list",
    responses(
        (status = 200, description = "Each with the rate of its last thousand deliveries", body = schema::Webhooks),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(web): State<Web>, _: Reader) -> Result<axum::Json<Value>> {
    let hooks = standing(&web.app.engine.store, &web.app.settings).await?;
    Ok(axum::Json(json!({ "webhooks": hooks })))
}

/// List deliveries, newest first
#[utoipa::path(
    get,
    path = "/v1/webhooks/deliveries",
    tag = "webhooks",
    operation_id = "webhooks_deliveries",
    params(Page),
    responses(
        (status = 200, description = "A page", body = schema::Deliveries),
        (status = 400, description = "The query cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn deliveries(
    State(web): State<Web>,
    _: Reader,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>> {
    let limit = page.limit.unwrap_or(100).clamp(1, 500);
    let wanted = wanted(page.hook, page.status, page.r#type, page.since.as_deref())?;
    let rows = web.app.engine.store.deliveries(&wanted, page.before, limit).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|n| n == limit);
    let next = rows.last().filter(|_| full).map(|last| last.seq);
    Ok(axum::Json(json!({ "deliveries": rows, "next": next })))
}

/// Send one delivery again, under the same id
#[utoipa::path(
    post,
    path = "/v1/webhooks/deliveries/{id}/replay",
    tag = "webhooks",
    operation_id = "webhooks_replay",
    params(("id" = i64, Path)),
    responses(
        (status = 204, description = "It is sent now"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replay(
    State(web): State<Web>,
    _: Manager,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let id: i64 = id.parse().map_err(|_| Problem::not_found(format!("the delivery {id:?}")))?;
    let engine = &web.app.engine;
    engine.store.replay_delivery(id, engine.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Count deliveries, and send them again
///
/// Without `expect` they are only counted. With `expect`, the number counted, all of them are
/// sent again, unless there are others by now.
#[utoipa::path(
    post,
    path = "/v1/webhooks/deliveries/replay",
    tag = "webhooks",
    operation_id = "webhooks_replay_all",
    params(Meant),
    responses(
        (status = 200, description = "How many are meant, and how many are sent again", body = schema::Replayed),
        (status = 400, description = "The query cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another number of deliveries is meant by now", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replay_all(
    State(web): State<Web>,
    _: Manager,
    Query(meant): Query<Meant>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let status = meant.status.unwrap_or_else(|| "failed".to_owned());
    let status = Some(status).filter(|status| status != "all");
    let wanted = wanted(meant.hook, status, meant.r#type, Some(&meant.since))?;
    let count = engine.store.count_deliveries(&wanted).await?;
    let replayed = match meant.expect {
        None => 0,
        Some(expected) => {
            engine.store.replay_deliveries(&wanted, Some(expected), engine.clock.now()).await?
        }
    };
    Ok(axum::Json(json!({ "count": count, "replayed": replayed })))
}

/// Let a hook be told again whose receiver said 410 Gone
#[utoipa::path(
    post,
    path = "/v1/webhooks/{name}/enable",
    tag = "webhooks",
    operation_id = "webhooks_enable",
    params(("name" = String, Path)),
    responses(
        (status = 204, description = "What waited is sent now"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn enable(
    State(web): State<Web>,
    _: Manager,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    if !web.app.settings.webhooks.iter().any(|hook| hook.name == name) {
        return Err(Problem::not_found(format!("the hook {name:?}")));
    }
    web.app.engine.store.enable_hook(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
