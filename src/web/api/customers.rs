//! Customers, their preferences, their timeline.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::centre::data;
use crate::domain::customer::CustomerRecord;
use crate::domain::{CustomerId, Fault, Preferences};
use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

use super::body::{Json, Query};
use super::schema;

/// How long a link asked for by a system works.
const CENTRE_LINK_DAYS: i64 = 30;

/// Tell of a customer; preferences fill only what they have not chosen
#[utoipa::path(
    put,
    path = "/v1/customers/{id}",
    tag = "customers",
    operation_id = "customers_put",
    params(("id" = String, Path)),
    request_body = schema::Customer,
    responses(
        (status = 200, description = "Known with what was sent", body = schema::Document),
        (status = 201, description = "New", body = schema::Document),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),        (status = 409, description = "Not possible as it stands", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(web): State<Web>,
    _: Manager,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response> {
    let record =
        CustomerRecord::from_json(&body, Some(&id), &web.app.zones).map_err(Problem::faults)?;
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let done = engine.store.import_customers(vec![record], "api", now).await?;
    if done.released {
        let events = engine.store.unplanned_events(now, 500).await?;
        engine.ring_plan(&events);
    }
    let customer = engine.store.customer(&CustomerId(id), now).await?;
    let status = if done.new > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(data::view(&customer))).into_response())
}

/// Read a customer
#[utoipa::path(
    get,
    path = "/v1/customers/{id}",
    tag = "customers",
    operation_id = "customers_get",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The customer", body = schema::Customer),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let customer = engine.store.customer(&CustomerId(id), engine.clock.now()).await?;
    Ok(axum::Json(data::view(&customer)))
}

/// Erase what is known of a person
#[utoipa::path(
    delete,
    path = "/v1/customers/{id}",
    tag = "customers",
    operation_id = "customers_delete",
    params(("id" = String, Path)),
    responses(
        (status = 204, description = "Erased"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let engine = &web.app.engine;
    engine.store.erase(&CustomerId(id), &caller.name, engine.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read what a customer chose
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/preferences",
    tag = "customers",
    operation_id = "customers_preferences",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The preferences in force", body = schema::Preferences),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn preferences(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let customer = engine.store.customer(&CustomerId(id), engine.clock.now()).await?;
    Ok(axum::Json(json!(customer.preferences)))
}

/// Replaces what the customer chose, as an agent does for them on the phone. A STOP stays.
#[utoipa::path(
    put,
    path = "/v1/customers/{id}/preferences",
    tag = "customers",
    operation_id = "customers_set_preferences",
    params(("id" = String, Path)),
    request_body = schema::Preferences,
    responses(
        (status = 200, description = "The preferences in force", body = schema::Preferences),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_preferences(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<axum::Json<Value>> {
    let mut faults = Vec::new();
    let wanted = Preferences::from_json(&body, "", &mut faults);
    let topics = &web.app.settings.topics;
    let named = wanted.iter().flat_map(|wanted| wanted.topics.keys().chain(wanted.digest.keys()));
    for topic in named {
        if !topics.contains_key(topic) {
            let known: Vec<&str> = topics.keys().map(String::as_str).collect();
            let why = format!("is no topic here; topics are {}", known.join(", "));
            faults.push(Fault::new(format!("/topics/{topic}"), why));
        }
    }
    let Some(wanted) = wanted.filter(|_| faults.is_empty()) else {
        return Err(Problem::faults(faults));
    };
    let engine = &web.app.engine;
    let id = CustomerId(id);
    let source = format!("api:{}", caller.name);
    let now = engine.clock.now();
    let change = move |chosen: &mut Preferences| {
        let before = std::mem::take(chosen);
        *chosen = Preferences {
            stopped: before.stopped,
            locale: before.locale,
            time_zone: before.time_zone,
            ..wanted
        };
    };
    engine.store.choose(&id, &source, now, change).await?;
    let customer = engine.store.customer(&id, now).await?;
    Ok(axum::Json(json!(customer.preferences)))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    limit: Option<i64>,
}

/// Read what happened with a customer, oldest first
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/timeline",
    tag = "customers",
    operation_id = "customers_timeline",
    params(("id" = String, Path), Page),
    responses(
        (status = 200, description = "The timeline", body = schema::Document),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 400, description = "The query cannot be read", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn timeline(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let id = CustomerId(id);
    engine.store.customer(&id, engine.clock.now()).await?;
    let limit = page.limit.unwrap_or(100).clamp(1, 500);
    let entries = engine.store.customer_timeline(&id, limit).await?;
    Ok(axum::Json(json!({ "customer": id, "timeline": entries })))
}

/// Export everything known of a person
#[utoipa::path(
    get,
    path = "/v1/customers/{id}/export",
    tag = "customers",
    operation_id = "customers_export",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "Everything", body = schema::Document),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn export(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let id = CustomerId(id);
    Ok(axum::Json(data::export(&engine.store, &id, engine.clock.now()).await?))
}

/// Make a link to the customer's own page
#[utoipa::path(
    post,
    path = "/v1/customers/{id}/centre-link",
    tag = "customers",
    operation_id = "customers_centre_link",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The link", body = schema::Link),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn centre_link(
    State(web): State<Web>,
    _: Manager,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let customer = engine.store.customer(&CustomerId(id), now).await?;
    let until = now + TimeDelta::days(CENTRE_LINK_DAYS);
    let link = engine.centre_link(&customer.id, until.timestamp());
    Ok(axum::Json(json!({ "link": link, "works_until": until.to_rfc3339() })))
}
