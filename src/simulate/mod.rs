//! WHAT IF: recorded events through the real planner on a virtual clock, in memory, without
//! any hand-over.
//!
//! [`world`] plays a [`History`] under one set of rules and answers a [`Run`]. All decisions are
//! those of [`crate::planning`]; what this room adds is a clock that jumps from one due instant
//! to the next, and hand-overs that always succeed. It knows no store.

mod promises;
mod sending;
pub mod world;

use std::collections::HashMap;

use serde::Serialize;

use crate::domain::plan::Promise;
use crate::domain::reason::Voice;
use crate::domain::time::Instant;
use crate::domain::{
    CaseChoice, CaseEvent, CaseId, Channel, Customer, CustomerId, Notification, NotificationId,
    Reason, Sign, Status,
};
use crate::planning::Telling;

/// What happened, as far as decisions read it.
#[derive(Debug, Default)]
pub struct History {
    /// In the order in which they were accepted.
    pub events: Vec<Happening>,
    /// Each customer as they were from an instant on, oldest first. The first one holds before
    /// its instant too: who was imported later was somebody before.
    pub customers: HashMap<CustomerId, Vec<(Instant, Customer)>>,
    /// Choices for one case, each from an instant on, oldest first.
    pub choices: HashMap<CaseId, Vec<(Instant, CaseChoice)>>,
    /// Signs that a message reached somebody, oldest first.
    pub signs: HashMap<NotificationId, Vec<(Instant, Sign)>>,
}

/// An event and when it was accepted.
#[derive(Debug, Clone)]
pub struct Happening {
    pub seq: i64,
    pub at: Instant,
    pub event: CaseEvent,
}

impl History {
    /// The customer as they were at an instant.
    #[must_use]
    pub fn customer(&self, id: &CustomerId, at: Instant) -> Option<&Customer> {
        let versions = self.customers.get(id)?;
        let later = versions.partition_point(|(from, _)| *from <= at);
        versions.get(later.saturating_sub(1)).map(|(_, customer)| customer)
    }

    fn choice(&self, case: &CaseId, at: Instant) -> CaseChoice {
        let choices = self.choices.get(case).map_or(&[][..], Vec::as_slice);
        choices.iter().rev().find(|(from, _)| *from <= at).map_or_else(CaseChoice::default, |c| c.1)
    }

    fn sign(&self, id: NotificationId, at: Instant) -> Option<Sign> {
        let signs = self.signs.get(&id)?;
        signs.iter().filter(|(from, _)| *from <= at).map(|(_, sign)| *sign).max()
    }
}

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
    /// In the order of the history.
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
