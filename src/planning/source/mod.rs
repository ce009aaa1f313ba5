//! A help desk's own webhook as events of ours: `config/sources/<name>.toml`. Payload, headers
//! and `now` come in; events, customers and each key that fails come out. Who sent it is checked
//! before, by `domain::signature`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json, json};

use crate::domain::customer::{Address, parse_locale};
use crate::domain::fault::one_line;
use crate::domain::signature::{Scheme, instant_of, since_1970};
use crate::domain::time::Instant;
use crate::domain::{CaseEvent, Channel, ContactPoint, Finding, Zones};

mod expression;
mod file;

pub use expression::{Expression, Miss, Sight};
pub use file::read;

/// The most events one payload may hold.
pub const MAX_EVENTS: usize = 100;

/// A source, compiled.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub file: String,
    pub text: Arc<str>,
    pub signature: Scheme,
    /// The vendor's state → the journey's; where there are none, states are taken as they are.
    pub states: BTreeMap<String, State>,
    pub ignore_when: Vec<Expression>,
    /// The first whose `when` holds maps a payload.
    pub maps: Vec<Map>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Is(String),
    /// Says nothing to customers.
    OfNoInterest,
}

/// How a payload becomes an event, a customer, or both.
#[derive(Debug, Clone)]
pub struct Map {
    pub when: Option<Expression>,
    /// A list of the payload: an event for each `item` of it.
    pub each: Option<Expression>,
    pub id: Option<Expression>,
    pub source: Option<Expression>,
    pub case: Option<Expression>,
    pub case_type: Option<Expression>,
    pub customer: Option<Expression>,
    /// Under which name an earlier payload said whose this is, where `customer` does not.
    pub customer_of: Option<Expression>,
    /// Remember the customer under this name.
    pub remember: Option<Expression>,
    pub state: Option<Expression>,
    pub event: Option<Expression>,
    pub version: Option<Expression>,
    pub occurred_at: Option<Expression>,
    pub facts: BTreeMap<String, Expression>,
    pub profile: Option<ProfileMap>,
}

#[derive(Debug, Clone)]
pub struct ProfileMap {
    pub name: Option<Expression>,
    pub locale: Option<Expression>,
    pub time_zone: Option<Expression>,
    pub email: Option<Expression>,
    pub sms: Option<Expression>,
    pub voice: Option<Expression>,
    /// Are these addresses known to be the customer's? Only verified ones are written to.
    pub verified: Option<Expression>,
    pub attributes: BTreeMap<String, Expression>,
}

/// What a payload says of a customer. What it does not say stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contact_points: Vec<ContactPoint>,
}

/// What one payload, or one item of it, comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// `None` where only a customer is told of, or a key that an event needs fails.
    pub event: Option<CaseEvent>,
    /// Whose the event is; `None`: look under `customer_of`.
    pub customer: Option<String>,
    pub customer_of: Option<String>,
    pub remember: Option<String>,
    pub profile: Option<Profile>,
    /// Keys that failed. Those of the profile and of facts do not hold an event back.
    pub failing: Vec<Failing>,
    /// The state is one of no interest.
    pub ignored: Option<String>,
}

/// A key of a mapping that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failing {
    /// Such as `case` or `facts.subject`.
    pub key: String,
    pub expression: String,
    /// Where in the payload.
    pub pointer: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Bytes of the file.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
}

/// What a payload comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapped {
    /// Of no interest, and why.
    Ignored(String),
    /// No `[[map]]` is about it.
    Unknown(Failing),
    Told(Vec<Told>),
}

impl Failing {
    /// One that is not about an expression.
    #[must_use]
    pub fn plain(key: &str, detail: String) -> Self {
        Self {
            key: key.to_owned(),
            expression: String::new(),
            pointer: String::new(),
            detail,
            help: None,
            span: None,
        }
    }

    /// An expression that has a value, and not one that will do.
    fn at(key: &str, expression: &Expression, sight: &Sight<'_>, detail: String) -> Self {
        Self {
            expression: expression.source.clone(),
            pointer: expression.pointer(sight),
            span: Some(expression.span.clone()),
            ..Self::plain(key, detail)
        }
    }

    fn of(key: &str, expression: &Expression, miss: Miss) -> Self {
        Self {
            key: key.to_owned(),
            expression: expression.source.clone(),
            pointer: miss.pointer,
            detail: miss.detail,
            help: miss.help,
            span: Some(miss.span),
        }
    }

