//! DECISIONS: pure functions of values and `now`. Knows nothing of stores, queues or wires.
//!
//! [`plan`] turns one event into what is to be said, [`eligibility::decide`] says what may
//! happen to it now, [`retry`] what follows a failed attempt. Times come from [`schedule`],
//! channels from [`routing`], and everything configurable from [`rules::Rules`].

pub mod adaptive;
pub mod calendar;
pub mod caps;
pub mod carry;
pub mod condition;
pub mod cron;
pub mod digest;
pub mod eligibility;
pub mod failover;
pub mod fit;
pub mod four_eyes;
pub mod frequency;
pub mod journey;
pub mod journey_file;
pub mod legal_hours;
pub mod openings;
pub mod promise;
pub mod resolve;
pub mod retry;
pub mod routing;
pub mod rules;
pub mod schedule;
pub mod source;
#[cfg(test)]
pub(crate) mod testing;
mod watch;
pub mod webhook;
pub mod withdrawal;

use crate::domain::case::Applied;
use crate::domain::message::Skipped;
use crate::domain::plan::{
    Created, Moved, NewTask, Outcome, Plan, PromiseChange, Settled, TaskKind,
};
use crate::domain::time::Instant;
use crate::domain::{
    Case, CaseChoice, CaseEvent, ChannelMap, Customer, Notification, NotificationId, Reason, Span,
    Status,
};

use eligibility::{Heard, Matter, decide};
use journey::{FactOffset, Journey, Notice, OncePer, Trigger};
use rules::{Guard, Rules};
use schedule::{fact_instant, shift};

/// What planning knows of a case before an event.
#[derive(Debug, Clone, Default)]
pub struct CaseFile {
    pub case: Option<Case>,
    /// Notifications of the case that are open, and every one whose id no event names:
    /// of facts, and of notices said once.
    pub notifications: Vec<Notification>,
}

impl CaseFile {
    /// The file after a plan, for the next event of the same case.
    pub fn apply(&mut self, plan: &Plan) {
        self.case = Some(plan.case.clone());
        let mut of = |id: NotificationId, change: &dyn Fn(&mut Notification)| {
            self.notifications.iter_mut().filter(|n| n.id == id).for_each(change);
        };
        for settled in &plan.settle {
            of(settled.id, &|n| n.status = settled.status);
        }
        for moved in &plan.moved {
            of(moved.id, &|n| {
                (n.due_at, n.next_at) = (moved.due_at, moved.next_at);
                n.expires_at = moved.expires_at;
            });
        }
        self.notifications.extend(plan.create.iter().map(|created| created.notification.clone()));
    }
}

/// What a notification tells, of which case and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    pub notification: &'a Notification,
    pub notice: &'a Notice,
    pub journey: &'a Journey,
    pub case: &'a Case,
    pub customer: &'a Customer,
}

/// Plans one event: what is to be said, what is no longer, and why.
///
/// `seq` is the event's place in the store; `customer` is the one the event names.
#[must_use]
pub fn plan(
    event: &CaseEvent,
    seq: i64,
    file: &CaseFile,
    customer: &Customer,
    choice: CaseChoice,
    rules: &Rules,
    now: Instant,
) -> Plan {
    let (case, applied) = Case::after(file.case.as_ref(), event);
    let mut plan = Plan {
        case,
        create: Vec::new(),
        settle: Vec::new(),
        moved: Vec::new(),
        skipped: Vec::new(),
        silent: None,
        task: None,
        promise: None,
        choice_ends: false,
    };
    if applied.behind_head {
        plan.silent = Some(Reason::BehindHead);
        return plan;
    }
    let Some(journey) = rules.journeys.of(&event.case_type, &event.case) else {
        cancel_for_former(&applied, file, &mut plan);
        plan.silent = Some(Reason::NoJourney { case_type: event.case_type.clone() });
        plan.task = Some(unknown_state(&event.case_type, event.state.as_deref()));
        return plan;
    };
    if let Some(state) = &event.state
        && !journey.states.contains(state)
    {
        cancel_for_former(&applied, file, &mut plan);
        plan.silent = Some(Reason::UnknownState { state: state.clone() });
        plan.task = Some(unknown_state(&event.case_type, Some(state)));
        return plan;
    }
    // A choice for this case ends with it: who comes back chooses again.
    let was_over = file.case.as_ref().is_some_and(|case| journey.is_final(case.state.as_deref()));
    let is_over = journey.is_final(plan.case.state.as_deref());
    let choice = if was_over && !is_over {
        plan.choice_ends = choice != CaseChoice::default();
        CaseChoice::default()
    } else {
        choice
    };
    let mut planner = Planner {
        event,
        seq,
        file,
        customer,
        choice,
        rules,
        journey,
        now,
        entered: applied.entered,
        plan,
    };
    cancel_for_former(&applied, file, &mut planner.plan);
    for notice in &journey.notices {
        planner.look_at(notice);
    }
    planner.supersede();
    planner.end_of_case();
    planner.promise(applied.former_customer.is_some());
    planner.explain_silence();
    planner.plan
}

