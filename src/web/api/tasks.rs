//! Tasks: work for a person because software could not.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Query, bytes, parse};
use super::schema;
use crate::app::centre::promised_calls::{self, Outcome};
use crate::domain::fault::Fields;
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
///
/// A promised call may also end without a conversation: `{"outcome": "not_reached"}` tries it
/// once more, and the second time leaves the task to a person.
#[utoipa::path(
    post,
    path = "/v1/tasks/{id}/done",
    tag = "tasks",
    operation_id = "tasks_done",
    params(("id" = String, Path)),
    request_body(content = Option<schema::TaskDone>, description = "What came of it; nothing is needed"),
    responses(
        (status = 200, description = "Nobody answered: tried once more by then, or left to a person", body = schema::NextTry),
        (status = 204, description = "Done"),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not possible as it stands", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn done(
    State(web): State<Web>,
    caller: Manager,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response> {
    let id: i64 = id.parse().map_err(|_| Problem::not_found(format!("the task {id:?}")))?;
    let body = bytes(request, &web).await?;
    let outcome = if body.is_empty() { Outcome::Reached } else { outcome(&parse(&body)?)? };
    let now = web.app.engine.clock.now();
    let next = promised_calls::finish(&web.app, id, &caller.name, outcome, now).await?;
    Ok(match outcome {
        Outcome::Reached => StatusCode::NO_CONTENT.into_response(),
        Outcome::NotReached => {
            let by = next.map(|(_, to)| to.to_rfc3339());
            axum::Json(json!({ "by": by })).into_response()
        }
    })
}

fn outcome(body: &Value) -> Result<Outcome> {
    let mut faults = Vec::new();
    let mut outcome = Outcome::Reached;
    if let Some(mut fields) = Fields::of(body, "", &mut faults) {
        match fields.text("outcome", 20).as_deref() {
            None | Some("reached") => {}
            Some("not_reached") => outcome = Outcome::NotReached,
            Some(_) => fields.fault("outcome", "is reached or not_reached"),
        }
        fields.refuse_unknown();
    }
    if faults.is_empty() { Ok(outcome) } else { Err(Problem::faults(faults)) }
}
