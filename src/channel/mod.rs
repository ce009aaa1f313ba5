//! WIRES: how a message leaves. Knows providers and their codes; knows nothing of rules,
//! consent or the store. A provider is named only in its own file.

pub mod account;
pub mod asterisk;
pub mod choice;
pub mod codes;
pub mod health;
mod http;
pub mod http_door;
pub mod kannel;
pub mod lookup;
mod mail;
mod outbox;
pub mod plivo;
pub mod receipt;
mod shadow;
pub mod sinch;
mod speech;
pub mod twilio;
pub mod vonage;
pub mod vonage_voice;
pub mod webhook;
mod window;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::BoxFuture;

use crate::domain::customer::{Address, AddressFault};
use crate::domain::message::{CalendarEntry, Shaped, SmsText};
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, ChannelMap, NotificationId, Provider};

pub use mail::{
    DomainLimit, DomainLimits, Domains, EmailSender, MailIdentity, Signer, SmtpPool, SmtpServer,
    inbound, reply,
};
pub use outbox::Outbox;
pub use shadow::in_shadow;
pub use twilio::Twilio;
pub use window::HandOverWindow;

/// Within which an answer to a text that came in starts to leave.
const REPLY_WINDOW: Duration = Duration::from_secs(15);

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
    /// Where the words of a call are asked for once somebody picks up; `None` where it says its
    /// paragraphs and nothing can be pressed.
    pub call_url: Option<String>,
    /// Now: for the mail's `Date`.
    pub at: Instant,
    /// What only mails carry.
    pub mail: MailParts,
}

/// What a mail carries besides its text.
#[derive(Debug, Clone, Default)]
pub struct MailParts {
    pub notice: String,
    pub case_type: String,
    /// What a bounce brings back: see [`crate::domain::token::Keyring::bounce_token`].
    pub bounce_token: String,
    /// An entry for the customer's calendar.
    pub calendar: Option<CalendarEntry>,
}

impl Outgoing {
    /// Our own name for this attempt, where a provider has a field for one.
    #[must_use]
    pub fn reference(&self) -> String {
        lookup::reference(self.notification, self.no)
    }

    /// Where a report is to come, where anybody waits for one.
    #[must_use]
    pub fn receipt(&self) -> Option<&str> {
        (!self.receipt_url.is_empty()).then_some(self.receipt_url.as_str())
    }

    /// # Errors
    /// `Refused` when this is no text message.
    pub fn text(&self) -> Result<&SmsText, SendError> {
        match &self.shaped {
            Shaped::Sms(sms) => Ok(sms),
            Shaped::Email(_) | Shaped::Voice(_) => {
                let reason = "this is no text message".to_owned();
                Err(SendError::Refused { reason, address: None })
            }
        }
    }
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
    /// The mailbox is full: a definite no for now, counted against the address.
    #[error("the mailbox is full: {reason}")]
    MailboxFull { reason: String },
    /// A definite no for ever to what is said, not to whom: its author must change it.
    #[error("refused for its content: {reason}")]
    Unfit { reason: String },
    /// A definite no for now to everybody, until a person does what `mend` says.
    #[error("deferred until a person sees to it: {reason}")]
    Stuck { reason: String, mend: &'static str },
    /// A definite no for ever to this message, because we are not wanted where `domain`
    /// decides; nothing is said against the address.
    #[error("refused, we are not wanted at {domain}: {reason}")]
    Unwelcome { reason: String, domain: String },
    /// Bytes left and no answer came: it may or may not have been taken.
    #[error("unanswered: {reason}")]
    Unanswered { reason: String },
}

/// May a message start, as far as the place goes that it is sent to?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    Open,
    Paced(Pacing),
    /// Nothing goes there before `until`.
    Closed {
        until: Instant,
        of: String,
    },
}

/// The place is at its limit: the next message may go after `wait`, and each behind it an
/// `interval` later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pacing {
    /// Whose limit it is; those who wait for it stand in one line.
    pub by: String,
    pub wait: Duration,
    pub interval: Duration,
}

