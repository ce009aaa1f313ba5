//! HANDOFF: hands work round between the parts of Tidings. Wraps apalis; nobody else imports it.
//!
//! A ticket is a doorbell: it carries ids, the store carries facts. A lost, doubled or
//! reordered ticket changes latency and nothing else, so nothing here retries: what a ticket
//! leaves undone is rung again by the scheduler.

mod embedded;

use serde::{Deserialize, Serialize};

use crate::domain::NotificationId;
use crate::domain::notification::Lane;

pub use embedded::{EmbeddedQueue, Handler, Receivers, run};

/// The most tickets that wait in one lane.
pub const MAX_WAITING: usize = 64;

/// The most ids one ticket carries.
pub const MAX_IDS: usize = 500;

/// Work to be done. Tagged and versioned: a new worker must read what an old one wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ticket {
    /// Plan the events with these numbers.
    PlanV1 { events: Vec<i64> },
    /// Send these notifications.
    DispatchV1 { notifications: Vec<NotificationId> },
}

impl Ticket {
    /// Which lane the ticket waits in: planning never waits behind bulk.
    #[must_use]
    pub const fn plan(events: Vec<i64>) -> (Lane, Self) {
        (Lane::Now, Self::PlanV1 { events })
    }
}

/// The queue there is.
#[derive(Debug, Clone)]
pub enum Queue {
    Embedded(EmbeddedQueue),
}

impl Queue {
    /// How many more tickets a lane takes.
    #[must_use]
    pub fn room(&self, lane: Lane) -> usize {
        match self {
            Self::Embedded(queue) => queue.room(lane),
        }
    }

    /// Puts a ticket into a lane. False when the lane is full or closed: the work stays in
    /// the store, where the scheduler finds it. `busy` is dropped when the ticket is done
    /// or lost, as far as this process can tell.
    #[must_use]
    pub fn push(&self, lane: Lane, ticket: Ticket, busy: impl Send + Sync + 'static) -> bool {
        match self {
            Self::Embedded(queue) => queue.push(lane, ticket, Box::new(busy)),
        }
    }
}
