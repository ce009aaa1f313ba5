//! Hours of a local day: a customer's quiet hours, and the window of a notice.
//!
//! Values and parsing only; `planning::schedule` asks when the next allowed moment comes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::channel::Channel;

/// Minutes in a day: the end of `00:00-24:00`.
const DAY_END: u16 = 24 * 60;

/// A stretch of the local day, start included, end excluded; it may cross midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// Minutes after midnight, 0 to 1439.
    pub from_min: u16,
    /// Minutes after midnight, 1 to 1440; below `from_min` it lies on the next day.
    pub to_min: u16,
}

impl Hours {
    #[must_use]
    pub const fn crosses_midnight(self) -> bool {
        self.to_min < self.from_min
    }

    /// Does a wall clock showing `time` lie inside?
    #[must_use]
    pub fn contains(self, time: Time) -> bool {
        let minute = minute_of(time);
        if self.crosses_midnight() {
            minute >= self.from_min || minute < self.to_min
        } else {
            minute >= self.from_min && minute < self.to_min
        }
    }

    #[must_use]
    pub fn start(self) -> Time {
        time_at(self.from_min)
    }

    /// The first local time after the stretch; midnight for `…-24:00`.
    #[must_use]
    pub fn end(self) -> Time {
        time_at(self.to_min % DAY_END)
    }
}

fn minute_of(time: Time) -> u16 {
    u16::try_from(i16::from(time.hour()) * 60 + i16::from(time.minute())).expect("0 to 1439")
}

fn time_at(minute: u16) -> Time {
    let part = |n: u16| i8::try_from(n).expect("below 60");
    Time::constant(part(minute / 60), part(minute % 60), 0, 0)
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minutes = |part: &str, last: u16| -> Option<u16> {
            let (hour, minute) = part.trim().split_once(':')?;
            if hour.len() != 2 || minute.len() != 2 {
                return None;
            }
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (minute < 60 && hour * 60 + minute <= last).then_some(hour * 60 + minute)
        };
        let hours = text.split_once('-').and_then(|(from, to)| {
            Some(Self { from_min: minutes(from, DAY_END - 1)?, to_min: minutes(to, DAY_END)? })
        });
        match hours {
            Some(hours) if hours.from_min == hours.to_min => {
                Err(format!("{text:?} starts and ends at the same time"))
            }
            Some(hours) if hours.to_min == 0 => Ok(Self { to_min: DAY_END, ..hours }),
            Some(hours) => Ok(hours),
            None => Err(format!("{text:?} is no stretch of hours; write it like 21:00-08:00")),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from_min, self.to_min);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// The hours in which somebody wants to hear nothing, for all channels or per channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuietHours {
    All(Option<Hours>),
    PerChannel(BTreeMap<Channel, Option<Hours>>),
}

impl QuietHours {
    /// The quiet hours on a channel; `otherwise` holds where nothing is said about it.
    #[must_use]
    pub fn on(&self, channel: Channel, otherwise: Option<Hours>) -> Option<Hours> {
        match self {
            Self::All(hours) => *hours,
            Self::PerChannel(map) => map.get(&channel).copied().unwrap_or(otherwise),
        }
    }

    /// Reads `"21:00-08:00"`, `"none"`, or `{"sms": "20:00-09:00"}`.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, String> {
        match value {
            serde_json::Value::String(text) => optional_hours(text).map(Self::All),
            serde_json::Value::Object(map) => {
                let mut hours = BTreeMap::new();
                for (channel, value) in map {
                    let text = value.as_str().ok_or("hours are text such as 21:00-08:00")?;
                    hours.insert(channel.parse()?, optional_hours(text)?);
                }
                Ok(Self::PerChannel(hours))
            }
            _ => Err("expected text such as 21:00-08:00, or hours per channel".to_owned()),
        }
    }
}

/// `none`, or a stretch of hours.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn optional_hours(text: &str) -> Result<Option<Hours>, String> {
    if text == "none" { Ok(None) } else { text.parse().map(Some) }
}

