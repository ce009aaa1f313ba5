//! `/v1`: JSON in `snake_case`, problems with pointers, keyset pages.

pub mod body;
pub mod calls;
pub mod cases;
pub mod customers;
pub mod events;
pub mod health;
pub mod inbound;
pub mod journeys;
pub mod notifications;
pub mod openapi;
mod outbound;
pub(super) mod schema;
pub mod simulations;
pub mod tasks;
pub mod webhooks;
