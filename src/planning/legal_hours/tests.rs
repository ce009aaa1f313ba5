use std::collections::BTreeMap;

use super::super::testing::{at, customer, rules};
use super::*;
use crate::domain::time::local;
use proptest::prelude::*;

/// A part of the shipped table.
const TABLE: &str = r#"
[default]
voice = ["09:00-19:00 MON-SAT"]
gives_way = true
[us]
sms = ["08:00-21:00"]
zones = ["America/New_York", "Pacific/Honolulu"]
[us-ri]
voice = ["09:00-18:00 MON-FRI", "10:00-17:00 SAT,SUN"]
[fr]
voice = ["10:00-13:00 working days", "14:00-20:00 working days"]
calendar = "fr"
[de]
voice = ["10:00-12:00"]
solicitation_only = true
"#;

fn table() -> Rules {
    let mut rules = rules("");
    rules.legal_hours = toml::from_str::<BTreeMap<String, LegalHours>>(TABLE).expect("a table");
    let mut fr = Calendar::default();
    fr.holidays.push(jiff::civil::date(2026, 7, 14));
    rules.calendars.insert("fr".into(), fr);
    rules.topics.get_mut("survey").expect("shipped").solicitation = true;
    rules
}

fn number(text: &str) -> Address {
    Address::parse(Channel::Voice, text).expect(text)
}

struct Person {
    number: &'static str,
    zone: Option<&'static str>,
    region: Option<&'static str>,
}

const LONDON: Person =
    Person { number: "+442079460001", zone: Some("Europe/London"), region: None };
const PARIS: Person = Person { number: "+33142685300", zone: Some("Europe/Paris"), region: None };
const RHODE_ISLAND: Person =
    Person { number: "+14015550123", zone: Some("America/New_York"), region: Some("US-RI") };
const AMERICAN: Person = Person { number: "+12125550123", zone: None, region: None };
const BERLIN: Person = Person { number: "+4930123456", zone: Some("Europe/Berlin"), region: None };

/// When it may go, and the row that says so.
fn asked(
    who: &Person,
    channel: Channel,
    topic: &str,
    urgent: bool,
    now: &str,
) -> (Option<String>, Instant) {
    let rules = table();
    let mut ada = customer("C-1");
    ada.profile.time_zone = who.zone.map(str::to_owned);
    ada.profile.locale = None;
    if let Some(region) = who.region {
        ada.profile.attributes.insert("region".into(), region.into());
    }
    let address = number(who.number);
    let question = Question { channel, address: &address, customer: &ada, topic, urgent };
    let own = Calendar::default();
    let legal = in_force(&question, &rules, &own);
    let zone = rules.zone_of(&ada);
    let open = next_open(at(now), &zone, None, None, &own, legal.as_ref()).expect("an hour");
    (legal.map(|legal| legal.region.to_owned()), open)
}

#[test]
fn the_most_exact_row_of_the_table_says_when() {
    use Channel::{Email, Sms, Voice};
    for (who, channel, now, row, open) in [
        (&LONDON, Voice, "2026-11-22T10:00:00Z", Some("default"), "2026-11-23T09:00:00Z"),
        (&LONDON, Sms, "2026-11-22T23:00:00Z", None, "2026-11-22T23:00:00Z"),
        (&LONDON, Email, "2026-11-22T23:00:00Z", None, "2026-11-22T23:00:00Z"),
        // Lunch, then the eve of 14 July; its rows say nothing about texts.
        (&PARIS, Voice, "2026-07-13T13:30:00+02:00", Some("fr"), "2026-07-13T14:00:00+02:00"),
        (&PARIS, Voice, "2026-07-13T20:00:00+02:00", Some("fr"), "2026-07-15T10:00:00+02:00"),
        (&PARIS, Sms, "2026-07-13T23:00:00+02:00", None, "2026-07-13T23:00:00+02:00"),
        (
            &RHODE_ISLAND,
            Voice,
            "2026-11-20T18:00:00-05:00",
            Some("us-ri"),
            "2026-11-21T10:00:00-05:00",
        ),
        (
            &RHODE_ISLAND,
            Voice,
            "2026-11-22T16:59:00-05:00",
            Some("us-ri"),
            "2026-11-22T16:59:00-05:00",
        ),
        // A zone nobody told: 8 o'clock in Honolulu has to come, and 21 in New York not yet.
        (&AMERICAN, Sms, "2026-11-20T09:00:00-05:00", Some("us"), "2026-11-20T13:00:00-05:00"),
        (&AMERICAN, Sms, "2026-11-20T21:00:00-05:00", Some("us"), "2026-11-21T13:00:00-05:00"),
    ] {
        let found = asked(who, channel, "status", false, now);
        assert_eq!(found, (row.map(str::to_owned), at(open)), "{} {channel} {now}", who.number);
    }
}

#[test]
fn hours_of_solicitation_hold_for_such_topics_and_the_urgent_passes_only_the_others() {
    let night = "2026-11-20T22:00:00+01:00";
    let may_go =
        |topic, urgent| asked(&BERLIN, Channel::Voice, topic, urgent, night).1 == at(night);
    assert!(may_go("status", false));
    assert!(!may_go("survey", false));
    assert!(!may_go("survey", true));
    let sunday = "2026-11-22T10:00:00Z";
    assert_eq!(asked(&LONDON, Channel::Voice, "status", true, sunday).1, at(sunday));
}

#[test]
fn custom_gives_way_to_the_customers_own_hours_and_law_does_not() {
    let rules = table();
    let own = Calendar::default();
    let mut ada = customer("C-1");
    ada.preferences.quiet_hours = Some(crate::domain::hours::QuietHours::All(None));
    let row = |text: &str| {
        let address = number(text);
        let question = Question {
            channel: Channel::Voice,
            address: &address,
            customer: &ada,
            topic: "status",
            urgent: false,
        };
        in_force(&question, &rules, &own).map(|legal| legal.region)
    };
    assert_eq!(row("+442079460001"), None);
    assert_eq!(row("+33142685300"), Some("fr"));
}

proptest! {
    #[test]
    fn what_comes_out_is_allowed_by_all_and_nothing_earlier_by_the_hour_is(
        minute in 0_i64..2_000_000,
        from in 0_u16..1440,
        length in 1_u16..600,
    ) {
        let rules = table();
        let calendar = &rules.calendars["fr"];
        let quiet = Hours { from_min: from, to_min: match (from + length) % 1440 { 0 => 1440, m => m } };
        let zone = rules.zones.get("Europe/Paris").expect("known");
        let legal = InForce {
            region: "fr",
            windows: &rules.legal_hours["fr"].voice.0,
            calendar,
            zones: vec![zone.clone()],
        };
        let now = at("2026-01-01T00:00:00Z") + chrono::TimeDelta::minutes(minute);
        let Some(open) = next_open(now, &zone, Some(quiet), None, calendar, Some(&legal)) else {
            // Quiet hours that cover both stretches of the day.
            prop_assert!(length >= 360);
            return Ok(());
        };
        let fits = |at: Instant| {
            let clock = local(at, &zone);
            let lawful = [10..13, 14..20].iter().any(|hours| hours.contains(&clock.hour()));
            lawful && calendar.is_working(clock.date()) && !quiet.contains(clock.time())
        };
        prop_assert!(fits(open), "{open}");
        let mut before = now;
        while before < open {
            prop_assert!(!fits(before), "{before} is earlier than {open}");
            before += chrono::TimeDelta::minutes(13);
        }
    }
}
