//! What-if: recorded events under a change, before it is published.

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use super::body::Json;
use super::schema;
use crate::app::simulate::asked::{Asked, MAX_EVENTS, NoAnswer, answer};
use crate::web::Web;
use crate::web::auth::Manager;
use crate::web::error::{Problem, Result};

/// After how long to ask again while another is played.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// See what a change would have done to recorded events
///
/// The events of the store are decided again in memory, under the version in force and under the
/// change beside it; nothing is sent and nothing is stored. The answer is the document of
/// `tidings simulate --json`. One is played at a time, and only a history of at most 200,000
/// events up to `to`; `tidings simulate` plays longer ones.
#[utoipa::path(
    post,
    path = "/v1/simulations",
    tag = "simulations",
    operation_id = "simulations_run",
    request_body = schema::Simulation,
    responses(
        (status = 200, description = "What would have been", body = schema::Document),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nothing is published yet", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "No JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer; or a history too long to be played here", body = schema::Problem, content_type = "application/problem+json"),
        (status = 429, description = "Another is being played; `Retry-After` says when to ask again", body = schema::Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is away, or the answer took too long", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn run(
    State(web): State<Web>,
    _: Manager,
    Json(body): Json,
) -> Result<axum::Json<Value>> {
    let asked = Asked::from_json(&body).map_err(Problem::faults)?;
    answer(&web.app, asked).await.map(axum::Json).map_err(|why| match why {
        NoAnswer::Faults(faults) => Problem::faults(faults),
        NoAnswer::Store(error) => error.into(),
        NoAnswer::Busy => {
            let detail = "another what-if is being played; ask again in a moment";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "Busy", detail).retry_after(AGAIN)
        }
        NoAnswer::TooLong => {
            let detail = format!(
                "the store has more than {MAX_EVENTS} events up to then; name an earlier `to`, or run `tidings simulate`"
            );
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Too long a history", detail)
        }
    })
}
