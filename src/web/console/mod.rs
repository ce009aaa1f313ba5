//! The console of those who run Tidings. No script is needed, a GET changes nothing, and what
//! a POST did is read back from the store before it is confirmed.

mod cookies;
mod doors;
mod log;
mod operator;
mod publishing;

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

use super::Web;
use super::error::Problem;

pub use operator::{Admin, At, Editor, Operator, Publisher, Role};

/// The routes of the console.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/console", get(home))
        .route("/console/audit", get(log::audit))
        .route("/console/sign-in", get(doors::sign_in_form).post(doors::sign_in))
        .route("/console/sign-out", post(doors::sign_out))
        .route("/console/openid", get(doors::openid_leave))
        .route("/console/openid/back", get(doors::openid_back))
        .route("/console/style.css", get(style))
        .merge(publishing::routes())
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

/// `GET /console`.
async fn home(State(web): State<Web>, operator: Operator) -> Response {
    show(&web, &operator, "home", "Now", "home.html", context! {}, &[])
}
