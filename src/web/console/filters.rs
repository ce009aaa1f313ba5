//! What a list of notifications is asked for, as its form writes it and its links carry it.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::time::{Instant, instant};
use crate::domain::{Channel, Status};
use crate::store::listing::{By, Position, Wanted};

use super::forms::{Form, query_of};

/// The fields as they were written.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Filter {
    pub status: String,
    pub reason: String,
    /// `return/label`, or `return` for every message about returns.
    pub message: String,
    pub channel: String,
    pub customer: String,
    pub case: String,
    /// The first day, on the clock of the house.
    pub from: String,
    /// The last day.
    pub to: String,
}

impl Filter {
    pub fn read(form: &Form) -> Self {
        let given = |name: &str| form.given(name).unwrap_or_default();
        Self {
            status: given("status"),
            reason: given("reason"),
            message: given("message"),
            channel: given("channel"),
            customer: given("customer"),
            case: given("case"),
            from: given("from"),
            to: given("to"),
        }
    }

    /// What the store is asked for.
    ///
    /// # Errors
    /// Which field cannot be read, and how to write it.
    pub fn wanted(&self, zone: &TimeZone) -> Result<Wanted, String> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let status = match self.status.as_str() {
            "" => None,
            name => Some(Status::from_name(name).ok_or_else(|| {
                let known = Status::ALL.map(Status::as_str).join(", ");
                format!("There is no status {name:?}; there are {known}.")
            })?),
        };
        let channel = match self.channel.as_str() {
            "" => None,
            name => Some(name.parse::<Channel>()?.as_str().to_owned()),
        };
        let (case_type, notice) = match self.message.split_once('/') {
            Some((case_type, notice)) => (some(case_type), some(notice)),
            None => (some(&self.message), None),
        };
        let from = day("From", &self.from)?;
        let to = day("To", &self.to)?;
        let to = to.map(|day| day.saturating_add(1.day()));
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(format!("From {} comes after to {}.", self.from, self.to));
        }
        let begin =
            |day: Date| -> Option<Instant> { Some(instant(&day.to_zoned(zone.clone()).ok()?)) };
        Ok(Wanted {
            status,
            reason: some(&self.reason),
            channel,
            case_type,
            notice,
            customer: some(&self.customer),
            case: some(&self.case),
            from_ms: from.and_then(begin).map(|at| at.timestamp_millis()),
            to_ms: to.and_then(begin).map(|at| at.timestamp_millis()),
        })
    }

    /// The fields as pairs.
    pub fn pairs(&self) -> [(&'static str, &str); 8] {
        [
            ("status", &self.status),
            ("reason", &self.reason),
            ("message", &self.message),
            ("channel", &self.channel),
            ("customer", &self.customer),
            ("case", &self.case),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    /// The same as a query, with what else it says.
    pub fn query(&self, more: &[(&str, &str)]) -> String {
        query_of(self.pairs().into_iter().chain(more.iter().copied()))
    }
}

fn day(name: &str, text: &str) -> Result<Option<Date>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| format!("{name}: {text:?} is no day; write it as 2026-11-23.");
    text.parse().map(Some).map_err(wrong)
}

/// Where a list goes on, as its link carries it: `<milliseconds>.<id>`.
pub fn position(text: &str) -> Option<Position> {
    let (at_ms, id) = text.split_once('.')?;
    Some(Position { at_ms: at_ms.parse().ok()?, id: id.to_owned() })
}

/// The name of the instant a list goes by.
pub const fn instant_name(by: By) -> &'static str {
    match by {
        By::Planned => "planned",
        By::Due => "due",
        By::Ended => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Result<Wanted, String> {
        Filter::read(&Form::read(query.as_bytes())).wanted(&TimeZone::UTC)
    }

    #[test]
    fn days_are_whole_and_a_message_names_its_case_type() {
        let read = wanted("status=planned&message=return/label&from=2026-11-23&to=2026-11-23");
        let read = read.expect("a filter");
        assert_eq!(read.to_ms.zip(read.from_ms).map(|(to, from)| to - from), Some(86_400_000));
        assert_eq!(
            (read.case_type.as_deref(), read.notice.as_deref()),
            (Some("return"), Some("label"))
        );
        assert_eq!(wanted("message=return").expect("a filter").notice, None);
        assert_eq!(wanted(""), Ok(Wanted::default()));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_how_to_write_it() {
        for (query, why) in [
            ("status=gone", "There is no status \"gone\""),
            ("channel=fax", "use email, sms or voice"),
            ("from=yesterday", "From: \"yesterday\" is no day; write it as 2026-11-23."),
            ("from=2026-11-24&to=2026-11-23", "comes after"),
        ] {
            let said = wanted(query).expect_err(query);
            assert!(said.contains(why), "{said}");
        }
    }
}
