//! Sample values: what a message is checked and previewed with. What a sample leaves out is
//! filled with invented values.

use serde_json::{Map, Value, json};

use crate::domain::case::{Case, OrderKey};
use crate::domain::customer::Profile;
use crate::domain::time::{Instant, parse_instant};
use crate::domain::{ContactPoint, Customer, Preferences};

use super::message::{Links, Sender};

/// A case and a customer made from a sample.
#[derive(Debug, Clone)]
pub struct Sample {
    pub case: Case,
    pub customer: Customer,
    pub now: Instant,
}

impl Sample {
    /// `state` is the state the message is about, where the sample names none.
    #[must_use]
    pub fn new(sample: &Value, case_type: &str, state: &str) -> Self {
        let given = |part: &str| sample.get(part).and_then(Value::as_object).cloned();
        let case = given("case").unwrap_or_default();
        let person = given("customer").unwrap_or_default();
        let text = |map: &Map<String, Value>, name: &str, invented: &str| {
            map.get(name).and_then(Value::as_str).unwrap_or(invented).to_owned()
        };
        let instant = |name: &str, invented: &str| {
            parse_instant(&text(&case, name, invented))
                .or_else(|_| parse_instant(invented))
                .expect("the invented instant is one")
        };
        let opened_at = instant("opened_at", "2026-11-20T09:00:00Z");
        let since = instant("since", "2026-11-22T09:30:00Z");
        let customer_id = text(&person, "id", "C-42");
        let profile = Profile {
            name: text(&person, "name", "Ada Byron"),
            locale: person.get("locale").and_then(Value::as_str).map(str::to_owned),
            time_zone: Some(text(&person, "time_zone", "Europe/London")),
            attributes: person
                .get("attributes")
                .and_then(Value::as_object)
                .map(|map| map.clone().into_iter().collect())
                .unwrap_or_default(),
        };
        let case = Case {
            id: text(&case, "id", "R-1001").as_str().into(),
            case_type: case_type.to_owned(),
            customer: customer_id.as_str().into(),
            state: Some(text(&case, "state", state)),
            previous_state: case.get("previous_state").and_then(Value::as_str).map(str::to_owned),
            facts: given("facts").unwrap_or_default().into_iter().collect(),
            opened_at,
            since,
            customer_since: opened_at,
            order: OrderKey { version: None, occurred_at: since },
            revision: 1,
        };
        let customer = Customer {
            id: customer_id.as_str().into(),
            profile,
            chosen: Preferences::default(),
            imported: Preferences::default(),
            preferences: Preferences::default(),
            contact_points: Vec::<ContactPoint>::new(),
            erased: false,
            revision: 1,
        };
        Self { case, customer, now: since }
    }
}

/// The sample of a message that has none.
#[must_use]
pub fn empty() -> Value {
    json!({})
}

/// The code of the sample notification.
pub const CODE: &str = "k7m2qx9h4t";

/// Links as long as real ones.
#[must_use]
pub fn links(public_url: &str) -> Links {
    Links {
        centre: format!("{public_url}/c/sample"),
        callback: format!("{public_url}/c/sample#call"),
        verify: format!("{public_url}/m/{CODE}"),
        answer: format!("{public_url}/a/sample"),
        unsubscribe: format!("{public_url}/u/sample"),
    }
}

/// A sender for checks that run without settings.
#[must_use]
pub fn sender() -> Sender {
    Sender {
        name: "Example Shop".into(),
        phone: Some("+442079460000".into()),
        reply_to: Some("service@example.com".into()),
    }
}
