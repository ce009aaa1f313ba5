//! Times by the calendar: `0 9 * * MON`, on the wall clock of a zone.
//!
//! The `cron` crate is asked as if local time were UTC, and each local time it names is
//! resolved here: one that a clock change skips moves behind the gap, one that comes twice
//! means the first, so that every local day has its one slot.

use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Utc};
use cron::Schedule;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::time::{Instant, local, parse_instant};

use super::schedule::at_local;

/// A rule such as `0 9 * * MON`: minute, hour, day, month, weekday by name.
#[derive(Debug, Clone)]
pub struct Cron {
    /// As written.
    pub source: String,
    schedule: Schedule,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Cron {}

/// One local time a rule names, and the instant it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The wall clock, such as `2026-11-30T09:00`.
    pub name: String,
    pub at: Instant,
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "{text:?} has {} fields; write five, such as 0 9 * * MON: minute, hour, day, month, weekday",
                fields.len()
            ));
        };
        // Sunday is 0, 1 or 7, depending on whom one asks.
        if weekday.bytes().any(|b| b.is_ascii_digit()) && !weekday.starts_with("*/") {
            return Err(format!("weekday {weekday:?}: name it, such as MON or MON-FRI"));
        }
        // A rule for the fraction of an hour would write to people all day long.
        if [minute, hour].iter().any(|field| field.contains(['*', '/', '-', ',', '?'])) {
            return Err(format!(
                "{text:?} names more than one time of the day; minute and hour are plain numbers"
            ));
        }
        let schedule = Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
            .map_err(|error| format!("{text:?}: {error}"))?;
        let cron = Self { source: text.to_owned(), schedule };
        let from = parse_instant("2024-01-01T00:00:00Z").expect("an instant");
        // Five years have a leap year among them.
        if cron.civil_after(from.naive_utc(), 5 * 366).is_none() {
            return Err(format!("{text:?} names no day that exists"));
        }
        Ok(cron)
    }
}

impl Cron {
    /// The first slot after `now` on the clock of `zone`.
    #[must_use]
    pub fn next_after(&self, now: Instant, zone: &TimeZone) -> Option<Slot> {
        let clock = naive(local(now, zone).datetime());
        // In the hour that comes twice the clock may show less than it has shown.
        let mut from = clock - TimeDelta::hours(3);
        loop {
            let civil = self.civil_after(from, 5 * 366)?;
            let at = at_local(jiff_of(civil)?, zone);
            if at > now {
                return Some(Slot { name: civil.format("%Y-%m-%dT%H:%M").to_string(), at });
            }
            from = civil;
        }
    }

    fn civil_after(&self, from: NaiveDateTime, within_days: i64) -> Option<NaiveDateTime> {
        let found = self.schedule.after(&from.and_utc()).next()?.with_timezone(&Utc).naive_utc();
        (found - from <= TimeDelta::days(within_days)).then_some(found)
    }
}

fn naive(civil: DateTime) -> NaiveDateTime {
    let (year, month, day) = (i32::from(civil.year()), civil.month(), civil.day());
    let part = |n: i8| u32::try_from(n).unwrap_or(0);
    NaiveDate::from_ymd_opt(year, part(month), part(day))
        .and_then(|date| {
            date.and_hms_opt(part(civil.hour()), part(civil.minute()), part(civil.second()))
        })
        .unwrap_or_default()
}

fn jiff_of(civil: NaiveDateTime) -> Option<DateTime> {
    civil.format("%Y-%m-%dT%H:%M:%S").to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Zones;
    use proptest::prelude::*;

    fn slots(rule: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let zone = Zones::bundled().get(zone).expect(zone);
        let rule: Cron = rule.parse().expect(rule);
        let mut now = parse_instant(from).expect(from);
        let next = || {
            let slot = rule.next_after(now, &zone)?;
            now = slot.at;
            Some(format!("{} {}", slot.name, local(slot.at, &zone).strftime("%H:%M %Z")))
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn a_rule_fires_once_on_each_of_its_local_days_also_when_the_clocks_change() {
        assert_eq!(
            slots("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T02:30 03:00 CEST", "2026-03-30T02:30 02:30 CEST"]
        );
        assert_eq!(
            slots("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T02:30 02:30 CEST", "2026-10-26T02:30 02:30 CET"]
        );
        assert_eq!(
            slots("0 9 * * MON", "America/New_York", "2026-11-22T12:00:00Z", 2),
            ["2026-11-23T09:00 09:00 EST", "2026-11-30T09:00 09:00 EST"]
        );
        assert_eq!(
            slots("0 9 29 2 *", "UTC", "2026-11-22T12:00:00Z", 1),
            ["2028-02-29T09:00 09:00 UTC"]
        );
    }

    #[test]
    fn what_would_surprise_is_refused_with_a_way_out() {
        for (rule, why) in [
            ("0 9 * *", "write five"),
            ("0 0 9 * * MON", "write five"),
            ("0 9 * * 1", "name it"),
            ("0 9 31 2 *", "no day that exists"),
            ("*/5 9 * * MON", "more than one time"),
            ("0 9 * * FUNDAY", "FUNDAY"),
        ] {
            let refused = rule.parse::<Cron>().expect_err(rule);
            assert!(refused.contains(why), "{rule}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn the_next_slot_lies_ahead_and_nothing_lies_between(
            hours in 0_i64..90_000,
            hour in 0_u8..24,
            name in prop::sample::select(vec![
                "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC",
            ]),
        ) {
            let zone = Zones::bundled().get(name).expect(name);
            let rule: Cron = format!("15 {hour} * * *").parse().expect("a rule");
            let now = parse_instant("2024-01-01T00:00:00Z").expect("instant") + TimeDelta::hours(hours);
            let slot = rule.next_after(now, &zone).expect("every day");
            prop_assert!(slot.at > now);
            prop_assert!(slot.at - now <= TimeDelta::hours(26), "{} {}", now, slot.at);
        }
    }
}
