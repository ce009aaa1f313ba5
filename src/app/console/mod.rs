//! The console: what people who run Tidings see and do. Every action is in the audit log.

pub mod audit;
pub mod door;
pub mod drains;
pub mod moved;
pub mod now;
pub mod openid;
mod pages;
pub mod people;
pub mod planned;
pub mod reports;
pub mod shelf;
pub mod veil;

pub use door::Door;
pub use pages::{Pages, segment};

/// Salt for the hash of a new password.
#[must_use]
pub fn fresh_salt() -> [u8; 16] {
    rand::random()
}

/// A secret for one-time codes, of the length RFC 4226 recommends.
#[must_use]
pub fn fresh_secret() -> [u8; 20] {
    rand::random()
}
