//! Tidings: the proactive notification dispatcher for customer service.
pub mod app;
pub mod bench;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod planning;
pub mod queue;
pub mod render;
pub mod store;
pub mod web;
pub mod worker;
