//! A notification: one notice planned for one customer, on its way to one channel.

use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::id::{CaseId, CustomerId, NotificationId};
use super::message::Skipped;
use super::time::Instant;

/// Where a notification stands. `planned → claimed → sending → sent → delivered` is the
/// good way; every write to the store is conditional on the status it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// "This message is planned."
    Planned,
    /// "This message is being prepared."
    Claimed,
    /// "This message is on its way out."
    Sending,
    /// "We handed this message over for delivery."
    Sent,
    /// "This message was delivered."
    Delivered,
    /// "This message could not be delivered this way."
    Undelivered,
    /// "We are finding out whether this message went out."
    InDoubt,
    /// "We could not send this message; a person has been told."
    Failed,
    /// "We could not find out whether this message reached you; a person has been told."
    Unknown,
    /// "This message was no longer needed."
    Cancelled,
    /// "A newer message took the place of this one."
    Superseded,
    /// "What this message says was part of another message."
    Folded,
    /// "You chose not to get this message."
    Suppressed,
    /// "This message came too late to be of use, so it was not sent."
    Expired,
    /// "This message had a fault; a person has been told."
    Quarantined,
}

impl Status {
    pub const ALL: [Self; 15] = [
        Self::Planned,
        Self::Claimed,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Undelivered,
        Self::InDoubt,
        Self::Failed,
        Self::Unknown,
        Self::Cancelled,
        Self::Superseded,
        Self::Folded,
        Self::Suppressed,
        Self::Expired,
        Self::Quarantined,
    ];

    /// The name used in the API and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Claimed => "claimed",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::InDoubt => "in_doubt",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Folded => "folded",
            Self::Suppressed => "suppressed",
            Self::Expired => "expired",
            Self::Quarantined => "quarantined",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// One line for the customer.
    #[must_use]
    pub const fn for_customer(self) -> &'static str {
        match self {
            Self::Planned => "This message is planned.",
            Self::Claimed => "This message is being prepared.",
            Self::Sending => "This message is on its way out.",
            Self::Sent => "We handed this message over for delivery.",
            Self::Delivered => "This message was delivered.",
            Self::Undelivered => "This message could not be delivered this way.",
            Self::InDoubt => "We are finding out whether this message went out.",
            Self::Failed => "We could not send this message; a person has been told.",
            Self::Unknown => {
                "We could not find out whether this message reached you; a person has been told."
            }
            Self::Cancelled => "This message was no longer needed.",
            Self::Superseded => "A newer message took the place of this one.",
            Self::Folded => "What this message says was part of another message.",
            Self::Suppressed => "You chose not to get this message.",
            Self::Expired => "This message came too late to be of use, so it was not sent.",
            Self::Quarantined => "This message had a fault; a person has been told.",
        }
    }

    /// May a notification go from here to `next`? The one table of the status machine.
    ///
    /// What was planned again after a doubt may still turn out to be with the provider: its
    /// definite word about the last attempt holds until the next one opens.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use Status as S;
        match self {
            S::Planned => matches!(
                next,
                S::Planned
                    | S::Claimed
                    | S::Sent
                    | S::Delivered
                    | S::Cancelled
                    | S::Superseded
                    | S::Folded
                    | S::Suppressed
                    | S::Expired
            ),
            S::Claimed => matches!(
                next,
                S::Planned
                    | S::Sending
                    | S::Sent
                    | S::Delivered
                    | S::Cancelled
                    | S::Superseded
                    | S::Folded
                    | S::Suppressed
                    | S::Expired
                    | S::Failed
                    | S::Quarantined
            ),
            S::Sending => matches!(next, S::Sent | S::Planned | S::Failed | S::InDoubt),
            S::Sent => matches!(next, S::Delivered | S::Undelivered),
            S::InDoubt => {
                matches!(next, S::Sent | S::Delivered | S::Undelivered | S::Planned | S::Unknown)
            }
            S::Undelivered => matches!(next, S::Planned | S::Failed),
            // Its receipt may come late, or somebody may know.
            S::Unknown => matches!(next, S::Planned | S::Sent | S::Delivered | S::Undelivered),
            // A retry by an operator starts a new attempt.
            // Folded: what carried it did not leave.
            S::Failed | S::Quarantined | S::Folded => matches!(next, S::Planned),
            S::Delivered | S::Cancelled | S::Superseded | S::Suppressed | S::Expired => false,
        }
    }

    /// Is anything still to happen by itself?
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Claimed | Self::Sending | Self::InDoubt)
    }

    /// Did the customer get the word, as far as we know?
    #[must_use]
    pub const fn is_told(self) -> bool {
        matches!(self, Self::Sent | Self::Delivered)
    }

    /// May the customer have got the word, alone or in another message? Then it is not said
    /// again by itself.
    #[must_use]
    pub const fn may_be_told(self) -> bool {
        self.is_told() || matches!(self, Self::Folded | Self::Unknown)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How much a notice matters now. `High` and `Urgent` travel in the queue *now*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    Low,
    #[default]
    Normal,
    High,
    Urgent,
}

