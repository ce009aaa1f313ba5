//! How often a topic comes: at once, or gathered once a day or once a week. The customer names
//! one hour and one day for all of them, so that they ride together.

use std::collections::BTreeMap;

use crate::domain::preference::Digest;

/// When gathered messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Monday is 0; for weekly ones.
    pub day: u8,
    /// Minutes after local midnight.
    pub at_min: u16,
}

/// Where the customer has named none: 18:00, on Mondays.
const USUAL: Slot = Slot { day: 0, at_min: 18 * 60 };

impl Slot {
    /// The one that is shown: that of the first topic that has one.
    #[must_use]
    pub fn of(digest: &BTreeMap<String, Digest>) -> Self {
        let at_min = digest.values().find_map(|rhythm| match rhythm {
            Digest::AtOnce => None,
            Digest::Daily { at_min } | Digest::Weekly { at_min, .. } => Some(*at_min),
        });
        let day = digest.values().find_map(|rhythm| match rhythm {
            Digest::Weekly { day, .. } => Some(*day),
            _ => None,
        });
        Self { day: day.unwrap_or(USUAL.day), at_min: at_min.unwrap_or(USUAL.at_min) }
    }

    /// Reads it from a form: a time such as `18:00`, and a day from `0`, Monday.
    #[must_use]
    pub fn read(at: &str, day: &str) -> Option<Self> {
        let Ok(Digest::Daily { at_min }) = format!("daily {at}").parse() else { return None };
        let day = day.parse().ok().filter(|day| *day < 7)?;
        Some(Self { day, at_min })
    }

    /// The time of day as forms write it.
    #[must_use]
    pub fn at(&self) -> String {
        format!("{:02}:{:02}", self.at_min / 60, self.at_min % 60)
    }
}

/// `at_once`, `daily` or `weekly`.
#[must_use]
pub const fn name(rhythm: Option<&Digest>) -> &'static str {
    match rhythm {
        None | Some(Digest::AtOnce) => "at_once",
        Some(Digest::Daily { .. }) => "daily",
        Some(Digest::Weekly { .. }) => "weekly",
    }
}

/// What a choice of rhythms changes against what is `shown`: a topic whose rhythm and slot stay
/// as they were shown keeps what it has, be it a slot of its own.
#[must_use]
pub fn changes(
    shown: &BTreeMap<String, Digest>,
    wanted: &BTreeMap<String, &'static str>,
    slot: Slot,
) -> BTreeMap<String, Digest> {
    let was = Slot::of(shown);
    let mut changes = BTreeMap::new();
    for (topic, rhythm) in wanted {
        let known = shown.get(topic);
        let same_slot = match known {
            None | Some(Digest::AtOnce) => true,
            Some(Digest::Daily { .. }) => slot.at_min == was.at_min,
            Some(Digest::Weekly { .. }) => slot == was,
        };
        if name(known) != *rhythm || !same_slot {
            let Slot { day, at_min } = slot;
            let chosen = match *rhythm {
                "daily" => Digest::Daily { at_min },
                "weekly" => Digest::Weekly { day, at_min },
                _ => Digest::AtOnce,
            };
            changes.insert(topic.clone(), chosen);
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythms(pairs: &[(&str, &str)]) -> BTreeMap<String, Digest> {
        let read =
            |(topic, text): &(&str, &str)| ((*topic).to_owned(), text.parse().expect("a rhythm"));
        pairs.iter().map(read).collect()
    }

    #[test]
    fn a_new_hour_or_day_moves_what_it_is_about_and_nothing_else() {
        let shown = rhythms(&[
            ("a", "daily 08:00"),
            ("b", "daily 20:00"),
            ("c", "weekly FRI 08:00"),
            ("d", "at once"),
        ]);
        let same =
            BTreeMap::from([("a", "daily"), ("b", "daily"), ("c", "weekly"), ("d", "at_once")]);
        let same: BTreeMap<String, &str> =
            same.into_iter().map(|(t, r)| (t.to_owned(), r)).collect();
        let slot = |text| Slot::read(text, "4").expect("a slot");
        assert_eq!(Slot::of(&shown), slot("08:00"));
        assert_eq!(changes(&shown, &same, slot("08:00")), rhythms(&[]));
        let later =
            rhythms(&[("a", "daily 09:30"), ("b", "daily 09:30"), ("c", "weekly FRI 09:30")]);
        assert_eq!(changes(&shown, &same, slot("09:30")), later);
        let monday = Slot { day: 0, ..slot("08:00") };
        assert_eq!(changes(&shown, &same, monday), rhythms(&[("c", "weekly MON 08:00")]));
    }

    #[test]
    fn a_slot_is_a_time_of_day_and_a_day_of_the_week() {
        for (at, day, read) in [
            ("07:05", "6", Some(Slot { day: 6, at_min: 425 })),
            ("24:00", "0", None),
            ("", "0", None),
            ("08:00", "7", None),
            ("08:00", "", None),
        ] {
            assert_eq!(Slot::read(at, day), read, "{at} {day}");
        }
        assert_eq!(Slot { day: 6, at_min: 425 }.at(), "07:05");
        assert_eq!(Slot::of(&BTreeMap::new()).at(), "18:00");
    }
}
