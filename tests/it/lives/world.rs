//! A random world: customers with their choices, cases with their histories. Everything
//! follows from the seed.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tidings::domain::customer::CustomerRecord;
use tidings::domain::time::Instant;
use tidings::domain::{CaseEvent, Zones};
use tidings::store::intake::Incoming;

use crate::support::at;

const ZONES: [&str; 7] = [
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
];

/// What a customer chose, in the words of the oracle.
#[derive(Debug, Clone)]
pub struct Person {
    pub zone: &'static str,
    /// Hours of the night without messages: from, to.
    pub quiet: Option<(i8, i8)>,
    pub cap: Option<u32>,
    /// The hour of the daily message.
    pub daily_at: Option<i8>,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub at: Instant,
    pub state: Option<&'static str>,
}

/// Two weeks before the clocks go forward in Europe.
pub fn begins_at() -> Instant {
    at("2026-03-15T00:00:00Z")
}

#[derive(Debug)]
pub struct World {
    pub people: Vec<Person>,
    /// Case → its customer and its history.
    pub cases: BTreeMap<String, (usize, Vec<Step>)>,
}

impl World {
    pub fn new(seed: u64, cases: u32) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let people: Vec<Person> = (0..cases.div_ceil(5)).map(|_| person(&mut rng)).collect();
        let cases = (0..cases)
            .map(|n| {
                let customer = rng.random_range(0..people.len());
                (format!("R-{n}"), (customer, history(&mut rng)))
            })
            .collect();
        Self { people, cases }
    }

    pub fn ends_at(&self) -> Instant {
        let steps = self.cases.values().flat_map(|(_, steps)| steps);
        steps.map(|step| step.at).max().expect("something happens")
    }

    pub fn customers(&self) -> Vec<CustomerRecord> {
        let record = |(n, person): (usize, &Person)| {
            let mut preferences = json!({});
            if let Some((from, to)) = person.quiet {
                preferences["quiet_hours"] = json!(format!("{from:02}:00-{to:02}:00"));
            }
            if let Some(cap) = person.cap {
                preferences["cap_per_day"] = json!(cap);
            }
            if let Some(hour) = person.daily_at {
                let daily = format!("daily {hour:02}:00");
                preferences["digest"] = json!({"status": daily, "reminder": daily});
            }
            let value = json!({
                "id": format!("C-{n}"), "name": "Ada Byron", "time_zone": person.zone,
                "contact_points": [{
                    "channel": "email", "address": format!("c{n}@example.com"), "verified": true
                }],
                "preferences": preferences,
            });
            CustomerRecord::from_json(&value, None, &Zones::bundled()).expect("a customer")
        };
        self.people.iter().enumerate().map(record).collect()
    }

    pub fn events(&self) -> Vec<Incoming> {
        let mut events = Vec::new();
        for (case, (customer, steps)) in &self.cases {
            for (n, step) in steps.iter().enumerate() {
                let mut value = json!({
                    "id": format!("{case}/{n}"), "source": "shop", "case": case,
                    "case_type": "repair", "customer": format!("C-{customer}"), "version": n,
                    "occurred_at": step.at.to_rfc3339(),
                });
                match step.state {
                    Some(state) => value["state"] = Value::from(state),
                    None => value["event"] = Value::from("recall"),
                }
                let event = CaseEvent::from_json(&value, "", step.at).expect("an event");
                events.push(Incoming::new(event, &value));
            }
        }
        events.sort_by_key(|incoming| incoming.event.occurred_at);
        events
    }
}

fn person(rng: &mut SmallRng) -> Person {
    Person {
        zone: ZONES.choose(rng).expect("a zone"),
        quiet: [None, Some((21, 8)), Some((22, 7)), Some((0, 9))].choose(rng).copied().flatten(),
        cap: [None, None, Some(1), Some(2), Some(4)].choose(rng).copied().flatten(),
        daily_at: [None, None, Some(7), Some(18)].choose(rng).copied().flatten(),
    }
}

/// A walk through the states, with pauses from minutes to a week.
fn history(rng: &mut SmallRng) -> Vec<Step> {
    let mut now = begins_at() + TimeDelta::minutes(rng.random_range(0..30_000));
    let mut state = "opened";
    let mut steps = vec![Step { at: now, state: Some(state) }];
    for _ in 0..rng.random_range(2..10) {
        let pause = if rng.random_bool(0.6) { 5..600 } else { 600..10_000 };
        now += TimeDelta::minutes(rng.random_range(pause));
        if rng.random_bool(0.05) {
            steps.push(Step { at: now, state: None });
            continue;
        }
        state = next(state, rng);
        steps.push(Step { at: now, state: Some(state) });
    }
    steps
}

fn next(state: &str, rng: &mut SmallRng) -> &'static str {
    let ways: &[&'static str] = match state {
        "opened" => &["working", "waiting", "working", "scrapped"],
        "working" => &["parts", "waiting", "ready", "working"],
        "waiting" => &["working", "parts", "waiting"],
        "parts" => &["ready", "waiting", "working"],
        "ready" => &["fetched", "working"],
        _ => &["working", "opened"],
    };
    ways.choose(rng).expect("a way on")
}
