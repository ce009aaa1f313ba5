//! The audit log as a page.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Deserialize;

use crate::app::console::audit::{Asked, Entry, page};
use crate::web::Web;
use crate::web::error::Problem;

use super::{Operator, show};

/// Entries on one page.
const PER_PAGE: usize = 50;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    who: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    before: Option<i64>,
}

fn shown_as(entry: &Entry, zone: &TimeZone) -> Value {
    let at = jiff::Timestamp::from_millisecond(entry.at_ms).unwrap_or_default();
    let clock = at.to_zoned(zone.clone()).strftime("%d %b %Y %H:%M:%S").to_string();
    context! { clock, words => entry.words(), ..Value::from(Serde(entry)) }
}

/// `GET /console/audit`.
pub async fn audit(
    State(web): State<Web>,
    operator: Operator,
    Query(wanted): Query<Wanted>,
) -> Response {
    let Wanted { who, action, subject, before } = wanted;
    let [who, action, subject] = [who, action, subject].map(|text| text.trim().to_owned());
    let asked = Asked { who: &who, action: &action, subject: &subject, before };
    let shown = match page(&web.app.engine.store, asked, PER_PAGE).await {
        Ok(shown) => shown,
        Err(error) => return Problem::from(error).into_response(),
    };
    let older = shown.before.map(|before| {
        let mut url = reqwest::Url::parse("form:x").expect("a constant");
        let filters = [("who", &who), ("action", &action), ("subject", &subject)];
        let filters = filters.into_iter().filter(|(_, value)| !value.is_empty());
        url.query_pairs_mut().extend_pairs(filters).append_pair("before", &before.to_string());
        format!("/console/audit?{}", url.query().unwrap_or_default())
    });
    let zone = &web.app.console.zone;
    let entries: Vec<_> = shown.entries.iter().map(|entry| shown_as(entry, zone)).collect();
    let values = context! {
        entries, who, action, subject, older, first => before.is_none(),
    };
    show(&web, &operator, "audit", "Audit log", "audit.html", values, &[])
}
