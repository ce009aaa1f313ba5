//! Text messages by each provider: what leaves, what comes back, and who may say so.

pub mod accounts;
mod caps;
mod in_doubt;
mod inbound;
mod kannel;
mod parts;
mod reports;
mod requests;
mod senders;
mod settings;
mod twilio;
