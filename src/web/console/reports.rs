//! `GET /console/reports`: the last thirty days.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use serde_json::Value;

use crate::app::App;
use crate::app::console::reports::{DAYS, draw};
use crate::domain::time::Instant;
use crate::store::Result;
use crate::web::Web;

use super::{At, Editor, Operator, show};

/// How long the answer waits for reports that somebody asked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// `GET /console/reports`
pub async fn page(State(web): State<Web>, operator: Operator) -> Response {
    let now = web.app.engine.clock.now();
    let (at, reports) = web.app.reports.look(now, drawn(&web.app, now)).await.unzip();
    let values = context! {
        days => DAYS, at => at.map(|at| at.to_rfc3339()), reports => reports.map(Serde)
    };
    show(&web, &operator, "reports", "Reports", "reports.html", values, &[])
}

/// `POST /console/reports`: draws them up now.
pub async fn renew(State(web): State<Web>, At(operator): Editor) -> Response {
    let now = web.app.engine.clock.now();
    web.app.reports.renew(now, drawn(&web.app, now), PATIENCE).await;
    page(State(web), operator).await
}

fn drawn(app: &Arc<App>, now: Instant) -> impl Future<Output = Result<Value>> + Send + 'static {
    let app = Arc::clone(app);
    async move { draw(&app, now).await }
}
