//! A case and the events that move it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::{Fault, Fields, free_form};
use super::id::{CaseId, CustomerId, EventKey, MAX_ID_CHARS};
use super::time::{self, Instant};

/// Facts of a case, by name; any JSON.
pub type Facts = BTreeMap<String, Value>;

/// A case system says: this case changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseEvent {
    pub id: String,
    pub source: String,
    pub case: CaseId,
    pub case_type: String,
    pub customer: CustomerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// A named event without a change of state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    pub occurred_at: Instant,
    /// What changed; `null` removes a fact.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: Facts,
}

/// The source of the events that Tidings writes itself, such as `customer_answered`.
pub const OWN_SOURCE: &str = "tidings";

/// The beginning of the id of an event of ours that is what a customer wrote; the provider's name
/// for the message follows.
pub const WROTE: &str = "text-";

/// How far ahead of our clock an event may claim to have happened.
const MAX_AHEAD_MINUTES: i64 = 5;

impl CaseEvent {
    /// Reads one event. `occurred_at` defaults to `now`, the moment of acceptance.
    ///
    /// # Errors
    /// Every fault, with pointers below `pointer`.
    pub fn from_json(value: &Value, pointer: &str, now: Instant) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let event = Self::read(value, pointer, now, &mut faults);
        match event {
            Some(event) if faults.is_empty() => Ok(event),
            _ => Err(faults),
        }
    }

    fn read(value: &Value, pointer: &str, now: Instant, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut fields = Fields::of(value, pointer, faults)?;
        let id = fields.required_text("id", MAX_ID_CHARS);
        let source = fields.required_text("source", MAX_ID_CHARS);
        if source.as_deref() == Some(OWN_SOURCE) {
            fields.fault(
                "source",
                "\"tidings\" is the name of events that Tidings writes itself; give yours another",
            );
        }
        let case = fields.required_text("case", MAX_ID_CHARS);
        let case_type = fields.required_text("case_type", 100);
        let customer = fields.required_text("customer", MAX_ID_CHARS);
        let state = fields.text("state", 100);
        let event = fields.text("event", 100);
        let absent = |field: &str| value.get(field).is_none_or(Value::is_null);
        if absent("state") && absent("event") {
            fields.fault("state", "is required, or `event` for an event without a change of state");
        }
        let version = fields.integer("version");
        let occurred_at = fields.instant("occurred_at").unwrap_or(now);
        if occurred_at > now + chrono::TimeDelta::minutes(MAX_AHEAD_MINUTES) {
            fields.fault("occurred_at", "lies more than 5 minutes ahead of the clock here");
        }
        if occurred_at < time::from_ms(0) {
            fields.fault("occurred_at", "lies before 1970");
        }
        let facts_pointer = fields.pointer("facts");
        let facts = fields.object("facts");
        let facts =
            facts.map(|map| free_form(map, &facts_pointer, fields.faults())).unwrap_or_default();
        fields.refuse_unknown();
        Some(Self {
            id: id?,
            source: source?,
            case: CaseId(case?),
            case_type: case_type?,
            customer: CustomerId(customer?),
            state,
            event,
            version,
            occurred_at,
            facts,
        })
    }

    #[must_use]
    pub fn key(&self) -> EventKey {
        EventKey { source: self.source.clone(), id: self.id.clone() }
    }

    #[must_use]
    pub const fn order(&self) -> OrderKey {
        OrderKey { version: self.version, occurred_at: self.occurred_at }
    }
}

/// Where an event stands among the events of its case: by version where both have one,
/// else by when it happened. Equal keys are a tie, which arrival decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderKey {
    pub version: Option<i64>,
    pub occurred_at: Instant,
}

impl OrderKey {
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.version, other.version) {
            (Some(mine), Some(theirs)) => mine.cmp(&theirs),
            _ => self.occurred_at.cmp(&other.occurred_at),
        }
    }
}

/// A customer's matter as it stands after the last event planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub id: CaseId,
    pub case_type: String,
    pub customer: CustomerId,
    /// `None` until an event names a state.
    pub state: Option<String>,
    pub previous_state: Option<String>,
    pub facts: Facts,
    /// When the first event happened.
    pub opened_at: Instant,
    /// When the present state was entered.
    pub since: Instant,
    /// When the present customer's part of the case begins.
    pub customer_since: Instant,
    /// Where the last event that changed the case stands.
    pub order: OrderKey,
    /// How many events of this case have been planned: the revision a decision reads.
    pub revision: i64,
}

