//! `POST /v1/inbound/mail`: mail that came back, as it is (RFC 5322).

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;

use crate::app::inbound;
use crate::web::Web;
use crate::web::auth::Ingester;
use crate::web::error::{Problem, Result};

use super::body::Query;
use super::schema;

/// The largest mail that is taken, in bytes; only the first MiB of it is looked at.
const MAX_MAIL: usize = 5 * 1024 * 1024;

/// Where a mail was delivered to.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Delivered {
    /// The address it was delivered to, where the mail server knows it better than the headers
    to: Option<String>,
}

/// Hand in mail that came back: bounces, complaints, replies
#[utoipa::path(
    post,
    path = "/v1/inbound/mail",
    tag = "receipts",
    operation_id = "inbound_mail",
    params(Delivered),
    request_body(content = String, content_type = "text/plain", description = "The mail, byte for byte, whatever type it is sent as: message/rfc822, too"),
    responses(
        (status = 200, description = "Kept; what it was", body = schema::InboundMail),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 5 MB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn mail(
    State(web): State<Web>,
    _: Ingester,
    Query(delivered): Query<Delivered>,
    request: Request,
) -> Result<Json<inbound::Taken>> {
    let bytes = to_bytes(request.into_body(), MAX_MAIL).await.map_err(|_| {
        let detail = "a mail has at most 5 MB, or its end did not come";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail)
    })?;
    let now = web.app.engine.clock.now();
    Ok(Json(inbound::take(&web.app, &bytes, delivered.to.as_deref(), now).await?))
}