/// Which of the two queues a notification waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    Now,
    Bulk,
}

impl Urgency {
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::High | Self::Urgent => Lane::Now,
            Self::Low | Self::Normal => Lane::Bulk,
        }
    }

    /// 0 (low) to 3 (urgent), as the store keeps it.
    #[must_use]
    pub const fn rank(self) -> i64 {
        self as i64
    }

    #[must_use]
    pub const fn from_rank(rank: i64) -> Self {
        match rank {
            0 => Self::Low,
            2 => Self::High,
            3 => Self::Urgent,
            _ => Self::Normal,
        }
    }
}

/// How sure we are that a message reached somebody, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The provider says so.
    Delivered,
    /// A link in it was used.
    Opened,
    /// A key was pressed, or it was answered.
    Acknowledged,
    /// Its question was answered.
    Answered,
}

/// What a planned notification waits for, to ride in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The daily or weekly message the customer asked for.
    Digest,
    /// The next message: the customer's cap for this day is reached.
    Cap,
}

impl Held {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Cap => "cap",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Digest, Self::Cap].into_iter().find(|held| held.as_str() == name)
    }
}

/// What a message of a collapse group is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub notice: String,
    pub state: Option<String>,
}

/// A notification as planning and dispatch read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    pub id: NotificationId,
    pub case: CaseId,
    pub case_type: String,
    pub customer: CustomerId,
    pub notice: String,
    pub topic: String,
    pub urgency: Urgency,
    /// What fired: an event's source and id, a fact's name, a slot.
    pub trigger_key: String,
    pub occurrence: u32,
    /// The event that caused it; `None` for words no event caused.
    pub event_seq: Option<i64>,
    /// The state whose entry this is about, for `while` and `order`.
    pub state: Option<String>,
    /// When what it tells about happened.
    pub happened_at: Instant,
    pub collapse: Option<String>,
    /// It waits for a message that carries it.
    pub held: Option<Held>,
    /// The message to which nobody reacted, where this one says the same on another channel.
    pub escalates: Option<NotificationId>,
    pub status: Status,
    pub planned_at: Instant,
    /// When the rule wants it said.
    pub due_at: Instant,
    /// When it is looked at next: due, or later because of hours, a pause or a retry.
    pub next_at: Instant,
    /// From here on it is worth nothing to the customer.
    pub expires_at: Instant,
    /// Channels that failed for good, not to be tried again.
    pub failed_channels: Vec<Channel>,
    pub skipped: Vec<Skipped>,
    /// The journey version that planned it.
    pub version: String,
    /// Ten characters that let a customer verify the message.
    pub code: String,
    pub epoch: i64,
    pub claims: i64,
    pub attempts: i64,
}

impl Notification {
    /// Does nothing but time bring it: a silence, the calendar?
    #[must_use]
    pub const fn is_watch(&self) -> bool {
        self.event_seq.is_none() && self.escalates.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_notification_never_moves_by_itself() {
        for status in Status::ALL {
            let exits: Vec<_> =
                Status::ALL.into_iter().filter(|next| status.may_become(*next)).collect();
            let settled = matches!(
                status,
                Status::Delivered
                    | Status::Cancelled
                    | Status::Superseded
                    | Status::Suppressed
                    | Status::Expired
            );
            assert_eq!(exits.is_empty(), settled, "{status}: {exits:?}");
        }
    }

    #[test]
    fn unknown_follows_only_in_doubt_and_an_open_attempt_is_never_ready_again_unread() {
        for status in Status::ALL {
            assert_eq!(status.may_become(Status::Unknown), status == Status::InDoubt, "{status}");
            assert_eq!(status.may_become(Status::Sending), status == Status::Claimed, "{status}");
        }
    }

    #[test]
    fn a_word_that_it_was_taken_counts_until_the_next_attempt_opens_and_a_failure_only_before() {
        use Status::{Claimed, Delivered, InDoubt, Planned, Sending, Sent, Undelivered, Unknown};
        for from in Status::ALL {
            let open = matches!(from, Planned | Claimed | InDoubt | Unknown);
            assert_eq!(from.may_become(Delivered), open || from == Sent, "{from}");
            assert_eq!(from.may_become(Sent), open || from == Sending, "{from}");
            let failed = matches!(from, Sent | InDoubt | Unknown);
            assert_eq!(from.may_become(Undelivered), failed, "{from}");
        }
    }

    #[test]
    fn names_are_those_of_the_interface() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.as_str()), Some(status));
            assert_eq!(serde_json::json!(status), serde_json::json!(status.as_str()));
            assert!(status.for_customer().ends_with('.'));
        }
    }
}
