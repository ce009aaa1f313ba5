//! `GET /console`: what goes on at this moment.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;

use crate::app::console::now;
use crate::web::Web;

use super::forms::Form;
use super::{Operator, refuse, show};

/// The page may ask for itself again after so many seconds, where a person wants that.
const REFRESH_S: std::ops::RangeInclusive<u32> = 5..=3_600;

/// `GET /console?refresh=<seconds>`
pub async fn page(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    let refresh: Option<u32> = Form::query(query).field("refresh").parse().ok();
    let refresh = refresh.filter(|seconds| REFRESH_S.contains(seconds));
    let at = web.app.engine.clock.now();
    match now::now(&web.app, at).await {
        Ok(now) => {
            let values = context! { now => Serde(now), at => at.to_rfc3339(), refresh };
            show(&web, &operator, "home", "Now", "home.html", values, &[])
        }
        Err(error) => refuse(&web, &operator, error),
    }
}
