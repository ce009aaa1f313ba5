//! Reading a request: a JSON body, its type, its size, its faults; the values of a query.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
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

/// The values of a query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Web> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let read = axum::extract::Query::from_request_parts(parts, web).await;
        read.map(|axum::extract::Query(values)| Self(values)).map_err(|rejection| {
            let why = rejection.body_text();
            let why = why.strip_prefix("Failed to deserialize query string: ").unwrap_or(&why);
            Problem::new(StatusCode::BAD_REQUEST, "Bad request", format!("the query: {why}"))
        })
    }
}
