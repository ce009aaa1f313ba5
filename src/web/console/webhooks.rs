//! `/console/webhooks`: how the hooks of other systems are doing, what they did not take, and
//! telling it again.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::json;

use crate::app::console::audit;
use crate::app::webhooks::{Standing, standing};
use crate::domain::time::from_ms;
use crate::store::webhooks::{DeliveryView, Wanted};
use crate::store::{Result, StoreError};
use crate::web::Web;
use crate::web::error::Problem;

use super::{At, Editor, Operator, Said, show};

/// Rows of each list.
const ROWS: i64 = 50;

pub fn routes() -> Router<Web> {
    Router::new()
        .route("/console/webhooks", get(page))
        .route("/console/webhooks/deliveries/{id}/replay", post(replay))
        .route("/console/webhooks/{name}/replay", post(replay_all))
        .route("/console/webhooks/{name}/enable", post(enable))
}

/// `GET /console/webhooks`.
async fn page(State(web): State<Web>, operator: Operator) -> Response {
    shown(&web, &operator, &[]).await
}

#[derive(Serialize)]
struct HookRow {
    #[serde(flatten)]
    standing: Standing,
    events: String,
    percent: Option<String>,
    oldest: Option<String>,
    stopped: Option<String>,
    /// Given up, of whatever age.
    given_up: i64,
}

#[derive(Serialize)]
struct DeliveryRow {
    #[serde(flatten)]
    delivery: DeliveryView,
    happened: String,
    next: String,
}

async fn shown(web: &Web, operator: &Operator, said: &[Said]) -> Response {
    match values(web).await {
        Ok((hooks, failed, waiting)) => {
            let values = context! {
                hooks => Serde(hooks), failed => Serde(failed), waiting => Serde(waiting),
            };
            show(web, operator, "webhooks", "Webhooks", "webhooks.html", values, said)
        }
        Err(error) => axum::response::IntoResponse::into_response(Problem::from(error)),
    }
}

async fn values(web: &Web) -> Result<(Vec<HookRow>, Vec<DeliveryRow>, Vec<DeliveryRow>)> {
    let store = &web.app.engine.store;
    let mut hooks = Vec::new();
    for hook in standing(store, &web.app.settings).await? {
        hooks.push(HookRow {
            events: hook.events.join(", "),
            percent: hook.rate.map(|rate| format!("{:.1} %", rate * 100.0)),
            oldest: hook.oldest_pending_ms.map(instant),
            stopped: hook.stopped_at_ms.map(instant),
            given_up: store.count_deliveries(&failed_of(Some(&hook.name))).await?,
            standing: hook,
        });
    }
    let failed = store.deliveries(&failed_of(None), None, ROWS).await?;
    let wanted = Wanted { status: Some("pending".to_owned()), ..Wanted::default() };
    let mut waiting = store.deliveries(&wanted, None, ROWS).await?;
    waiting.retain(|row| row.attempts > 0);
    let rows = |rows: Vec<DeliveryView>| rows.into_iter().map(row).collect();
    Ok((hooks, rows(failed), rows(waiting)))
}

fn failed_of(hook: Option<&str>) -> Wanted {
    let hook = hook.map(str::to_owned);
    Wanted { hook, status: Some("failed".to_owned()), ..Wanted::default() }
}

fn row(delivery: DeliveryView) -> DeliveryRow {
    let (happened, next) = (instant(delivery.occurred_at_ms), instant(delivery.next_at_ms));
    DeliveryRow { delivery, happened, next }
}

fn instant(ms: i64) -> String {
    from_ms(ms).to_rfc3339()
}

/// One delivery is told again.
async fn replay(State(web): State<Web>, At(operator): Editor, Path(id): Path<i64>) -> Response {
    let engine = &web.app.engine;
    let done = match engine.store.replay_delivery(id, engine.clock.now()).await {
        Ok(()) => {
            audit::note(&web.app, &operator, "webhook_replay", &id.to_string(), json!({})).await
        }
        Err(error) => Err(error),
    };
    confirmed(&web, &operator, done.map(|()| format!("Delivery {id} is told again."))).await
}

/// Everything given up of a hook is told again.
async fn replay_all(
    State(web): State<Web>,
    At(operator): Editor,
    Path(name): Path<String>,
    form: String,
) -> Response {
    let engine = &web.app.engine;
    let wanted = failed_of(Some(&name));
    let now = engine.clock.now();
    // How many the page counted.
    let expected = form.strip_prefix("expect=").and_then(|n| n.parse().ok()).unwrap_or(0);
    let done = match engine.store.replay_deliveries(&wanted, Some(expected), now).await {
        Ok(replayed) => {
            let detail = json!({ "deliveries": replayed });
            let noted = audit::note(&web.app, &operator, "webhook_replay", &name, detail).await;
            noted.map(|()| format!("{replayed} deliveries to {name} are told again."))
        }
        Err(error) => Err(error),
    };
    confirmed(&web, &operator, done).await
}

/// A hook whose receiver said 410 is told again.
async fn enable(
    State(web): State<Web>,
    At(operator): Editor,
    Path(name): Path<String>,
) -> Response {
    let done = match web.app.engine.store.enable_hook(&name).await {
        Ok(true) => {
            let noted = audit::note(&web.app, &operator, "webhook_enable", &name, json!({})).await;
            noted.map(|()| format!("{name} is told again."))
        }
        Ok(false) => Err(StoreError::Refused(format!("{name} was not stopped"))),
        Err(error) => Err(error),
    };
    confirmed(&web, &operator, done).await
}

/// What was done, above the page as it stands now.
async fn confirmed(web: &Web, operator: &Operator, done: Result<String>) -> Response {
    let said = match done {
        Ok(text) => Said { kind: "done", text },
        Err(error) => Said { kind: "fault", text: error.to_string() },
    };
    shown(web, operator, &[said]).await
}
