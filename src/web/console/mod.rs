//! The console of those who run Tidings. No script is needed, a GET changes nothing, and what
//! a POST did is read back from the store before it is confirmed.

mod operator;
mod publishing;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::Web;
use super::error::Problem;

pub use operator::{Admin, At, Editor, Operator, Publisher, Role};

/// The routes of the console.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/console", get(home))
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
    let frame = context! { title, page, operator => Serde(operator), said => Serde(said) };
    match web.app.console.render(name, context! { ..values, ..frame }) {
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

/// `GET /console`.
async fn home(State(web): State<Web>, operator: Operator) -> Response {
    show(&web, &operator, "home", "Now", "home.html", context! {}, &[])
}
