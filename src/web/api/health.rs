//! `/readyz`: can this process keep what it accepts, and pass it on?

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::roles::MAX_CLOCK_OFF_MS;
use crate::web::Web;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub async fn ready(State(web): State<Web>) -> (StatusCode, String) {
    match faults(&web).await {
        None if web.app.engine.behaviour.shadow => {
            (StatusCode::OK, "ready, in shadow mode: nothing is handed over\n".into())
        }
        None => (StatusCode::OK, "ready\n".into()),
        Some(why) => {
            tracing::warn!(why, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
        }
    }
}

async fn faults(web: &Web) -> Option<String> {
    let engine = &web.app.engine;
    match tokio::time::timeout(PATIENCE, engine.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "the store did not take a write");
            return Some("the store is not available".into());
        }
        Err(_) => return Some("the store does not answer".into()),
    }
    if !engine.queue.is_reachable() {
        return Some("the queue is not available; what is accepted is kept and waits".into());
    }
    let off_ms = engine.clock.correction_ms();
    (off_ms.abs() > MAX_CLOCK_OFF_MS)
        .then(|| format!("the clock of this host is {off_ms} ms behind the store's"))
}