fn unknown_state(case_type: &str, state: Option<&str>) -> NewTask {
    let state = state.unwrap_or("no state");
    NewTask {
        key: format!("unknown_state/{case_type}/{state}"),
        kind: TaskKind::UnknownState,
        detail: format!("No journey says what to do with {case_type:?} cases in {state:?}."),
    }
}

/// A case that moved to another customer: the former one's plans end.
fn cancel_for_former(applied: &Applied, file: &CaseFile, plan: &mut Plan) {
    let Some(former) = &applied.former_customer else { return };
    for notification in &file.notifications {
        if notification.customer == *former && is_pending(notification) {
            plan.settle.push(Settled {
                id: notification.id,
                status: Status::Cancelled,
                reasons: vec![Reason::OtherCustomer],
            });
        }
    }
}

/// Is it a repeat of another of them, or one more channel for it?
fn follows(n: &Notification, all: &[Notification]) -> bool {
    let repeats = |of: &Notification| of.event_seq == n.event_seq && of.occurrence < n.occurrence;
    n.escalates.is_some() || all.iter().any(|of| of.escalates.is_none() && repeats(of))
}

/// Not yet handed over, so that it can still be taken back.
const fn is_pending(notification: &Notification) -> bool {
    matches!(notification.status, Status::Planned | Status::Claimed)
}

struct Planner<'a> {
    event: &'a CaseEvent,
    seq: i64,
    file: &'a CaseFile,
    customer: &'a Customer,
    choice: CaseChoice,
    rules: &'a Rules,
    journey: &'a Journey,
    now: Instant,
    entered: bool,
    plan: Plan,
}

/// When a notice is due and how its id is made.
struct Due {
    at: Instant,
    trigger_key: String,
    occurrence: u32,
    why: Reason,
}

