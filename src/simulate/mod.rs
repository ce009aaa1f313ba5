//! WHAT IF: recorded events through the real planner on a virtual clock, in memory, without
//! any hand-over.
//!
//! [`world`] plays a group of a [`History`] under one set of rules and answers a [`Run`]. All
//! decisions are those of [`crate::planning`]; what this room adds is a clock that jumps from one
//! due instant to the next, and hand-overs that always succeed. It knows no store.

pub mod history;
pub mod names;
mod promises;
mod sending;
pub mod world;

use serde::Serialize;

use crate::domain::plan::Promise;
use crate::domain::reason::Voice;
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, CustomerId, Notification, Reason, Status};
use crate::planning::Telling;

pub use history::{Groups, Happening, History};

/// What becomes of what is still planned when the clock stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It stays planned.
    Open(Instant),
    /// It is cancelled, as at the end of a play.
    Cancel(Instant),
}

/// A message about to leave.
#[derive(Debug)]
pub struct Sending<'a> {
    pub telling: Telling<'a>,
    pub riders: Vec<Telling<'a>>,
    pub channel: Channel,
    /// It is the customer's daily or weekly message.
    pub digest: bool,
    /// The customer's first message says whose word chose the channel.
    pub first: Option<Voice>,
    pub now: Instant,
}

/// How many parts a message has on its channel; an error when it cannot be written.
pub type CountParts<'a> = dyn Fn(&Sending<'_>) -> Result<u32, String> + 'a;

/// Everything one set of rules leads to.
#[derive(Debug, Default)]
pub struct Run {
    pub notifications: Vec<Outcome>,
    /// One per event, in their order.
    pub events: Vec<EventOutcome>,
    pub promises: Vec<PromiseOutcome>,
    /// How often a person would have been asked to act.
    pub tasks: usize,
}

/// What became of one notification.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub notification: Notification,
    /// The last reason, once it is settled.
    pub reason: Option<Reason>,
    pub told_at: Option<Instant>,
    pub channel: Option<Channel>,
    /// The beginning of the address, which decides the price: `+4479`.
    pub prefix: String,
    /// Parts of a text, 1 for anything else; 0 for what rode in another.
    pub parts: u32,
}

impl Run {
    /// Adds what became of another group.
    pub fn extend(&mut self, other: Self) {
        self.notifications.extend(other.notifications);
        self.events.extend(other.events);
        self.promises.extend(other.promises);
        self.tasks += other.tasks;
    }
}

impl Outcome {
    /// Was it a message of its own?
    #[must_use]
    pub const fn is_message(&self) -> bool {
        self.told_at.is_some() && !matches!(self.notification.status, Status::Folded)
    }
}

/// What planning said about one event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventOutcome {
    pub seq: i64,
    /// Why nothing came of it.
    pub silent: Option<Reason>,
    /// It waits for a customer nobody told us about.
    pub waits: bool,
}

/// A promise of another word, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct PromiseOutcome {
    pub case: CaseId,
    pub case_type: String,
    pub customer: CustomerId,
    pub made_at: Instant,
    pub promise: Promise,
    pub state: PromiseState,
    /// A person was asked to look on its last day.
    pub alarmed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    Open,
    Kept,
    Broken,
    Ended,
}
