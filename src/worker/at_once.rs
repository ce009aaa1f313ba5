//! Opens what is due right away as its plan is written down: one commit instead of two between
//! an event and the first byte of its message.
//!
//! Only what stands for itself goes this way, while nobody is in line before it. All else is
//! claimed as it is planned and takes the way through its lane, and so does what changed
//! between the decision and the commit.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::TimeDelta;

use crate::channel::health::{Admission, Call};
use crate::channel::{Gate, HandOverWindow, Way};
use crate::domain::time::Instant;
use crate::domain::{CaseId, CustomerId, NotificationId};
use crate::planning::carry::priority;
use crate::store::opening::{Opened, Opening};
use crate::store::plans::PlannedCase;

use super::dispatch::{ById, Claimed, Ready};
use super::lane::Leave;
use super::opener::OnItsWay;
use super::patience::Waits;
use super::seams::Seam;
use super::writing::number;
use super::{Engine, Live};

/// An event that is not planned this long after it was accepted may be one that processes die of.
const SET_ASIDE_AFTER: TimeDelta = TimeDelta::seconds(10);

/// Those that can be decided before they are written down, and the others: each the only one
/// of its customer, of the only event of its case, with no cap and no digest that would put
/// others beside it, and not said once per customer, whichever case says it. What has waited for
/// long takes the way on which it is set aside when those who take it up keep dying of it.
pub fn by_themselves(
    live: &Live,
    planned: &[PlannedCase],
    due_now: Vec<Claimed>,
    waited: &HashMap<CaseId, Vec<Instant>>,
    now: Instant,
) -> (Vec<Claimed>, Vec<Claimed>) {
    let mut of_customer: HashMap<CustomerId, u32> = HashMap::new();
    for due in &due_now {
        *of_customer.entry(due.customer.id.clone()).or_default() += 1;
    }
    let of_one_event: HashSet<&CaseId> =
        planned.iter().filter(|case| case.plans.len() == 1).map(|case| &case.id).collect();
    let created = planned.iter().flat_map(|case| &case.plans).flat_map(|(_, plan, _)| &plan.create);
    let once: HashSet<NotificationId> = created
        .filter(|created| created.once_per_customer)
        .map(|created| created.notification.id)
        .collect();
    let is_fresh = |case: &CaseId| {
        let since = waited.get(case).and_then(|at| at.first());
        since.is_some_and(|at| now - *at < SET_ASIDE_AFTER)
    };
    due_now.into_iter().partition(|due| {
        let (case, customer) = (&due.notification.case, &due.customer);
        of_customer.get(&customer.id) == Some(&1)
            && of_one_event.contains(case)
            && customer.preferences.digest.is_empty()
            && live.rules.cap_of(customer).is_none()
            && !once.contains(&due.notification.id)
            && is_fresh(case)
    })
}

/// Messages that leave as soon as their attempts are open.
#[derive(Debug)]
pub struct AtOnce {
    window: HandOverWindow,
    messages: ById,
    leaves: BTreeMap<Way, Leave>,
}

impl AtOnce {
    /// Picks those that may leave now, the first in line first. Answers the others beside them.
    pub async fn pick(engine: &Engine, ready: Vec<Ready>, now: Instant) -> (Self, Vec<Ready>) {
        let window = engine.behaviour.hand_over_window;
        let mut picked = Self {
            window: HandOverWindow::open(window),
            messages: ById::new(),
            leaves: BTreeMap::new(),
        };
        let mut others = Vec::new();
        let mut by_way: BTreeMap<Way, Vec<Ready>> = BTreeMap::new();
        for message in ready {
            by_way.entry(message.way).or_default().push(message);
        }
        for (way, mut messages) in by_way {
            messages.sort_by_key(|message| priority(message.notification()));
            let lane = engine.lanes.get(way.channel).get(way.place);
            let leave = lane.and_then(|lane| lane.leave(messages.len(), window));
            let admitted = match &leave {
                Some(leave) => admitted(engine, way, leave.count(), now).await,
                None => 0,
            };
            let mut left = admitted;
            for message in messages {
                if left > 0 && may_start(engine, &message, now) {
                    left -= 1;
                    picked.messages.insert(message.notification().id, message);
                } else {
                    others.push(message);
                }
            }
            picked.leaves.extend(leave.map(|leave| (way, leave)));
        }
        if !picked.messages.is_empty() {
            engine.seams.pass(Seam::AfterRender).await;
            engine.seams.pass(Seam::BeforeOpen).await;
            // Open before the clock is read, and long before the store answers.
            picked.window = HandOverWindow::open(window);
            let now = engine.clock.now();
            let late = picked.messages.extract_if(|_, message| !message.still_goes(now));
            others.extend(late.map(|(_, message)| message));
        }
        (picked, others)
    }

    /// What their attempts are opened with, by case: each is the only one of its case.
    #[must_use]
    pub fn openings(&self) -> HashMap<CaseId, Opening> {
        let messages = self.messages.values();
        messages.map(|m| (m.opening.case.clone(), m.opening.clone())).collect()
    }

    /// Sends on their way those that opened; answers the others.
    pub async fn send(
        mut self,
        engine: &Engine,
        opened: Vec<Opened>,
    ) -> impl Iterator<Item = Ready> {
        let window = self.window;
        for opened in opened {
            let Some(mut message) = self.messages.remove(&opened.id) else { continue };
            let way = message.way;
            number(engine, &mut message.outgoing, message.opening.provider.kind(), opened.no);
            let leave = self.leaves.get_mut(&way).expect("picked with its way's leave");
            leave.send(OnItsWay { message, opened, window }).await;
        }
        self.messages.into_values()
    }

    /// Gives back what may have been planned and opened for `owner`: the answer of the store
    /// was lost, and nothing has left.
    pub async fn take_back(self, engine: &Engine, owner: &str) {
        let Self { messages, leaves, .. } = self;
        drop(leaves);
        if messages.is_empty() {
            return;
        }
        let claims: Vec<_> = messages.values().flat_map(Ready::claims).collect();
        let cases: Vec<CaseId> = messages.values().map(|m| m.opening.case.clone()).collect();
        let mut waits = Waits::within(engine.behaviour.renew_every * 3);
        let now = || engine.clock.now();
        while let Err(error) = engine.store.take_back_plans(&claims, &cases, owner, now()).await {
            if !waits.wait().await {
                tracing::error!(%error, "plans could not be taken back; their leases do it");
                break;
            }
        }
    }
}

/// How many of these may leave by this way. A provider that is only tried out is left to its lane.
async fn admitted(engine: &Engine, way: Way, wanted: usize, now: Instant) -> usize {
    if engine.health.standing(way, now).open {
        return 0;
    }
    match engine.health.admit(way, wanted, now).await {
        Admission::All => wanted,
        Admission::Some { count, .. } => count,
        Admission::Rests { .. } => 0,
        Admission::Probe => {
            engine.health.record(way, Call::NotMade, now);
            0
        }
    }
}

/// May it start now, as far as the place goes that it is sent to?
fn may_start(engine: &Engine, message: &Ready, now: Instant) -> bool {
    let gateway = engine.gateways.get(message.way.channel).get(message.way.place);
    gateway.is_some_and(|gateway| match gateway.provider.gate(&message.outgoing.to, now) {
        Gate::Open => true,
        // Who paces by the wall's clock says nothing of another.
        Gate::Paced(_) => engine.clock.is_manual(),
        Gate::Closed { .. } => false,
    })
}
