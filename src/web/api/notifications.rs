//! Notifications: listing, one with its whole story, cancel and retry.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Query;
use super::schema;
use crate::app::explain;
use crate::domain::{NotificationId, Status};
use crate::store::console::Filter;
use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    customer: Option<String>,
    case: Option<String>,
    status: Option<String>,
    after: Option<String>,
    limit: Option<i64>,
}

/// List notifications, newest first, by customer, case or status
#[utoipa::path(
    get,
    path = "/v1/notifications",
    tag = "notifications",
    operation_id = "notifications_list",
    params(Wanted),
    responses(
        (status = 200, description = "A page", body = schema::Notifications),
        (status = 400, description = "The query cannot be read", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(web): State<Web>,
    _: Reader,
    Query(wanted): Query<Wanted>,
) -> Result<axum::Json<Value>> {
    if let Some(status) = &wanted.status
        && Status::from_name(status).is_none()
    {
        let known: Vec<&str> = Status::ALL.into_iter().map(Status::as_str).collect();
        let why = format!("status={status}: there is no such status; use {}", known.join(", "));
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Bad request", why));
    }
    let limit = wanted.limit.unwrap_or(100).clamp(1, 500);
    let filter = Filter {
        customer: wanted.customer,
        case: wanted.case,
        status: wanted.status,
        after: wanted.after,
        limit,
    };
    let page = web.app.engine.store.notifications(&filter).await?;
    let full = i64::try_from(page.len()).is_ok_and(|n| n == limit);
    let next = page.last().filter(|_| full).map(|last| last.id.clone());
    let items: Vec<Value> = page.iter().map(explain::view).collect();
    Ok(axum::Json(json!({ "notifications": items, "next": next })))
}

fn id_of(text: &str) -> Result<NotificationId> {
    NotificationId::parse(text)
        .map_err(|_| Problem::not_found(format!("the notification {text:?}")))
}

/// Read one with its decisions, attempts, receipts and explanation
#[utoipa::path(
    get,
    path = "/v1/notifications/{id}",
    tag = "notifications",
    operation_id = "notifications_get",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "Everything about it", body = schema::Document),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let explained = explain::notification(&web.app, &id_of(&id)?).await?;
    Ok(axum::Json(explained.json))
}

/// Cancel what has not left yet
#[utoipa::path(
    post,
    path = "/v1/notifications/{id}/cancel",
    tag = "notifications",
    operation_id = "notifications_cancel",
    params(("id" = String, Path)),
    responses(
        (status = 204, description = "Cancelled"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 409, description = "Not possible as it stands", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let engine = &web.app.engine;
    engine.store.cancel(&id_of(&id)?, &caller.name, engine.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Try once more what ended without reaching the customer
#[utoipa::path(
    post,
    path = "/v1/notifications/{id}/retry",
    tag = "notifications",
    operation_id = "notifications_retry",
    params(("id" = String, Path)),
    responses(
        (status = 204, description = "Planned again"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 409, description = "Not possible as it stands", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn retry(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let engine = &web.app.engine;
    engine.store.retry(&id_of(&id)?, &caller.name, engine.clock.now()).await?;
    engine.wake.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
