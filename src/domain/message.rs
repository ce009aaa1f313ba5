//! A message: what is said once, before any channel shapes it.

use serde::{Deserialize, Serialize};

/// The typed content of a notice in one language. Every text is plain; the presentation
/// layer escapes it for its channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub subject: String,
    /// What changed.
    pub changed: String,
    /// What the customer must do, or that there is nothing to do.
    pub action: String,
    /// What comes next.
    pub next: String,
    /// By when.
    pub deadline: Option<String>,
    /// Facts worth having at hand, one per line.
    pub facts: Option<String>,
    /// The label of the button that leads to the customer's page.
    pub button: Option<String>,
    /// A text of its own for text messages, where the shared words do not fit.
    pub sms: Option<String>,
    /// A script of its own for calls.
    pub voice: Option<String>,
    /// The answers a customer may give, in the order of the notice: (name, label).
    pub answers: Vec<(String, String)>,
    /// For agents only; never sent.
    pub staff: Option<String>,
    /// The language the message was found in.
    pub locale: String,
}

/// A message of the same `collapse` group that this one replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub notice: String,
    pub state: Option<String>,
    pub at: super::time::Instant,
}
