//! Providers' callbacks. Verified against the public address, stored, then applied; without
//! a configured secret the door is shut.

pub mod http_door;
pub mod kannel;
pub mod plivo;
pub mod sinch;
pub mod twilio;
pub mod vonage;
pub mod vonage_voice;

use axum::http::{HeaderMap, StatusCode};

use crate::channel::receipt::Word;
use crate::config::{Telephone, TelephoneProvider};
use crate::domain::NotificationId;
use crate::domain::token::Grant;

use super::Web;
use super::error::{Problem, Result};

/// The attempt a callback's own address names: `?a=<attempt>`, signed by us.
///
/// # Errors
/// 404 when it names none.
pub fn attempt(web: &Web, query: &str) -> Result<(NotificationId, i64)> {
    let engine = &web.app.engine;
    let token = pairs(query.as_bytes()).into_iter().find(|(name, _)| name == "a");
    let grant = token.and_then(|(_, token)| engine.keys.read(&token, engine.clock.now()));
    match grant {
        Some(Grant::Receipt { notification, no }) => Ok((notification, no)),
        _ => Err(Problem::not_found("the attempt")),
    }
}

/// Keeps what a provider says of an attempt, then applies it.
///
/// # Errors
/// 503 when it cannot be kept.
pub async fn take(
    web: &Web,
    of: (NotificationId, i64),
    provider: &'static str,
    provider_ref: String,
    word: Word,
) -> Result<StatusCode> {
    web.app.engine.take_receipt(of, provider, provider_ref, word).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes note of whether a callback was who it said it was.
///
/// # Errors
/// 401 when it was not.
pub fn told_by(provider: &'static str, verified: bool) -> Result<()> {
    metrics::counter!("tidings_callback_total", "provider" => provider, "verified" => verified.to_string())
        .increment(1);
    if verified {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "Unauthorised",
        "the signature does not fit; is [http] public_url the address the provider calls?",
    ))
}

/// Name and value pairs of a query or a form.
pub fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let Ok(mut url) = reqwest::Url::parse("form:x") else { return Vec::new() };
    url.set_query(Some(&text));
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The value of a field.
pub fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// A header that is text.
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A path and query of ours as a provider calls it.
pub fn public_url(web: &Web, path: &str) -> String {
    format!("{}{path}", web.app.settings.http.public_url.trim_end_matches('/'))
}

/// The accounts with a provider.
pub fn telephones(web: &Web, provider: TelephoneProvider) -> impl Iterator<Item = &Telephone> {
    let all = web.app.settings.channels.telephones();
    all.filter(move |telephone| telephone.provider == provider)
}
