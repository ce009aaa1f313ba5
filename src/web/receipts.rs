//! Providers' callbacks. Verified against the public address, stored, then applied; without
//! a configured secret the door is shut.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};

use crate::app::Seam;
use crate::channel::twilio_receipt::{self, Word};
use crate::config::{Telephone, TelephoneProvider};
use crate::domain::token::Grant;
use crate::store::receipts::{Receipt, ReceiptOutcome};

use super::Web;
use super::error::{Problem, Result};

/// `POST /v1/receipts/twilio?a=<attempt>`: status callbacks of messages and calls.
pub async fn twilio(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    let query = query.unwrap_or_default();
    let fields = verified(&web, &format!("/v1/receipts/twilio?{query}"), &headers, &body)?;
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let token = pairs(query.as_bytes()).into_iter().find(|(name, _)| name == "a");
    let grant = token.and_then(|(_, token)| engine.keys.read(&token, now));
    let Some(Grant::Receipt { notification, no }) = grant else {
        return Err(Problem::not_found("the attempt"));
    };
    let field =
        |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let (outcome, detail, suppress) = match twilio_receipt::read(field) {
        Word::Nothing => return Ok(StatusCode::NO_CONTENT),
        Word::Taken => (ReceiptOutcome::Taken, String::new(), None),
        Word::Delivered => (ReceiptOutcome::Delivered, String::new(), None),
        Word::Undelivered { detail, address } => (ReceiptOutcome::Undelivered, detail, address),
    };
    let provider_ref = ["MessageSid", "CallSid"].into_iter().find_map(field).unwrap_or_default();
    let receipt =
        Receipt { notification, no, provider: "twilio", provider_ref, outcome, detail, suppress };
    engine.seams.pass(Seam::ReceiptBeforeCommit).await;
    if engine.store.keep_receipt(receipt, now).await? {
        engine.seams.pass(Seam::AfterReceiptCommit).await;
        if engine.store.apply_receipts(now).await? {
            engine.wake.notify_one();
        }
    }
    Ok(StatusCode::NO_CONTENT)
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
    let url = format!("{}{path}", web.app.settings.http.public_url.trim_end_matches('/'));
    let fields = pairs(body);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = header("x-twilio-signature").unwrap_or_default();
    let algorithm = header("x-twilio-webhooks-signature-settings");
    let verified = secrets(web)
        .any(|token| twilio_receipt::verify(token, &url, &fields, signature, algorithm));
    metrics::counter!("tidings_callback_total", "provider" => "twilio", "verified" => verified.to_string())
        .increment(1);
    if verified {
        return Ok(fields);
    }
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "Unauthorised",
        "the signature does not fit; is [http] public_url the address the provider calls?",
    ))
}

fn secrets(web: &Web) -> impl Iterator<Item = &str> {
    let channels = &web.app.settings.channels;
    [&channels.sms, &channels.voice]
        .into_iter()
        .filter(|telephone: &&Telephone| telephone.provider == TelephoneProvider::Twilio)
        .filter_map(|telephone| telephone.token.as_ref())
        .map(crate::domain::Secret::expose)
}

/// Name and value pairs of a query or a form.
pub fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let Ok(mut url) = reqwest::Url::parse("form:x") else { return Vec::new() };
    url.set_query(Some(&text));
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}
