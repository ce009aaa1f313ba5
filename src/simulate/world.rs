//! The simulated world: a clock that jumps to the next event or due instant, and what stands
//! at each. The order of work at one instant is that of a play: events, then promises, then
//! what is due, the urgent first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use crate::domain::notification::Lane;
use crate::domain::plan::{Created, Plan, PromiseChange};
use crate::domain::time::Instant;
use crate::domain::{
    Case, CaseChoice, CaseId, CustomerId, Notification, NotificationId, Reason, Status,
};
use crate::planning::rules::Rules;
use crate::planning::{CaseFile, plan};

use super::{CountParts, Ending, EventOutcome, Happening, History, Outcome, Run};

/// Rounds at one instant after which rules that never come to rest are called a fault.
const MAX_ROUNDS: usize = 100_000;

/// A notification of the simulated world.
pub(super) struct Row {
    pub outcome: Outcome,
    /// Planning must see it again even when it is settled.
    keyed: bool,
    /// Bumped by every move, so that an older entry in the queue is known.
    epoch: u32,
}

impl Row {
    pub const fn n(&self) -> &Notification {
        &self.outcome.notification
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.n().status == Status::Planned && self.n().next_at <= now
    }
}

/// A case and what belongs to it.
#[derive(Default)]
pub(super) struct CaseState {
    pub case: Option<Case>,
    /// Open, or to be seen again by planning.
    pub live: Vec<usize>,
    /// When anything was said about it.
    pub told: Vec<Instant>,
    pub promise: Option<usize>,
    /// The choice for it ended with it at this instant.
    pub choice_ended: Option<Instant>,
    /// An event of it waits for a customer nobody told us about.
    waits: bool,
}

/// What a customer got and has waiting.
#[derive(Default)]
pub(super) struct CustomerState {
    /// When, and does it count against the cap?
    pub told: Vec<(Instant, bool)>,
    /// What waited, or waits, for company.
    pub held: BTreeSet<usize>,
    /// When each digest left, and its name.
    pub digests: Vec<(Instant, String)>,
    /// What is said once per customer.
    once: Vec<usize>,
}

/// Everything at one instant.
pub(super) struct World<'a> {
    pub history: &'a History,
    events: &'a [Happening],
    pub rules: &'a Rules,
    pub count_parts: &'a CountParts<'a>,
    pub rows: Vec<Row>,
    by_id: HashMap<NotificationId, usize>,
    pub cases: HashMap<CaseId, CaseState>,
    pub customers: HashMap<CustomerId, CustomerState>,
    due: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    pub promises_due: BinaryHeap<Reverse<(Instant, usize)>>,
    pub run: Run,
}

/// Plays the events of a group under `rules`. `count_parts` is asked about each message as it
/// leaves.
#[must_use]
pub fn simulate<'a>(
    history: &'a History,
    events: &'a [Happening],
    rules: &'a Rules,
    ending: Ending,
    count_parts: &'a CountParts<'a>,
) -> Run {
    let mut world = World {
        history,
        events,
        rules,
        count_parts,
        rows: Vec::with_capacity(events.len()),
        by_id: HashMap::with_capacity(events.len()),
        cases: HashMap::new(),
        customers: HashMap::new(),
        due: BinaryHeap::new(),
        promises_due: BinaryHeap::new(),
        run: Run::default(),
    };
    world.run.events =
        events.iter().map(|h| EventOutcome { seq: h.seq, ..Default::default() }).collect();
    let mut next = 0;
    while let Some((at, batch)) = events.get(next).map(|first| (first.at, first.batch)) {
        while let Some(due) = world.next_due().filter(|due| *due < at) {
            world.work(due);
        }
        let together = |happening: &&Happening| happening.at == at && happening.batch == batch;
        let count = events[next..].iter().take_while(together).count();
        world.plan_batch(next..next + count, at);
        world.work(at);
        next += count;
    }
    let (Ending::Open(end) | Ending::Cancel(end)) = ending;
    while let Some(due) = world.next_due().filter(|due| *due <= end) {
        world.work(due);
    }
    if let Ending::Cancel(_) = ending {
        world.cancel_planned();
        world.end_promises();
    }
    world.run.notifications = world.rows.into_iter().map(|row| row.outcome).collect();
    world.run
}

