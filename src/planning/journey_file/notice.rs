//! One notice of a journey file: its trigger, its keys, and what contradicts what.

use toml::Spanned;

use crate::domain::{Channel, Sign, Span, Urgency, time};

use super::super::condition::Condition;
use super::super::cron::Cron;
use super::super::fit::{ChannelNeed, unmet};
use super::super::journey::{
    AllowedStates, Audience, CalendarRule, CronZone, Escalate, FactOffset, Journey, Notice,
    OncePer, Repeat, Trigger, Until, ValidUntil,
};
use super::{RawCalendar, RawEscalate, RawNotice, RawRepeat, RawTrigger, Reader, Text, is_name};

impl Reader<'_> {
    pub(super) fn notice(&mut self, raw: RawNotice, journey: &Journey) -> Option<Notice> {
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
        let valid_until = self.parse(raw.valid_until.as_ref(), |text| {
            let day = text.parse().map(ValidUntil);
            day.map_err(|_| format!("{text:?} is no day; write 2027-01-31"))
        });
        let window = self.parse(raw.window.as_ref(), str::parse);
        let expires_after = self.parse(raw.expires_after.as_ref(), str::parse::<Span>);
        let urgency = self.parse(raw.urgency.as_ref(), |text| {
            serde_json::from_value::<Urgency>(text.into())
                .map_err(|_| format!("{text:?} is no urgency; use low, normal, high or urgent"))
        });
        let audience = self.parse(raw.audience.as_ref(), |text| {
            serde_json::from_value::<Audience>(text.into())
                .map_err(|_| format!("{text:?} is no audience; use customer or staff"))
        });
        let audience = audience.unwrap_or_default();
        if let (Audience::Staff, Some(text), Some(on)) = (audience, &raw.audience, &on)
            && !matches!(on, Trigger::State { after: None, .. })
        {
            let why = "words for agents are shown while a case is in a state";
            self.fault(text.span(), why, "use on = { state = \"…\" }");
        }
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
        self.within_cap(&raw, on.as_ref(), repeat, &topic);
        let again_after = self.parse(raw.again_after.as_ref(), str::parse::<Span>);
        if let (Some(text), None) = (&raw.again_after, &raw.once_per) {
            self.fault(text.span(), "`again_after` needs `once_per`", "add once_per = \"case\"");
        }
        let escalate = raw.escalate.as_ref().and_then(|escalate| self.escalate(escalate));
        let human_only = raw.human_only.as_ref().is_some_and(|human| *human.get_ref());
        let needs = self.needs(&raw, &channels, human_only);
        let calendar = raw.calendar.as_ref().map(|calendar| self.calendar(calendar, &channels));
        Some(Notice {
            id,
            on: on?,
            message,
            topic,
            channels,
            when,
            allowed_states,
            until,
            valid_until,
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
            audience,
            calendar,
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

    /// What one case alone says more often than a customer may get messages is never told as
    /// often as the rule promises.
    fn within_cap(
        &mut self,
        raw: &RawNotice,
        on: Option<&Trigger>,
        repeat: Option<Repeat>,
        topic: &str,
    ) {
        let Some(cap) = (self.surroundings.cap_per_day)(topic) else { return };
        let every = match (on, repeat) {
            (Some(Trigger::Silence { after }), _) => *after,
            (_, Some(repeat)) => repeat.every,
            _ => return,
        };
        let a_day = 24 * 60 / every.rough_minutes().max(1);
        if a_day > u64::from(cap) {
            let span = raw.repeat.as_ref().map_or_else(|| raw.on.span(), |r| r.every.span());
            self.fault(
                span,
                format!("promises {a_day} messages a day, and customers get at most {cap}"),
                "say it less often, raise [limits] cap_per_day, or make the topic mandatory",
            );
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

    /// What a mail of it puts into the customer's calendar.
    fn calendar(&mut self, raw: &Spanned<RawCalendar>, channels: &[Channel]) -> CalendarRule {
        let (span, raw) = (raw.span(), raw.get_ref());
        if !channels.contains(&Channel::Email) {
            let help = "add \"email\" to `channels`, or leave `calendar` out";
            self.fault(span, "`calendar` goes with mails, and this notice sends none", help);
        }
        for fact in [Some(&raw.start), raw.end.as_ref(), raw.place.as_ref()].into_iter().flatten() {
            if !is_name(fact.get_ref()) {
                let help = "calendar = { start = \"appointment_at\" }";
                self.fault(fact.span(), "names a fact by its name alone", help);
            }
        }
        if let (Some(end), Some(_)) = (&raw.end, &raw.lasts) {
            self.fault(end.span(), "`end` contradicts `lasts`", "keep one of the two");
        }
        let lasts = self.parse(raw.lasts.as_ref(), str::parse::<Span>).unwrap_or(Span::Hours(1));
        if let (0, Some(text)) = (lasts.rough_minutes(), &raw.lasts) {
            self.fault(text.span(), "an appointment lasts at least a minute", "");
        }
        let name = |text: &Text| text.get_ref().clone();
        CalendarRule {
            start: name(&raw.start),
            end: raw.end.as_ref().map(name),
            lasts,
            place: raw.place.as_ref().map(name),
            cancel: raw.cancel,
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
        let mut needs: Vec<ChannelNeed> = read.collect();
        if let Some(sensitivity) = &raw.sensitivity {
            match sensitivity.get_ref().as_str() {
                "normal" => {}
                "private" if needs.contains(&ChannelNeed::Private) => {}
                "private" => needs.push(ChannelNeed::Private),
                other => {
                    let why = format!("{other:?} is no sensitivity; use normal or private");
                    self.fault(sensitivity.span(), why, "");
                }
            }
        }
        if let Some(named) = &raw.channels {
            let span = raw.needs.first().or(raw.sensitivity.as_ref()).map(Spanned::span);
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

fn until(text: &str) -> Until {
    time::parse_instant(text).map_or_else(|_| Until::Fact(text.to_owned()), Until::At)
}
