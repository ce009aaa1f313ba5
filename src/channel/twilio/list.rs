//! Looking for a message or call in Twilio's own lists, newest first (Twilio, "Messages
//! resource", "Read multiple Message resources"; "Calls resource", "Read multiple Call
//! resources"). Neither list shows the callback address, so a text is told by its words, a call
//! by when it was made.

use chrono::{DateTime, TimeDelta};
use serde::Deserialize;

use crate::channel::lookup::{Doubt, Found};
use crate::channel::receipt::Word;
use crate::domain::Channel;
use crate::domain::message::text_hash;

use super::receipt;

/// How far Twilio's clock may differ from ours.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// A call that is the one was made within this time of its attempt.
const MADE_WITHIN: TimeDelta = TimeDelta::seconds(60);

#[derive(Debug, Deserialize)]
pub struct Page {
    #[serde(default)]
    messages: Vec<Entry>,
    #[serde(default)]
    calls: Vec<Entry>,
    /// Where the list goes on.
    #[serde(default)]
    pub next_page_uri: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    sid: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    error_code: Option<u32>,
    #[serde(default)]
    answered_by: Option<String>,
    /// RFC 2822.
    #[serde(default)]
    date_created: Option<String>,
}

/// The resource and the query that list what may be it.
#[must_use]
pub fn question(doubt: &Doubt, from: &str) -> (&'static str, Vec<(&'static str, String)>) {
    let (resource, since) = match doubt.channel {
        Channel::Voice => ("Calls", "StartTime>"),
        Channel::Sms | Channel::Email => ("Messages", "DateSent>"),
    };
    // Days of UTC; one earlier in case the clocks differ around midnight.
    let day = (doubt.opened_at - TimeDelta::hours(1)).format("%Y-%m-%d").to_string();
    let query = vec![
        ("To", doubt.to.expose().to_owned()),
        ("From", from.to_owned()),
        (since, day),
        ("PageSize", "1000".to_owned()),
    ];
    (resource, query)
}

/// Finds it in a page of the list.
#[must_use]
pub fn find(doubt: &Doubt, page: &Page) -> Option<Found> {
    let is_it = |entry: &&Entry| {
        let made =
            entry.date_created.as_deref().and_then(|at| DateTime::parse_from_rfc2822(at).ok());
        let late = made.map(|made| made.to_utc() - doubt.opened_at);
        let in_time = late.is_some_and(|late| -SKEW <= late);
        let fits = match doubt.channel {
            Channel::Voice => late.is_some_and(|late| late <= MADE_WITHIN),
            _ => entry.body.as_deref().is_some_and(|body| text_hash(body) == doubt.body_hash),
        };
        in_time && fits && !doubt.known.contains(&entry.sid)
    };
    // Newest first: of several that fit, the one made first is the attempt's own.
    let (entries, status_of) = match doubt.channel {
        Channel::Voice => (&page.calls, "CallStatus"),
        _ => (&page.messages, "MessageStatus"),
    };
    let entry = entries.iter().rev().find(is_it)?;
    let word = receipt::read(|name| match name {
        "ErrorCode" => entry.error_code.map(|code| code.to_string()),
        "AnsweredBy" => entry.answered_by.clone(),
        _ => (name == status_of).then(|| entry.status.clone()),
    });
    let word = if word == Word::Nothing { Word::Taken } else { word };
    Some(Found::Taken { provider_ref: entry.sid.clone(), word })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::NotificationId;
    use crate::domain::customer::Address;
    use crate::domain::time::parse_instant;

    fn doubt(channel: Channel) -> Doubt {
        Doubt {
            notification: NotificationId::derive("R-1", "received", "e1", 0),
            no: 1,
            channel,
            to: Address::stored("+447911123456".into()),
            body_hash: text_hash("Your return arrived."),
            opened_at: parse_instant("2026-11-23T00:30:00Z").expect("an instant"),
            known: vec!["SM9".into(), "CA9".into()],
        }
    }

    fn found(channel: Channel, list: &str) -> Option<Found> {
        find(&doubt(channel), &serde_json::from_str(list).expect("JSON"))
    }

    #[test]
    fn the_day_before_is_asked_for_too_when_it_is_just_over() {
        let (resource, query) = question(&doubt(Channel::Sms), "+447700900001");
        assert_eq!(resource, "Messages");
        assert!(query.contains(&("DateSent>", "2026-11-22".into())), "{query:?}");
    }

    #[test]
    fn a_text_is_told_by_its_words_and_when_it_was_made() {
        let entry = |sid: &str, body: &str, status: &str, at: &str| {
            format!(
                r#"{{"sid":"{sid}","body":"{body}","status":"{status}","error_code":null,"date_created":"Mon, 23 Nov 2026 {at} +0000"}}"#
            )
        };
        let list = |entries: &[String]| format!(r#"{{"messages":[{}]}}"#, entries.join(","));
        let ours = "Your return arrived.";
        let taken = |sid: &str, word| Some(Found::Taken { provider_ref: sid.into(), word });
        for (entries, expected) in [
            (vec![entry("SM1", ours, "sent", "00:30:01")], taken("SM1", Word::Taken)),
            (vec![entry("SM1", ours, "delivered", "00:30:01")], taken("SM1", Word::Delivered)),
            (vec![entry("SM1", ours, "receiving", "00:30:01")], taken("SM1", Word::Taken)),
            (vec![entry("SM1", "Other words.", "sent", "00:30:01")], None),
            (vec![entry("SM1", ours, "sent", "00:29:00")], None),
            (vec![entry("SM9", ours, "sent", "00:30:01")], None),
            (
                vec![
                    entry("SM2", ours, "sent", "00:40:00"),
                    entry("SM1", ours, "sent", "00:30:01"),
                ],
                taken("SM1", Word::Taken),
            ),
        ] {
            assert_eq!(found(Channel::Sms, &list(&entries)), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_call_is_told_by_when_it_was_made() {
        let list = |at: &str| {
            format!(
                r#"{{"calls":[{{"sid":"CA1","status":"no-answer","date_created":"Mon, 23 Nov 2026 {at} +0000"}}]}}"#
            )
        };
        let Some(Found::Taken { word, .. }) = found(Channel::Voice, &list("00:30:05")) else {
            panic!("found")
        };
        assert!(matches!(word, Word::NotReached { .. }));
        assert_eq!(found(Channel::Voice, &list("00:32:00")), None);
    }
}
