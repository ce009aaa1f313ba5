//! Another word by a date: what a journey's `promise` means in days of the customer.

use crate::domain::Span;
use crate::domain::plan::Promise;
use crate::domain::time::Instant;
use jiff::tz::TimeZone;

use super::schedule::{Calendar, midnight, next_midnight, shift};

/// The promise made by a word at `spoken_at`: kept by any word before the end of its last
/// day.
#[must_use]
pub fn promise(spoken_at: Instant, every: Span, zone: &TimeZone, calendar: &Calendar) -> Promise {
    let last = shift(spoken_at, every, false, zone, calendar);
    Promise { alarm_at: midnight(last, zone), due_at: next_midnight(last, zone) }
}

/// What is to be done about an open promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A word came at this instant: the next promise counts from it.
    Kept { at: Instant },
    /// Its last day has begun and nothing is planned within it.
    Alarm,
    /// Its last day is over.
    Broken,
    /// Looked at again at this instant.
    Waits { until: Instant },
}

/// Judges a promise made at `made_at`: `last_word` is when anything was last said about the
/// case, `next_planned` when something is planned next.
#[must_use]
pub fn judge(
    promise: Promise,
    made_at: Instant,
    last_word: Option<Instant>,
    next_planned: Option<Instant>,
    alarmed: bool,
    now: Instant,
) -> Verdict {
    if let Some(at) = last_word.filter(|at| *at > made_at && *at < promise.due_at) {
        return Verdict::Kept { at };
    }
    if now >= promise.due_at {
        return Verdict::Broken;
    }
    if now < promise.alarm_at {
        return Verdict::Waits { until: promise.alarm_at };
    }
    if alarmed {
        return Verdict::Waits { until: promise.due_at };
    }
    // What is planned may come to nothing: looked at again once it should have left.
    match next_planned.filter(|at| *at < promise.due_at) {
        Some(at) => {
            let until = (at.max(now) + chrono::TimeDelta::minutes(1)).min(promise.due_at);
            Verdict::Waits { until }
        }
        None => Verdict::Alarm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Zones;
    use crate::planning::testing::at;

    #[test]
    fn a_promise_counts_working_days_and_lasts_to_the_end_of_the_last() {
        let london = Zones::bundled().get("Europe/London").expect("zone");
        let promised = promise(
            at("2026-11-20T15:00:00Z"),
            Span::WorkingDays(5),
            &london,
            &Calendar::default(),
        );
        assert_eq!(promised.alarm_at, at("2026-11-27T00:00:00Z"));
        assert_eq!(promised.due_at, at("2026-11-28T00:00:00Z"));
    }

    #[test]
    fn a_word_in_time_keeps_it_a_plan_in_time_quiets_the_alarm_and_the_end_breaks_it() {
        let made = at("2026-11-20T15:00:00Z");
        let open =
            Promise { alarm_at: at("2026-11-27T00:00:00Z"), due_at: at("2026-11-28T00:00:00Z") };
        let judged = |last: Option<&str>, next: Option<&str>, alarmed, now: &str| {
            judge(open, made, last.map(at), next.map(at), alarmed, at(now))
        };
        let word = "2026-11-26T09:00:00Z";
        for (last, next, alarmed, now, verdict) in [
            (None, None, false, "2026-11-26T09:00:00Z", Verdict::Waits { until: open.alarm_at }),
            (None, None, false, "2026-11-27T00:00:00Z", Verdict::Alarm),
            (
                None,
                Some("2026-11-27T10:00:00Z"),
                false,
                "2026-11-27T00:00:00Z",
                Verdict::Waits { until: at("2026-11-27T10:01:00Z") },
            ),
            (None, Some("2026-11-30T10:00:00Z"), false, "2026-11-27T00:00:00Z", Verdict::Alarm),
            (None, None, true, "2026-11-27T01:00:00Z", Verdict::Waits { until: open.due_at }),
            (None, None, true, "2026-11-28T00:00:00Z", Verdict::Broken),
            (Some(word), None, false, "2026-11-27T00:00:00Z", Verdict::Kept { at: at(word) }),
            (Some("2026-11-20T15:00:00Z"), None, false, "2026-11-28T00:00:00Z", Verdict::Broken),
            (Some("2026-11-28T09:00:00Z"), None, true, "2026-11-28T10:00:00Z", Verdict::Broken),
        ] {
            assert_eq!(judged(last, next, alarmed, now), verdict, "{last:?} {next:?} {now}");
        }
    }
}
