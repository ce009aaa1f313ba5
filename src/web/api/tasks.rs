//! Tasks: work for a person because software could not.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Query;
use super::schema;
use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Page {
    after: Option<i64>,
    limit: Option<i64>,
}

/// List open tasks, oldest first
#[utoipa::path(
    get,
    path = "/v1/tasks",
    tag = "tasks",
    operation_id = "tasks_list",
    params(Page),
    responses(
        (status = 200, description = "A page", body = schema::Tasks),
        (status = 400, description = "The query cannot be read", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(web): State<Web>,
    _: Reader,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>> {
    let limit = page.limit.unwrap_or(100).clamp(1, 500);
    let tasks = web.app.engine.store.open_tasks(page.after.unwrap_or(0), limit).await?;
    Ok(axum::Json(json!({ "tasks": tasks })))
}

/// Finish a task
#[utoipa::path(
    post,
    path = "/v1/tasks/{id}/done",
    tag = "tasks",
    operation_id = "tasks_done",
    params(("id" = String, Path)),
    responses(
        (status = 204, description = "Done"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),        (status = 409, description = "Not possible as it stands", body = schema::Problem, content_type = "application/problem+json"),        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
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
