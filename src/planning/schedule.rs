//! When: due times on the customer's clock, and the next hour that is allowed.
//!
//! Everything here is civil time resolved by `jiff`: a day is a calendar day, a local time
//! that a clock change skips moves to the moment after the gap, one that comes twice means
//! the first.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde_json::Value;

use crate::domain::hours::Days;
use crate::domain::time::{self, Instant, local};
use crate::domain::{Hours, Span, Window};

pub use super::calendar::Calendar;

/// The longest search for an allowed hour, in days.
const MAX_SEARCH_DAYS: i32 = 400;

/// The moment `span` after `from` on the clock of `zone`, or before it.
#[must_use]
pub fn shift(
    from: Instant,
    span: Span,
    back: bool,
    zone: &TimeZone,
    calendar: &Calendar,
) -> Instant {
    let sign = if back { -1 } else { 1 };
    match span {
        Span::Minutes(n) => from + chrono::TimeDelta::minutes(sign * i64::from(n)),
        Span::Hours(n) => from + chrono::TimeDelta::hours(sign * i64::from(n)),
        Span::Days(n) => {
            let start = local(from, zone);
            at_local(moved(start.date(), sign * i64::from(n)).to_datetime(start.time()), zone)
        }
        Span::WorkingDays(n) => {
            let start = local(from, zone);
            let mut date = start.date();
            let mut left = n;
            while left > 0 {
                date = moved(date, sign);
                if calendar.is_working(date) {
                    left -= 1;
                }
            }
            at_local(date.to_datetime(start.time()), zone)
        }
    }
}

/// The first moment of the day after the one `at` lies in, on the clock of `zone`.
#[must_use]
pub fn next_midnight(at: Instant, zone: &TimeZone) -> Instant {
    at_local(moved(local(at, zone).date(), 1).to_datetime(Time::midnight()), zone)
}

/// The morning of the next day: what waited for another day does not wake anybody.
#[must_use]
pub fn next_morning(at: Instant, zone: &TimeZone) -> Instant {
    let morning = Time::constant(8, 0, 0, 0);
    at_local(moved(local(at, zone).date(), 1).to_datetime(morning), zone)
}

/// The first moment of the day `at` lies in, on the clock of `zone`.
#[must_use]
pub fn midnight(at: Instant, zone: &TimeZone) -> Instant {
    at_local(local(at, zone).date().to_datetime(Time::midnight()), zone)
}

pub(super) fn moved(date: Date, days: i64) -> Date {
    date.saturating_add(days.days())
}

/// The first moment at or after which the wall clock of `zone` shows `civil`: the end of the
/// gap where a clock change skips it, the first of two where it comes twice.
#[must_use]
pub fn at_local(civil: DateTime, zone: &TimeZone) -> Instant {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    let resolved = match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => {
            let after = ambiguous.compatible().unwrap_or(Timestamp::MAX);
            // The clock change itself: the last one at or before the compatible reading.
            let just_after = after.saturating_add(SignedDuration::from_secs(1)).unwrap_or(after);
            zone.preceding(just_after).next().map_or(after, |change| change.timestamp())
        }
        _ => ambiguous.compatible().unwrap_or(Timestamp::MAX),
    };
    time::from_ms(resolved.as_millisecond())
}

/// Reads a fact as a moment: an instant, a date (09:00 local), or a local date and time.
#[must_use]
pub fn fact_instant(value: &Value, zone: &TimeZone) -> Option<Instant> {
    let text = value.as_str()?;
    if let Ok(at) = time::parse_instant(text) {
        return Some(at);
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        return Some(at_local(date.to_datetime(Time::constant(9, 0, 0, 0)), zone));
    }
    text.parse::<DateTime>().ok().map(|civil| at_local(civil, zone))
}

/// The earliest moment at or after `at` that is outside the quiet hours and inside the
/// window. `None` when none comes within 400 days.
#[must_use]
pub fn next_allowed(
    at: Instant,
    zone: &TimeZone,
    quiet: Option<Hours>,
    window: Option<Window>,
    calendar: &Calendar,
) -> Option<Instant> {
    let mut candidate = at;
    let last = at + chrono::TimeDelta::days(i64::from(MAX_SEARCH_DAYS));
    while candidate <= last {
        let now = local(candidate, zone);
        let later = quiet
            .and_then(|hours| quiet_end(&now, hours, zone))
            .or_else(|| window.and_then(|window| window_opening(&now, window, zone, calendar)));
        match later {
            None => return Some(candidate),
            // A stretch that ends where it began cannot be left; a minute on, it can.
            Some(later) if later <= candidate => candidate += chrono::TimeDelta::minutes(1),
            Some(later) => candidate = later,
        }
    }
    None
}

/// When the quiet hours that `now` lies in end; `None` outside them.
fn quiet_end(now: &Zoned, hours: Hours, zone: &TimeZone) -> Option<Instant> {
    if !hours.contains(now.time()) {
        return None;
    }
    let ends_tomorrow = hours.end() <= now.time();
    let date = moved(now.date(), i64::from(ends_tomorrow));
    let end = at_local(date.to_datetime(hours.end()), zone);
    // In the second of two equal hours the end already passed once: it comes again.
    if end <= time::instant(now) {
        let again = zone.to_ambiguous_timestamp(date.to_datetime(hours.end())).later();
        return again.ok().map(|at| time::from_ms(at.as_millisecond()));
    }
    Some(end)
}

