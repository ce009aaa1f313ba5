//! Plans accepted events: case by case, each event against the case as it stood after the
//! one before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::TimeDelta;

use crate::domain::notification::Lane;
use crate::domain::plan::{NewTask, Plan, TaskKind, versions};
use crate::domain::time::{Instant, from_ms};
use crate::domain::{CaseChoice, Customer, CustomerId, Notification, NotificationId, Status};
use crate::planning::schedule::{Calendar, shift};
use crate::planning::{CaseFile, plan};
use crate::queue::{MAX_IDS, Ticket};
use crate::store::Result;
use crate::store::notifications::RING_AGAIN_MS;
use crate::store::plans::{PendingCase, PendingEvent, PlannedCase};

use super::{Engine, Live};

/// When a case is looked at again that waits for a customer of whom nobody has told us even
/// after the wait: 9999-12-31, so only when the customer arrives.
const UNTIL_THE_CUSTOMER_ARRIVES_MS: i64 = 253_402_214_400_000;

/// Plans the events with these numbers, and whatever else their cases have to plan.
///
/// # Errors
/// `Unavailable` when the store is away; the events stay unplanned and are rung again.
pub async fn plan_events(engine: &Engine, events: &[i64]) -> Result<()> {
    let mut cases = engine.store.cases_of_events(events).await?;
    while !cases.is_empty() {
        let now = engine.clock.now();
        let live = engine.live.load_full();
        let pending = engine.store.pending_cases(&cases).await?;
        let named = pending.iter().flat_map(|case| &case.events).map(|event| &event.event.customer);
        let customers = engine.store.customers(named, now).await?;
        let choices = engine.store.case_choices(pending.iter().map(|case| &case.id)).await?;
        let mut planned = Vec::with_capacity(pending.len());
        let mut waiting = Vec::new();
        for case in &pending {
            let choice = choices.get(&case.id).copied().unwrap_or_default();
            let (done, stopped_at) = plan_case(engine, &live, case, &customers, choice, now);
            waiting.extend(stopped_at.map(|event| (case, event)));
            if !done.plans.is_empty() {
                planned.push(done);
            }
        }
        for (case, event) in waiting {
            wait_for_customer(engine, case, event, now).await?;
        }
        let expected: Vec<_> = planned.iter().map(|case| case.id.clone()).collect();
        let due = due_now(engine, &planned, now);
        let won = if planned.is_empty() {
            std::collections::HashSet::new()
        } else {
            record(engine, planned, &due, now).await?
        };
        // Lost to another planner, or more events came: look again.
        let lost: Vec<_> = expected.into_iter().filter(|id| !won.contains(id)).collect();
        let full = pending.iter().filter(|case| case.events.len() >= 100).map(|case| case.id.clone());
        cases = lost.into_iter().chain(full).collect();
    }
    Ok(())
}

type DueByLane = BTreeMap<Lane, Vec<NotificationId>>;

/// What is due at once, by lane, as long as the lanes have room: it is rung right away.
fn due_now(engine: &Engine, planned: &[PlannedCase], now: Instant) -> DueByLane {
    let mut due: DueByLane = BTreeMap::new();
    for (_, plan, _) in planned.iter().flat_map(|case| &case.plans) {
        for created in &plan.create {
            let notification = &created.notification;
            if notification.status == Status::Planned && notification.next_at <= now {
                due.entry(notification.urgency.lane()).or_default().push(notification.id);
            }
        }
    }
    due.retain(|lane, ids| engine.queue.room(*lane) > ids.len().div_ceil(MAX_IDS));
    due
}

async fn record(
    engine: &Engine,
    planned: Vec<PlannedCase>,
    due: &DueByLane,
    now: Instant,
) -> Result<std::collections::HashSet<crate::domain::CaseId>> {
    let rung = !due.is_empty();
    let ring_again_at = if rung { now + TimeDelta::milliseconds(RING_AGAIN_MS) } else { from_ms(0) };
    let won = engine.store.record_plans(planned, now, ring_again_at).await?;
    for (lane, ids) in due {
        for ids in ids.chunks(MAX_IDS) {
            engine.ring(*lane, Ticket::DispatchV1 { notifications: ids.to_vec() });
        }
    }
    if !rung {
        engine.wake.notify_one();
    }
    Ok(won)
}

/// Plans one case's events until one names a customer nobody told us about.
fn plan_case<'a>(
    engine: &Engine,
    live: &Arc<Live>,
    pending: &'a PendingCase,
    customers: &HashMap<CustomerId, Customer>,
    choice: CaseChoice,
    now: Instant,
) -> (PlannedCase, Option<&'a PendingEvent>) {
    let rules = &live.rules;
    let mut file =
        CaseFile { case: pending.case.clone(), notifications: pending.notifications.clone() };
    let mut done =
        PlannedCase { id: pending.id.clone(), expected: pending.planned, plans: Vec::new() };
    for event in &pending.events {
        let Some(customer) = customers.get(&event.event.customer) else {
            return (done, Some(event));
        };
        let mut plan = plan(&event.event, event.seq, &file, customer, choice, rules, now);
        for created in &mut plan.create {
            created.notification.code = engine.keys.code(created.notification.id);
        }
        apply(&mut file, &plan);
        let versions = versions(
            &rules.journeys.version,
            &rules.settings_version,
            plan.case.revision,
            customer.revision,
        );
        done.plans.push((event.seq, plan, versions));
    }
    (done, None)
}

/// The case file after a plan, for the next event of the same case.
fn apply(file: &mut CaseFile, plan: &Plan) {
    file.case = Some(plan.case.clone());
    let find = |notifications: &mut Vec<Notification>, id| {
        notifications.iter().position(|notification| notification.id == id)
    };
    for settled in &plan.settle {
        if let Some(at) = find(&mut file.notifications, settled.id) {
            file.notifications[at].status = settled.status;
        }
    }
    for moved in &plan.moved {
        if let Some(at) = find(&mut file.notifications, moved.id) {
            let notification = &mut file.notifications[at];
            (notification.due_at, notification.next_at) = (moved.due_at, moved.next_at);
            notification.expires_at = moved.expires_at;
        }
    }
    file.notifications.extend(plan.create.iter().map(|created| created.notification.clone()));
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
