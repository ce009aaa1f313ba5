//! Asking a provider what became of a message it never answered for.

use chrono::TimeDelta;
use futures::future::BoxFuture;

use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::domain::{Channel, NotificationId};

use super::receipt::Word;

/// So long after an attempt was opened, nothing of it can still be on its way to the provider:
/// the hand-over window, the client's patience, what the kernel holds, and two minutes. Before
/// that, "it is not there" proves nothing.
pub const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(150);

/// A message nobody knows about, as it was handed over.
#[derive(Debug, Clone)]
pub struct Doubt {
    pub notification: NotificationId,
    /// Its attempt, from 1.
    pub no: i64,
    pub channel: Channel,
    pub to: Address,
    /// [`crate::domain::message::Shaped::hash`] of what was sent.
    pub body_hash: String,
    pub opened_at: Instant,
    /// The provider's names for other messages to the same person: none of these is it.
    pub known: Vec<String>,
}

impl Doubt {
    /// What the attempt was called where the provider has a field for a name of ours.
    #[must_use]
    pub fn reference(&self) -> String {
        reference(self.notification, self.no)
    }
}

/// Our own name for an attempt.
#[must_use]
pub fn reference(notification: NotificationId, no: i64) -> String {
    format!("{notification}-{no}")
}

/// What the provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It took it, under this name, and this became of it so far.
    Taken { provider_ref: String, word: Word },
    /// It never heard of it.
    Absent,
    /// It does not have it now, and would not say whether it ever had.
    Unknown,
}

/// The answer to a look-up, or why there is none.
pub type Asking<'a> = BoxFuture<'a, Result<Found, String>>;
