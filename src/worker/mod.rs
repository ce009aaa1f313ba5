//! ORCHESTRATION: reads, asks planning, writes. No policy of its own.
//!
//! [`plan`] turns accepted events into plans, [`dispatch`] decides and writes what is due,
//! [`lane`] opens attempts and hands messages over, [`outcome`] says what follows,
//! [`scheduler`] rings what falls due, [`reconcile`] repairs what was lost.

pub mod activity;
mod at_once;
pub mod audit;
pub mod balance;
mod company;
pub mod dispatch;
pub mod doubts;
pub mod drains;
pub mod followers;
pub mod held;
pub mod lane;
pub mod learning;
mod opener;
pub mod outcome;
mod patience;
pub mod plan;
mod promises;
mod receipts;
pub mod reconcile;
pub mod resolve;
mod roads;
pub mod scheduler;
pub mod seams;
pub mod webhooks;
pub mod writing;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use tokio::sync::Notify;

use crate::channel::Gateways;
use crate::channel::account::Senders;
use crate::channel::health::Health;
use crate::clock::Clock;
use crate::domain::notification::Lane;
use crate::domain::time::Instant;
use crate::domain::token::{Grant, Keyring};
use crate::domain::{ChannelMap, CustomerId, Span};
use crate::planning::retry::RetryPolicy;
use crate::planning::rules::Rules;
use crate::planning::withdrawal::Target;
use crate::queue::{MAX_IDS, Queue, Ticket};
use crate::render::message::{Messages, Sender};
use crate::render::presentation::Presentation;
use crate::store::notifications::Outlook;
use crate::store::{Result, Store, StoreError};

use activity::Activity;
use held::Held;
use lane::LaneHandle;
use seams::Seams;
use writing::Pen;

/// The version in force and how it is presented; swapped as a whole.
#[derive(Debug, Clone)]
pub struct Live {
    pub rules: Rules,
    pub messages: Messages,
    pub presentation: Presentation,
}

/// Settings of the work itself.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Who holds claims: random per process start.
    pub owner: String,
    pub public_url: String,
    pub mail_domain: String,
    /// The address mail comes from.
    pub mail_from: String,
    pub sender: Sender,
    pub sms_replies: bool,
    /// What texts come from.
    pub senders: Vec<Senders>,
    pub wait_for_customer: Span,
    pub hand_over_window: Duration,
    /// How often leases are renewed, well within their length.
    pub renew_every: Duration,
    pub settle_doubt_after: TimeDelta,
    pub retry: ChannelMap<RetryPolicy>,
    /// What each channel should deliver; `None` where nothing is asked of it.
    pub targets: ChannelMap<Option<Target>>,
    /// Nothing is handed over, whatever is decided.
    pub shadow: bool,
    pub default_locale: String,
}

/// Everything the work needs. What is behind an `Arc` the workers of one process share.
#[derive(Debug)]
pub struct Engine {
    pub store: Store,
    pub queue: Queue,
    pub clock: Clock,
    pub live: Arc<ArcSwap<Live>>,
    pub keys: Keyring,
    pub gateways: Gateways,
    pub behaviour: Behaviour,
    pub activity: Activity,
    pub held: Held,
    pub desk: Arc<plan::Desk>,
    pub lessons: Arc<learning::Lessons>,
    pub resolved_with: Arc<resolve::ResolvedWith>,
    /// Rung when something may be due at once.
    pub wake: Arc<Notify>,
    pub lanes: ChannelMap<Vec<LaneHandle>>,
    /// How the providers are, and how quickly they may be spoken to.
    pub health: Arc<Health>,
    /// Where a test may stop the world.
    pub seams: Seams,
}

/// Rounds after which work that never ends is called a fault.
const MAX_ROUNDS: u32 = 100_000;

/// Turns true when the process is asked to stop.
pub type Stopping = tokio::sync::watch::Receiver<bool>;

