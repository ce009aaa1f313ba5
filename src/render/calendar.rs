//! An appointment for the customer's own calendar (RFC 5545), published and taken back by mail
//! (RFC 5546 sections 3.2.1 and 3.2.5).

use chrono::{DateTime, Utc};
use icalendar::{Calendar, Component, Event, EventLike, EventStatus, Property};

use crate::domain::message::CalendarEntry;
use crate::domain::time::Instant;

/// What an entry says.
#[derive(Debug, Clone)]
pub struct Appointment<'a> {
    /// The same for all entries of one case: a later one takes the place of an earlier.
    pub uid: &'a str,
    /// Rises with each change of the case.
    pub sequence: i64,
    /// It will not take place.
    pub cancelled: bool,
    /// Missing only where it is cancelled and nobody says when it was.
    pub start: Option<Instant>,
    pub end: Option<Instant>,
    pub summary: &'a str,
    pub place: Option<&'a str>,
    /// Name and address of whoever keeps the appointment.
    pub organizer: (&'a str, &'a str),
    pub now: Instant,
}

/// Writes an entry: instants in UTC, lines folded.
#[must_use]
pub fn entry(appointment: &Appointment<'_>) -> CalendarEntry {
    let method = if appointment.cancelled { "CANCEL" } else { "PUBLISH" };
    let status =
        if appointment.cancelled { EventStatus::Cancelled } else { EventStatus::Confirmed };
    let (name, address) = appointment.organizer;
    // A name in quotes holds anything but quotes and control characters.
    let name: String = name.chars().filter(|c| *c != '"' && !c.is_control()).collect();
    let mut organizer = Property::new("ORGANIZER", format!("mailto:{address}"));
    organizer.add_parameter("CN", &format!("\"{name}\""));
    let mut event = Event::with_uid(appointment.uid);
    event
        .timestamp(appointment.now)
        .sequence(u32::try_from(appointment.sequence).unwrap_or(0))
        .status(status)
        .summary(appointment.summary)
        .append_property(organizer);
    if let Some(start) = appointment.start {
        event.starts::<DateTime<Utc>>(start);
    }
    if let Some(end) = appointment.end {
        event.ends::<DateTime<Utc>>(end);
    }
    if let Some(place) = appointment.place {
        event.location(place);
    }
    let mut calendar = Calendar::empty();
    calendar
        .append_property(Property::new("VERSION", "2.0"))
        .append_property(Property::new("PRODID", "-//Tidings//EN"))
        .append_property(Property::new("METHOD", method))
        .push(event);
    CalendarEntry { method, ics: calendar.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    fn at(text: &str) -> Instant {
        parse_instant(text).expect(text)
    }

    fn appointment<'a>() -> Appointment<'a> {
        Appointment {
            uid: "c.abc@example.com",
            sequence: 3,
            cancelled: false,
            start: Some(at("2026-12-03T09:30:00Z")),
            end: Some(at("2026-12-03T11:30:00Z")),
            summary: "Your appointment, on 3 December; bring\nthe receipt",
            place: Some("12 Analytical Road, London"),
            organizer: ("Example \"Shop\"", "service@example.com"),
            now: at("2026-11-23T10:00:00Z"),
        }
    }

    #[test]
    fn an_entry_reads_back_as_it_was_meant() {
        let written = entry(&appointment());
        assert_eq!(written.method, "PUBLISH");
        let read: Calendar = written.ics.parse().expect("a calendar");
        assert_eq!(read.property_value("METHOD"), Some("PUBLISH"));
        let event = read.events().next().expect("an event");
        assert_eq!(event.get_uid(), Some("c.abc@example.com"));
        assert_eq!(event.get_sequence(), Some(3));
        assert_eq!(event.get_status(), Some(EventStatus::Confirmed));
        assert_eq!(event.get_start(), Some(at("2026-12-03T09:30:00Z").into()));
        assert_eq!(event.get_end(), Some(at("2026-12-03T11:30:00Z").into()));
        assert!(event.get_attendees().is_empty(), "nobody is asked to answer");
    }

    #[test]
    fn lines_end_in_crlf_and_are_no_longer_than_75_octets() {
        let long = "ä".repeat(200);
        let written = entry(&Appointment { summary: &long, ..appointment() });
        assert!(written.ics.ends_with("END:VCALENDAR\r\n"));
        for line in written.ics.split("\r\n") {
            assert!(line.len() <= 75 && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn a_cancelled_one_takes_the_same_entry_back() {
        let written = entry(&Appointment { cancelled: true, sequence: 4, ..appointment() });
        assert_eq!(written.method, "CANCEL");
        for line in ["METHOD:CANCEL", "STATUS:CANCELLED", "SEQUENCE:4", "UID:c.abc@example.com"] {
            assert!(written.ics.contains(line), "{line}: {}", written.ics);
        }
    }
}
