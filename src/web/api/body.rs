//! Reading a JSON body: its type, its size, its faults.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde_json::Value;

use crate::web::error::Problem;
use crate::web::{MAX_BODY, Web};

/// A JSON document of at most 256 kB.
#[derive(Debug)]
pub struct Json(pub Value);

impl FromRequest<Web> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or(value).trim().to_lowercase());
        if content_type.is_some_and(|content_type| content_type != "application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported media type",
                "send application/json",
            ));
        }
        let bytes = Bytes::from_request(request, web).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let detail =
                    format!("a body has at most {} kB; send fewer at a time", MAX_BODY / 1024);
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail)
            } else {
                Problem::new(StatusCode::BAD_REQUEST, "Bad request", "the body could not be read")
            }
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "Bad request",
                format!("the body is no JSON: {error}"),
            )
        })
    }
}
