//! When a notice would be due next, zone by zone: what a delay means in days and hours.

use chrono::TimeDelta;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::time::{Instant, local};
use crate::planning::journey::{CronZone, FactOffset, Journey, Notice, Trigger};
use crate::planning::rules::Rules;
use crate::planning::schedule::{at_local, next_allowed, shift};

/// How many are shown.
const SHOWN: i64 = 5;

/// The next times in one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InZone {
    pub zone: String,
    pub times: Vec<DueTime>,
}

/// One time: what it is counted from, and when it is due, on the clock of the zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DueTime {
    pub from: String,
    pub due: String,
}

/// The next five times of a notice by its rule alone; a customer's own quiet hours and the hours of
/// the law come on top.
#[must_use]
pub fn next_five(
    journey: &Journey,
    notice: &Notice,
    rules: &Rules,
    zones: &[String],
    now: Instant,
) -> Vec<InZone> {
    let known = zones.iter().filter_map(|name| Some((name, rules.zones.get(name).ok()?)));
    known
        .map(|(name, zone)| InZone {
            zone: name.clone(),
            times: times(journey, notice, rules, &zone, now),
        })
        .collect()
}

fn times(
    journey: &Journey,
    notice: &Notice,
    rules: &Rules,
    zone: &TimeZone,
    now: Instant,
) -> Vec<DueTime> {
    let calendar = rules.calendar(journey);
    let show = |at: Instant| local(at, zone).strftime("%a %-d %b %Y %H:%M").to_string();
    let allowed = |at: Instant| {
        next_allowed(at, zone, None, notice.window, calendar)
            .map_or_else(|| "never".to_owned(), show)
    };
    if let Trigger::Cron { cron, zone: of } = &notice.on {
        let named = match of {
            CronZone::Customer => Some(zone.clone()),
            CronZone::Named(name) => rules.zones.get(name).ok(),
        };
        let Some(clock) = named else { return Vec::new() };
        let slots = std::iter::successors(cron.next_after(now, &clock), |slot| {
            cron.next_after(slot.at, &clock)
        });
        let slots = slots.take(usize::try_from(SHOWN).unwrap_or(5));
        return slots.map(|slot| DueTime { from: String::new(), due: allowed(slot.at) }).collect();
    }
    let morning = |days: i64| {
        let date = local(now + TimeDelta::days(days), zone).date();
        at_local(date.to_datetime(Time::constant(10, 0, 0, 0)), zone)
    };
    let one = |day: i64| {
        let (from, at) = match &notice.on {
            Trigger::State { state, after } => {
                let entered = morning(day);
                let due = after.map_or(entered, |span| shift(entered, span, false, zone, calendar));
                (format!("“{state}” since {}", show(entered)), due)
            }
            Trigger::Event { event } => {
                let at = morning(day);
                (format!("“{event}” on {}", show(at)), at)
            }
            Trigger::Silence { after } => {
                let word = morning(day);
                let due = shift(word, *after, false, zone, calendar);
                (format!("last word on {}", show(word)), due)
            }
            Trigger::Fact { fact, offset } => {
                // Far enough ahead for what is said before it.
                let (span, back) = match offset {
                    FactOffset::Before(span) => (*span, true),
                    FactOffset::After(span) => (*span, false),
                };
                let days = i64::try_from(span.rough_minutes() / (24 * 60)).unwrap_or(0);
                let at = morning(day + if back { days + 1 } else { 0 });
                (format!("{fact} is {}", show(at)), shift(at, span, back, zone, calendar))
            }
            Trigger::Cron { .. } => return None,
        };
        Some(DueTime { from, due: allowed(at) })
    };
    (0..SHOWN).filter_map(one).collect()
}
