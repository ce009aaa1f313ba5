//! Reading a journey file: its keys, its cross-checks, and where each fault stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::{Finding, Span};

use super::journey::{Journey, Trigger};

mod notice;

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJourney {
    case_type: Text,
    states: Vec<Text>,
    #[serde(default, rename = "final")]
    final_states: Vec<Text>,
    calendar: Option<Text>,
    #[serde(default)]
    order: Vec<Text>,
    promise: Option<RawPromise>,
    #[serde(default)]
    notice: Vec<Spanned<RawNotice>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNotice {
    id: Text,
    on: Spanned<RawTrigger>,
    message: Option<Text>,
    topic: Option<Text>,
    channels: Option<Vec<Text>>,
    when: Option<Text>,
    #[serde(rename = "while")]
    allowed_states: Option<Vec<Text>>,
    until: Option<Text>,
    valid_until: Option<Text>,
    sensitivity: Option<Text>,
    audience: Option<Text>,
    window: Option<Text>,
    expires_after: Option<Text>,
    repeat: Option<RawRepeat>,
    collapse: Option<Text>,
    urgency: Option<Text>,
    once_per: Option<Text>,
    again_after: Option<Text>,
    escalate: Option<RawEscalate>,
    #[serde(default)]
    needs: Vec<Text>,
    human_only: Option<Spanned<bool>>,
    #[serde(default)]
    answers: Vec<Text>,
    calendar: Option<Spanned<RawCalendar>>,
    enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalendar {
    start: Text,
    end: Option<Text>,
    lasts: Option<Text>,
    place: Option<Text>,
    #[serde(default)]
    cancel: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    state: Option<Text>,
    fact: Option<Text>,
    event: Option<Text>,
    silence: Option<Text>,
    cron: Option<Text>,
    zone: Option<Text>,
    before: Option<Text>,
    after: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPromise {
    update_every: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEscalate {
    after: Text,
    unless: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRepeat {
    every: Text,
    at_most: Spanned<u32>,
}

/// What a journey is checked against.
#[allow(missing_debug_implementations, reason = "three questions, nothing to show")]
pub struct Surroundings<'a> {
    /// Is a topic configured?
    pub topic_exists: &'a dyn Fn(&str) -> bool,
    /// Is there such a message in the default language?
    pub message_exists: &'a dyn Fn(&str) -> bool,
    /// Is there such a calendar?
    pub calendar_exists: &'a dyn Fn(&str) -> bool,
    /// Is there such a zone?
    pub zone_exists: &'a dyn Fn(&str) -> bool,
    /// The most messages a day of one topic, where the settings have a cap for it.
    pub cap_per_day: &'a dyn Fn(&str) -> Option<u32>,
}

/// Reads and cross-checks one file. A journey comes back only when nothing is wrong with it;
/// warnings do not count as wrong.
#[must_use]
pub fn read(
    file: &str,
    text: &str,
    surroundings: &Surroundings<'_>,
) -> (Option<Journey>, Vec<Finding>) {
    let text: Arc<str> = Arc::from(text);
    let raw: RawJourney = match toml::from_str(&text) {
        Ok(raw) => raw,
        Err(error) => {
            let mut finding = Finding::error(file, &text, error.message());
            if let Some(span) = error.span() {
                finding = finding.at(span);
            }
            return (None, vec![finding]);
        }
    };
    let mut reader = Reader { file, text, surroundings, findings: Vec::new() };
    let journey = reader.journey(raw);
    let faulty = reader.findings.iter().any(Finding::is_error);
    ((!faulty).then_some(journey), reader.findings)
}

struct Reader<'a> {
    file: &'a str,
    text: Arc<str>,
    surroundings: &'a Surroundings<'a>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn fault(&mut self, span: Range<usize>, message: impl Into<String>, help: &str) {
        let mut finding = Finding::error(self.file, &self.text, message).at(span);
        if !help.is_empty() {
            finding = finding.help(help);
        }
        self.findings.push(finding);
    }

    fn warn(&mut self, span: Range<usize>, message: impl Into<String>, help: &str) {
        self.findings.push(Finding::warning(self.file, &self.text, message).at(span).help(help));
    }

    fn parse<T>(
        &mut self,
        text: Option<&Text>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text?;
        match read(text.get_ref()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.fault(text.span(), why, "");
                None
            }
        }
    }

    fn journey(&mut self, raw: RawJourney) -> Journey {
        if !is_name(raw.case_type.get_ref()) {
            self.fault(
                raw.case_type.span(),
                "a case type with a journey is made of letters, digits, - and _",
                "it is also the folder of its messages",
            );
        }
        let states: Vec<String> = raw.states.iter().map(|s| s.get_ref().clone()).collect();
        self.refuse_twice(&raw.states, "state");
        self.known_states(&raw.final_states, &states);
        let order = self.order(&raw.order, &states);
        if let Some(calendar) = &raw.calendar
            && !(self.surroundings.calendar_exists)(calendar.get_ref())
        {
            self.fault(
                calendar.span(),
                format!("there is no calendar {:?}", calendar.get_ref()),
                "",
            );
        }
        let ids: Vec<Text> = raw.notice.iter().map(|notice| notice.get_ref().id.clone()).collect();
        self.refuse_twice(&ids, "notice");
        let mut journey = Journey {
            case_type: raw.case_type.into_inner(),
            states,
            final_states: raw.final_states.into_iter().map(Spanned::into_inner).collect(),
            calendar: raw.calendar.map(Spanned::into_inner),
            order,
            promise: None,
            notices: Vec::new(),
        };
        self.refuse_loops(&raw.order, &journey);
        for notice in raw.notice {
            if let Some(notice) = self.notice(notice.into_inner(), &journey) {
                journey.notices.push(notice);
            }
        }
        journey.promise = raw.promise.and_then(|promise| self.promise(&promise, &journey));
        journey
    }

    /// Chains that lead from a state back to itself say nothing about which is later.
    fn refuse_loops(&mut self, chains: &[Text], journey: &Journey) {
        for (chain, names) in chains.iter().zip(&journey.order) {
            if let Some(state) = names.iter().find(|state| journey.leads_to(state, state)) {
                self.fault(
                    chain.span(),
                    format!("the order goes round in a circle: {state:?} comes before itself"),
                    "take one of the chains apart",
                );
                return;
            }
        }
    }

    /// A promise is only as good as what keeps it when nothing happens.
    fn promise(&mut self, raw: &RawPromise, journey: &Journey) -> Option<Span> {
        let every = self.parse(Some(&raw.update_every), str::parse::<Span>)?;
        let span = raw.update_every.span();
        if !matches!(every, Span::Days(1..) | Span::WorkingDays(1..)) {
            self.fault(span, "a promise is counted in days", "5 working days, or 1 week");
            return None;
        }
        let keeps = journey.notices.iter().filter(|notice| notice.is_sent()).any(|notice| {
            matches!(notice.on, Trigger::Silence { after }
                if after.rough_minutes() <= every.rough_minutes())
        });
        if !keeps {
            self.fault(
                span,
                format!("nothing keeps this promise when the case stands still for {every}"),
                &format!("add a notice with on = {{ silence = \"{every}\" }}, or a shorter one"),
            );
        }
        Some(every)
    }

    fn refuse_twice(&mut self, names: &[Text], what: &str) {
        for (index, name) in names.iter().enumerate() {
            if names[..index].iter().any(|earlier| earlier.get_ref() == name.get_ref()) {
                self.fault(
                    name.span(),
                    format!("the {what} {:?} stands here twice", name.get_ref()),
                    "",
                );
            }
        }
    }

    fn known_states(&mut self, names: &[Text], states: &[String]) {
        for name in names {
            if !states.contains(name.get_ref()) {
                self.unknown_state(name.span(), name.get_ref(), states);
            }
        }
    }

    fn unknown_state(&mut self, span: Range<usize>, name: &str, states: &[String]) {
        let help = format!("states of this journey: {}", states.join(", "));
        self.fault(span, format!("{name:?} is no state of this journey"), &help);
    }

    fn order(&mut self, chains: &[Text], states: &[String]) -> Vec<Vec<String>> {
        let mut order = Vec::new();
        for chain in chains {
            let names: Vec<String> =
                chain.get_ref().split('<').map(|name| name.trim().to_owned()).collect();
            if names.len() < 2 {
                self.fault(
                    chain.span(),
                    "a chain names two states or more",
                    "write \"requested < received\"",
                );
            }
            for name in &names {
                if !states.contains(name) {
                    self.unknown_state(chain.span(), name, states);
                }
            }
            order.push(names);
        }
        order
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Type-checks every `when` of a journey against the samples of its messages.
pub fn check_conditions(
    journey: &Journey,
    file: &str,
    text: &str,
    samples: &BTreeMap<String, Vec<minijinja::Value>>,
) -> Vec<Finding> {
    let text: Arc<str> = Arc::from(text);
    let mut findings = Vec::new();
    for notice in &journey.notices {
        let Some(condition) = &notice.when else { continue };
        for sample in samples.get(&notice.message).into_iter().flatten() {
            let Err(fault) = condition.check(sample) else { continue };
            let mut finding = Finding::error(file, &text, fault.detail);
            if let Some(start) = text.find(&condition.source) {
                let part = fault.span.unwrap_or(0..condition.source.len());
                finding = finding.at(start + part.start..start + part.end);
            }
            findings.push(finding);
            break;
        }
    }
    findings
}

#[cfg(test)]
mod tests;
