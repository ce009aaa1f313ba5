//! Customers, their preferences, their timeline.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::customer::CustomerRecord;
use crate::domain::{Customer, CustomerId, Fault, Preferences};
use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

use super::body::Json;

/// How long a link asked for by a system works.
const CENTRE_LINK_DAYS: i64 = 30;

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
    Ok((status, axum::Json(view(&customer))).into_response())
}

pub async fn get(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let customer = engine.store.customer(&CustomerId(id), engine.clock.now()).await?;
    Ok(axum::Json(view(&customer)))
}

pub async fn delete(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let engine = &web.app.engine;
    engine.store.erase(&CustomerId(id), &caller.name, engine.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

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
        let stopped = std::mem::take(&mut chosen.stopped);
        *chosen = Preferences { stopped, ..wanted };
    };
    engine.store.choose(&id, &source, now, change).await?;
    let customer = engine.store.customer(&id, now).await?;
    Ok(axum::Json(json!(customer.preferences)))
}

#[derive(Debug, Deserialize)]
pub struct Page {
    limit: Option<i64>,
}

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

pub async fn export(
    State(web): State<Web>,
    _: Reader,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>> {
    let engine = &web.app.engine;
    let id = CustomerId(id);
    let customer = engine.store.customer(&id, engine.clock.now()).await?;
    let entries = engine.store.customer_timeline(&id, 100_000).await?;
    let versions = engine.store.customer_versions(&id).await?;
    Ok(axum::Json(json!({
        "customer": view(&customer), "chosen": customer.chosen, "versions": versions,
        "timeline": entries,
    })))
}

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

fn view(customer: &Customer) -> Value {
    json!({
        "id": customer.id,
        "name": customer.profile.name,
        "locale": customer.profile.locale,
        "time_zone": customer.profile.time_zone,
        "attributes": customer.profile.attributes,
        "contact_points": customer.contact_points,
        "preferences": customer.preferences,
    })
}
