//! DOORS: HTTP types live here, mapped to domain values. Knows nothing of workers' insides:
//! it writes to the store and rings the bell.

mod answers;
pub mod api;
pub mod auth;
mod centre;
pub mod cloud_events;
pub mod console;
mod error;
mod guard;
mod idempotency;
mod inbound;
mod metrics;
mod pages;
mod phone;
pub mod receipts;
mod server;
mod sources;
mod stops;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::routing::{get, post};
use tower_http::csrf::CsrfLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

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

/// The routes of the API with their document: each handler says its path and its shapes.
fn api() -> (Router<Web>, utoipa::openapi::OpenApi) {
    use api::{
        calls, cases, customers, events, inbound, journeys, notifications, simulations, tasks,
        webhooks,
    };
    OpenApiRouter::with_openapi(api::openapi::Document::openapi())
        .routes(routes!(events::accept))
        .routes(routes!(customers::put, customers::get, customers::delete))
        .routes(routes!(customers::timeline))
        .routes(routes!(customers::export))
        .routes(routes!(customers::preferences, customers::set_preferences))
        .routes(routes!(customers::centre_link))
        .routes(routes!(cases::get))
        .routes(routes!(cases::choose, cases::unchoose))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::get))
        .routes(routes!(notifications::cancel))
        .routes(routes!(notifications::retry))
        .routes(routes!(calls::set_wait_times))
        .routes(routes!(calls::ask))
        .routes(routes!(journeys::list, journeys::publish))
        .routes(routes!(journeys::get))
        .routes(routes!(journeys::differences))
        .routes(routes!(inbound::mail))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::done))
        .routes(routes!(webhooks::list))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::replay_all))
        .routes(routes!(webhooks::replay))
        .routes(routes!(webhooks::enable))
        .routes(routes!(simulations::run))
        .split_for_parts()
}

/// The doors whose callers sign what they send: no API key, and no `Idempotency-Key`, which
/// would answer before the signature is looked at.
fn signed() -> (Router<Web>, utoipa::openapi::OpenApi) {
    OpenApiRouter::new().routes(routes!(sources::receive)).split_for_parts()
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) = api();
    document.merge(signed().1);
    document
}

/// The routes of a process without the API: is it well, and what does it count?
pub fn vital_signs(web: Web) -> Router {
    vital_routes().with_state(web)
}

fn vital_routes() -> Router<Web> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(api::health::ready))
        .route("/metrics", get(metrics::scrape))
}

/// All routes.
pub fn router(web: Web) -> Router {
    let (api, _) = api();
    let (signed, _) = signed();
    let once = (web.clone(), idempotency::Pending::default());
    let api = api
        .layer(axum::middleware::from_fn_with_state(once, idempotency::answer_once))
        // Machines say nothing of where they stand; a page of somebody else's does.
        .layer(CsrfLayer::new())
        .merge(signed)
        .route("/v1/receipts/twilio", post(receipts::twilio::receive))
        .route("/v1/receipts/vonage", post(receipts::vonage::receive))
        .route("/v1/receipts/plivo", post(receipts::plivo::receive))
        .route("/v1/receipts/sinch", post(receipts::sinch::receive))
        .route("/v1/receipts/kannel", get(receipts::kannel::receive))
        .route(
            "/v1/receipts/http",
            post(receipts::http_door::receive).get(receipts::http_door::receive),
        )
        .route("/v1/inbound/twilio", post(answers::text))
        .route("/v1/inbound/vonage", post(receipts::vonage::text))
        .route("/v1/inbound/plivo", post(receipts::plivo::text))
        .route("/v1/inbound/sinch", post(receipts::sinch::text))
        .route("/v1/inbound/kannel", get(receipts::kannel::text))
        .route("/v1/inbound/http", post(receipts::http_door::text))
        .route("/v1/inbound/twilio/call", post(phone::twilio))
        .route("/v1/receipts/vonage_voice", post(receipts::vonage_voice::receive))
        .route("/v1/inbound/vonage_voice/call", get(phone::vonage).post(phone::vonage))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method);
    let pages = Router::new()
        .route("/u/{token}", get(pages::unsubscribe_page).post(pages::unsubscribe))
        .route("/a/{token}", get(answers::page).post(answers::choose))
        .route("/m/{code}", get(pages::verify).post(pages::act_on_message))
        .merge(centre::routes())
        .merge(console::routes())
        .layer(axum::middleware::from_fn_with_state(web.clone(), guard::limit_guesses))
        .layer(CsrfLayer::new())
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            header::REFERRER_POLICY,
            HeaderValue::from_static("same-origin"),
        ));
    vital_routes()
        .merge(pages)
        .merge(api)
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi()))
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
