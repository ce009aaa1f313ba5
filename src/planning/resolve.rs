//! When a planned notification is due, resolved again: the zone database, a calendar or the rule
//! changed since it was planned.

use std::cmp::Ordering;

use crate::domain::plan::Moved;
use crate::domain::time::Instant;
use crate::domain::{Case, Customer, Held, Notification, Reason, Span};

use super::journey::{FactOffset, Notice, Trigger};
use super::rules::Rules;
use super::schedule::{fact_instant, shift};
use super::watch;

/// Where a planned notification moves whose times are others under `rules` than those it was
/// planned with. A member of a digest is looked at again at once: its slot is a local time, too. What was put off for another
/// reason stays put off; whether it may go is decided then.
#[must_use]
pub fn moved(
    planned: &Notification,
    case: &Case,
    customer: &Customer,
    rules: &Rules,
    now: Instant,
) -> Option<Moved> {
    let journey = rules.journeys.of(&planned.case_type, &planned.case)?;
    let notice = journey.notice(&planned.notice)?;
    let zone = rules.zone_of(customer);
    let shifted = |from, span, back| shift(from, span, back, &zone, rules.calendar(journey));
    let due_at = due_again(planned, notice, case, customer, rules, shifted)?;
    let to = |due_at, next_at, expires_at| Moved {
        id: planned.id,
        due_at,
        next_at,
        expires_at,
        reasons: vec![Reason::RulesChanged { due: due_at }],
    };
    let is_member = planned.held == Some(Held::Digest) && planned.next_at > now;
    if due_at == planned.due_at {
        return is_member.then(|| to(due_at, now, planned.expires_at));
    }
    let next_at = match planned.next_at.cmp(&planned.due_at) {
        // The customer wants it sooner.
        Ordering::Less => planned.next_at,
        Ordering::Greater if !is_member => planned.next_at.max(due_at),
        _ => due_at.max(now),
    };
    Some(to(due_at, next_at, shifted(due_at, notice.expires_after, false)))
}

/// Counted from the same moment as when it was planned.
fn due_again(
    planned: &Notification,
    notice: &Notice,
    case: &Case,
    customer: &Customer,
    rules: &Rules,
    shifted: impl Fn(Instant, Span, bool) -> Instant,
) -> Option<Instant> {
    if planned.escalates.is_some() {
        return Some(shifted(planned.planned_at, notice.escalate?.after, false));
    }
    if let Some(repeat) = notice.repeat.filter(|_| planned.occurrence > 0) {
        return Some(shifted(planned.planned_at, repeat.every, false));
    }
    match &notice.on {
        Trigger::State { after: Some(span), .. } => {
            Some(shifted(planned.happened_at, *span, false))
        }
        Trigger::State { after: None, .. } | Trigger::Event { .. } => Some(planned.happened_at),
        Trigger::Fact { fact, offset } => {
            let zone = rules.zone_of(customer);
            let at = fact_instant(case.facts.get(fact)?, &zone)?;
            let (span, back) = match offset {
                FactOffset::Before(span) => (*span, true),
                FactOffset::After(span) => (*span, false),
            };
            Some(shifted(at, span, back))
        }
        Trigger::Silence { .. } | Trigger::Cron { .. } => {
            let zone = rules.zone_of(customer);
            let journey = rules.journeys.of(&planned.case_type, &planned.case)?;
            let calendar = rules.calendar(journey);
            let next = watch::next(&notice.on, rules, planned.planned_at, &zone, calendar);
            next.map(|(at, ..)| at)
        }
    }
}

#[cfg(test)]
mod tests;
