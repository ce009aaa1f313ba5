//! Tasks: work for a person because software could not.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    after: Option<i64>,
    limit: Option<i64>,
}

pub async fn list(
    State(web): State<Web>,
    _: Reader,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>> {
    let limit = page.limit.unwrap_or(100).clamp(1, 500);
    let tasks = web.app.engine.store.open_tasks(page.after.unwrap_or(0), limit).await?;
    Ok(axum::Json(json!({ "tasks": tasks })))
}

pub async fn done(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let id: i64 = id.parse().map_err(|_| Problem::not_found(format!("the task {id:?}")))?;
    let engine = &web.app.engine;
    engine.store.finish_task(id, &caller.name, engine.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
