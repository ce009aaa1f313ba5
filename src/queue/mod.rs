//! HANDOFF: hands work round between the parts of Tidings. Wraps apalis; nobody else imports it.
//!
//! A ticket is a doorbell: it carries ids, the store carries facts. A lost, doubled or
//! reordered ticket changes latency and nothing else, so nothing here retries: what a ticket
//! leaves undone is rung again by the scheduler.

mod embedded;
mod redis;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::NotificationId;
use crate::domain::notification::Lane;

pub use embedded::EmbeddedQueue;
pub use redis::{Link, RedisQueue, RedisUnusable, Timing};

/// What a ticket is given to.
pub type Handler = Arc<dyn Fn(Ticket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

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
    Redis(RedisQueue),
}

/// The end the workers read from.
#[derive(Debug)]
pub enum Receivers {
    Embedded(embedded::Receivers),
    Redis(RedisQueue),
}

impl Queue {
    /// Tickets that go round in this process only.
    #[must_use]
    pub fn embedded() -> (Self, Receivers) {
        let (queue, receivers) = EmbeddedQueue::new();
        (Self::Embedded(queue), Receivers::Embedded(receivers))
    }

    /// Tickets that go round between processes. Every engine of a process may have a clone.
    #[must_use]
    pub fn redis(queue: RedisQueue) -> (Self, Receivers) {
        (Self::Redis(queue.clone()), Receivers::Redis(queue))
    }

    /// Do workers of other processes take up what is pushed?
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Can tickets be handed over at this time?
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::Redis(queue) => queue.is_reachable(),
        }
    }

    /// How many more tickets a lane takes.
    #[must_use]
    pub fn room(&self, lane: Lane) -> usize {
        match self {
            Self::Embedded(queue) => queue.room(lane),
            Self::Redis(queue) => queue.room(lane),
        }
    }

    /// Puts a ticket into a lane. False when the lane is full or closed: the work stays in
    /// the store, where the scheduler finds it. `busy` is dropped when the ticket is done
    /// or lost, as far as this process can tell.
    #[must_use]
    pub fn push(&self, lane: Lane, ticket: Ticket, busy: impl Send + Sync + 'static) -> bool {
        match self {
            Self::Embedded(queue) => queue.push(lane, ticket, Box::new(busy)),
            Self::Redis(queue) => queue.push(lane, ticket, Box::new(busy)),
        }
    }
}

/// Works tickets off until `stop` completes, then finishes those in hand.
///
/// # Errors
/// When a worker could not be stopped in good order.
pub async fn run(
    receivers: Receivers,
    handler: Handler,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), String> {
    match receivers {
        Receivers::Embedded(receivers) => embedded::run(receivers, handler, stop).await,
        Receivers::Redis(queue) => redis::run(queue, handler, stop).await,
    }
}
