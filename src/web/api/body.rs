//! Reading a JSON body: its type, its size, its faults.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::Value;

use crate::web::cloud_events::media_type;
use crate::web::error::Problem;
use crate::web::{MAX_BODY, Web};

/// A JSON document of at most 256 kB.
#[derive(Debug)]
pub struct Json(pub Value);

impl FromRequest<Web> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        match media_type(request.headers()) {
            Some(other) if other != "application/json" => Err(unsupported("application/json")),
            _ => parse(&bytes(request, web).await?).map(Self),
        }
    }
}

/// 415, with what to send instead.
pub fn unsupported(expected: &str) -> Problem {
    let title = "Unsupported media type";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, title, format!("send {expected}"))
}

/// A body of at most 256 kB.
pub async fn bytes(request: Request, web: &Web) -> Result<Bytes, Problem> {
    Bytes::from_request(request, web).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a body has at most {} kB; send fewer at a time", MAX_BODY / 1024);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail)
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "Bad request", "the body could not be read")
        }
    })
}

pub fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("the body is no JSON: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "Bad request", detail)
    })
}
