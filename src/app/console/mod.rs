//! The console: what people who run Tidings see and do. Every action is in the audit log.

pub mod audit;
mod pages;

pub use pages::Pages;
