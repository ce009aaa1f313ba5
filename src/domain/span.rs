//! Lengths of time as people write them: `90 minutes`, `6 hours`, `3 days`, `5 working days`.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time. Minutes and hours are exact; days and weeks are counted on the
/// customer's calendar, so a day may have 23 or 25 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    Minutes(u32),
    Hours(u32),
    Days(u32),
    WorkingDays(u32),
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no length of time; write it like 90 minutes, 6 hours, 3 days, 2 weeks or 5 working days"
            )
        };
        let (count, unit) = text.trim().split_once(' ').ok_or_else(wrong)?;
        let count: u32 = count.parse().map_err(|_| wrong())?;
        let span = match unit.trim() {
            "minute" | "minutes" => Self::Minutes(count),
            "hour" | "hours" => Self::Hours(count),
            "day" | "days" => Self::Days(count),
            "week" | "weeks" => Self::Days(count.checked_mul(7).ok_or_else(wrong)?),
            "working day" | "working days" => Self::WorkingDays(count),
            _ => return Err(wrong()),
        };
        // Ten years bounds everything that is computed from a span.
        if span.rough_minutes() > 10 * 366 * 24 * 60 {
            return Err(format!("{text:?} is longer than ten years"));
        }
        Ok(span)
    }
}

impl Span {
    /// About how long this is, for bounds and comparisons; a working day counts as 7/5 days.
    #[must_use]
    pub fn rough_minutes(self) -> u64 {
        match self {
            Self::Minutes(n) => u64::from(n),
            Self::Hours(n) => u64::from(n) * 60,
            Self::Days(n) => u64::from(n) * 24 * 60,
            Self::WorkingDays(n) => u64::from(n) * 24 * 60 * 7 / 5,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match *self {
            Self::Minutes(n) => (n, "minute"),
            Self::Hours(n) => (n, "hour"),
            Self::Days(n) => (n, "day"),
            Self::WorkingDays(n) => (n, "working day"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_reads_as_people_write_it() {
        for (text, span) in [
            ("90 minutes", Span::Minutes(90)),
            ("1 hour", Span::Hours(1)),
            ("3 days", Span::Days(3)),
            ("2 weeks", Span::Days(14)),
            ("5 working days", Span::WorkingDays(5)),
        ] {
            assert_eq!(text.parse(), Ok(span), "{text}");
        }
        for text in ["3", "days", "-3 days", "3 fortnights", "99999999 weeks", "4294967295 weeks"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