    /// As a finding about the source's file.
    #[must_use]
    pub fn finding(&self, source: &Source) -> Finding {
        let why = format!("{}: {}", self.key, self.detail);
        let mut finding = Finding::error(&source.file, &source.text, why);
        if let Some(span) = &self.span {
            finding = finding.at(span.clone());
        }
        match &self.help {
            Some(help) => finding.help(help),
            None => finding,
        }
    }
}

impl Source {
    /// Maps a payload. `fallback_id` is the id of an event whose mapping gives none.
    #[must_use]
    pub fn map(
        &self,
        payload: &Json,
        headers: &Json,
        fallback_id: &str,
        zones: &Zones,
        now: Instant,
    ) -> Mapped {
        let sight = Sight::new(payload, headers, None);
        if let Some(why) = self.ignore_when.iter().find(|condition| condition.holds(&sight)) {
            return Mapped::Ignored(format!("ignore_when: {}", why.source));
        }
        let about = |map: &&Map| map.when.as_ref().is_none_or(|when| when.holds(&sight));
        let Some(map) = self.maps.iter().find(about) else {
            return Mapped::Unknown(self.unknown(&sight));
        };
        let Some(each) = &map.each else {
            return Mapped::Told(vec![self.one(map, &sight, fallback_id, zones, now)]);
        };
        let items = match each.value(&sight) {
            Ok(Json::Array(items)) if items.len() <= MAX_EVENTS => items,
            Ok(other) => {
                let detail = match other {
                    Json::Array(items) => {
                        format!("holds {} items; at most {MAX_EVENTS} are taken", items.len())
                    }
                    _ => "is no list".to_owned(),
                };
                let failing = Failing::at("each", each, &sight, detail);
                return Mapped::Told(vec![Told { failing: vec![failing], ..Told::default() }]);
            }
            Err(misses) => {
                let failing = misses.into_iter().map(|miss| Failing::of("each", each, miss));
                return Mapped::Told(vec![Told { failing: failing.collect(), ..Told::default() }]);
            }
        };
        let pointer = each.pointer(&sight);
        let told = items.iter().enumerate().map(|(n, item)| {
            let sight = Sight::new(payload, headers, Some((item, format!("{pointer}/{n}"))));
            self.one(map, &sight, &format!("{fallback_id}/{n}"), zones, now)
        });
        Mapped::Told(told.collect())
    }

    fn unknown(&self, sight: &Sight<'_>) -> Failing {
        let conditions = self.maps.iter().filter_map(|map| map.when.as_ref());
        let first = conditions.clone().next();
        let why = |when: &Expression| match when.value(sight) {
            Err(misses) => format!("`{}`: {}", when.source, misses[0].detail),
            Ok(_) => format!("`{}` does not hold", when.source),
        };
        Failing {
            key: "when".into(),
            expression: first.map(|when| when.source.clone()).unwrap_or_default(),
            pointer: first.map(|when| when.pointer(sight)).unwrap_or_default(),
            detail: "no [[map]] is about this payload".into(),
            help: Some(conditions.map(why).collect::<Vec<_>>().join("\n")),
            span: first.map(|when| when.span.clone()),
        }
    }

