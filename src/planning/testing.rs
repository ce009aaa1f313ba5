//! Values for the tests of decisions.

use std::collections::BTreeMap;

use serde_json::json;

use crate::domain::customer::CustomerRecord;
use crate::domain::time::{Instant, parse_instant};
use crate::domain::{CaseEvent, ChannelMap, Customer, Preferences, Zones};

use super::adaptive::Adaptive;
use super::journey::Journeys;
use super::journey_file::{Surroundings, read};
use super::rules::{Rules, Topic};
use super::schedule::Calendar;

pub fn at(text: &str) -> Instant {
    parse_instant(text).expect(text)
}

/// Rules with the shipped topics and one journey, or none when `journey` is empty.
pub fn rules(journey: &str) -> Rules {
    let topic = |mandatory: Option<&str>| Topic {
        title: BTreeMap::new(),
        default: ChannelMap { email: true, sms: true, voice: false },
        mandatory: mandatory.map(str::to_owned),
        in_doubt: super::rules::InDoubt::AtMostOnce,
        solicitation: false,
    };
    let mut topics: BTreeMap<String, Topic> = ["status", "reminder", "return", "survey"]
        .map(|name| (name.to_owned(), topic(None)))
        .into();
    topics.insert("safety".into(), topic(Some("recalls concern your safety")));
    let surroundings = Surroundings {
        topic_exists: &|topic| topics.contains_key(topic),
        message_exists: &|_| true,
        calendar_exists: &|name| name == "weekdays",
        zone_exists: &|_| true,
        cap_per_day: &|_| None,
    };
    let journeys = if journey.is_empty() {
        Vec::new()
    } else {
        let (journey, findings) = read("test.toml", journey, &surroundings);
        vec![journey.unwrap_or_else(|| panic!("{findings:#?}"))]
    };
    Rules {
        journeys: Journeys::new("v1".into(), journeys),
        topics,
        quiet_hours: ChannelMap {
            email: None,
            sms: "20:00-09:00".parse().ok(),
            voice: "19:00-09:00".parse().ok(),
        },
        offered: ChannelMap { email: true, sms: true, voice: true },
        calendars: BTreeMap::from([("weekdays".to_owned(), Calendar::default())]),
        default_calendar: "weekdays".into(),
        legal_hours: BTreeMap::new(),
        countries: super::legal_hours::Countries::default(),
        default_zone: "UTC".into(),
        zones: Zones::bundled(),
        cap_per_day: None,
        caps: ChannelMap::default(),
        adaptive: Adaptive { enabled: false, hold_out: 0.0, min_outcomes: 20 },
        settings_version: "s1".into(),
        without: None,
    }
}

/// A customer in London with a verified address on each channel and no choices.
pub fn customer(id: &str) -> Customer {
    let value = json!({
        "id": id, "name": "Ada Byron", "locale": "en-GB", "time_zone": "Europe/London",
        "contact_points": [
            {"channel": "email", "address": "ada@example.com", "verified": true},
            {"channel": "sms", "address": "+447911123456", "verified": true},
            {"channel": "voice", "address": "+442079460001", "verified": true}
        ]
    });
    let record = CustomerRecord::from_json(&value, None, &Zones::bundled()).expect("valid");
    Customer {
        id: record.id,
        profile: record.profile,
        chosen: Preferences::default(),
        imported: Preferences::default(),
        preferences: Preferences::default(),
        contact_points: record.contact_points,
        erased: false,
        revision: 1,
    }
}

/// An event of the case R-1 of C-1, its version the number of its id.
#[allow(clippy::needless_pass_by_value, reason = "reads better in the tables of the tests")]
pub fn event(id: u32, state: &str, occurred_at: &str, facts: serde_json::Value) -> CaseEvent {
    let value = json!({
        "id": format!("e{id}"), "source": "desk", "case": "R-1", "case_type": "return",
        "customer": "C-1", "state": state, "version": id, "occurred_at": occurred_at, "facts": facts
    });
    CaseEvent::from_json(&value, "", at(occurred_at)).expect("a valid event")
}
