//! Plivo's callbacks: what became of a text, and texts that came in.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::channel::plivo::{NAME, receipt};
use crate::channel::twilio::twiml::escape;
use crate::config::TelephoneProvider;
use crate::web::error::Result;
use crate::web::{Web, inbound};

use super::{attempt, field, header, pairs, public_url, take, telephones, told_by};

/// `POST /v1/receipts/plivo?a=<attempt>`: message status.
pub async fn receive(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    let query = query.unwrap_or_default();
    let fields = verified(&web, &format!("/v1/receipts/plivo?{query}"), &headers, &body)?;
    let of = attempt(&web, &query)?;
    let provider_ref = field(&fields, "MessageUUID").unwrap_or_default();
    take(&web, of, NAME, provider_ref, receipt::read(|name| field(&fields, name))).await
}

/// `POST /v1/inbound/plivo`: a text somebody sent to our number. Answered with Plivo XML.
pub async fn text(State(web): State<Web>, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let fields = verified(&web, "/v1/inbound/plivo", &headers, &body)?;
    let mut said = String::new();
    if let Some(text) = receipt::inbound(|name| field(&fields, name)) {
        let (us, them) = (escape(&text.to), escape(&text.from));
        if let Some(reply) = inbound::hear(&web, NAME, text).await? {
            let reply = escape(&reply);
            said = format!("<Message src=\"{us}\" dst=\"{them}\" type=\"sms\">{reply}</Message>");
        }
    }
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{said}</Response>");
    Ok((StatusCode::OK, [(CONTENT_TYPE, "text/xml")], body).into_response())
}

fn verified(
    web: &Web,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<(String, String)>> {
    let url = public_url(web, path);
    let fields = pairs(body);
    let signatures = header(headers, "x-plivo-signature-v3").unwrap_or_default();
    let nonce = header(headers, "x-plivo-signature-v3-nonce").unwrap_or_default();
    let verified = telephones(web, TelephoneProvider::Plivo)
        .filter_map(|telephone| telephone.token.as_ref())
        .any(|token| receipt::verify(token.expose(), &url, &fields, nonce, signatures));
    told_by(NAME, verified)?;
    Ok(fields)
}
