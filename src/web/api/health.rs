//! `/readyz`: can this process keep what it accepts?

use axum::extract::State;
use axum::http::StatusCode;

use crate::web::Web;

pub async fn ready(State(web): State<Web>) -> (StatusCode, &'static str) {
    match web.app.engine.store.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the store is not available\n")
        }
    }
}