fn hours_text(hours: Option<Hours>) -> String {
    hours.map_or_else(|| "none".to_owned(), |hours| hours.to_string())
}

impl Serialize for QuietHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All(hours) => serializer.serialize_str(&hours_text(*hours)),
            Self::PerChannel(map) => serializer
                .collect_map(map.iter().map(|(channel, hours)| (channel, hours_text(*hours)))),
        }
    }
}

impl<'de> Deserialize<'de> for QuietHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Self::from_json(&value).map_err(D::Error::custom)
    }
}

/// On which days a window opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    Every,
    /// Working days of the case's calendar.
    Working,
    /// Monday first.
    Only([bool; 7]),
}

/// When a notice may go, on the customer's clock: `09:00-18:00 working days`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub hours: Hours,
    pub days: Days,
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (hours, days) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        Ok(Self { hours: hours.parse()?, days: days.trim().parse()? })
    }
}

const DAY_NAMES: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Every);
        }
        if text == "working days" {
            return Ok(Self::Working);
        }
        let day = |name: &str| {
            DAY_NAMES.iter().position(|known| *known == name).ok_or_else(|| {
                format!("{name:?} is no day; use MON to SUN, a range, a list, or `working days`")
            })
        };
        let mut only = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
            let (first, last) = (day(first)?, day(last)?);
            let length = (last + 7 - first) % 7;
            (0..=length).for_each(|offset| only[(first + offset) % 7] = true);
        }
        Ok(Self::Only(only))
    }
}

impl Days {
    /// Is `weekday` one of these days, holidays aside? Working days are the calendar's to say.
    #[must_use]
    pub fn names(self, weekday: Weekday) -> bool {
        let index = usize::try_from(weekday.to_monday_zero_offset()).expect("0 to 6");
        match self {
            Self::Every | Self::Working => true,
            Self::Only(only) => only[index],
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hours.fmt(f)?;
        match self.days {
            Days::Every => Ok(()),
            Days::Working => f.write_str(" working days"),
            Days::Only(only) => {
                let names: Vec<_> = DAY_NAMES
                    .iter()
                    .zip(only)
                    .filter(|(_, on)| *on)
                    .map(|(name, _)| *name)
                    .collect();
                write!(f, " {}", names.join(","))
            }
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    #[test]
    fn the_start_is_inside_and_the_end_is_not_also_across_midnight() {
        let day: Hours = "09:00-18:00".parse().expect("hours");
        let night: Hours = "21:00-08:00".parse().expect("hours");
        for (at, in_day, in_night) in [
            (time(9, 0, 0, 0), true, false),
            (time(17, 59, 59, 0), true, false),
            (time(18, 0, 0, 0), false, false),
            (time(21, 0, 0, 0), false, true),
            (time(0, 0, 0, 0), false, true),
            (time(7, 59, 0, 0), false, true),
            (time(8, 0, 0, 0), false, false),
        ] {
            assert_eq!((day.contains(at), night.contains(at)), (in_day, in_night), "{at}");
        }
    }

    #[test]
    fn hours_that_mean_nothing_are_refused() {
        for text in ["9:00-18:00", "09:00", "25:00-26:00", "09:00-09:00", "09:60-10:00", ""] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
        let until_midnight: Hours = "18:00-00:00".parse().expect("midnight may be written 00:00");
        assert_eq!(until_midnight.to_string(), "18:00-24:00");
    }

    #[test]
    fn days_are_ranges_and_lists_and_may_wrap_round_the_week() {
        for (text, days) in [
            ("09:00-18:00 MON-FRI", [true, true, true, true, true, false, false]),
            ("09:00-18:00 SAT,SUN", [false, false, false, false, false, true, true]),
            ("09:00-18:00 FRI-MON", [true, false, false, false, true, true, true]),
        ] {
            assert_eq!(text.parse::<Window>().expect(text).days, Days::Only(days), "{text}");
        }
        assert!("09:00-18:00 FUNDAY".parse::<Window>().is_err());
    }
}