/// A way out. The set is open: a provider is one file that implements this.
pub trait Wire: std::fmt::Debug + Send + Sync {
    /// Its kind. Attempts are recorded under the name the settings give it, or else this one.
    fn name(&self) -> &'static str;

    /// May a message to this address start at `now`? Asked before it is opened; what may start
    /// counts as started.
    fn gate(&self, _to: &Address, _now: Instant) -> Gate {
        Gate::Open
    }

    /// Hands a message over. Dropping the future may leave a half-used connection behind:
    /// run it in a task of its own.
    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>>;

    /// Answers a text that came in. A provider that reads the answer from our reply to its
    /// callback is never asked.
    fn reply<'a>(
        &'a self,
        _to: &'a Address,
        _sms: &'a SmsText,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        let reason = "this provider is answered in its callback".to_owned();
        Box::pin(std::future::ready(Err(SendError::NotStarted { reason })))
    }

    /// Does it report, sooner or later, what became of every message it took?
    fn tells_of_delivery(&self) -> bool {
        true
    }

    /// How long after a hand-over it never answered for it is first asked about it; `None` where
    /// it documents no way to find a message without its own name for it.
    fn asked_after(&self) -> Option<TimeDelta> {
        None
    }

    /// What does it know of a message it never answered for? Only where it
    /// [can be asked](Wire::asked_after).
    fn settle<'a>(&'a self, _doubt: &'a lookup::Doubt, _now: Instant) -> lookup::Asking<'a> {
        Box::pin(std::future::ready(Err("this provider cannot be asked".to_owned())))
    }

    /// Can the provider be reached? For `doctor`: what was found, or what is wrong.
    fn probe(&self) -> BoxFuture<'_, Result<String, String>>;
}

/// A provider of a channel, and how many messages may be on the wire to it at once.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub name: Provider,
    pub provider: Arc<dyn Wire>,
    pub connections: usize,
    /// Its share among several, as the settings have it.
    pub weight: u32,
}

impl Gateway {
    /// The one provider of a channel, under the name of its kind.
    #[must_use]
    pub fn new(provider: Arc<dyn Wire>, connections: usize) -> Self {
        let name = provider.name().into();
        Self { name, provider, connections, weight: 100 }
    }
}

/// The providers of each channel, in the order of the settings; none where it is not offered.
pub type Gateways = ChannelMap<Vec<Gateway>>;

/// One of the providers: its channel, and its place among those of that channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    pub channel: Channel,
    pub place: usize,
}

impl Way {
    /// The first, or only, provider of a channel.
    #[must_use]
    pub const fn first(channel: Channel) -> Self {
        Self { channel, place: 0 }
    }
}

/// Which channels there are providers for.
#[must_use]
pub fn offered(gateways: &Gateways) -> ChannelMap<bool> {
    ChannelMap::from_fn(|channel: Channel| !gateways.get(channel).is_empty())
}

/// What the tests of this room send.
#[cfg(test)]
pub(crate) mod testing {
    use super::{MailParts, Outgoing};
    use crate::domain::customer::Address;
    use crate::domain::message::{EmailText, Shaped};
    use crate::domain::{Channel, NotificationId};

    pub fn mail_to(address: &str) -> Outgoing {
        Outgoing {
            notification: NotificationId::derive("R-1", "received", "desk/e1", 0),
            no: 1,
            case: "R-1".into(),
            to: Address::parse(Channel::Email, address).expect(address),
            to_name: "Ada Byron".into(),
            shaped: Shaped::Email(EmailText {
                subject: "Your return".into(),
                text: "It is here.\n".into(),
                html: "<p>It is here.</p>\n".into(),
            }),
            message_id: "n.1@example.com".into(),
            thread_id: "c.1@example.com".into(),
            unsubscribe: Some("https://tidings.example.com/u/1".into()),
            topic: "status".into(),
            receipt_url: String::new(),
            call_url: None,
            at: crate::domain::time::parse_instant("2026-11-23T10:00:00Z").expect("an instant"),
            mail: MailParts::default(),
        }
    }
}
