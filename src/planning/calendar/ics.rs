//! Days off from an iCalendar file (RFC 5545), as calendar programs and authorities offer them.
//!
//! Every event that lasts whole days is a day off, from its start to the day before its end. A
//! yearly repetition on the same date is followed; any other is refused, not guessed.

use std::ops::Range;
use std::sync::Arc;

use icalendar::parser::{Component, read_calendar_simple, unfold};
use jiff::ToSpan;
use jiff::civil::Date;

use crate::domain::Finding;

use super::CalendarFile;

/// The last year a repetition without end is followed to.
const LAST_YEAR: i16 = 2060;

/// The longest event, in days: longer ones are mistakes.
const MAX_DAYS: usize = 366;

/// Reads the days off.
///
/// # Errors
/// What cannot be read or followed, with its place.
pub fn read_ics(file: &str, text: &str) -> Result<CalendarFile, Box<Finding>> {
    let shared: Arc<str> = Arc::from(text);
    let unfolded = unfold(text);
    let components = read_calendar_simple(&unfolded).map_err(|error| {
        let read = unfolded.len() - error.input.len();
        let finding = Finding::error(file, &shared, "this cannot be read as iCalendar");
        let finding = finding.help("every line is NAME:VALUE, and every BEGIN has its END");
        Box::new(match broken_line(text, unfolded[..read].matches('\n').count()) {
            Some(line) => finding.at(line),
            None => finding,
        })
    })?;
    let calendars = components.iter().filter(|part| part.name == "VCALENDAR");
    let events: Vec<_> = calendars
        .flat_map(|calendar| &calendar.components)
        .filter(|part| part.name == "VEVENT")
        .collect();
    let places: Vec<_> = places(text).collect();
    // The reader stops where it cannot go on, and says nothing.
    if let Some(unread) = places.get(events.len()) {
        let why = "this event, or what is around it, cannot be read: is every line NAME:VALUE, and every BEGIN ended?";
        let begin = unread.start..unread.start + BEGIN.len();
        return Err(Box::new(Finding::error(file, &shared, why).at(begin)));
    }
    if events.is_empty() {
        let why = "holds no event: a day off is a VEVENT in a VCALENDAR";
        return Err(Box::new(Finding::error(file, &shared, why)));
    }
    let mut holidays = std::collections::BTreeSet::new();
    for (event, place) in events.into_iter().zip(places) {
        let days = days_of(event).map_err(|(property, why)| {
            let finding = Finding::error(file, &shared, why);
            Box::new(finding.at(line_of(text, &place, property)))
        })?;
        holidays.extend(days);
    }
    Ok(CalendarFile { holidays, ..CalendarFile::default() })
}

/// The first line without a value, of those that come after so many whole ones; else the next.
fn broken_line(text: &str, read: usize) -> Option<Range<usize>> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        start += line.len();
        (start - line.len(), line)
    });
    // A line that begins with a blank continues the one before (RFC 5545 section 3.1).
    let whole: Vec<_> =
        lines.filter(|(_, line)| !line.starts_with([' ', '\t'])).skip(read).collect();
    let broken = whole.iter().find(|(_, line)| !line.trim().is_empty() && !line.contains(':'));
    let (start, line) = broken.or(whole.first())?;
    Some(*start..*start + line.trim_end().len())
}

const BEGIN: &str = "BEGIN:VEVENT";

/// Where each event stands in the text.
fn places(text: &str) -> impl Iterator<Item = Range<usize>> {
    let begins = text.match_indices(BEGIN).map(|(start, _)| start);
    let begins = begins.filter(|start| *start == 0 || text[..*start].ends_with('\n'));
    begins.map(|start| {
        let end = text[start..].find("END:VEVENT").map_or(text.len(), |end| start + end);
        start..end
    })
}

/// The line of a property in an event; its first line where it has none.
fn line_of(text: &str, place: &Range<usize>, property: &str) -> Range<usize> {
    let mut start = place.start;
    for line in text[place.clone()].split_inclusive('\n') {
        if line.starts_with(property) {
            return start..start + line.trim_end().len();
        }
        start += line.len();
    }
    place.start..place.start + BEGIN.len()
}

/// A property, and what is wrong with it.
type Wrong = (&'static str, String);

fn days_of(event: &Component<'_>) -> Result<Vec<Date>, Wrong> {
    let value = |name: &str| event.find_prop(name).map(|property| property.val.as_str());
    if value("STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED")) {
        return Ok(Vec::new());
    }
    for name in ["RDATE", "EXDATE", "RECURRENCE-ID", "DURATION"] {
        if value(name).is_some() {
            return Err((name, format!("{name} is not followed; write the days out")));
        }
    }
    let start = value("DTSTART").ok_or(("DTSTART", "the event has no DTSTART".to_owned()))?;
    let first = whole_day(start).map_err(|why| ("DTSTART", why))?;
    // Without an end it lasts the one day (RFC 5545 section 3.6.1); the end itself is excluded.
    let end = value("DTEND").map(whole_day).transpose().map_err(|why| ("DTEND", why))?;
    let end = end.unwrap_or_else(|| first.saturating_add(1.day()));
    let length = usize::try_from((end - first).get_days()).unwrap_or(0);
    if length == 0 || length > MAX_DAYS {
        let why = format!("ends on {end}, {length} days after its start: 1 to {MAX_DAYS} will do");
        return Err(("DTEND", why));
    }
    let starts = match value("RRULE") {
        None => vec![first],
        Some(rule) => yearly(first, rule).map_err(|why| ("RRULE", why))?,
    };
    let days = |start: Date| start.series(1.day()).take(length);
    Ok(starts.into_iter().flat_map(days).collect())
}

