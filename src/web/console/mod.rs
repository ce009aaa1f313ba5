//! The console of those who run Tidings. No script is needed, a GET changes nothing, and what
//! a POST did is read back from the store before it is confirmed.

mod cookies;
mod doors;
mod filters;
mod forms;
mod log;
mod many;
mod notifications;
mod now;
mod operator;
mod people;
mod planned;
mod providers;
mod publishing;
mod reports;
mod restored;
mod search;
mod suppressions;
mod tasks;
mod webhooks;

use axum::Router;
use axum::extract::{MatchedPath, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;
use serde_json::json;

use crate::app::console::audit;

use crate::store::StoreError;

use super::Web;
use super::error::Problem;

pub use operator::{Admin, At, Editor, Operator, Publisher, Role};

/// The routes of the console.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/console/audit", get(log::audit))
        .route("/console/sign-in", get(doors::sign_in_form).post(doors::sign_in))
        .route("/console/sign-out", post(doors::sign_out))
        .route("/console/openid", get(doors::openid_leave))
        .route("/console/openid/back", get(doors::openid_back))
        .route("/console/style.css", get(style))
        .merge(running())
        .merge(publishing::routes())
        .merge(webhooks::routes())
}

/// Pages of what goes on, and what people do about it.
fn running() -> Router<Web> {
    Router::new()
        .route("/console", get(now::page))
        .route("/console/planned", get(planned::page))
        .route("/console/search", get(search::page).post(search::look))
        .route("/console/customers/{id}", get(people::customer).post(people::unmask))
        .route("/console/customers/{id}/as", get(people::overview_as))
        .route("/console/customers/{id}/as/{room}", get(people::room_as))
        .route("/console/cases/{id}", get(people::case))
        .route("/console/notifications", get(notifications::list))
        .route("/console/notifications/many", get(many::ask).post(many::confirm))
        .route(
            "/console/notifications/{id}",
            get(notifications::one).post(notifications::act_on_one),
        )
        .route("/console/tasks", get(tasks::page).post(tasks::done))
        .route("/console/reports", get(reports::page).post(reports::renew))
        .route("/console/suppressions", get(suppressions::page).post(suppressions::lift))
        .route("/console/providers", get(providers::page).post(providers::switch))
        .route("/console/restored", get(restored::page).post(restored::confirm))
}

async fn style(State(web): State<Web>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, web.app.console.style.to_string()).into_response()
}

/// One line above the page: what was done, or what could not be.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    /// `done` or `fault`.
    pub kind: &'static str,
    pub text: String,
}

impl Said {
    fn done(text: &str) -> Self {
        Self { kind: "done", text: text.to_owned() }
    }

    fn fault(text: &str) -> Self {
        Self { kind: "fault", text: text.to_owned() }
    }

    /// A form that is none of ours.
    fn unknown() -> Self {
        Self::fault("The form could not be read. Nothing was done.")
    }
}

/// A fault of the store, as an operator sees it.
fn refuse(web: &Web, operator: &Operator, error: StoreError) -> Response {
    match error {
        StoreError::NotFound { what } => {
            let said = [Said::fault(&format!("There is nothing here: {what} is not known."))];
            let page = show(web, operator, "", "Not found", "search.html", context! {}, &said);
            (StatusCode::NOT_FOUND, page).into_response()
        }
        error => Problem::from(error).into_response(),
    }
}

/// Shows a page to an operator. `page` is the entry of the navigation it belongs to.
pub fn show(
    web: &Web,
    operator: &Operator,
    page: &str,
    title: &str,
    name: &str,
    values: Value,
    said: &[Said],
) -> Response {
    let signed_in = !web.app.door.is_open_here();
    let frame =
        context! { title, page, operator => Serde(operator), signed_in, said => Serde(said) };
    fill(web, name, context! { ..values, ..frame })
}

/// Shows a page to somebody who is not signed in.
fn show_stranger(web: &Web, title: &str, name: &str, values: Value, said: &[Said]) -> Response {
    fill(web, name, context! { ..values, ..context! { title, said => Serde(said) } })
}

fn fill(web: &Web, name: &str, values: Value) -> Response {
    match web.app.console.render(name, values) {
        Ok(page) => Html(page).into_response(),
        Err(why) => {
            tracing::error!(%why, "a page cannot be filled");
            let detail = "the page cannot be shown; the log says more";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal fault", detail)
                .into_response()
        }
    }
}

/// Says which role an action takes.
#[must_use]
pub fn forbidden(web: &Web, operator: &Operator, needed: Role) -> Response {
    let title = "You have no right to this";
    let page = show(
        web,
        operator,
        "",
        title,
        "forbidden.html",
        context! { needed => needed.as_str() },
        &[],
    );
    (StatusCode::FORBIDDEN, page).into_response()
}

/// Notes that somebody tried to do what they may not; looking at a page they may not see is
/// noted by nobody.
async fn note_forbidden(web: &Web, operator: &Operator, needed: Role, parts: &Parts) {
    if parts.method == Method::GET {
        return;
    }
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let detail = json!({ "route": route, "needed": needed.as_str() });
    if let Err(error) = audit::note(&web.app, operator, "refused", "", detail).await {
        tracing::error!(%error, "a refused action was not noted");
    }
}

/// Nobody can sign in, and whoever asks is elsewhere.
fn closed(web: &Web) -> Response {
    let title = "The console is closed";
    (StatusCode::FORBIDDEN, show_stranger(web, title, "closed.html", context! {}, &[]))
        .into_response()
}

/// Too many tries.
pub fn slow_down(web: &Web, wait: std::time::Duration) -> Response {
    let wait_s = wait.as_secs_f64().ceil().to_string();
    let title = "Too many tries";
    let page =
        show_stranger(web, title, "slow_down.html", context! { wait_s => wait_s.as_str() }, &[]);
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, wait_s)], page).into_response()
}