    fn one(
        &self,
        map: &Map,
        sight: &Sight<'_>,
        fallback_id: &str,
        zones: &Zones,
        now: Instant,
    ) -> Told {
        let mut asker = Asker { sight, failing: Vec::new() };
        let mut told = Told {
            customer: asker.text("customer", map.customer.as_ref()),
            customer_of: None,
            remember: asker.text("remember", map.remember.as_ref()),
            ..Told::default()
        };
        if told.customer.is_none() {
            told.customer_of = asker.text("customer_of", map.customer_of.as_ref());
        }
        let nobody = told.customer.is_none() && told.customer_of.is_none();
        if nobody && asker.failing.is_empty() {
            let named = map.customer.as_ref().map(|e| ("customer", e));
            if let Some((key, expression)) =
                named.or(map.customer_of.as_ref().map(|e| ("customer_of", e)))
            {
                let failing = Failing::at(key, expression, sight, "has no value here".into());
                asker.failing.push(failing);
            }
        }
        let mut blocking = nobody;
        if map.case.is_some() {
            let mut event = JsonMap::new();
            let id = asker.text("id", map.id.as_ref());
            event.insert("id".into(), id.unwrap_or_else(|| fallback_id.to_owned()).into());
            let source = asker.text("source", map.source.as_ref());
            event.insert("source".into(), source.unwrap_or_else(|| self.name.clone()).into());
            // Who it is may be looked up later; the rest is read now.
            let customer = told.customer.clone().unwrap_or_else(|| "?".into());
            event.insert("customer".into(), customer.into());
            for (key, expression) in
                [("case", &map.case), ("case_type", &map.case_type), ("event", &map.event)]
            {
                if let Some(text) = asker.text(key, expression.as_ref()) {
                    event.insert(key.into(), text.into());
                }
            }
            match asker.text("state", map.state.as_ref()) {
                None => {}
                Some(theirs) if self.states.is_empty() => {
                    event.insert("state".into(), theirs.into());
                }
                Some(theirs) => match self.states.get(&theirs) {
                    Some(State::Is(ours)) => {
                        drop(event.insert("state".into(), ours.clone().into()));
                    }
                    Some(State::OfNoInterest) => {
                        told.ignored = Some(format!("[states] {theirs} = false"));
                        return told;
                    }
                    None => {
                        let expression = map.state.as_ref().expect("it gave a value");
                        let known: Vec<&str> = self.states.keys().map(String::as_str).collect();
                        let detail = format!("{theirs:?} is not in [states]");
                        let mut failing = Failing::at("state", expression, sight, detail);
                        failing.help = Some(format!("there are: {}", known.join(", ")));
                        asker.failing.push(failing);
                    }
                },
            }
            if let Some(version) = asker.value("version", map.version.as_ref()) {
                // A vendor may write its number as text.
                let number = version.as_str().and_then(|text| text.parse::<i64>().ok());
                event.insert("version".into(), number.map_or(version, Json::from));
            }
            if let Some(at) = asker.instant("occurred_at", map.occurred_at.as_ref()) {
                event.insert("occurred_at".into(), at.to_rfc3339().into());
            }
            // What failed so far an event cannot do without.
            blocking |= !asker.failing.is_empty();
            let mut facts = JsonMap::new();
            for (name, expression) in &map.facts {
                let key = format!("facts.{name}");
                match expression.value(sight) {
                    Ok(value) => drop(facts.insert(name.clone(), value)),
                    Err(misses) => asker.missed(&key, expression, misses),
                }
            }
            // A fact that is null stays away rather than removing what is known.
            facts.retain(|_, value| !value.is_null());
            event.insert("facts".into(), facts.into());
            match CaseEvent::from_json(&Json::Object(event), "", now) {
                Ok(event) if !blocking => told.event = Some(event),
                Ok(_) => {}
                Err(faults) => {
                    for fault in faults {
                        let key = fault.pointer.trim_start_matches('/').replace('/', ".");
                        let already = |failing: &Failing| {
                            failing.key == key || (key == "state" && failing.key == "event")
                        };
                        if asker.failing.iter().any(already) {
                            continue;
                        }
                        let expression = map.expression(&key);
                        asker.failing.push(Failing {
                            pointer: expression.map(|e| e.pointer(sight)).unwrap_or_default(),
                            expression: expression.map(|e| e.source.clone()).unwrap_or_default(),
                            span: expression.map(|e| e.span.clone()),
                            detail: fault.detail,
                            help: None,
                            key,
                        });
                    }
                }
            }
        }
        if let Some(profile) = &map.profile {
            told.profile = Some(asker.profile(profile, zones));
        }
        told.failing = asker.failing;
        told
    }
}

impl Map {
    fn expression(&self, key: &str) -> Option<&Expression> {
        match key {
            "id" => self.id.as_ref(),
            "source" => self.source.as_ref(),
            "case" => self.case.as_ref(),
            "case_type" => self.case_type.as_ref(),
            "customer" => self.customer.as_ref(),
            "state" => self.state.as_ref().or(self.event.as_ref()),
            "event" => self.event.as_ref(),
            "version" => self.version.as_ref(),
            "occurred_at" => self.occurred_at.as_ref(),
            _ => self.facts.get(key.strip_prefix("facts.")?),
        }
    }
}

/// Evaluates keys and notes those that fail.
struct Asker<'a, 's> {
    sight: &'a Sight<'s>,
    failing: Vec<Failing>,
}

impl Asker<'_, '_> {
    fn missed(&mut self, key: &str, expression: &Expression, misses: Vec<Miss>) {
        self.failing.extend(misses.into_iter().map(|miss| Failing::of(key, expression, miss)));
    }

