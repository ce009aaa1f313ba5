//! Vonage's callbacks: what became of a text, and texts that came in.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::channel::vonage::{NAME, receipt};
use crate::config::TelephoneProvider;
use crate::domain::Secret;
use crate::web::error::Result;
use crate::web::{Web, inbound};

use super::{attempt, header, take, telephones, told_by};

/// `POST /v1/receipts/vonage?a=<attempt>`: message status.
pub async fn receive(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    let said = verified(&web, &headers, &body)?;
    let of = attempt(&web, &query.unwrap_or_default())?;
    let provider_ref = said["message_uuid"].as_str().unwrap_or_default().to_owned();
    take(&web, of, NAME, provider_ref, receipt::read(&said)).await
}

/// `POST /v1/inbound/vonage`: a text somebody sent to our number.
pub async fn text(State(web): State<Web>, headers: HeaderMap, body: Bytes) -> Result<StatusCode> {
    let said = verified(&web, &headers, &body)?;
    inbound::answered_by_wire(&web, NAME, receipt::inbound(&said)).await
}

fn verified(web: &Web, headers: &HeaderMap, body: &[u8]) -> Result<Value> {
    let now = web.app.engine.clock.now();
    let authorization = header(headers, "authorization");
    let secrets = telephones(web, TelephoneProvider::Vonage);
    let mut secrets = secrets.filter_map(|telephone| telephone.callback_secret.as_ref());
    let fits = |secret: &Secret| receipt::verify(secret.expose(), authorization, body, now);
    told_by(NAME, secrets.any(fits))?;
    Ok(serde_json::from_slice(body).unwrap_or_default())
}
