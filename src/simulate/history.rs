//! What happened, kept small, and the groups it falls into.
//!
//! An event is held in about a hundred bytes, names by number. Customers who share no case
//! never meet: neither's messages, days or promises depend on the other's. So a history falls
//! into groups that are unfolded and played one after another, and a million events need no
//! more memory than the largest group.

use std::collections::HashMap;

use crate::domain::time::Instant;
use crate::domain::{
    CaseChoice, CaseEvent, CaseId, Customer, CustomerId, NotificationId, Sign, case::Facts,
};

use super::names::{Name, Names};

/// Events planned in one go, as the workers do.
const BATCH: u32 = 500;

/// What happened, as far as decisions read it.
#[derive(Debug, Default)]
pub struct History {
    events: Vec<Kept>,
    names: Names,
    /// The ids of all events, one behind the other: no two are alike.
    ids: String,
    /// Each customer as they were from an instant on, oldest first. The first one holds before
    /// its instant too: who was imported later was somebody before.
    pub customers: HashMap<CustomerId, Vec<(Instant, Customer)>>,
    /// Choices for one case, each from an instant on, oldest first.
    pub choices: HashMap<CaseId, Vec<(Instant, CaseChoice)>>,
    /// Signs that a message reached somebody, oldest first.
    pub signs: HashMap<NotificationId, Vec<(Instant, Sign)>>,
}

/// An event, folded up.
#[derive(Debug)]
struct Kept {
    seq: i64,
    at: Instant,
    occurred_at: Instant,
    version: Option<i64>,
    id_at: usize,
    id_bytes: u16,
    source: Name,
    case: Name,
    case_type: Name,
    customer: Name,
    state: Option<Name>,
    event: Option<Name>,
    /// As JSON.
    facts: Name,
}

/// An event and when it was accepted.
#[derive(Debug, Clone)]
pub struct Happening {
    pub seq: i64,
    pub at: Instant,
    pub event: CaseEvent,
    /// Events of one instant that were planned together have the same number.
    pub batch: u32,
}

/// Which events belong together.
#[derive(Debug, Default)]
pub struct Groups {
    /// Places in the history, group after group, each in the order of the history.
    places: Vec<u32>,
    /// Where each group begins among them, and the end.
    starts: Vec<usize>,
    /// Of each event of the history.
    batches: Vec<u32>,
}

