//! The pages of publishing: what is in force, what was, maps of the journeys, and drafts.

mod acts;
mod draft;
mod journeys;
mod values;
mod words;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use minijinja::value::Serde;

use crate::app::AppError;
use crate::app::publishing::{Refusal, shown};
use crate::domain::Operator;
use crate::domain::time::from_ms;
use crate::store::StoreError;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::receipts::pairs;

use super::{Said, show};

/// The routes of these pages.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/console/journeys", get(journeys::list))
        .route("/console/journeys/rollback", post(journeys::roll_back))
        .route("/console/journeys/share", post(journeys::share))
        .route("/console/journeys/map/{case_type}", get(journeys::map))
        .route("/console/journeys/versions/{hash}", get(journeys::version))
        .route("/console/drafts/new", get(draft::new).post(draft::begin))
        .route("/console/drafts/{id}", get(draft::show_draft).post(acts::act))
        .route("/console/drafts/{id}/values/{case_type}", get(values::page).post(values::set))
        .route("/console/drafts/{id}/texts", get(words::list))
        .route("/console/drafts/{id}/text", get(words::page).post(words::set))
        .route("/console/drafts/{id}/mail", get(words::mail))
        .route("/console/drafts/{id}/report", get(draft::report))
}

/// A form or a query: name and value pairs.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub fn read(bytes: &[u8]) -> Self {
        Self(pairs(bytes))
    }

    /// A field; empty where it is absent.
    pub fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> i64 {
        self.field(name).trim().parse().unwrap_or(0)
    }

    /// For so many per cent of the cases; all where nothing is said.
    pub fn percent(&self) -> Result<u8, Refusal> {
        let text = self.field("percent").trim();
        if text.is_empty() {
            return Ok(100);
        }
        let share = text.parse().ok().filter(|share| (1..=100).contains(share));
        share.ok_or_else(|| Refusal::Bad(format!("{text:?} is no share: use 1 to 100")))
    }
}

/// After an act: the page again, which says what was done.
fn done(to: &str, what: &str) -> Response {
    let sign = if to.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{to}{sign}done={what}")).into_response()
}

/// What a page says was done, by its word in the address.
fn said(query: &Form) -> Vec<Said> {
    let text = match query.field("done") {
        "begun" => {
            "The draft is begun. Change what you like; nothing is in force before it is published."
        }
        "saved" => "Saved in the draft.",
        "simulated" => "Its effect on the last month is worked out.",
        "working" => "Its effect is being worked out; look again in a moment.",
        "asked" => "It waits for somebody else to publish it.",
        "withdrawn" => "The draft is withdrawn.",
        "rebased" => "The draft starts from the version in force now. Look at what differs.",
        "published" => {
            "Published. Every process takes it up within a second; what is planned and not yet sent moves, with a reason."
        }
        "rolled-back" => {
            "The earlier version is in force again; what is planned moves back, with a reason."
        }
        "shared" => "The share of the cases is changed.",
        _ => return Vec::new(),
    };
    vec![Said { kind: "done", text: text.to_owned() }]
}

/// Why it was not done, on a page of its own.
fn refused(web: &Web, operator: &Operator, refusal: Refusal, back: &str) -> Response {
    let (status, title) = match &refusal {
        Refusal::Stale(_) | Refusal::Nothing(_) => (StatusCode::CONFLICT, "Not as it stands"),
        Refusal::FourEyes(_) => (StatusCode::CONFLICT, "Somebody else has to publish this"),
        Refusal::Bad(_) | Refusal::App(AppError::Findings(_)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "Something must be mended first")
        }
        Refusal::App(AppError::Store(StoreError::NotFound { .. })) => {
            (StatusCode::NOT_FOUND, "Not found")
        }
        Refusal::App(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Not possible now"),
    };
    let findings = match &refusal {
        Refusal::App(AppError::Findings(findings)) => shown::findings(findings),
        _ => Vec::new(),
    };
    let text = match refusal {
        Refusal::App(AppError::Store(
            error @ (StoreError::Unavailable { .. } | StoreError::Damaged(_)),
        )) => {
            return Problem::from(error).into_response();
        }
        Refusal::App(AppError::Findings(_)) => "Nothing was done: the draft has faults.".to_owned(),
        refusal => format!("Nothing was done: {refusal}."),
    };
    let values = context! { findings => Serde(findings), back };
    let said = [Said { kind: "fault", text }];
    let page = show(web, operator, "journeys", title, "refused.html", values, &said);
    (status, page).into_response()
}

/// An instant as templates read it.
fn at(ms: i64) -> String {
    from_ms(ms).to_rfc3339()
}
