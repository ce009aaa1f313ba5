//! Plans accepted events: case by case, each event against the case as it stood after the
//! one before.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::plan::{NewTask, TaskKind, versions};
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Case, CaseChoice, Customer, CustomerId, Notification, NotificationId, Status};
use crate::planning::schedule::{Calendar, shift};
use crate::planning::{CaseFile, plan};
use crate::queue::MAX_IDS;
use crate::store::Result;
use crate::store::pending::{MAX_EVENTS_PER_CASE, PendingCase, PendingEvent};
use crate::store::plans::PlannedCase;

use super::at_once::{AtOnce, by_themselves};
use super::dispatch::{Claimed, Decided, bring_on_the_way, carry_out, decide_about};
use super::held::Held;
use super::seams::Seam;
use super::{Engine, Live};

/// When a case is looked at again that waits for a customer of whom nobody has told us even
/// after the wait: 9999-12-31, so only when the customer arrives.
const UNTIL_THE_CUSTOMER_ARRIVES_MS: i64 = 253_402_214_400_000;

/// Events that wait on the desk; the rest is left in the store until the desk is empty.
const MAX_ON_DESK: usize = 20 * MAX_IDS;

/// Batches that are planned at the same time in one process.
const AT_ONCE: u32 = 2;

#[derive(Debug)]
struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE as usize))
    }
}

/// Events on their way to be planned in this process. One bell is enough for all of them.
#[derive(Debug, Default)]
pub struct Desk {
    waiting: Mutex<Vec<i64>>,
    /// A bell was rung and nobody has come yet.
    rung: AtomicBool,
    /// [`AT_ONCE`] batches are planned at a time: one is written while the other is decided.
    /// More would only take each other's cases away, and so would two where one writes.
    turns: Turns,
    /// Somebody waits for a turn, and will take up what lies here then.
    awaited: AtomicBool,
    /// How many batches were begun.
    begun: AtomicU64,
    /// The store knows of events that are not on the desk.
    missed: AtomicBool,
}

impl Desk {
    /// Lays events down. Answers whether a bell must be rung for them.
    pub fn lay_down(&self, events: &[i64]) -> bool {
        let mut waiting = self.waiting.lock().expect("no panic while held");
        if waiting.len() + events.len() > MAX_ON_DESK {
            self.miss();
        } else {
            waiting.extend(events);
        }
        !waiting.is_empty() && !self.rung.swap(true, Ordering::AcqRel)
    }

    /// The bell could not be rung, or has been answered.
    pub fn silence(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// Notes that the store must be asked what there is to plan.
    pub fn miss(&self) {
        self.missed.store(true, Ordering::Release);
    }

    /// Must the store be asked, now that the desk is empty?
    pub fn take_missed(&self) -> bool {
        self.waiting.lock().expect("no panic while held").is_empty()
            && self.missed.swap(false, Ordering::AcqRel)
    }

    /// Clears the desk: the store is asked for everything again.
    fn leave_to_the_store(&self) {
        self.waiting.lock().expect("no panic while held").clear();
        self.miss();
    }

    /// A turn to plan with, so many of [`AT_ONCE`]. None when somebody waits for one already:
    /// they will find what lies here by now, and who left it has not to wait as well.
    async fn turn(&self, turns: u32) -> Option<SemaphorePermit<'_>> {
        if self.awaited.swap(true, Ordering::AcqRel) {
            return None;
        }
        // Also when nobody waits any more because the wait was given up.
        let _over = Awaited(&self.awaited);
        Some(self.turns.0.acquire_many(turns).await.expect("never closed"))
    }

    fn take_up(&self) -> Vec<i64> {
        let mut waiting = self.waiting.lock().expect("no panic while held");
        let taken = waiting.len().min(MAX_IDS);
        let rest = waiting.split_off(taken);
        std::mem::replace(&mut waiting, rest)
    }
}

/// Says that nobody waits any more, however the wait ended.
struct Awaited<'a>(&'a AtomicBool);

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Plans the events with these numbers and what else lies on the desk, whatever its cases
/// have to plan.
///
/// # Errors
/// `Unavailable` when the store is away; the events stay unplanned and are rung again.
pub async fn plan_events(engine: &Engine, events: &[i64]) -> Result<()> {
    let desk = &engine.desk;
    desk.lay_down(events);
    desk.silence();
    loop {
        let turns = if engine.store.place().is_shared() { 1 } else { AT_ONCE };
        let Some(turn) = desk.turn(turns).await else { return Ok(()) };
        let batch = desk.take_up();
        if batch.is_empty() {
            return Ok(());
        }
        let planned = plan_batch(engine, &batch).await;
        drop(turn);
        match planned {
            Ok(Planned { live, decided, due_now, now, again }) => {
                desk.lay_down(&again);
                desk.silence();
                if !decided.is_empty() {
                    carry_out(engine, decided, now).await?;
                }
                if !due_now.is_empty() {
                    bring_on_the_way(engine, &live, due_now, now).await?;
                }
            }
            Err(error) => {
                desk.leave_to_the_store();
                return Err(error);
            }
        }
    }
}

