//! Which days people work, and the files that say so: TOML of our own, or iCalendar.
//!
//! `config::calendars` finds the files and puts the calendars together; here one text is read.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::domain::Finding;
use crate::domain::hours::Days;

mod ics;

pub use ics::read_ics;

/// Which days people work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Calendar {
    /// Days off besides the weekend, sorted.
    pub holidays: Vec<Date>,
    /// The days of the week that are off, Monday first.
    pub weekend: [bool; 7],
    /// The last year whose holidays are known; `None` where nobody said.
    pub known_until: Option<i16>,
}

/// Saturday and Sunday.
const WEEKEND: [bool; 7] = [false, false, false, false, false, true, true];

impl Default for Calendar {
    fn default() -> Self {
        Self { holidays: Vec::new(), weekend: WEEKEND, known_until: None }
    }
}

impl Calendar {
    #[must_use]
    pub fn is_working(&self, date: Date) -> bool {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).expect("0 to 6");
        !self.weekend[day] && self.holidays.binary_search(&date).is_err()
    }
}

/// What one file, or one section of the settings, says about a calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalendarFile {
    /// The calendar whose days it adds to, and where that is written.
    pub based_on: Option<(String, Range<usize>)>,
    pub weekend: Option<[bool; 7]>,
    pub holidays: BTreeSet<Date>,
    pub known_until: Option<i16>,
}

impl CalendarFile {
    /// The calendar, with the days of the one it is based on.
    #[must_use]
    pub fn on(&self, base: &Calendar) -> Calendar {
        let holidays: BTreeSet<Date> =
            base.holidays.iter().chain(&self.holidays).copied().collect();
        let known_until = match (self.known_until, base.known_until) {
            (Some(own), Some(base)) => Some(own.min(base)),
            (own, base) => own.or(base),
        };
        Calendar {
            holidays: holidays.into_iter().collect(),
            weekend: self.weekend.unwrap_or(base.weekend),
            known_until,
        }
    }
}

/// The days of a weekend such as `["FRI", "SAT"]`.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn weekend(days: &[String]) -> Result<[bool; 7], String> {
    if days.is_empty() {
        return Ok([false; 7]);
    }
    match days.join(",").parse()? {
        Days::Only([true, true, true, true, true, true, true]) => {
            Err("a weekend leaves at least one day to work on".to_owned())
        }
        Days::Only(off) => Ok(off),
        Days::Every | Days::Working => Err("name days: MON to SUN".to_owned()),
    }
}

/// Reads `title`, `based_on`, `weekend`, `years` and `[holidays]` (`2026-12-25 = "Christmas Day"`).
///
/// # Errors
/// What is wrong, with its place.
pub fn read_toml(file: &str, text: &str) -> Result<CalendarFile, Box<Finding>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        #[serde(rename = "title")]
        _title: Option<String>,
        based_on: Option<Spanned<String>>,
        weekend: Option<Spanned<Vec<String>>>,
        years: Option<Spanned<[i16; 2]>>,
        #[serde(default)]
        holidays: std::collections::BTreeMap<Spanned<String>, String>,
    }
    let shared: Arc<str> = Arc::from(text);
    let fault =
        |span: Range<usize>, why: String| Box::new(Finding::error(file, &shared, why).at(span));
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let finding = Finding::error(file, &shared, error.message());
        let finding = match error.span() {
            Some(span) => finding.at(span),
            None => finding,
        };
        Box::new(finding.help(HELP))
    })?;
    let years = raw.years.map(|years| (years.span(), years.into_inner()));
    if let Some((span, [first, last])) = &years
        && first > last
    {
        return Err(fault(span.clone(), format!("{first} comes after {last}")));
    }
    let mut holidays = BTreeSet::new();
    for name in raw.holidays.keys() {
        let date: Date = name.get_ref().parse().map_err(|_| {
            let why = format!("{:?} is no date; write it like 2026-12-25", name.get_ref());
            fault(name.span(), why)
        })?;
        if let Some((_, [first, last])) = &years
            && !(*first..=*last).contains(&date.year())
        {
            let why = format!("lies outside the years {first} to {last} this file is about");
            return Err(fault(name.span(), why));
        }
        holidays.insert(date);
    }
    let off = raw.weekend.map(|days| {
        let span = days.span();
        weekend(days.get_ref()).map_err(|why| fault(span, why))
    });
    Ok(CalendarFile {
        based_on: raw.based_on.map(|name| (name.get_ref().clone(), name.span())),
        weekend: off.transpose()?,
        holidays,
        known_until: years.map(|(_, [_, last])| last),
    })
}

const HELP: &str = "a calendar is, for example:\nbased_on = \"gb-eng\"\nweekend = [\"SAT\", \"SUN\"]\n[holidays]\n2026-12-24 = \"Closed for stock-taking\"";

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_file_adds_its_days_to_those_it_is_based_on() {
        let base = read_toml("a", "years = [2026, 2027]\n[holidays]\n2026-12-25 = \"Christmas\"\n");
        let base = base.expect("valid").on(&Calendar::default());
        let text =
            "based_on = \"a\"\nweekend = [\"FRI\", \"SAT\"]\n[holidays]\n2026-12-24 = \"Closed\"\n";
        let file = read_toml("b", text).expect("valid");
        assert_eq!(file.based_on.as_ref().map(|(name, _)| name.as_str()), Some("a"));
        let calendar = file.on(&base);
        assert_eq!(calendar.known_until, Some(2027));
        for (day, works) in [
            (date(2026, 12, 23), true),
            (date(2026, 12, 24), false),
            (date(2026, 12, 25), false),
            (date(2026, 12, 26), false),
            (date(2026, 12, 27), true),
        ] {
            assert_eq!(calendar.is_working(day), works, "{day}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line, word) in [
            ("[holidays]\n2026-02-30 = \"x\"\n", 2, "no date"),
            ("[holidays]\nchristmas = \"x\"\n", 2, "no date"),
            ("years = [2026, 2027]\n[holidays]\n2028-01-01 = \"x\"\n", 3, "outside the years"),
            ("years = [2027, 2026]\n", 1, "comes after"),
            ("weekend = [\"SAT\", \"FUN\"]\n", 1, "FUN"),
            ("weekend = [\"MON-SUN\"]\n", 1, "at least one day"),
            ("title = \"x\"\nholiday = 1\n", 2, "holiday"),
            ("[holidays\n", 1, ""),
        ] {
            let finding = read_toml("x.toml", text).expect_err(text);
            assert_eq!(finding.line(), Some(line), "{text}: {finding}");
            assert!(finding.message.contains(word), "{text}: {finding}");
        }
    }
}
