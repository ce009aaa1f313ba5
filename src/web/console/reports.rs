//! `GET /console/reports`: the last thirty days.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;

use crate::app::console::reports::DAYS;
use crate::web::Web;

use super::{At, Editor, Operator, show};

/// How long the answer waits for reports that somebody asked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// `GET /console/reports`
pub async fn page(State(web): State<Web>, operator: Operator) -> Response {
    let last = web.app.shelf.look(&web.app, web.app.engine.clock.now()).await;
    let (at, reports) = last.unzip();
    let values = context! {
        days => DAYS, at => at.map(|at| at.to_rfc3339()), reports => reports.map(Serde)
    };
    show(&web, &operator, "reports", "Reports", "reports.html", values, &[])
}

/// `POST /console/reports`: draws them up now.
pub async fn renew(State(web): State<Web>, At(operator): Editor) -> Response {
    web.app.shelf.renew(&web.app, web.app.engine.clock.now(), PATIENCE).await;
    page(State(web), operator).await
}