/// When the window opens next; `None` when `now` lies inside it.
fn window_opening(
    now: &Zoned,
    window: Window,
    zone: &TimeZone,
    calendar: &Calendar,
) -> Option<Instant> {
    let open_on = |date: Date| match window.days {
        Days::Working => calendar.is_working(date),
        days => days.names(date.weekday()),
    };
    let (date, clock) = (now.date(), now.time());
    let began_yesterday = window.hours.crosses_midnight() && clock < window.hours.start();
    let began_on = moved(date, -i64::from(began_yesterday));
    if window.hours.contains(clock) && open_on(began_on) {
        return None;
    }
    let at = time::instant(now);
    (0..=MAX_SEARCH_DAYS)
        .map(|days| moved(date, i64::from(days)))
        .filter(|date| open_on(*date))
        .map(|date| at_local(date.to_datetime(window.hours.start()), zone))
        .find(|opening| *opening > at)
        .or(Some(Instant::MAX_UTC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Zones;
    use proptest::prelude::*;

    fn zone(name: &str) -> TimeZone {
        Zones::bundled().get(name).expect(name)
    }

    fn at(text: &str) -> Instant {
        time::parse_instant(text).expect(text)
    }

    fn hours(text: &str) -> Hours {
        text.parse().expect(text)
    }

    #[test]
    fn days_are_calendar_days_and_hours_are_exact_across_a_clock_change() {
        let berlin = zone("Europe/Berlin");
        let calendar = Calendar::default();
        // Clocks go forward on 29 March 2026, back on 25 October 2026.
        for (from, span, due) in [
            ("2026-03-28T09:00:00+01:00", "1 day", "2026-03-29T09:00:00+02:00"),
            ("2026-03-28T09:00:00+01:00", "24 hours", "2026-03-29T10:00:00+02:00"),
            ("2026-03-28T02:30:00+01:00", "1 day", "2026-03-29T03:00:00+02:00"),
            ("2026-10-24T02:30:00+02:00", "1 day", "2026-10-25T02:30:00+02:00"),
            ("2026-11-20T17:00:00+01:00", "1 working day", "2026-11-23T17:00:00+01:00"),
            ("2026-11-21T10:00:00+01:00", "1 working day", "2026-11-23T10:00:00+01:00"),
            ("2026-11-20T10:00:00+01:00", "2 weeks", "2026-12-04T10:00:00+01:00"),
        ] {
            let span = span.parse().expect(span);
            assert_eq!(
                shift(at(from), span, false, &berlin, &calendar),
                at(due),
                "{from} + {span}"
            );
        }
        let back = shift(at("2026-12-01T09:00:00+01:00"), Span::Days(2), true, &berlin, &calendar);
        assert_eq!(back, at("2026-11-29T09:00:00+01:00"));
    }

    #[test]
    fn a_date_among_the_facts_means_nine_in_the_morning_there() {
        let vancouver = zone("America/Vancouver");
        for (fact, meant) in [
            ("2026-07-01", "2026-07-01T09:00:00-07:00"),
            ("2026-07-01T15:30", "2026-07-01T15:30:00-07:00"),
            ("2026-07-01T15:30:00Z", "2026-07-01T15:30:00Z"),
        ] {
            assert_eq!(fact_instant(&fact.into(), &vancouver), Some(at(meant)), "{fact}");
        }
        assert_eq!(fact_instant(&"soon".into(), &vancouver), None);
        assert_eq!(fact_instant(&serde_json::json!(7), &vancouver), None);
    }

    #[test]
    fn quiet_hours_across_midnight_end_at_their_local_end_also_when_the_clocks_change() {
        let berlin = zone("Europe/Berlin");
        let none = Calendar::default();
        let next = |at_: &str, quiet: &str| {
            next_allowed(at(at_), &berlin, Some(hours(quiet)), None, &none).expect("soon")
        };
        for (now, quiet, allowed) in [
            ("2026-03-28T22:30:00+01:00", "21:00-08:00", "2026-03-29T08:00:00+02:00"),
            ("2026-03-28T12:00:00+01:00", "21:00-08:00", "2026-03-28T12:00:00+01:00"),
            ("2026-03-29T03:00:00+02:00", "21:00-02:30", "2026-03-29T03:00:00+02:00"),
            ("2026-03-29T01:00:00+01:00", "21:00-02:30", "2026-03-29T03:00:00+02:00"),
            ("2026-10-25T01:00:00+02:00", "21:00-02:30", "2026-10-25T02:30:00+02:00"),
            ("2026-10-25T02:10:00+01:00", "21:00-02:30", "2026-10-25T02:30:00+01:00"),
            ("2026-11-22T23:00:00+01:00", "20:00-24:00", "2026-11-23T00:00:00+01:00"),
        ] {
            assert_eq!(next(now, quiet), at(allowed), "{now} {quiet}");
        }
    }

    #[test]
    fn a_window_opens_on_its_days_and_quiet_hours_cut_into_it() {
        let london = zone("Europe/London");
        let mut calendar = Calendar::default();
        calendar.holidays.push(jiff::civil::date(2026, 12, 25));
        let next = |now: &str, quiet: Option<&str>, window: &str| {
            let window = Some(window.parse().expect(window));
            next_allowed(at(now), &london, quiet.map(hours), window, &calendar)
        };
        for (now, quiet, window, allowed) in [
            ("2026-11-20T17:59:00Z", None, "09:00-18:00 working days", "2026-11-20T17:59:00Z"),
            ("2026-11-20T18:00:00Z", None, "09:00-18:00 working days", "2026-11-23T09:00:00Z"),
            ("2026-12-24T20:00:00Z", None, "09:00-18:00 working days", "2026-12-28T09:00:00Z"),
            ("2026-11-20T08:00:00Z", Some("21:00-10:30"), "09:00-18:00", "2026-11-20T10:30:00Z"),
            ("2026-11-22T12:00:00Z", None, "22:00-02:00 FRI", "2026-11-27T22:00:00Z"),
            ("2026-11-28T01:00:00Z", None, "22:00-02:00 FRI", "2026-11-28T01:00:00Z"),
        ] {
            assert_eq!(next(now, quiet, window), Some(at(allowed)), "{now} {window}");
        }
        assert_eq!(next("2026-11-20T12:00:00Z", Some("08:00-19:00"), "09:00-18:00"), None);
    }

    /// Every clock change of every zone from 2025 to 2035, the hours around it.
    fn transitions() -> Vec<(TimeZone, Instant)> {
        let zones = Zones::bundled();
        let (from, to) = (at("2025-01-01T00:00:00Z"), at("2035-01-01T00:00:00Z"));
        let mut found = Vec::new();
        for name in zones.names() {
            let zone = zones.get(&name).expect("a listed zone");
            let start = Timestamp::from_millisecond(from.timestamp_millis()).expect("in range");
            let changes: Vec<Instant> = zone
                .following(start)
                .map(|change| time::from_ms(change.timestamp().as_millisecond()))
                .take_while(|change| *change < to)
                .collect();
            found.extend(changes.into_iter().map(|change| (zone.clone(), change)));
        }
        found
    }

    #[test]
    fn around_every_clock_change_of_every_zone_the_next_allowed_hour_is_allowed_and_the_first() {
        let calendar = Calendar::default();
        let nights = ["21:00-08:00", "00:00-02:30", "23:30-01:30", "02:00-03:00"].map(hours);
        let window: Window = "09:00-18:00 MON-FRI".parse().expect("window");
        let mut looked_at = 0_u32;
        for (zone, change) in transitions() {
            for minutes in [-180, -61, -1, 0, 1, 29, 61, 180] {
                let now = change + chrono::TimeDelta::minutes(minutes);
                for quiet in nights {
                    let allowed = next_allowed(now, &zone, Some(quiet), None, &calendar)
                        .expect("a night ends");
                    assert!(allowed >= now);
                    assert!(allowed - now < chrono::TimeDelta::hours(14), "{now} {quiet}");
                    assert!(!quiet.contains(local(allowed, &zone).time()), "{now} {quiet}");
                    if allowed > now {
                        let before = local(allowed - chrono::TimeDelta::milliseconds(1), &zone);
                        assert!(quiet.contains(before.time()), "{now} {quiet}: {before} was fine");
                    }
                    looked_at += 1;
                }
                let open = next_allowed(now, &zone, Some(nights[0]), Some(window), &calendar)
                    .expect("a week has working days");
                let there = local(open, &zone);
                assert!(
                    window.hours.contains(there.time())
                        && there.weekday().to_monday_zero_offset() < 5
                );
                assert!(open - now < chrono::TimeDelta::days(5));
            }
        }
        assert!(looked_at > 50_000, "only {looked_at} cases: is the zone database empty?");
    }

    proptest! {
        #[test]
        fn the_next_allowed_hour_is_never_early_never_quiet_and_stable(
            minute in 0_i64..5_000_000,
            from in 0_u16..1440,
            length in 1_u16..1439,
            name in prop::sample::select(vec![
                "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
                "Pacific/Apia", "Africa/Casablanca", "America/St_Johns",
            ]),
        ) {
            let quiet = Hours { from_min: from, to_min: match (from + length) % 1440 { 0 => 1440, m => m } };
            let (zone, calendar) = (zone(name), Calendar::default());
            let now = at("2025-01-01T00:00:00Z") + chrono::TimeDelta::minutes(minute);
            let allowed = next_allowed(now, &zone, Some(quiet), None, &calendar).expect("some minute is free");
            prop_assert!(allowed >= now);
            prop_assert!(!quiet.contains(local(allowed, &zone).time()));
            prop_assert_eq!(next_allowed(allowed, &zone, Some(quiet), None, &calendar), Some(allowed));
        }
    }
}