/// What planning a batch leads to.
struct Planned {
    live: Arc<Live>,
    /// Decided before they were written, and claimed with that.
    decided: Decided,
    /// Claimed as they were written.
    due_now: Vec<Claimed>,
    now: Instant,
    /// Events to look at again: of cases another planner won, or with more than fits into
    /// one go.
    again: Vec<i64>,
}

async fn plan_batch(engine: &Engine, events: &[i64]) -> Result<Planned> {
    let now = engine.clock.now();
    let live = engine.live.load_full();
    let once_per_customer = live.rules.journeys.any_once_per_customer();
    let pending = engine.store.pending_cases(events, once_per_customer).await?;
    let named = pending.iter().flat_map(|case| &case.events).map(|event| &event.event.customer);
    let customers = engine.store.customers(named, now).await?;
    // A choice made since is of a later revision than the customer that was read.
    let chosen = engine.store.case_choices(pending.iter().map(|case| &case.id)).await?;
    let mut again = HashMap::new();
    let mut planned = Vec::with_capacity(pending.len());
    let mut due_now = Vec::new();
    let mut waited = HashMap::new();
    for case in &pending {
        let (done, after, choice, stopped_at) = plan_case(engine, &live, case, &customers, now);
        if let Some(event) = stopped_at {
            wait_for_customer(engine, case, event, now).await?;
        }
        if done.plans.is_empty() {
            continue;
        }
        // What was chosen in between is read when the notification is taken up.
        if chosen.get(&case.id).copied().unwrap_or_default() == case.choice {
            due_now.extend(due_at_once(&engine.held, case, after, choice, &customers, now));
        }
        let events = case.events.iter().take(done.plans.len());
        waited.insert(case.id.clone(), events.map(|event| event.accepted_at).collect::<Vec<_>>());
        let full = case.events.len() >= MAX_EVENTS_PER_CASE;
        again.insert(case.id.clone(), (case.events[0].seq, full));
        planned.push(done);
    }
    if planned.is_empty() {
        let (decided, due_now, again) = Default::default();
        return Ok(Planned { live, decided, due_now, now, again });
    }
    // What the channels have room for is claimed as it is written; the rest is rung when due.
    due_now.truncate(room(engine));
    let mut claim: HashSet<NotificationId> = due_now.iter().map(|c| c.notification.id).collect();
    let (by_itself, mut due_now) = by_themselves(&live, &planned, due_now, &waited, now);
    let named: HashSet<NotificationId> = by_itself.iter().map(|c| c.notification.id).collect();
    let mut decided = match decide_about(engine, &live, by_itself, now).await {
        Ok(decided) => decided,
        Err(error) => {
            tracing::warn!(%error, "what is due at once is planned, and decided when it is rung");
            claim.retain(|id| !named.contains(id));
            Decided::default()
        }
    };
    let (at_once, others) = AtOnce::pick(engine, decided.ready, now).await;
    decided.ready = others;
    let mut openings = at_once.openings();
    for case in &mut planned {
        case.opening = openings.remove(&case.id);
    }
    // Two batches may plan one case, and give the same names and epochs: each claims for itself.
    let batch = engine.desk.begun.fetch_add(1, Ordering::Relaxed);
    let owner = format!("{}/{batch}", engine.behaviour.owner);
    let written_at = engine.clock.now();
    let recorded = match engine.store.record_plans(planned, claim, &owner, written_at).await {
        Ok(recorded) => recorded,
        Err(error) => {
            at_once.take_back(engine, &owner).await;
            return Err(error);
        }
    };
    for accepted_at in
        waited.iter().filter(|(id, _)| recorded.won.contains(id)).flat_map(|(_, at)| at)
    {
        let waited = (now - *accepted_at).to_std().unwrap_or_default();
        metrics::histogram!("tidings_plan_delay_seconds").record(waited);
    }
    let opened_none = recorded.opened.is_empty();
    engine.seams.pass(if opened_none { Seam::AfterPlan } else { Seam::AfterOpen }).await;
    decided.ready.extend(at_once.send(engine, recorded.opened).await);
    let claimed = |of: &Notification| recorded.claimed.get(&of.id) == Some(&of.case);
    decided.retain(claimed);
    due_now.retain(|due| claimed(&due.notification));
    engine.wake.notify_one();
    let again = again.into_iter().filter(|(id, (_, full))| *full || !recorded.won.contains(id));
    let again = again.map(|(_, (seq, _))| seq).collect();
    Ok(Planned { live, decided, due_now, now, again })
}

