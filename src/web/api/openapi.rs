//! The OpenAPI 3.1 document, made of what stands beside each handler.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The head of the document; routes add themselves.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Tidings",
        description = "The proactive notification dispatcher for customer service. Errors are RFC 9457 problems with a JSON pointer per fault. Every POST takes an `Idempotency-Key`."
    ),
    tags(
        (name = "events", description = "What happened to cases"),
        (name = "sources", description = "Help desks' own webhooks"),
        (name = "customers", description = "Who is told, and what they chose"),
        (name = "cases", description = "How a case stands and what was told"),
        (name = "notifications", description = "What was told, held or not said, and why"),
        (name = "journeys", description = "Versions of journeys and messages, and which one is in force"),
        (name = "tasks", description = "Work for people"),
        (name = "webhooks", description = "What other systems are told, and how that went"),
        (name = "simulations", description = "What a change would have done"),
        (name = "receipts", description = "What came back: bounces, complaints, replies"),
        (name = "calls", description = "Calls back, and how long people wait"),
    ),
    components(schemas(super::schema::CloudEvent)),
    modifiers(&Keys, &Outbound),
    security(("api_key" = []))
)]
pub struct Document;

/// What we ask of others.
struct Outbound;

impl Modify for Outbound {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.webhooks = Some(super::outbound::webhooks());
    }
}

/// API keys, as `Authorization: Bearer tdk_…`.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("api_key", scheme);
    }
}
