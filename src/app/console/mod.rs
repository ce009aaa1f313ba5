//! The console: what people who run Tidings see and do. Every action is in the audit log.

pub mod audit;
pub mod drains;
pub mod now;
mod pages;
pub mod people;
pub mod planned;
pub mod reports;
pub mod veil;

pub use pages::{Pages, segment};