/// Completes when the process is asked to stop, or nobody is left to ask.
pub async fn stopped(stopping: &mut Stopping) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

impl Engine {
    /// One more worker beside this one, who claims under a name of its own and sends through
    /// `lanes` of its own.
    #[must_use]
    pub fn colleague(&self, owner: String, lanes: ChannelMap<Vec<LaneHandle>>) -> Self {
        Self {
            store: self.store.clone(),
            queue: self.queue.clone(),
            clock: self.clock.clone(),
            live: Arc::clone(&self.live),
            keys: self.keys.clone(),
            gateways: self.gateways.clone(),
            behaviour: Behaviour { owner, ..self.behaviour.clone() },
            activity: self.activity.clone(),
            held: self.held.clone(),
            desk: Arc::clone(&self.desk),
            lessons: Arc::clone(&self.lessons),
            resolved_with: Arc::clone(&self.resolved_with),
            wake: Arc::clone(&self.wake),
            lanes,
            health: Arc::clone(&self.health),
            seams: self.seams.clone(),
        }
    }

    /// Rings the bell for accepted events. Lost or refused, the scheduler rings it again.
    ///
    /// Within one process the events lie on the desk and the ticket is a bare bell. A ticket
    /// that another process may take up names the events itself: that process has a desk of
    /// its own.
    pub fn ring_plan(&self, events: &[i64]) {
        if self.queue.is_shared() {
            for events in events.chunks(MAX_IDS) {
                let (lane, ticket) = Ticket::plan(events.to_vec());
                if !self.ring(lane, ticket) {
                    self.desk.miss();
                }
            }
            return;
        }
        if self.desk.lay_down(events) {
            let (lane, ticket) = Ticket::plan(Vec::new());
            if !self.ring(lane, ticket) {
                self.desk.silence();
                self.wake.notify_one();
            }
        }
    }

    pub(crate) fn ring(&self, lane: Lane, ticket: Ticket) -> bool {
        self.queue.push(lane, ticket, self.activity.begin())
    }

    /// Works one ticket off. What fails is logged and left to the scheduler.
    pub async fn handle(self: Arc<Self>, ticket: Ticket) {
        let done = match ticket {
            Ticket::PlanV1 { events } => plan::plan_events(&self, &events).await,
            Ticket::DispatchV1 { notifications } => dispatch::dispatch(&self, &notifications).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a ticket was left undone and will be rung again");
        }
    }

    /// Works until nothing is due, claimed or on the wire at the clock's `now`. Answers when
    /// something falls due next.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn run_until_idle(&self) -> Result<Option<Instant>> {
        for _ in 0..MAX_ROUNDS {
            self.activity.idle().await;
            let now = self.clock.now();
            drains::run_once(self).await?;
            resolve::run_once(self, now).await?;
            if let Outlook::Quiet { until } = self.store.outlook(now).await? {
                return Ok(until);
            }
            if self.store.needs_housekeeping(now).await? {
                reconcile::run_once(self, now).await?;
            }
            scheduler::run_once(self, now).await?;
            if self.activity.count() == 0 {
                // Due, and no ticket on its way: its bell was lost.
                self.store.ring_lost(now).await?;
            }
        }
        Err(StoreError::Damaged("something stays due however often it is rung".into()))
    }

    /// What texts and links are made with.
    #[must_use]
    pub const fn pen(&self) -> Pen<'_> {
        Pen { behaviour: &self.behaviour, keys: &self.keys }
    }

    /// Where a provider asks what a call says, and tells which key was pressed.
    #[must_use]
    pub fn call_link(&self, provider: &str, grant: &Grant) -> String {
        let token = self.keys.token(grant);
        format!("{}/v1/inbound/{provider}/call?a={token}", self.behaviour.public_url)
    }

    /// A link to a customer's own page that works until `until_s` (seconds since 1970).
    #[must_use]
    pub fn centre_link(&self, customer: &CustomerId, until_s: i64) -> String {
        self.pen().centre_link(customer, until_s)
    }
}
