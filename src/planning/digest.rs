//! The slots of a customer's daily or weekly message, on their own clock.

use chrono::TimeDelta;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::domain::preference::Digest;
use crate::domain::time::{Instant, local};

use super::schedule::{at_local, moved};

/// A slot matters until the next one; a week, and a day for clock changes and late hours.
pub const LONGEST_RHYTHM: TimeDelta = TimeDelta::days(8);

/// One daily or weekly message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The wall clock, such as `2026-11-23T18:00`; names the digest.
    pub name: String,
    pub at: Instant,
}

/// The first slot at or after `from`; `None` for what is said at once.
#[must_use]
pub fn first_slot(rhythm: Digest, from: Instant, zone: &TimeZone) -> Option<Slot> {
    search(rhythm, from, zone, 0..=8, |slot| slot.at >= from)
}

/// The last slot at or before `now`.
#[must_use]
pub fn last_slot(rhythm: Digest, now: Instant, zone: &TimeZone) -> Option<Slot> {
    let back = (-8..=0).rev();
    search(rhythm, now, zone, back, |slot| slot.at <= now)
}

fn search(
    rhythm: Digest,
    around: Instant,
    zone: &TimeZone,
    days: impl Iterator<Item = i64>,
    fits: impl Fn(&Slot) -> bool,
) -> Option<Slot> {
    let (on_day, at_min) = match rhythm {
        Digest::AtOnce => return None,
        Digest::Daily { at_min } => (None, at_min),
        Digest::Weekly { day, at_min } => (Some(day), at_min),
    };
    let part = |n: u16| i8::try_from(n).unwrap_or(0);
    let time = Time::constant(part(at_min / 60), part(at_min % 60), 0, 0);
    let today = local(around, zone).date();
    days.map(|days| moved(today, days))
        .filter(|date| {
            on_day.is_none_or(|day| date.weekday().to_monday_zero_offset() == part(day.into()))
        })
        .map(|date| {
            let civil = date.to_datetime(time);
            Slot { name: civil.strftime("%Y-%m-%dT%H:%M").to_string(), at: at_local(civil, zone) }
        })
        .find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Zones;
    use crate::planning::testing::at;

    #[test]
    fn a_slot_is_the_next_one_on_the_customers_clock_also_when_the_clocks_change() {
        let berlin = Zones::bundled().get("Europe/Berlin").expect("zone");
        for (rhythm, from, next, last) in [
            ("daily 18:00", "2026-11-23T16:59:00Z", "2026-11-23T18:00", "2026-11-22T18:00"),
            ("daily 18:00", "2026-11-23T17:00:00Z", "2026-11-23T18:00", "2026-11-23T18:00"),
            ("daily 18:00", "2026-11-23T17:00:01Z", "2026-11-24T18:00", "2026-11-23T18:00"),
            ("weekly MON 09:00", "2026-11-24T12:00:00Z", "2026-11-30T09:00", "2026-11-23T09:00"),
            ("weekly MON 09:00", "2026-11-23T08:00:00Z", "2026-11-23T09:00", "2026-11-23T09:00"),
            ("daily 02:30", "2026-03-29T00:30:00Z", "2026-03-29T02:30", "2026-03-28T02:30"),
        ] {
            let (rhythm, from): (Digest, _) = (rhythm.parse().expect(rhythm), at(from));
            let name = |slot: Option<Slot>| slot.expect("every week has one").name;
            assert_eq!(name(first_slot(rhythm, from, &berlin)), next, "{rhythm} {from}");
            assert_eq!(name(last_slot(rhythm, from, &berlin)), last, "{rhythm} {from}");
        }
        assert_eq!(first_slot(Digest::AtOnce, at("2026-11-23T17:00:00Z"), &berlin), None);
    }
}
