//! What planning decided about one event, as the store records it.

use serde_json::{Value, json};

use super::case::Case;
use super::channel::Channel;
use super::customer::Address;
use super::id::NotificationId;
use super::notification::{Held, Notification, Status};
use super::reason::Reason;
use super::time::Instant;

/// Everything one event changes, written in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The case after the event.
    pub case: Case,
    pub create: Vec<Created>,
    pub settle: Vec<Settled>,
    pub moved: Vec<Moved>,
    /// Rules that were looked at and led to nothing, by notice id.
    pub skipped: Vec<(String, Reason)>,
    /// Why the event led to no notification at all.
    pub silent: Option<Reason>,
    pub task: Option<NewTask>,
    /// What becomes of the promise of another word.
    pub promise: Option<PromiseChange>,
    /// The customer's choice for this case ended with the case, and the case begins again.
    pub choice_ends: bool,
}

/// What an event does to the promise of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromiseChange {
    /// Made, unless one is open.
    Make(Promise),
    /// The case is over, or another customer's: nobody waits any more.
    End,
    /// The former customer's ends, and the new one has theirs.
    Renew(Promise),
}

/// Another word by a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// When its last day begins, on the customer's clock: nothing planned by then is an alarm.
    pub alarm_at: Instant,
    /// The end of that day. A word before it keeps the promise.
    pub due_at: Instant,
}

/// A new notification and why it was planned so. Its status is `planned`, or already final.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    pub notification: Notification,
    pub reasons: Vec<Reason>,
    /// Why a person must act, where one must.
    pub task: Option<&'static str>,
    /// Is the id free of the event, so that planning must see it again later?
    pub keyed: bool,
    /// Is it said once per customer, whatever the case?
    pub once_per_customer: bool,
}

/// A notification not yet handed over that ends here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub id: NotificationId,
    pub status: Status,
    pub reasons: Vec<Reason>,
}

/// A planned notification whose fact changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub id: NotificationId,
    pub due_at: Instant,
    pub next_at: Instant,
    pub expires_at: Instant,
    pub reasons: Vec<Reason>,
}

/// Work for a person because software could not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// One open task per key.
    pub key: String,
    pub kind: TaskKind,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// A case type or state no journey knows.
    UnknownState,
    /// A customer asks to be called.
    CallBack,
    /// An event of a customer nobody told us about.
    UnknownCustomer,
    /// A customer who could not be told.
    NotTold,
    /// A promise of another word is about to break.
    Promise,
    /// The sum of all events does not add up.
    Balance,
    /// A help desk's payload that its mapping could not read.
    Unmapped,
    /// Another system does not take what we tell it.
    Webhook,
    /// A provider wants something mended: our credentials, our standing with a domain.
    Provider,
    /// A message that providers refuse for what it contains.
    Template,
}

impl TaskKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownState => "unknown_state",
            Self::CallBack => "call_back",
            Self::UnknownCustomer => "unknown_customer",
            Self::NotTold => "not_told",
            Self::Promise => "promise",
            Self::Balance => "balance",
            Self::Unmapped => "unmapped",
            Self::Webhook => "webhook",
            Self::Provider => "provider",
            Self::Template => "template",
        }
    }
}

/// What happens to a notification now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Send {
        channel: Channel,
        address: Address,
        /// The digest it belongs to: the local time of its slot.
        digest: Option<String>,
    },
    /// Later, without an attempt.
    Snooze { until: Instant, held: Option<Held> },
    /// It ends here; `task` asks a person to take over, and says why.
    Settle { status: Status, task: Option<&'static str> },
}

/// A decision about one notification, and its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub outcome: Outcome,
    pub reasons: Vec<Reason>,
}

/// The versions of what a decision read, stored with it so that it can be made again.
#[must_use]
pub fn versions(journeys: &str, settings: &str, case: i64, customer: i64) -> Value {
    json!({"journeys": journeys, "settings": settings, "case": case, "customer": customer})
}
