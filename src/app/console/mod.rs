//! The console: what people who run Tidings see and do. Every action is in the audit log.

pub mod audit;
pub mod door;
pub mod openid;
mod pages;

pub use door::Door;
pub use pages::Pages;

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