/// `20261225`, as whole days are written; a time of day is none.
fn whole_day(text: &str) -> Result<Date, String> {
    let wrong = || format!("{text:?} is no whole day; days off are written like 20261225");
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let part = |range: Range<usize>| text[range].parse::<i16>().map_err(|_| wrong());
    let small = |n: i16| i8::try_from(n).map_err(|_| wrong());
    Date::new(part(0..4)?, small(part(4..6)?)?, small(part(6..8)?)?).map_err(|_| wrong())
}

/// The starts of a yearly repetition on the date of the first.
fn yearly(first: Date, rule: &str) -> Result<Vec<Date>, String> {
    let (mut every, mut count, mut until, mut is_yearly) = (1_i16, usize::MAX, None, false);
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let number = || value.parse::<i16>().ok().filter(|n| *n > 0);
        let wrong = || {
            format!(
                "{part} is not followed; FREQ=YEARLY on the same date is, with INTERVAL, COUNT or UNTIL"
            )
        };
        match name {
            "FREQ" if value == "YEARLY" => is_yearly = true,
            "INTERVAL" => every = number().ok_or_else(wrong)?,
            "COUNT" => count = number().and_then(|n| n.try_into().ok()).ok_or_else(wrong)?,
            "UNTIL" => until = Some(whole_day(value.get(..8).unwrap_or(value))?),
            "BYMONTH" if number() == Some(first.month().into()) => {}
            "BYMONTHDAY" if number() == Some(first.day().into()) => {}
            "WKST" => {}
            _ => return Err(wrong()),
        }
    }
    if !is_yearly {
        return Err("only FREQ=YEARLY is followed".to_owned());
    }
    let years = (first.year()..=LAST_YEAR).step_by(usize::try_from(every).expect("above 0"));
    // 29 February comes in leap years only.
    let dates = years.filter_map(|year| Date::new(year, first.month(), first.day()).ok());
    Ok(dates.take(count).take_while(|date| until.is_none_or(|until| *date <= until)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn calendar(events: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\n{events}END:VCALENDAR\r\n"
        )
    }

    fn event(lines: &str) -> String {
        calendar(&format!("BEGIN:VEVENT\r\nUID:1@example.com\r\n{lines}\r\nEND:VEVENT\r\n"))
    }

    #[test]
    fn whole_days_are_off_until_the_day_before_the_end_and_yearly_ones_come_again() {
        let days = |lines: &str| {
            let read = read_ics("x.ics", &event(lines)).unwrap_or_else(|why| panic!("{why}"));
            read.holidays.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(days("DTSTART;VALUE=DATE:20261225"), [date(2026, 12, 25)]);
        assert_eq!(
            days(
                "DTSTART;VALUE=DATE:20261231\r\nDTEND;VALUE=DATE:20270102\r\nSUMMARY:A long\r\n  night"
            ),
            [date(2026, 12, 31), date(2027, 1, 1)]
        );
        assert_eq!(
            days("DTSTART;VALUE=DATE:20240229\r\nRRULE:FREQ=YEARLY;COUNT=3"),
            [date(2024, 2, 29), date(2028, 2, 29), date(2032, 2, 29)]
        );
        assert_eq!(
            days(
                "DTSTART;VALUE=DATE:20240501\r\nRRULE:FREQ=YEARLY;BYMONTH=5;INTERVAL=2;UNTIL=20270101T000000Z"
            ),
            [date(2024, 5, 1), date(2026, 5, 1)]
        );
        assert_eq!(days("DTSTART;VALUE=DATE:20240501\r\nSTATUS:CANCELLED"), []);
        assert_eq!(days("DTSTART;VALUE=DATE:20240501\r\nRRULE:FREQ=YEARLY").len(), 37);
    }

    #[test]
    fn what_cannot_be_followed_is_refused_with_its_line() {
        for (text, line, word) in [
            (event("DTSTART:20261225T090000Z"), 6, "no whole day"),
            (event("SUMMARY:x"), 4, "no DTSTART"),
            (event("DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261225"), 7, "ends on"),
            (event("DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=WEEKLY"), 7, "WEEKLY"),
            (event("DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=YEARLY;BYDAY=-1MO"), 7, "BYDAY"),
            (event("DTSTART;VALUE=DATE:20261225\r\nRDATE:20271225"), 7, "RDATE"),
        ] {
            let finding = read_ics("x.ics", &text).expect_err(&text);
            assert_eq!(finding.line(), Some(line), "{text}: {finding}");
            assert!(finding.message.contains(word), "{text}: {finding}");
        }
        let good = event("DTSTART;VALUE=DATE:20261225");
        let broken = event("DTSTART;VALUE=DATE:20261226\r\nno property");
        let finding = read_ics("x.ics", &format!("{good}{broken}")).expect_err("half of it");
        assert_eq!(finding.line(), Some(good.lines().count() + 7), "{finding}");
        for text in
            ["", "holidays", &calendar(""), "BEGIN:VEVENT\r\nDTSTART:20261225\r\nEND:VEVENT\r\n"]
        {
            assert!(read_ics("x.ics", text).is_err(), "{text}");
        }
    }
}