    fn fail(&mut self, key: &str, expression: &Expression, detail: impl Into<String>) {
        let failing = Failing::at(key, expression, self.sight, detail.into());
        self.failing.push(failing);
    }

    /// Null counts as absent.
    fn value(&mut self, key: &str, expression: Option<&Expression>) -> Option<Json> {
        let expression = expression?;
        match expression.value(self.sight) {
            Ok(Json::Null) => None,
            Ok(value) => Some(value),
            Err(misses) => {
                self.missed(key, expression, misses);
                None
            }
        }
    }

    /// A text; numbers and truth are written out, an empty text counts as absent.
    fn text(&mut self, key: &str, expression: Option<&Expression>) -> Option<String> {
        match self.value(key, expression)? {
            Json::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Json::Number(number) => Some(number.to_string()),
            Json::Bool(truth) => Some(truth.to_string()),
            _ => {
                self.fail(key, expression?, "must be a text or a number");
                None
            }
        }
    }

    /// RFC 3339, or seconds or milliseconds since 1970.
    fn instant(&mut self, key: &str, expression: Option<&Expression>) -> Option<Instant> {
        let value = self.value(key, expression)?;
        #[allow(clippy::cast_possible_truncation, reason = "whole seconds will do")]
        let number = |number: &serde_json::Number| {
            number.as_i64().or_else(|| number.as_f64().map(|number| number as i64))
        };
        let at = match &value {
            Json::String(text) => instant_of(text),
            Json::Number(n) => number(n).and_then(since_1970),
            _ => None,
        };
        if at.is_none() {
            let why = "is no moment: RFC 3339, or seconds or milliseconds since 1970";
            self.fail(key, expression?, why);
        }
        at
    }

    fn checked(
        &mut self,
        key: &str,
        expression: Option<&Expression>,
        check: impl Fn(&str) -> Result<String, String>,
    ) -> Option<String> {
        let text = self.text(key, expression)?;
        match check(&text) {
            Ok(text) => Some(text),
            Err(why) => {
                self.fail(key, expression?, why);
                None
            }
        }
    }

    fn profile(&mut self, map: &ProfileMap, zones: &Zones) -> Profile {
        let line = |text: &str| one_line(text, 200).map(|()| text.to_owned());
        let zone = |text: &str| zones.get(text).map(|_| text.to_owned());
        let name = self.checked("profile.name", map.name.as_ref(), line);
        let locale = self.checked("profile.locale", map.locale.as_ref(), parse_locale);
        let time_zone = self.checked("profile.time_zone", map.time_zone.as_ref(), zone);
        let verified = match self.value("profile.verified", map.verified.as_ref()) {
            None => false,
            Some(Json::Bool(verified)) => verified,
            Some(_) => {
                if let Some(expression) = &map.verified {
                    self.fail("profile.verified", expression, "is neither true nor false");
                }
                false
            }
        };
        let mut contact_points = Vec::new();
        for (channel, expression) in
            [(Channel::Email, &map.email), (Channel::Sms, &map.sms), (Channel::Voice, &map.voice)]
        {
            let key = format!("profile.{channel}");
            let stored = |text: &str| Address::parse(channel, text).map(|a| a.expose().to_owned());
            if let Some(address) = self.checked(&key, expression.as_ref(), stored) {
                let address = Address::stored(address);
                contact_points.push(ContactPoint { channel, address, verified, suppressed: None });
            }
        }
        let mut attributes = BTreeMap::new();
        for (name, expression) in &map.attributes {
            if let Some(value) = self.value(&format!("profile.attributes.{name}"), Some(expression))
            {
                attributes.insert(name.clone(), value);
            }
        }
        Profile { name, locale, time_zone, attributes, contact_points }
    }
}

impl Told {
    /// As people and programs read it.
    #[must_use]
    pub fn view(&self) -> Json {
        let mut view = JsonMap::new();
        if let Some(event) = &self.event {
            let mut event = json!(event);
            if self.customer.is_none() {
                event["customer"] = Json::Null;
            }
            view.insert("event".into(), event);
        }
        let mut set = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                view.insert(name.to_owned(), value);
            }
        };
        set("customer", self.customer.clone().filter(|_| self.event.is_none()).map(Json::from));
        set("customer_of", self.customer_of.clone().map(Json::from));
        set("remember", self.remember.clone().map(Json::from));
        set("profile", self.profile.as_ref().map(|profile| json!(profile)));
        set("ignored", self.ignored.clone().map(Json::from));
        Json::Object(view)
    }
}

#[cfg(test)]
mod tests;
