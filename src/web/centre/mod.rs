//! The customer's own pages. No script is needed, a GET changes nothing that matters, and
//! what a POST did is read back from the store before it is confirmed.

mod doors;
mod rooms;
mod visit;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::store::StoreError;

use super::error::Problem;
use super::{Web, pages};

pub use rooms::as_seen_by;
pub use visit::{Visitor, no_cookie};

/// Failed forms in a row after which a person is offered.
const TRIES_BEFORE_HELP: usize = 3;

/// The routes of the centre.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/c/{token}", get(doors::open).post(doors::sign_in))
        .route("/centre", get(rooms::overview).post(rooms::steer))
        .route("/centre/choices", get(rooms::choices).post(rooms::choose))
        .route("/centre/history", get(rooms::history))
        .route("/centre/addresses", get(rooms::addresses).post(rooms::change_addresses))
        .route("/centre/call", get(rooms::call).post(rooms::ask_for_call))
        .route("/centre/data", get(rooms::data).post(rooms::act_on_data))
        .route("/centre/sign-in", get(doors::form).post(doors::send_link))
        .route("/centre/sign-out", post(doors::sign_out))
        .route("/centre/style.css", get(style))
}

async fn style(State(web): State<Web>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, web.app.pages.style.to_string()).into_response()
}

/// One line above the page: what was done, or what could not be.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    kind: &'static str,
    text: String,
}

impl Said {
    /// Done, in the words of this key.
    fn done(web: &Web, visitor: &Visitor, key: &str) -> Self {
        Self { kind: "done", text: web.app.pages.word(&visitor.person.reader.locale, key) }
    }

    /// Not done, and why.
    fn fault(web: &Web, visitor: &Visitor, key: &str) -> Self {
        Self { kind: "fault", text: web.app.pages.word(&visitor.person.reader.locale, key) }
    }
}

/// Shows a page to a visitor, whose visit goes on from now.
async fn show(
    web: &Web,
    visitor: &Visitor,
    name: &str,
    values: Value,
    said: Vec<Said>,
) -> Result<Response, StoreError> {
    let actions = web.app.engine.store.actions(&visitor.person.customer.id, 20).await?;
    let failed = actions.iter().rev().filter(|action| action.kind != "letter");
    let failed = failed.take_while(|action| action.kind == "failed").count();
    let page = name.trim_end_matches(".html");
    let frame = context! {
        title => web.app.pages.word(&visitor.person.reader.locale, &format!("title_{page}")),
        page, said => Serde(said), signed_in => true, proven => visitor.proven,
        help => failed >= TRIES_BEFORE_HELP,
    };
    let values = context! { ..values, ..frame };
    let response = pages::html(web, name, &visitor.person.reader, values);
    Ok(visitor.go_on(web, response))
}

/// A fault of the store, as a visitor sees it.
fn refuse(web: &Web, visitor: &Visitor, error: StoreError) -> Response {
    match error {
        StoreError::NotFound { .. } => pages::forged(web, &visitor.person.reader),
        error => Problem::from(error).into_response(),
    }
}