/// What an event did to a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// An event behind the head changes nothing.
    pub behind_head: bool,
    /// The state was entered: first event, or the state before was another.
    pub entered: bool,
    /// Who the case belonged to before, where that changed.
    pub former_customer: Option<CustomerId>,
}

impl Case {
    /// The case after its next event, and what that did.
    #[must_use]
    pub fn after(before: Option<&Self>, event: &CaseEvent) -> (Self, Applied) {
        let Some(before) = before else { return Self::opened_by(event) };
        let mut case = before.clone();
        case.revision += 1;
        if event.order().compare(&before.order) == Ordering::Less {
            let nothing = Applied { behind_head: true, entered: false, former_customer: None };
            return (case, nothing);
        }
        case.order = event.order();
        case.merge(&event.facts);
        let mut applied = Applied { behind_head: false, entered: false, former_customer: None };
        if event.customer != before.customer {
            applied.former_customer = Some(before.customer.clone());
            case.customer = event.customer.clone();
            case.customer_since = event.occurred_at;
        }
        if let Some(state) = &event.state
            && before.state.as_ref() != Some(state)
        {
            case.previous_state.clone_from(&before.state);
            case.state = Some(state.clone());
            case.since = event.occurred_at;
            applied.entered = true;
        }
        (case, applied)
    }

    fn opened_by(event: &CaseEvent) -> (Self, Applied) {
        let mut case = Self {
            id: event.case.clone(),
            case_type: event.case_type.clone(),
            customer: event.customer.clone(),
            state: event.state.clone(),
            previous_state: None,
            facts: Facts::new(),
            opened_at: event.occurred_at,
            since: event.occurred_at,
            customer_since: event.occurred_at,
            order: event.order(),
            revision: 1,
        };
        case.merge(&event.facts);
        let entered = event.state.is_some();
        (case, Applied { behind_head: false, entered, former_customer: None })
    }

    fn merge(&mut self, facts: &Facts) {
        for (name, value) in facts {
            if value.is_null() {
                self.facts.remove(name);
            } else {
                self.facts.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "reads better in the tables below")]
    fn event(id: &str, state: &str, version: i64, facts: Value) -> CaseEvent {
        let now = time::parse_instant("2026-11-22T09:30:00Z").expect("instant");
        let value = json!({
            "id": id, "source": "desk", "case": "R-1", "case_type": "return", "customer": "C-1",
            "state": state, "version": version, "occurred_at": "2026-11-22T09:00:00Z", "facts": facts,
        });
        CaseEvent::from_json(&value, "", now).expect("a valid event")
    }

    #[test]
    fn facts_merge_key_by_key_and_null_removes() {
        let (case, _) = Case::after(None, &event("1", "requested", 1, json!({"a": 1, "b": 2})));
        let (case, _) =
            Case::after(Some(&case), &event("2", "requested", 2, json!({"b": null, "c": 3})));
        assert_eq!(json!(case.facts), json!({"a": 1, "c": 3}));
    }

    #[test]
    fn the_same_state_again_is_not_entered_and_a_return_to_it_is() {
        let (case, first) = Case::after(None, &event("1", "wait", 1, json!({})));
        let (case, again) = Case::after(Some(&case), &event("2", "wait", 2, json!({})));
        let (case, moved) = Case::after(Some(&case), &event("3", "closed", 3, json!({})));
        let (case, back) = Case::after(Some(&case), &event("4", "wait", 4, json!({})));
        assert_eq!(
            [first.entered, again.entered, moved.entered, back.entered],
            [true, false, true, true]
        );
        assert_eq!(case.previous_state.as_deref(), Some("closed"));
    }

    #[test]
    fn an_event_behind_the_head_is_counted_and_changes_nothing() {
        let (case, _) = Case::after(None, &event("2", "closed", 2, json!({})));
        let (after, applied) =
            Case::after(Some(&case), &event("1", "requested", 1, json!({"a": 1})));
        assert!(applied.behind_head);
        assert_eq!(after, Case { revision: 2, ..case });
    }

    #[test]
    fn an_event_is_refused_with_a_pointer_per_fault() {
        let now = time::parse_instant("2026-11-22T09:30:00Z").expect("instant");
        let value = json!({
            "id": "a\nb", "source": "desk", "case": "R-1", "case_type": "return",
            "occurred_at": "2026-11-22T09:36:00Z", "facts": [], "priority": 1
        });
        let faults = CaseEvent::from_json(&value, "/3", now).expect_err("six faults");
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/3/id", "/3/customer", "/3/state", "/3/occurred_at", "/3/facts", "/3/priority"]
        );
    }
}
