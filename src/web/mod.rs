//! DOORS: HTTP types live here, mapped to domain values. Knows nothing of workers' insides:
//! it writes to the store and rings the bell.

mod answers;
pub mod api;
pub mod auth;
mod cloud_events;
mod error;
mod metrics;
mod pages;
mod receipts;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::routing::{get, post, put};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::app::App;

pub use metrics::Metrics;
pub use server::serve;

/// The largest request body, in bytes.
pub const MAX_BODY: usize = 256 * 1024;

/// How long a request may take.
const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// What handlers share.
#[derive(Debug, Clone)]
pub struct Web {
    pub app: Arc<App>,
    pub metrics: Metrics,
}

/// All routes.
pub fn router(web: Web) -> Router {
    let api = Router::new()
        .route("/v1/events", post(api::events::accept))
        .route(
            "/v1/customers/{id}",
            put(api::customers::put).get(api::customers::get).delete(api::customers::delete),
        )
        .route("/v1/customers/{id}/timeline", get(api::customers::timeline))
        .route("/v1/customers/{id}/export", get(api::customers::export))
        .route(
            "/v1/customers/{id}/preferences",
            get(api::customers::preferences).put(api::customers::set_preferences),
        )
        .route("/v1/customers/{id}/centre-link", post(api::customers::centre_link))
        .route("/v1/cases/{id}", get(api::cases::get))
        .route("/v1/cases/{id}/choice", put(api::cases::choose).delete(api::cases::unchoose))
        .route("/v1/notifications", get(api::notifications::list))
        .route("/v1/notifications/{id}", get(api::notifications::get))
        .route("/v1/notifications/{id}/cancel", post(api::notifications::cancel))
        .route("/v1/notifications/{id}/retry", post(api::notifications::retry))
        .route("/v1/tasks", get(api::tasks::list))
        .route("/v1/tasks/{id}/done", post(api::tasks::done))
        .route("/v1/receipts/twilio", post(receipts::twilio))
        .route("/v1/inbound/twilio", post(answers::text))
        .route("/v1/inbound/twilio/keys", post(answers::keys))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method);
    let pages = Router::new()
        .route("/u/{token}", get(pages::unsubscribe_page).post(pages::unsubscribe))
        .route("/a/{token}", get(answers::page).post(answers::choose))
        .route("/m/{code}", get(pages::verify))
        .layer(SetResponseHeaderLayer::overriding(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::REFERRER_POLICY,
            HeaderValue::from_static("same-origin"),
        ));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(api::health::ready))
        .route("/metrics", get(metrics::scrape))
        .merge(pages)
        .merge(api)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIMEOUT,
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        // The route, never the path: paths carry ids and tokens.
        .layer(TraceLayer::new_for_http().make_span_with(
            |request: &axum::http::Request<axum::body::Body>| {
                let route = request
                    .extensions()
                    .get::<axum::extract::MatchedPath>()
                    .map_or("unknown", axum::extract::MatchedPath::as_str);
                tracing::debug_span!("request", method = %request.method(), route)
            },
        ))
        .with_state(web)
}
