//! Figures for Prometheus. No label names a case, a customer or an address.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::notification::Lane;

use super::Web;

/// Buckets for what happens in milliseconds to hours, in seconds.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0, 86_400.0];

/// Where the figures gather.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Gathers the figures of this process from now on. A second call, in tests, gathers
    /// nothing: the first stays in place.
    ///
    /// # Panics
    /// Never: the buckets are a constant.
    #[must_use]
    pub fn install() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .expect("the buckets are not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let _ = metrics::set_global_recorder(recorder);
        Self { handle }
    }
}

/// `GET /metrics`. Answers also while the store is away: what this process counted stays, and
/// what only the store knows is not a number.
pub async fn scrape(State(web): State<Web>) -> impl IntoResponse {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    metrics::gauge!("tidings_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    for (lane, name) in [(Lane::Now, "now"), (Lane::Bulk, "bulk")] {
        let waiting = crate::queue::MAX_WAITING - engine.queue.room(lane);
        gauge("tidings_queue_depth", "lane", name, waiting);
    }
    let standing = engine.store.standing().await;
    if let Err(error) = &standing {
        tracing::warn!(%error, "the store has no figures to give");
    }
    let standing = standing.as_ref().ok();
    let known = |figure: Option<i64>| figure.map_or(f64::NAN, float);
    let first_due_ms = standing.map(|s| s.first_due_ms.unwrap_or(i64::MAX));
    let waiting_ms = first_due_ms.map(|first| now.timestamp_millis().saturating_sub(first).max(0));
    metrics::gauge!("tidings_ready").set(if standing.is_some() { 1.0 } else { 0.0 });
    metrics::gauge!("tidings_oldest_due_seconds").set(known(waiting_ms) / 1_000.0);
    metrics::gauge!("tidings_in_doubt").set(known(standing.map(|s| s.in_doubt)));
    metrics::gauge!("tidings_tasks_open").set(known(standing.map(|s| s.tasks_open)));
    metrics::gauge!("tidings_events_unplanned").set(known(standing.map(|s| s.unplanned)));
    web.metrics.handle.run_upkeep();
    let text = web.metrics.handle.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

fn gauge(name: &'static str, label: &'static str, value: &'static str, n: usize) {
    metrics::gauge!(name, label => value).set(float(i64::try_from(n).unwrap_or(i64::MAX)));
}

#[allow(clippy::cast_precision_loss, reason = "a gauge for people")]
fn float(n: i64) -> f64 {
    n as f64
}
