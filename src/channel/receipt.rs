//! What providers report of a message, in our words.

use crate::domain::call::PickedUp;
use crate::domain::customer::AddressFault;

/// What a callback says became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Taken; nothing more is known yet.
    Taken,
    Delivered,
    Undelivered {
        detail: String,
        address: Option<AddressFault>,
    },
    /// Nobody picked up, or the line was busy: worth another call later.
    NotReached {
        detail: String,
    },
    /// A call is over; how far it came says whether it told anything.
    CallOver {
        by: Option<PickedUp>,
    },
    /// A status that changes nothing.
    Nothing,
}

/// The longest that is kept of what a provider says of a failure, in characters.
const MAX_SAID: usize = 200;

/// What a provider says of a failure, as it is kept.
#[must_use]
pub fn said(text: &str) -> String {
    text.chars().take(MAX_SAID).collect()
}

/// A text that somebody sent to a number of ours, whoever brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundText {
    /// In E.164, as far as the provider says it so.
    pub from: String,
    /// Our number, as the provider writes it.
    pub to: String,
    pub text: String,
    /// The provider's own id: what comes twice is one text.
    pub id: String,
    /// The carrier's side understood it as STOP, START or HELP, did so and answered.
    pub at_carrier: Option<String>,
}

/// A number with its plus sign, which several providers leave out.
#[must_use]
pub fn with_plus(number: &str) -> String {
    let number = number.trim();
    let bare = number.len() > 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    if bare { format!("+{number}") } else { number.to_owned() }
}

/// A number without its plus sign; a sender that is a word stays as it is.
#[must_use]
pub fn without_plus(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}
