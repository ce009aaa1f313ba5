//! Kannel's callbacks, which are plain GETs. A report proves itself by our own signed tag alone;
//! a text that came in by a word of our own in the address.

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::channel::kannel::{NAME, receipt};
use crate::config::TelephoneProvider;
use crate::web::error::Result;
use crate::web::{Web, inbound};

use super::{attempt, field, pairs, take, telephones, told_by};

/// `GET /v1/receipts/kannel?a=<attempt>&d=%d&said=%A`: a delivery report.
pub async fn receive(State(web): State<Web>, RawQuery(query): RawQuery) -> Result<StatusCode> {
    let query = query.unwrap_or_default();
    let of = attempt(&web, &query);
    let ours = telephones(&web, TelephoneProvider::Kannel).next().is_some();
    told_by(NAME, ours && of.is_ok())?;
    let fields = pairs(query.as_bytes());
    take(&web, of?, NAME, String::new(), receipt::read(|name| field(&fields, name))).await
}

/// `GET /v1/inbound/kannel?secret=…&from=%p&to=%P&text=%a&id=%I`: a text somebody sent to our
/// number. What is answered here Kannel sends back.
pub async fn text(State(web): State<Web>, RawQuery(query): RawQuery) -> Result<Response> {
    let fields = pairs(query.unwrap_or_default().as_bytes());
    let given = field(&fields, "secret");
    let verified = telephones(&web, TelephoneProvider::Kannel)
        .filter_map(|telephone| telephone.callback_secret.as_ref())
        .any(|secret| receipt::verify(secret.expose(), given.as_deref()));
    told_by(NAME, verified)?;
    let reply = match receipt::inbound(|name| field(&fields, name)) {
        Some(text) => inbound::hear(&web, NAME, text).await?,
        None => None,
    };
    let kind = [(CONTENT_TYPE, "text/plain; charset=UTF-8")];
    Ok((StatusCode::OK, kind, reply.unwrap_or_default()).into_response())
}
