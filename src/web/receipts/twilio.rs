//! Twilio's status callbacks.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};

use crate::channel::twilio::{NAME, receipt};
use crate::config::TelephoneProvider;
use crate::web::Web;
use crate::web::error::Result;

use super::{attempt, field, header, pairs, public_url, take, telephones, told_by};

/// `POST /v1/receipts/twilio?a=<attempt>`: status callbacks of messages and calls.
pub async fn receive(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    let query = query.unwrap_or_default();
    let fields = verified(&web, &format!("/v1/receipts/twilio?{query}"), &headers, &body)?;
    let of = attempt(&web, &query)?;
    let field = |name: &str| field(&fields, name);
    let provider_ref = ["MessageSid", "CallSid"].into_iter().find_map(field).unwrap_or_default();
    take(&web, of, NAME, provider_ref, receipt::read(field)).await
}

/// The fields of a callback from Twilio to `path` (with its query), once its signature is
/// found to be right.
///
/// # Errors
/// 401 when it is not.
pub fn verified(
    web: &Web,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<(String, String)>> {
    let url = public_url(web, path);
    let fields = pairs(body);
    let signature = header(headers, "x-twilio-signature").unwrap_or_default();
    let algorithm = header(headers, "x-twilio-webhooks-signature-settings");
    let verified =
        secrets(web).any(|token| receipt::verify(token, &url, &fields, signature, algorithm));
    told_by(NAME, verified)?;
    Ok(fields)
}

fn secrets(web: &Web) -> impl Iterator<Item = &str> {
    telephones(web, TelephoneProvider::Twilio)
        .filter_map(|telephone| telephone.token.as_ref())
        .map(crate::domain::Secret::expose)
}
