//! The ledger of promises in the simulated world.

use std::cmp::Reverse;

use jiff::tz::TimeZone;

use crate::domain::plan::Promise;
use crate::domain::time::Instant;
use crate::domain::{CaseId, CustomerId, Status};
use crate::planning::promise::{Verdict, judge, promise};

use super::world::World;
use super::{PromiseOutcome, PromiseState};

impl World<'_> {
    /// Makes a promise, unless one is open.
    pub(super) fn make_promise(
        &mut self,
        case: &CaseId,
        case_type: String,
        customer: CustomerId,
        promise: Promise,
        made_at: Instant,
    ) {
        let place = self.run.promises.len();
        let Some(state) = self.cases.get_mut(case).filter(|state| state.promise.is_none()) else {
            return;
        };
        state.promise = Some(place);
        self.promises_due.push(Reverse((promise.alarm_at, place)));
        let (case, state, alarmed) = (case.clone(), PromiseState::Open, false);
        let made = PromiseOutcome { case, case_type, customer, made_at, promise, state, alarmed };
        self.run.promises.push(made);
    }

    pub(super) fn end_promise(&mut self, case: &CaseId) {
        let open = self.cases.get_mut(case).and_then(|state| state.promise.take());
        if let Some(place) = open {
            self.run.promises[place].state = PromiseState::Ended;
        }
    }

    pub(super) fn end_promises(&mut self) {
        for promise in &mut self.run.promises {
            if promise.state == PromiseState::Open {
                promise.state = PromiseState::Ended;
            }
        }
    }

    /// Judges every open promise whose last day has come.
    pub(super) fn settle_promises(&mut self, now: Instant) {
        while let Some(Reverse((at, place))) = self.promises_due.peek().copied() {
            if at > now {
                return;
            }
            self.promises_due.pop();
            if self.run.promises[place].state == PromiseState::Open {
                self.settle_promise(place, now);
            }
        }
    }

    fn settle_promise(&mut self, place: usize, now: Instant) {
        let open = self.run.promises[place].clone();
        let state = &self.cases[&open.case];
        let in_time = state.told.iter().filter(|at| **at < open.promise.due_at);
        let last_word = in_time.max().copied();
        let next_planned = state
            .live
            .iter()
            .map(|place| self.rows[*place].n())
            .filter(|n| n.status == Status::Planned)
            .map(|n| n.next_at)
            .min();
        let (made_at, alarmed) = (open.made_at, open.alarmed);
        let verdict = judge(open.promise, made_at, last_word, next_planned, alarmed, now);
        match verdict {
            Verdict::Kept { at } => self.settle_and_renew(place, PromiseState::Kept, at, now),
            Verdict::Broken => {
                self.run.tasks += 1;
                self.settle_and_renew(place, PromiseState::Broken, now, now);
            }
            Verdict::Waits { until } => self.promises_due.push(Reverse((until, place))),
            Verdict::Alarm => {
                self.run.tasks += 1;
                self.run.promises[place].alarmed = true;
                self.promises_due.push(Reverse((open.promise.due_at, place)));
            }
        }
    }

    fn settle_and_renew(&mut self, place: usize, how: PromiseState, from: Instant, now: Instant) {
        let settled = &mut self.run.promises[place];
        settled.state = how;
        let (case, case_type) = (settled.case.clone(), settled.case_type.clone());
        let customer = settled.customer.clone();
        self.cases.get_mut(&case).expect("a promise is about a case").promise = None;
        let Some(journey) = self.rules.journeys.of(&case_type, &case) else { return };
        // A journey that promises nothing any more lets what it promised run out.
        let Some(every) = journey.promise else { return };
        let zone = self.history.customer(&customer, now);
        let zone = zone.map_or(TimeZone::UTC, |customer| self.rules.zone_of(customer));
        let next = promise(from, every, &zone, self.rules.calendar(journey));
        self.make_promise(&case, case_type, customer, next, from);
    }
}