impl Groups {
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl History {
    /// Adds what happened next.
    ///
    /// # Panics
    /// When an id is longer than any that is accepted.
    pub fn push(&mut self, seq: i64, at: Instant, event: &CaseEvent) {
        let facts = if event.facts.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&event.facts).expect("facts are plain data")
        };
        let names = &mut self.names;
        let kept = Kept {
            seq,
            at,
            occurred_at: event.occurred_at,
            version: event.version,
            id_at: self.ids.len(),
            id_bytes: u16::try_from(event.id.len()).expect("ids are at most 200 characters"),
            source: names.name(&event.source),
            case: names.name(event.case.as_str()),
            case_type: names.name(&event.case_type),
            customer: names.name(event.customer.as_str()),
            state: event.state.as_deref().map(|state| names.name(state)),
            event: event.event.as_deref().map(|event| names.name(event)),
            facts: names.name(&facts),
        };
        self.ids.push_str(&event.id);
        self.events.push(kept);
    }

    /// Puts the events into the order of their instants, those of one instant left as they
    /// are, and numbers them.
    pub fn sort(&mut self) {
        self.events.sort_by_key(|event| event.at);
        for (seq, event) in (1..).zip(&mut self.events) {
            event.seq = seq;
        }
    }

    /// Leaves out what happened from an instant on.
    pub fn cut(&mut self, until: Instant) {
        self.events.retain(|event| event.at < until);
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// When each event was accepted.
    pub fn instants(&self) -> impl DoubleEndedIterator<Item = Instant> {
        self.events.iter().map(|event| event.at)
    }

    /// The customer as they were at an instant.
    #[must_use]
    pub fn customer(&self, id: &CustomerId, at: Instant) -> Option<&Customer> {
        let versions = self.customers.get(id)?;
        let later = versions.partition_point(|(from, _)| *from <= at);
        versions.get(later.saturating_sub(1)).map(|(_, customer)| customer)
    }

    pub(super) fn choice(&self, case: &CaseId, at: Instant) -> CaseChoice {
        let choices = self.choices.get(case).map_or(&[][..], Vec::as_slice);
        choices.iter().rev().find(|(from, _)| *from <= at).map_or_else(CaseChoice::default, |c| c.1)
    }

    pub(super) fn sign(&self, id: NotificationId, at: Instant) -> Option<Sign> {
        let signs = self.signs.get(&id)?;
        signs.iter().filter(|(from, _)| *from <= at).map(|(_, sign)| *sign).max()
    }

    /// The groups: events that share a case or a customer, directly or through others.
    ///
    /// # Panics
    /// When there are more than four thousand million events.
    #[must_use]
    pub fn groups(&self) -> Groups {
        // A case and a customer of the same name are two: each name stands for both.
        let mut circles = Circles::new(self.names.len() * 2);
        for event in &self.events {
            circles.join(event.case.place() * 2, event.customer.place() * 2 + 1);
        }
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        let mut sizes: Vec<usize> = Vec::new();
        let group_of: Vec<usize> = self
            .events
            .iter()
            .map(|event| {
                let next = numbers.len();
                let group = *numbers.entry(circles.of(event.case.place() * 2)).or_insert(next);
                sizes.resize(numbers.len(), 0);
                sizes[group] += 1;
                group
            })
            .collect();
        let mut starts = vec![0];
        for size in sizes {
            starts.push(starts.last().copied().unwrap_or(0) + size);
        }
        let mut free = starts.clone();
        let mut places = vec![0; self.events.len()];
        for (place, group) in group_of.into_iter().enumerate() {
            places[free[group]] = u32::try_from(place).expect("fewer events than that");
            free[group] += 1;
        }
        Groups { places, starts, batches: self.batches() }
    }

    /// The whole history as one group.
    ///
    /// # Panics
    /// When there are more than four thousand million events.
    #[must_use]
    pub fn as_one(&self) -> Groups {
        let count = u32::try_from(self.events.len()).expect("fewer events than that");
        let starts = vec![0, self.events.len()];
        Groups { places: (0..count).collect(), starts, batches: self.batches() }
    }

    fn batches(&self) -> Vec<u32> {
        let mut before = None;
        let mut count = 0;
        let batch = |event: &Kept| {
            count = if before == Some(event.at) { count + 1 } else { 0 };
            before = Some(event.at);
            count / BATCH
        };
        self.events.iter().map(batch).collect()
    }

    /// The events of one group.
    #[must_use]
    pub fn unfold(&self, groups: &Groups, group: usize) -> Vec<Happening> {
        let places = &groups.places[groups.starts[group]..groups.starts[group + 1]];
        let unfold = |place: &u32| {
            let place = *place as usize;
            let kept = &self.events[place];
            let (seq, at, batch) = (kept.seq, kept.at, groups.batches[place]);
            Happening { seq, at, event: self.event(kept), batch }
        };
        places.iter().map(unfold).collect()
    }

    fn event(&self, kept: &Kept) -> CaseEvent {
        let text = |name: Name| self.names.text(name).to_owned();
        let facts = match self.names.text(kept.facts) {
            "" => Facts::new(),
            facts => serde_json::from_str(facts).expect("folded up from facts"),
        };
        CaseEvent {
            id: self.ids[kept.id_at..kept.id_at + usize::from(kept.id_bytes)].to_owned(),
            source: text(kept.source),
            case: CaseId(text(kept.case)),
            case_type: text(kept.case_type),
            customer: CustomerId(text(kept.customer)),
            state: kept.state.map(text),
            event: kept.event.map(text),
            version: kept.version,
            occurred_at: kept.occurred_at,
            facts,
        }
    }
}

/// Who belongs to whom: circles that grow into one another (union-find, Tarjan 1975).
struct Circles {
    towards: Vec<u32>,
}

impl Circles {
    fn new(count: usize) -> Self {
        Self { towards: (0..u32::try_from(count).expect("fewer names than that")).collect() }
    }

    fn of(&mut self, mut member: usize) -> usize {
        while self.towards[member] as usize != member {
            let next = self.towards[member] as usize;
            // Halves the way for whoever asks next.
            self.towards[member] = self.towards[next];
            member = next;
        }
        member
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        self.towards[one.max(other)] = self.towards[one.min(other)];
    }
}
