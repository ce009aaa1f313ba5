//! Reading a journey file: its keys, its cross-checks, and where each fault stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::{Channel, Finding, Sign, Span, Urgency, time};

use super::condition::Condition;
use super::cron::Cron;
use super::fit::{ChannelNeed, unmet};
use super::journey::{
    AllowedStates, CronZone, Escalate, FactOffset, Journey, Notice, OncePer, Repeat, Trigger, Until,
};

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
    enabled: Option<bool>,
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
        let keeps = journey.notices.iter().filter(|notice| notice.enabled).any(|notice| {
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

    fn notice(&mut self, raw: RawNotice, journey: &Journey) -> Option<Notice> {
        let id_span = raw.id.span();
        let id = raw.id.get_ref().clone();
        if !is_name(&id) {
            self.fault(id_span.clone(), "a notice id is made of letters, digits, - and _", "");
        }
        let on_span = raw.on.span();
        let on = self.trigger(&raw.on, &journey.states);
        let repeat = raw.repeat.as_ref().and_then(|repeat| self.repeat(repeat));
        let allowed_states = self.allowed_states(&raw, on.as_ref(), repeat.is_some(), journey);
        let message = raw.message.as_ref().map_or_else(
            || format!("{}/{id}", journey.case_type),
            |message| message.get_ref().clone(),
        );
        if !(self.surroundings.message_exists)(&message) {
            let span = raw.message.as_ref().map_or_else(|| id_span.clone(), Spanned::span);
            self.fault(
                span,
                format!("there is no message {message:?} in the default language"),
                &format!("write it in templates/messages/{message}.<language>.j2"),
            );
        }
        let topic = raw.topic.as_ref().map_or("status", |topic| topic.get_ref()).to_owned();
        if !(self.surroundings.topic_exists)(&topic) {
            let span = raw.topic.as_ref().map_or_else(|| id_span.clone(), Spanned::span);
            self.fault(
                span,
                format!("the topic {topic:?} is not configured"),
                &format!("add [topics.{topic}] to the settings"),
            );
        }
        if let (Some(Trigger::State { state, .. }), AllowedStates::Only(states)) =
            (&on, &allowed_states)
            && !states.contains(state)
        {
            self.fault(
                on_span,
                format!(
                    "can never be said: it is triggered by {state:?}, which its `while` leaves out"
                ),
                &format!("add {state:?} to `while`"),
            );
        } else if let Some(Trigger::State { state, after: None }) = &on
            && raw.allowed_states.is_none()
            && raw.collapse.is_none()
            && repeat.is_none()
            && !journey.is_final(Some(state))
        {
            self.warn(
                id_span,
                "a state notice with neither `while` nor `collapse` is said even when the case has moved on",
                "add `while` or `collapse`",
            );
        }
        let channels = self.channels(raw.channels.as_deref());
        let when = self.when(raw.when.as_ref());
        let until = self.parse(raw.until.as_ref(), |text| Ok(until(text)));
        let window = self.parse(raw.window.as_ref(), str::parse);
        let expires_after = self.parse(raw.expires_after.as_ref(), str::parse::<Span>);
        let urgency = self.parse(raw.urgency.as_ref(), |text| {
            serde_json::from_value::<Urgency>(text.into())
                .map_err(|_| format!("{text:?} is no urgency; use low, normal, high or urgent"))
        });
        let once_per = self.parse(raw.once_per.as_ref(), |text| {
            serde_json::from_value::<OncePer>(text.into())
                .map_err(|_| format!("{text:?}: once per what? use case or customer"))
        });
        if let (Some(_), Some(once_per)) = (&repeat, &raw.once_per) {
            self.fault(once_per.span(), "`once_per` contradicts `repeat`", "keep one of the two");
        }
        if let Some(trigger) = on.as_ref().filter(|on| on.is_watch()) {
            self.watch(&raw, trigger, journey);
        }
        let again_after = self.parse(raw.again_after.as_ref(), str::parse::<Span>);
        if let (Some(text), None) = (&raw.again_after, &raw.once_per) {
            self.fault(text.span(), "`again_after` needs `once_per`", "add once_per = \"case\"");
        }
        let escalate = raw.escalate.as_ref().and_then(|escalate| self.escalate(escalate));
        let human_only = raw.human_only.as_ref().is_some_and(|human| *human.get_ref());
        let needs = self.needs(&raw, &channels, human_only);
        Some(Notice {
            id,
            on: on?,
            message,
            topic,
            channels,
            when,
            allowed_states,
            until,
            window,
            expires_after: expires_after.unwrap_or(Span::Days(7)),
            repeat,
            collapse: raw.collapse.map(Spanned::into_inner),
            urgency: urgency.unwrap_or_default(),
            once_per,
            again_after,
            escalate,
            needs,
            human_only,
            answers: raw.answers.into_iter().map(Spanned::into_inner).collect(),
            enabled: raw.enabled.unwrap_or(true),
        })
    }

    fn trigger(&mut self, raw: &Spanned<RawTrigger>, states: &[String]) -> Option<Trigger> {
        let span = raw.span();
        let raw = raw.get_ref();
        let after = self.parse(raw.after.as_ref(), str::parse::<Span>);
        let before = self.parse(raw.before.as_ref(), str::parse::<Span>);
        if let (Some(zone), None) = (&raw.zone, &raw.cron) {
            self.fault(zone.span(), "only a `cron` rule has a zone", "leave `zone` out");
        }
        match (&raw.state, &raw.fact, &raw.event, &raw.silence, &raw.cron) {
            (Some(state), None, None, None, None) => {
                if !states.contains(state.get_ref()) {
                    self.unknown_state(state.span(), state.get_ref(), states);
                }
                if let Some(before) = &raw.before {
                    self.fault(
                        before.span(),
                        "nobody knows when a state will be entered",
                        "use `after`",
                    );
                }
                Some(Trigger::State { state: state.get_ref().clone(), after })
            }
            (None, Some(fact), None, None, None) => {
                let offset = match (before, after) {
                    (Some(span), None) => FactOffset::Before(span),
                    (None, Some(span)) => FactOffset::After(span),
                    _ => {
                        self.fault(
                            span,
                            "a fact needs `before` or `after`, one of the two",
                            "on = { fact = \"return_by\", before = \"2 days\" }",
                        );
                        return None;
                    }
                };
                Some(Trigger::Fact { fact: fact.get_ref().clone(), offset })
            }
            (None, None, Some(event), None, None) => {
                self.no_offset(raw, "an `event` is told when it happens");
                Some(Trigger::Event { event: event.get_ref().clone() })
            }
            (None, None, None, Some(silence), None) => {
                self.no_offset(raw, "`silence` is itself a length of time");
                let after = self.parse(Some(silence), str::parse::<Span>)?;
                if after.rough_minutes() < 60 {
                    self.fault(silence.span(), "a silence lasts an hour or more", "5 working days");
                }
                Some(Trigger::Silence { after })
            }
            (None, None, None, None, Some(cron)) => {
                self.no_offset(raw, "`cron` names its own times");
                let zone = raw.zone.as_ref().map_or("customer", |zone| zone.get_ref().as_str());
                if zone != "customer" && !(self.surroundings.zone_exists)(zone) {
                    let span = raw.zone.as_ref().map_or(span, Spanned::span);
                    self.fault(
                        span,
                        format!("{zone:?} is no time zone"),
                        "use \"customer\", or a name such as Europe/London",
                    );
                }
                let zone = match zone {
                    "customer" => CronZone::Customer,
                    name => CronZone::Named(name.to_owned()),
                };
                let cron = self.parse(Some(cron), str::parse::<Cron>)?;
                Some(Trigger::Cron { cron: Box::new(cron), zone })
            }
            _ => {
                self.fault(
                    span,
                    "a notice has one trigger: `state`, `fact`, `event`, `silence` or `cron`",
                    "on = { state = \"received\" }",
                );
                None
            }
        }
    }

    fn no_offset(&mut self, raw: &RawTrigger, why: &str) {
        for misplaced in [&raw.before, &raw.after].into_iter().flatten() {
            self.fault(misplaced.span(), why, "leave `before` and `after` out");
        }
    }

    /// What is said because time passes repeats by itself and has no state of its own.
    fn watch(&mut self, raw: &RawNotice, trigger: &Trigger, journey: &Journey) {
        let name = if matches!(trigger, Trigger::Silence { .. }) { "silence" } else { "cron" };
        let help = "leave it out";
        if let Some(repeat) = &raw.repeat {
            let why = format!("`{name}` comes again by itself");
            self.fault(repeat.at_most.span(), why, help);
        }
        if let Some(once_per) = &raw.once_per {
            self.fault(once_per.span(), format!("`{name}` comes again by itself"), help);
        }
        let states = raw.allowed_states.iter().flatten();
        let final_states: Vec<&Text> =
            states.filter(|state| journey.is_final(Some(state.get_ref()))).collect();
        for state in final_states {
            self.fault(
                state.span(),
                format!("never said in {:?}: the case is over then", state.get_ref()),
                help,
            );
        }
    }

    fn escalate(&mut self, raw: &RawEscalate) -> Option<Escalate> {
        let after = self.parse(Some(&raw.after), str::parse::<Span>);
        let unless = self.parse(Some(&raw.unless), |text| {
            serde_json::from_value::<Sign>(text.into()).map_err(|_| {
                format!(
                    "{text:?} is no sign of life; use delivered, opened, acknowledged or answered"
                )
            })
        });
        let (after, unless) = (after?, unless?);
        if after.rough_minutes() == 0 {
            self.fault(raw.after.span(), "escalates without a pause", "use at least 1 minute");
        }
        Some(Escalate { after, unless })
    }

    /// What the notice needs, checked against the channels it names.
    fn needs(
        &mut self,
        raw: &RawNotice,
        channels: &[Channel],
        human_only: bool,
    ) -> Vec<ChannelNeed> {
        self.refuse_twice(&raw.needs, "need");
        let read = raw.needs.iter().filter_map(|text| self.parse(Some(text), str::parse));
        let needs: Vec<ChannelNeed> = read.collect();
        if let Some(named) = &raw.channels {
            let span = raw.needs.first().map(Spanned::span);
            let lacks = |channel: &Channel| unmet(&needs, *channel);
            let all_lack = channels.iter().all(|channel| !lacks(channel).is_empty());
            if let (Some(span), true) = (span.clone(), all_lack) {
                let help = "name a channel that meets them, or drop a need";
                self.warn(span, "no channel of this notice meets all its needs", help);
            } else if let (Some(_), Some(first)) = (span, channels.first())
                && let Some(need) = lacks(first).first()
            {
                self.warn(
                    named[0].span(),
                    format!("{first} comes first, and is not {}", need.as_str()),
                    "put a channel first that meets the needs",
                );
            }
        }
        if let Some(human) = raw.human_only.as_ref().filter(|_| human_only)
            && channels == [Channel::Voice]
        {
            self.fault(
                human.span(),
                "`human_only` forbids automated calls, and there is no other channel",
                "add a channel, or leave the word to a person",
            );
        }
        needs
    }

    fn allowed_states(
        &mut self,
        raw: &RawNotice,
        on: Option<&Trigger>,
        repeats: bool,
        journey: &Journey,
    ) -> AllowedStates {
        if let Some(states) = &raw.allowed_states {
            self.known_states(states, &journey.states);
            return AllowedStates::Only(states.iter().map(|s| s.get_ref().clone()).collect());
        }
        match on {
            Some(Trigger::State { state, after }) if after.is_some() || repeats => {
                AllowedStates::Only(vec![state.clone()])
            }
            Some(Trigger::State { .. }) => AllowedStates::Any,
            _ => AllowedStates::NotFinal,
        }
    }

    fn repeat(&mut self, raw: &RawRepeat) -> Option<Repeat> {
        let at_most = *raw.at_most.get_ref();
        if !(2..=100).contains(&at_most) {
            self.fault(
                raw.at_most.span(),
                "`at_most` is a number from 2 to 100",
                "it counts the first message too",
            );
        }
        let every = self.parse(Some(&raw.every), str::parse::<Span>)?;
        if every.rough_minutes() == 0 {
            self.fault(raw.every.span(), "repeats without a pause", "use at least 1 minute");
        }
        Some(Repeat { every, at_most })
    }

    fn channels(&mut self, raw: Option<&[Text]>) -> Vec<Channel> {
        let Some(raw) = raw else { return Channel::ALL.to_vec() };
        self.refuse_twice(raw, "channel");
        raw.iter().filter_map(|text| self.parse(Some(text), str::parse)).collect()
    }

    fn when(&mut self, raw: Option<&Text>) -> Option<Condition> {
        let raw = raw?;
        match Condition::compile(raw.get_ref()) {
            Ok(condition) => Some(condition),
            Err(fault) => {
                // Inside the quotes, where the text stands as it was written.
                let span = raw.span();
                let inner = fault.span.map_or(span.clone(), |part| {
                    span.start + 1 + part.start..span.start + 1 + part.end.max(part.start + 1)
                });
                self.fault(inner, fault.detail, "");
                None
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn until(text: &str) -> Until {
    time::parse_instant(text).map_or_else(|_| Until::Fact(text.to_owned()), Until::At)
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
mod tests {
    use super::*;

    fn check(text: &str) -> (Option<Journey>, Vec<(usize, String)>) {
        let surroundings = Surroundings {
            topic_exists: &|topic| topic != "gossip",
            message_exists: &|message| !message.ends_with("missing"),
            calendar_exists: &|calendar| calendar == "weekdays",
            zone_exists: &|zone| zone == "Europe/London",
        };
        let (journey, findings) = read("return.toml", text, &surroundings);
        let found = findings
            .iter()
            .map(|finding| (finding.line().unwrap_or(0), finding.message.clone()))
            .collect();
        (journey, found)
    }

    const HEAD: &str = "case_type = \"return\"\nstates = [\"requested\", \"received\", \"closed\"]\nfinal = [\"closed\"]\n";

    #[test]
    fn a_notice_left_short_takes_the_documented_defaults() {
        let (journey, found) = check(&format!(
            "{HEAD}[[notice]]\nid = \"received\"\non = {{ state = \"received\" }}\ncollapse = \"progress\"\n"
        ));
        assert_eq!(found, []);
        let journey = journey.expect("a journey");
        let notice = journey.notice("received").expect("the notice");
        assert_eq!(notice.message, "return/received");
        assert_eq!(notice.topic, "status");
        assert_eq!(notice.channels, Channel::ALL);
        assert_eq!(notice.expires_after, Span::Days(7));
        assert_eq!(notice.allowed_states, AllowedStates::Any);
        assert_eq!(notice.urgency, Urgency::Normal);
        assert!(notice.enabled);
    }

    #[test]
    fn while_defaults_to_the_state_for_reminders_and_to_open_cases_for_other_triggers() {
        let (journey, _) = check(&format!(
            "{HEAD}[[notice]]\nid = \"a\"\non = {{ state = \"requested\", after = \"3 days\" }}\n\
             [[notice]]\nid = \"b\"\non = {{ fact = \"return_by\", before = \"2 days\" }}\n"
        ));
        let journey = journey.expect("a journey");
        let states = |id| &journey.notice(id).expect("notice").allowed_states;
        assert_eq!(states("a"), &AllowedStates::Only(vec!["requested".into()]));
        assert_eq!(states("b"), &AllowedStates::NotFinal);
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        let body = "[[notice]]\nid = \"one\"\non = { state = \"reqested\" }\ntopic = \"gossip\"\n\
                    window = \"9-18\"\nrepeat = { every = \"1 day\", at_most = 1 }\n\
                    [[notice]]\nid = \"one\"\non = { state = \"received\", before = \"2 days\" }\nwhile = [\"closed\"]\n\
                    [[notice]]\nid = \"missing\"\non = { fact = \"return_by\" }\nwhen = \"facts.amount >\"\n";
        let (journey, found) = check(&format!("{HEAD}order = [\"requested\"]\n{body}"));
        assert!(journey.is_none());
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        for line in [4, 7, 8, 9, 10, 12, 13, 16, 17, 18] {
            assert!(lines.contains(&line), "line {line} in {found:#?}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let (journey, found) = check(&format!(
            "{HEAD}[[notice]]\nid = \"a\"\non = {{ state = \"received\" }}\ndelay = \"3 days\"\n"
        ));
        assert!(journey.is_none());
        assert_eq!(found[0].0, 7);
        assert!(found[0].1.contains("delay"), "{found:?}");
    }

    #[test]
    fn a_notice_its_own_while_leaves_out_can_never_be_said() {
        let (_, found) = check(&format!(
            "{HEAD}[[notice]]\nid = \"a\"\non = {{ state = \"received\" }}\nwhile = [\"requested\"]\n"
        ));
        assert!(found[0].1.contains("can never be said"), "{found:?}");
    }
}