impl Planner<'_> {
    fn look_at(&mut self, notice: &Notice) {
        let due = match &notice.on {
            Trigger::State { state, after } => self.state_due(state, *after),
            Trigger::Event { event } => self.event_due(event),
            Trigger::Silence { .. } | Trigger::Cron { .. } => {
                self.keep_watch(notice);
                None
            }
            Trigger::Fact { fact, offset } => {
                self.look_at_fact(notice, fact, *offset);
                None
            }
        };
        let Some(mut due) = due else { return };
        if notice.once_per.is_some() {
            let said = self.earlier(notice);
            let again_from = |n: &Notification| {
                let after = notice.again_after?;
                Some(self.shifted(n.due_at, after, false))
            };
            let holds = |n: &&Notification| again_from(n).is_none_or(|from| due.at < from);
            let ended = |n: &&Notification| self.plan.settle.iter().any(|s| s.id == n.id);
            let stands = |n: &&Notification| n.status.is_open() || n.status.may_be_told();
            if said.iter().any(|n| stands(n) && !ended(n) && holds(n)) {
                let reason = Reason::AlreadySaid { notice: notice.id.clone() };
                self.plan.skipped.push((notice.id.clone(), reason));
                return;
            }
            "once".clone_into(&mut due.trigger_key);
            due.occurrence = u32::try_from(said.len()).expect("a handful");
        }
        self.create(notice, due);
    }

    fn state_due(&self, state: &str, after: Option<Span>) -> Option<Due> {
        if !self.entered || self.event.state.as_deref() != Some(state) {
            return None;
        }
        let state = state.to_owned();
        let (at, why) = match after {
            None => (self.event.occurred_at, Reason::StateEntered { state }),
            Some(span) => (
                self.shifted(self.event.occurred_at, span, false),
                Reason::AfterState { state, span: span.to_string() },
            ),
        };
        Some(Due { at, trigger_key: self.event_key(), occurrence: 0, why })
    }

    fn event_due(&self, name: &str) -> Option<Due> {
        if self.event.event.as_deref() != Some(name) {
            return None;
        }
        let why = Reason::EventHappened { event: name.to_owned() };
        let at = self.event.occurred_at;
        Some(Due { at, trigger_key: self.event_key(), occurrence: 0, why })
    }

    fn event_key(&self) -> String {
        format!("{}\u{1f}{}", self.event.source, self.event.id)
    }

    /// Facts are looked at with every event: the planned one is made, moved or left. Once told,
    /// or on its way, the next occurrence is made only for another instant that lies ahead, and
    /// what follows the one before ends with it.
    fn look_at_fact(&mut self, notice: &Notice, fact: &str, offset: FactOffset) {
        let zone = self.rules.zone_of(self.customer);
        let earlier = self.earlier(notice);
        let next = u32::try_from(earlier.len()).expect("bounded by events");
        let mine: Vec<Notification> =
            earlier.into_iter().filter(|n| n.customer == self.event.customer).cloned().collect();
        let (follow, own): (Vec<_>, Vec<_>) = mine.iter().partition(|n| follows(n, &mine));
        let pending = own.iter().find(|n| is_pending(n));
        let told: Vec<_> =
            own.iter().filter(|n| n.status.may_be_told() || n.status.is_open()).collect();
        let known = self.plan.case.facts.get(fact);
        let Some(at) = known.and_then(|value| fact_instant(value, &zone)) else {
            let removed = Reason::FactRemoved { fact: fact.to_owned() };
            self.cancel(pending.into_iter().chain(&follow), &removed);
            return;
        };
        let (span, back) = match offset {
            FactOffset::Before(span) => (span, true),
            FactOffset::After(span) => (span, false),
        };
        let due_at = self.shifted(at, span, back);
        if let Some(pending) = pending {
            if pending.due_at != due_at {
                self.plan.moved.push(Moved {
                    id: pending.id,
                    due_at,
                    next_at: due_at.max(self.now),
                    expires_at: self.shifted(due_at, notice.expires_after, false),
                    reasons: vec![Reason::FactChanged { fact: fact.to_owned(), due: due_at }],
                });
            }
            return;
        }
        if !notice.fits_state(self.journey, self.plan.case.state.as_deref()) {
            return;
        }
        if told.iter().any(|n| n.due_at == due_at) || !told.is_empty() && due_at <= self.now {
            return;
        }
        if back && at <= self.now {
            if told.is_empty() {
                let reason = Reason::FactPast { fact: fact.to_owned(), at };
                self.plan.skipped.push((notice.id.clone(), reason));
            }
            return;
        }
        let changed = Reason::FactChanged { fact: fact.to_owned(), due: due_at };
        self.cancel(follow.iter(), &changed);
        let value = match &self.plan.case.facts[fact] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let why = Reason::FactDue { fact: fact.to_owned(), value, rule: offset.to_string() };
        self.create(
            notice,
            Due { at: due_at, trigger_key: fact.to_owned(), occurrence: next, why },
        );
    }

    /// Takes back those that were not handed over yet.
    fn cancel<'n>(
        &mut self,
        those: impl IntoIterator<Item = &'n &'n Notification>,
        reason: &Reason,
    ) {
        for pending in those.into_iter().filter(|n| is_pending(n)) {
            let reasons = vec![reason.clone()];
            let settled = Settled { id: pending.id, status: Status::Cancelled, reasons };
            self.plan.settle.push(settled);
        }
    }

    /// An open case is watched by one planned word of each such notice.
    fn keep_watch(&mut self, notice: &Notice) {
        let state = self.plan.case.state.as_deref();
        let earlier = self.earlier(notice);
        let watched =
            earlier.iter().any(|n| n.customer == self.event.customer && n.status.is_open());
        if watched || self.journey.is_final(state) || !notice.fits_state(self.journey, state) {
            return;
        }
        let occurrence = u32::try_from(earlier.len()).expect("bounded by the life of a case");
        let zone = self.rules.zone_of(self.customer);
        let calendar = self.rules.calendar(self.journey);
        let Some((at, trigger_key, why)) =
            watch::next(&notice.on, self.rules, self.now, &zone, calendar)
        else {
            return;
        };
        self.create(notice, Due { at, trigger_key, occurrence, why });
    }

    /// The promise of another word begins with the case and ends with it.
    fn promise(&mut self, other_customer: bool) {
        let Some(every) = self.journey.promise else { return };
        if self.journey.is_final(self.plan.case.state.as_deref()) {
            self.plan.promise = Some(PromiseChange::End);
            return;
        }
        let zone = self.rules.zone_of(self.customer);
        let calendar = self.rules.calendar(self.journey);
        let promise = promise::promise(self.now, every, &zone, calendar);
        self.plan.promise = Some(if other_customer {
            PromiseChange::Renew(promise)
        } else {
            PromiseChange::Make(promise)
        });
    }

    /// Notifications of this notice that the present customer had or has, in this case, or in
    /// any where it is said once per customer. They have the ids that come first.
    fn earlier(&self, notice: &Notice) -> Vec<&Notification> {
        self.file
            .notifications
            .iter()
            .filter(|n| n.notice == notice.id && n.case_type == self.journey.case_type)
            .filter(|n| notice.once_per == Some(OncePer::Customer) || n.case == self.event.case)
            .collect()
    }

    fn shifted(&self, from: Instant, span: Span, back: bool) -> Instant {
        let zone = self.rules.zone_of(self.customer);
        shift(from, span, back, &zone, self.rules.calendar(self.journey))
    }

    fn create(&mut self, notice: &Notice, due: Due) {
        let scope = match notice.once_per {
            Some(OncePer::Customer) => self.event.customer.as_str(),
            _ => self.event.case.as_str(),
        };
        let mut notification = Notification {
            id: NotificationId::derive(scope, &notice.id, &due.trigger_key, due.occurrence),
            case: self.event.case.clone(),
            case_type: self.event.case_type.clone(),
            customer: self.event.customer.clone(),
            notice: notice.id.clone(),
            topic: notice.topic.clone(),
            urgency: notice.urgency,
            trigger_key: due.trigger_key,
            occurrence: due.occurrence,
            event_seq: (!notice.on.is_watch()).then_some(self.seq),
            state: self.plan.case.state.clone(),
            happened_at: self.event.occurred_at,
            collapse: notice.collapse.clone(),
            held: None,
            escalates: None,
            status: Status::Planned,
            planned_at: self.now,
            due_at: due.at,
            next_at: due.at.max(self.now),
            expires_at: self.shifted(due.at, notice.expires_after, false),
            failed_channels: Vec::new(),
            skipped: Vec::new(),
            version: self.rules.journeys.version_of(&self.event.case).to_owned(),
            code: String::new(),
            epoch: 0,
            claims: 0,
            attempts: 0,
        };
        let mut reasons = vec![due.why];
        let mut task = None;
        if due.at <= self.now {
            let matter = Matter {
                notification: &notification,
                journey: self.journey,
                notice: Some(notice),
                case: &self.plan.case,
                customer: self.customer,
                choice: self.choice,
                // A plan made twice is the same plan, whatever the providers do meanwhile.
                rests: ChannelMap::default(),
                withdrawn: ChannelMap::default(),
                heard: Heard::NOTHING,
            };
            let decision = decide(&matter, self.rules, self.now);
            match decision.outcome {
                Outcome::Send { .. } => {}
                Outcome::Snooze { until, held } => {
                    (notification.next_at, notification.held) = (until, held);
                }
                Outcome::Settle { status: Status::Cancelled, .. } => {
                    let reason = decision.reasons.into_iter().next_back();
                    let reason = reason.expect("a cancellation has a reason");
                    self.plan.skipped.push((notice.id.clone(), reason));
                    return;
                }
                Outcome::Settle { status, task: wanted } => {
                    notification.status = status;
                    task = wanted;
                }
            }
            reasons.extend(decision.reasons);
        } else if let Some(reason) = notice.unsent() {
            self.plan.skipped.push((notice.id.clone(), reason));
            return;
        }
        self.plan.create.push(Created {
            notification,
            reasons,
            task,
            keyed: notice.once_per.is_some() || notice.on.is_keyed(),
            once_per_customer: notice.once_per == Some(OncePer::Customer),
        });
    }

    /// Inside a collapse group the newer message takes the place of what was not said yet,
    /// and lists the steps it skips.
    fn supersede(&mut self) {
        if !self.rules.keeps(Guard::Collapse) {
            return;
        }
        let lists = self.rules.keeps(Guard::Skipped);
        let settled: Vec<NotificationId> = self.plan.settle.iter().map(|s| s.id).collect();
        for created in &mut self.plan.create {
            let newer = &mut created.notification;
            let Some(group) = newer.collapse.clone().filter(|_| newer.status == Status::Planned)
            else {
                continue;
            };
            for older in &self.file.notifications {
                let same_group = older.collapse.as_ref() == Some(&group) && older.id != newer.id;
                if !same_group
                    || !is_pending(older)
                    || older.case != newer.case
                    || settled.contains(&older.id)
                    || !self.journey.replaces(newer.state.as_deref(), older.state.as_deref())
                {
                    continue;
                }
                if lists {
                    newer.skipped.extend(older.skipped.iter().cloned());
                    newer.skipped.push(Skipped {
                        notice: older.notice.clone(),
                        state: older.state.clone(),
                        at: older.happened_at,
                    });
                }
                created.reasons.push(Reason::Replaces {
                    notice: older.notice.clone(),
                    state: older.state.clone(),
                });
                self.plan.settle.push(Settled {
                    id: older.id,
                    status: Status::Superseded,
                    reasons: vec![Reason::Superseded { by: newer.notice.clone() }],
                });
            }
        }
    }

    /// Entering a final state cancels all but the notices it triggers, now or when it was
    /// entered before.
    fn end_of_case(&mut self) {
        let state = self.plan.case.state.clone();
        let Some(state) = state.filter(|state| self.entered && self.journey.is_final(Some(state)))
        else {
            return;
        };
        for older in &self.file.notifications {
            let settled = self.plan.settle.iter().any(|settled| settled.id == older.id);
            let said_once = Reason::AlreadySaid { notice: older.notice.clone() };
            let stands = self.plan.skipped.iter().any(|(_, reason)| *reason == said_once);
            if is_pending(older) && !settled && !stands && older.case == self.event.case {
                self.plan.settle.push(Settled {
                    id: older.id,
                    status: Status::Cancelled,
                    reasons: vec![Reason::CaseFinal { state: state.clone() }],
                });
            }
        }
    }

    fn explain_silence(&mut self) {
        if self.plan.create.iter().any(|created| created.notification.event_seq.is_some()) {
            return;
        }
        let state = self.plan.case.state.clone();
        let reason = match (self.plan.skipped.first(), &self.event.state) {
            (Some((_, reason)), _) => reason.clone(),
            (None, Some(state)) if !self.entered => Reason::SameState { state: state.clone() },
            _ => Reason::NoNotice { state },
        };
        self.plan.silent = Some(reason);
    }
}

pub use watch::{Ended, followers, is_unsaid};

#[cfg(test)]
mod tests;
