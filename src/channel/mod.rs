//! WIRES: how a message leaves. Knows providers and their codes; knows nothing of rules,
//! consent or the store. A provider is named only in its own file.

mod email;
pub mod health;
mod mime;
mod outbox;
mod shadow;
mod smtp;
mod twilio;
pub mod twilio_receipt;
pub mod twiml;
pub mod webhook;
mod window;

use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::BoxFuture;

use crate::domain::customer::{Address, AddressFault};
use crate::domain::message::Shaped;
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, ChannelMap, NotificationId};

pub use email::EmailSender;
pub use mime::MailIdentity;
pub use outbox::Outbox;
pub use shadow::in_shadow;
pub use smtp::{SmtpPool, SmtpServer};
pub use twilio::Twilio;
pub use window::HandOverWindow;

/// A message with everything a provider needs to be told.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub notification: NotificationId,
    /// Which attempt this is, from 1.
    pub no: i64,
    pub case: CaseId,
    pub to: Address,
    pub to_name: String,
    pub shaped: Shaped,
    /// The same on every attempt of one notification.
    pub message_id: String,
    /// What all mails of the case refer to.
    pub thread_id: String,
    /// Where one click stops this topic; `None` for a topic that cannot be switched off.
    pub unsubscribe: Option<String>,
    pub topic: String,
    /// Where the provider reports what became of it.
    pub receipt_url: String,
    /// Where a key pressed during a call is told; `None` when no key does anything.
    pub keys_url: Option<String>,
    /// Now: for the mail's `Date`.
    pub at: Instant,
}

/// A provider took the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The provider's own name for it.
    pub provider_ref: Option<String>,
    /// What the provider said, for people.
    pub detail: String,
}

/// Why a provider did not accept a message.
///
/// One variant per decision the dispatcher takes, not per library underneath.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing left the house; it must be decided again.
    #[error("not started: {reason}")]
    NotStarted { reason: String },
    /// A definite no for now.
    #[error("deferred: {reason}")]
    Deferred { reason: String, retry_after: Option<TimeDelta> },
    /// A definite no for now that says more about the provider than about this message: it
    /// cannot be reached, is overloaded, or serves nobody. The breaker counts it as a fault.
    #[error("deferred, the provider is down: {reason}")]
    ProviderDown { reason: String, retry_after: Option<TimeDelta> },
    /// A definite no for ever, on this channel.
    #[error("refused: {reason}")]
    Refused { reason: String, address: Option<AddressFault> },
    /// Bytes left and no answer came: it may or may not have been taken.
    #[error("unanswered: {reason}")]
    Unanswered { reason: String },
}

/// A way out. The set is open: a provider is one file that implements this.
pub trait Wire: std::fmt::Debug + Send + Sync {
    /// The name an attempt is recorded under.
    fn name(&self) -> &'static str;

    /// Hands a message over. Dropping the future may leave a half-used connection behind:
    /// run it in a task of its own.
    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>>;

    /// Can the provider be reached? For `doctor`: what was found, or what is wrong.
    fn probe(&self) -> BoxFuture<'_, Result<String, String>>;
}

/// A channel's provider and how many messages may be on the wire at once.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub provider: Arc<dyn Wire>,
    pub connections: usize,
}

/// One gateway per channel that is offered.
pub type Gateways = ChannelMap<Option<Gateway>>;

/// Which channels there are providers for.
#[must_use]
pub fn offered(gateways: &Gateways) -> ChannelMap<bool> {
    ChannelMap::from_fn(|channel: Channel| gateways.get(channel).is_some())
}
