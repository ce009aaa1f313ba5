//! The ways in: the signed link of a message, a link that signs in once, and the form that
//! sends one, which answers the same whether or not the address is known.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use crate::app::centre::letters::send_sign_in;
use crate::app::pages::Reader;
use crate::domain::Channel;
use crate::domain::customer::Address;
use crate::domain::token::Grant;
use crate::web::error::Problem;
use crate::web::receipts::pairs;
use crate::web::{Web, pages};

use super::visit::{PROOF_S, cookie, no_cookie};
use super::{Visitor, refuse};

/// `GET /c/{token}`: the link of a message opens a visit and leads to a clean address. A
/// sign-in link only shows a button: a scanner that follows it spends nothing.
pub async fn open(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let reader = pages::stranger(&web, &headers);
    match engine.keys.read(&token, now) {
        Some(Grant::Centre { customer, .. }) => enter(cookie(&web, &customer, now, 0)),
        Some(Grant::SignIn { .. }) => {
            let title = web.app.pages.word(&reader.locale, "title_open");
            pages::html(&web, "open.html", &reader, context! { title })
        }
        _ => pages::forged(&web, &reader),
    }
}

/// To the overview, with this cookie.
fn enter(cookie: axum::http::HeaderValue) -> Response {
    let mut response = Redirect::to("/centre").into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// `POST /c/{token}`: spends a sign-in link. Whoever has it reads what we send to the
/// customer, so the visit begins proven.
pub async fn sign_in(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let reader = pages::stranger(&web, &headers);
    let customer = match engine.keys.read(&token, now) {
        Some(Grant::Centre { customer, .. }) => return enter(cookie(&web, &customer, now, 0)),
        Some(Grant::SignIn { customer, .. }) => customer,
        _ => return pages::forged(&web, &reader),
    };
    match engine.store.spend_link(&engine.keys.fingerprint(&token), now).await {
        Ok(true) => {}
        Ok(false) => return pages::forged(&web, &reader),
        Err(error) => return Problem::from(error).into_response(),
    }
    if let Err(error) = engine.store.note_action(&customer, "signed_in", "", now).await {
        return Problem::from(error).into_response();
    }
    enter(cookie(&web, &customer, now, now.timestamp() + PROOF_S))
}

/// `GET /centre/sign-in`.
pub async fn form(State(web): State<Web>, headers: HeaderMap) -> Response {
    shown(&web, &pages::stranger(&web, &headers), false)
}

/// `POST /centre/sign-in`: sends a link to an address, if it is one of ours. The answer and
/// its time are the same if it is not: whatever there is to do is done afterwards.
pub async fn send_link(State(web): State<Web>, headers: HeaderMap, body: Bytes) -> Response {
    let fields = pairs(&body);
    let text = fields.iter().find(|(name, _)| name == "address").map(|(_, value)| value.trim());
    let text = text.unwrap_or_default();
    let channel = if text.contains('@') { Channel::Email } else { Channel::Sms };
    if let Ok(address) = Address::parse(channel, text) {
        send_sign_in(&web.app, channel, address, web.app.engine.clock.now());
    }
    shown(&web, &pages::stranger(&web, &headers), true)
}

fn shown(web: &Web, reader: &Reader, sent: bool) -> Response {
    let title = web.app.pages.word(&reader.locale, "title_sign_in");
    pages::html(web, "sign-in.html", reader, context! { title, sent })
}

/// `POST /centre/sign-out`.
pub async fn sign_out(State(web): State<Web>, visitor: Visitor) -> Response {
    let store = &web.app.engine.store;
    let id = &visitor.person.customer.id;
    if let Err(error) = store.note_action(id, "signed_out", "", visitor.now).await {
        return refuse(&web, &visitor, error);
    }
    let mut response = Redirect::to("/centre/sign-in").into_response();
    response.headers_mut().append(header::SET_COOKIE, no_cookie(&web));
    response
}