impl World<'_> {
    /// When something falls due next.
    fn next_due(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, place, epoch))) = self.due.peek().copied() {
            let row = &self.rows[place];
            if row.epoch == epoch && row.n().status == Status::Planned {
                let promise = self.promises_due.peek().map(|Reverse((at, _))| *at);
                return Some(promise.map_or(at, |promise| promise.min(at)));
            }
            self.due.pop();
        }
        self.promises_due.peek().map(|Reverse((at, _))| *at)
    }

    /// Works until nothing is due at `now`.
    fn work(&mut self, now: Instant) {
        for _ in 0..MAX_ROUNDS {
            self.settle_promises(now);
            let due = self.take_due(now);
            match due[..] {
                [] => return,
                [only] => {
                    self.bring_on_the_way(&[only], now);
                    continue;
                }
                _ => {}
            }
            let lane_of = |world: &Self, place: usize| world.rows[place].n().urgency.lane();
            for lane in [Lane::Now, Lane::Bulk] {
                let mut ticket: Vec<usize> =
                    due.iter().copied().filter(|place| lane_of(self, *place) == lane).collect();
                // What waits for company takes the rest of it along.
                let waits = |place: &usize| self.rows[*place].n().held.is_some();
                let waiting: BTreeSet<&CustomerId> = ticket
                    .iter()
                    .filter(|p| waits(p))
                    .map(|p| &self.rows[*p].n().customer)
                    .collect();
                let company: Vec<usize> = due
                    .iter()
                    .copied()
                    .filter(|place| lane_of(self, *place) != lane && waits(place))
                    .filter(|place| waiting.contains(&self.rows[*place].n().customer))
                    .collect();
                ticket.extend(company);
                let mut by_customer: BTreeMap<CustomerId, Vec<usize>> = BTreeMap::new();
                for place in ticket.into_iter().filter(|place| self.rows[*place].is_due(now)) {
                    let customer = self.rows[place].n().customer.clone();
                    by_customer.entry(customer).or_default().push(place);
                }
                for (_, places) in by_customer {
                    self.bring_on_the_way(&places, now);
                }
            }
        }
        panic!("something stays due at {now} however often it is decided");
    }

    fn take_due(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        while let Some(Reverse((at, place, epoch))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            if self.rows[place].epoch == epoch && self.rows[place].is_due(now) {
                due.push(place);
            }
        }
        due
    }

    /// Plans events of one instant, case by case.
    fn plan_batch(&mut self, events: std::ops::Range<usize>, now: Instant) {
        let happened = self.events;
        let mut by_case: BTreeMap<&CaseId, Vec<usize>> = BTreeMap::new();
        for place in events {
            by_case.entry(&happened[place].event.case).or_default().push(place);
        }
        let mut plans = Vec::new();
        for (id, events) in by_case {
            self.plan_case(id, &events, now, &mut plans);
        }
        let first_new = self.rows.len();
        for (place, plan) in plans {
            self.record(place, plan, now);
        }
        let due: Vec<usize> =
            (first_new..self.rows.len()).filter(|place| self.rows[*place].is_due(now)).collect();
        self.bring_on_the_way(&due, now);
    }

    fn plan_case(
        &mut self,
        id: &CaseId,
        events: &[usize],
        now: Instant,
        plans: &mut Vec<(usize, Plan)>,
    ) {
        let history = self.history;
        let state = self.cases.get(id);
        let mut file = self.case_file(state, events);
        let mut waits = state.is_some_and(|state| state.waits);
        let ended = state.and_then(|state| state.choice_ended);
        let mut choice = self.choice(id, ended, now);
        for place in events {
            let happening = &self.events[*place];
            let customer = history.customer(&happening.event.customer, now);
            waits |= customer.is_none();
            let Some(customer) = customer.filter(|_| !waits) else {
                self.run.events[*place].waits = true;
                continue;
            };
            let plan =
                plan(&happening.event, happening.seq, &file, customer, choice, self.rules, now);
            if plan.choice_ends {
                choice = CaseChoice::default();
            }
            if Some(place) != events.last() {
                file.apply(&plan);
            }
            plans.push((*place, plan));
        }
        self.cases.entry(id.clone()).or_default().waits = waits;
    }

    /// The choice for a case, unless it ended with the case since.
    pub(super) fn choice(&self, case: &CaseId, ended: Option<Instant>, now: Instant) -> CaseChoice {
        let choices = self.history.choices.get(case).map_or(&[][..], Vec::as_slice);
        let since_then =
            choices.iter().any(|(from, _)| *from <= now && ended.is_none_or(|ended| *from > ended));
        if since_then { self.history.choice(case, now) } else { CaseChoice::default() }
    }

    /// The case as the store would show it to planning.
    fn case_file(&self, state: Option<&CaseState>, events: &[usize]) -> CaseFile {
        let live = state.map_or(&[][..], |state| state.live.as_slice());
        let mut places: Vec<usize> = live.to_vec();
        let order = |place: &usize| {
            let n = self.rows[*place].n();
            (n.occurrence, n.id)
        };
        places.sort_by_key(order);
        if self.rules.journeys.any_once_per_customer() {
            let named: BTreeSet<_> =
                events.iter().map(|place| &self.events[*place].event.customer).collect();
            for customer in named.into_iter().filter_map(|id| self.customers.get(id)) {
                let mut once = customer.once.clone();
                once.sort_by_key(order);
                places.extend(once.iter().filter(|place| !live.contains(place)));
            }
        }
        CaseFile {
            case: state.and_then(|state| state.case.clone()),
            notifications: places.into_iter().map(|place| self.rows[place].n().clone()).collect(),
        }
    }

    fn record(&mut self, place: usize, plan: Plan, now: Instant) {
        let id = &self.events[place].event.case;
        for settled in plan.settle {
            self.settle_planned(
                settled.id,
                settled.status,
                settled.reasons.into_iter().next_back(),
            );
        }
        for moved in plan.moved {
            let Some(place) = self.by_id.get(&moved.id).copied() else { continue };
            let n = &mut self.rows[place].outcome.notification;
            if n.status == Status::Planned {
                (n.due_at, n.expires_at) = (moved.due_at, moved.expires_at);
                self.plan_again(place, moved.next_at);
            }
        }
        self.run.tasks += usize::from(plan.task.is_some());
        self.run.events[place].silent = plan.silent;
        for created in plan.create {
            self.insert(created);
        }
        let change = plan.promise;
        let case_type = plan.case.case_type.clone();
        let customer = plan.case.customer.clone();
        let rows = &self.rows;
        let state = self.cases.get_mut(id).expect("its state was made when it was planned");
        state.case = Some(plan.case);
        state.live.retain(|place| rows[*place].keyed || rows[*place].n().status.is_open());
        if plan.choice_ends {
            state.choice_ended = Some(now);
        }
        if let Some(PromiseChange::End | PromiseChange::Renew(_)) = change {
            self.end_promise(id);
        }
        if let Some(PromiseChange::Make(promise) | PromiseChange::Renew(promise)) = change {
            self.make_promise(id, case_type, customer, promise, now);
        }
    }

    /// What is not handed over yet ends here.
    fn settle_planned(&mut self, id: NotificationId, status: Status, reason: Option<Reason>) {
        let Some(place) = self.by_id.get(&id) else { return };
        let row = &mut self.rows[*place];
        if row.n().status == Status::Planned {
            row.outcome.notification.status = status;
            row.outcome.reason = reason;
            row.epoch += 1;
        }
    }

    /// A notification comes into the world, unless its id is known.
    pub(super) fn insert(&mut self, created: Created) {
        let notification = created.notification;
        let place = self.rows.len();
        if self.by_id.contains_key(&notification.id) {
            return;
        }
        self.by_id.insert(notification.id, place);
        let settled = notification.status != Status::Planned;
        self.run.tasks += usize::from(created.task.is_some());
        let customer = self.customers.entry(notification.customer.clone()).or_default();
        if created.once_per_customer {
            customer.once.push(place);
        }
        if notification.held.is_some() {
            customer.held.insert(place);
        }
        let case = self.cases.get_mut(&notification.case);
        case.expect("a case has a state before it has a notification").live.push(place);
        self.due.push(Reverse((notification.next_at, place, 0)));
        self.rows.push(Row {
            keyed: created.keyed,
            epoch: 0,
            outcome: Outcome {
                reason: if settled { created.reasons.into_iter().next_back() } else { None },
                notification,
                told_at: None,
                channel: None,
                prefix: String::new(),
                parts: 0,
            },
        });
    }

    /// Looked at again at `next_at`.
    pub(super) fn plan_again(&mut self, place: usize, next_at: Instant) {
        let row = &mut self.rows[place];
        row.outcome.notification.status = Status::Planned;
        row.outcome.notification.next_at = next_at;
        row.epoch += 1;
        self.due.push(Reverse((next_at, place, row.epoch)));
    }

    fn cancel_planned(&mut self) {
        for row in &mut self.rows {
            if row.n().status == Status::Planned {
                row.outcome.notification.status = Status::Cancelled;
                row.outcome.reason = Some(Reason::EndOfPlay);
            }
        }
    }
}
