//! How much may go to whom within an hour or a day, whoever asks for it: against pumping (texts
//! to far-off ranges for money) and bombing (one person again and again).

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::customer::Address;
use super::time::{Instant, from_ms};

pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Digits at the end of a number in which those of one range differ.
const RANGE_DIGITS: usize = 4;

/// What is capped; named as its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    PerNumberPerHour,
    UrgentPerNumberPerHour,
    PerPrefixPerHour,
    PerCountryPerHour,
    CostPerDay,
}

impl Cap {
    /// The key of the setting.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::PerNumberPerHour => "per_number_per_hour",
            Self::UrgentPerNumberPerHour => "urgent_per_number_per_hour",
            Self::PerPrefixPerHour => "per_prefix_per_hour",
            Self::PerCountryPerHour => "per_country_per_hour",
            Self::CostPerDay => "cost_per_day",
        }
    }
}

/// The most there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Most {
    Messages(u32),
    /// Of the currency of the prices.
    Millionths(i64),
}

/// A cap that a message counts against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub cap: Cap,
    /// What is counted: the same for all messages that count together. Holds no number.
    pub name: String,
    /// How long its hour or day is; they begin on the clock of UTC.
    pub length_ms: i64,
    pub most: Most,
}

/// What was used of a quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub messages: i64,
    pub millionths: i64,
}

impl Quota {
    /// Since when is counted.
    #[must_use]
    pub fn from_ms(&self, now: Instant) -> i64 {
        let now_ms = now.timestamp_millis();
        now_ms - now_ms.rem_euclid(self.length_ms)
    }

    /// When counting begins anew.
    #[must_use]
    pub fn until(&self, now: Instant) -> Instant {
        from_ms(self.from_ms(now)) + TimeDelta::milliseconds(self.length_ms)
    }

    /// Is there room for one more message of this cost?
    #[must_use]
    pub const fn holds(&self, used: Used, cost_millionths: i64) -> bool {
        match self.most {
            Most::Messages(most) => used.messages < most as i64,
            Most::Millionths(most) => used.millionths + cost_millionths <= most,
        }
    }
}

/// The numbers of one range: all but the last four digits.
#[must_use]
pub fn range_of(number: &Address) -> &str {
    let number = number.expose();
    number.get(..number.len().saturating_sub(RANGE_DIGITS)).unwrap_or_default()
}

/// A name for what must not be kept in clear.
#[must_use]
pub fn veiled(kind: &str, text: &str) -> String {
    let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(text).finalize();
    format!("{kind}:{}", data_encoding::HEXLOWER.encode(&hash[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Channel;
    use crate::domain::time::parse_instant;

    #[test]
    fn an_hour_begins_on_the_clock_and_holds_no_more_than_its_most() {
        let now = parse_instant("2026-11-23T10:59:59Z").expect("an instant");
        let hour = Quota {
            cap: Cap::PerNumberPerHour,
            name: "n".into(),
            length_ms: HOUR_MS,
            most: Most::Messages(5),
        };
        assert_eq!(hour.until(now), parse_instant("2026-11-23T11:00:00Z").expect("an instant"));
        let used = |messages| Used { messages, millionths: 0 };
        assert!(hour.holds(used(4), 0) && !hour.holds(used(5), 0));
        let day = Quota { length_ms: DAY_MS, most: Most::Millionths(100), ..hour };
        assert_eq!(day.until(now), parse_instant("2026-11-24T00:00:00Z").expect("an instant"));
        let spent = |millionths| Used { messages: 0, millionths };
        assert!(day.holds(spent(40), 60) && !day.holds(spent(41), 60));
    }

    #[test]
    fn a_range_is_a_number_without_its_last_four_digits_and_is_not_kept_in_clear() {
        let number = Address::parse(Channel::Sms, "+447911123456").expect("a number");
        assert_eq!(range_of(&number), "+44791112");
        assert!(!veiled("range", range_of(&number)).contains("4479"));
        assert_ne!(veiled("range", "x"), veiled("number", "x"));
    }
}