/// How many messages find room on the channels, whichever they need.
fn room(engine: &Engine) -> usize {
    let lanes = [&engine.lanes.email, &engine.lanes.sms, &engine.lanes.voice];
    lanes.into_iter().flatten().map(super::lane::LaneHandle::room).min().unwrap_or(0)
}

/// What a case's plans want said right away, claimed as the store will have it.
fn due_at_once(
    held: &Held,
    pending: &PendingCase,
    after: CaseFile,
    choice: CaseChoice,
    customers: &HashMap<CustomerId, Customer>,
    now: Instant,
) -> Vec<Claimed> {
    let Some(case) = after.case else { return Vec::new() };
    let new = &after.notifications[pending.notifications.len()..];
    new.iter()
        .filter(|notification| {
            notification.status == Status::Planned && notification.next_at <= now
        })
        .filter_map(|notification| {
            let customer = customers.get(&notification.customer)?.clone();
            let notification = Notification {
                status: Status::Claimed,
                epoch: notification.epoch + 1,
                claims: notification.claims + 1,
                ..notification.clone()
            };
            let case: Case = case.clone();
            let hold = held.take(notification.id, notification.epoch);
            Some(Claimed { notification, hold, case, customer, choice })
        })
        .collect()
}

/// Plans one case's events until one names a customer nobody told us about. Answers the
/// plans, the case file and the customer's choice after them, and the event that waits.
fn plan_case<'a>(
    engine: &Engine,
    live: &Arc<Live>,
    pending: &'a PendingCase,
    customers: &HashMap<CustomerId, Customer>,
    now: Instant,
) -> (PlannedCase, CaseFile, CaseChoice, Option<&'a PendingEvent>) {
    let rules = &live.rules;
    let mut file =
        CaseFile { case: pending.case.clone(), notifications: pending.notifications.clone() };
    let mut done = PlannedCase {
        id: pending.id.clone(),
        expected: pending.planned,
        plans: Vec::new(),
        opening: None,
    };
    let mut choice = pending.choice;
    for event in &pending.events {
        let Some(customer) = customers.get(&event.event.customer) else {
            return (done, file, choice, Some(event));
        };
        let mut plan = plan(&event.event, event.seq, &file, customer, choice, rules, now);
        if plan.choice_ends {
            choice = CaseChoice::default();
        }
        for created in &mut plan.create {
            created.notification.code = engine.keys.code(created.notification.id);
        }
        file.apply(&plan);
        let versions = versions(
            rules.journeys.version_of(&event.event.case),
            &rules.settings_version,
            plan.case.revision,
            customer.revision,
        );
        done.plans.push((event.seq, plan, versions));
    }
    (done, file, choice, None)
}

async fn wait_for_customer(
    engine: &Engine,
    case: &PendingCase,
    event: &PendingEvent,
    now: Instant,
) -> Result<()> {
    let zone = jiff::tz::TimeZone::UTC;
    let wait = engine.behaviour.wait_for_customer;
    let until = shift(event.accepted_at, wait, false, &zone, &Calendar::default());
    let (until, task) = if now < until {
        (until, None)
    } else {
        let customer = &event.event.customer;
        let task = NewTask {
            key: format!("unknown_customer/{customer}"),
            kind: TaskKind::UnknownCustomer,
            detail: format!(
                "Events of case {} wait for customer {customer}, of whom nobody has told us.",
                case.id
            ),
        };
        (from_ms(UNTIL_THE_CUSTOMER_ARRIVES_MS), Some(task))
    };
    engine.store.wait_for_customer(&case.id, event, until, task, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_somebody_waiting_for_a_turn_leaves_the_events_to_them() {
        let desk = Arc::new(Desk::default());
        let taken = desk.turn(AT_ONCE).await.expect("nobody waits");
        desk.lay_down(&[1]);
        let waits = Arc::clone(&desk);
        let first = tokio::spawn(async move {
            let _turn = waits.turn(1).await.expect("the first to wait");
            waits.take_up()
        });
        tokio::task::yield_now().await;
        desk.lay_down(&[2, 3]);
        assert!(desk.turn(1).await.is_none(), "one waits for all");
        drop(taken);
        assert_eq!(first.await.expect("no panic"), [1, 2, 3]);
        assert!(desk.turn(1).await.is_some(), "and then nobody does");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_place_to_the_next() {
        let desk = Desk::default();
        let taken = desk.turn(AT_ONCE).await.expect("nobody waits");
        assert!(futures::FutureExt::now_or_never(desk.turn(1)).is_none(), "there is none");
        drop(taken);
        assert!(desk.turn(1).await.is_some());
    }
}
