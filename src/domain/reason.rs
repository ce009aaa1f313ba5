//! Why something was sent, held, changed or not sent: produced by the deciders themselves,
//! stored with the decision, and put into plain words here.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::quota::Cap;
use super::time::{Instant, local};

/// One thing a decision looked at. `code` is stable: it is counted and searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    // What made it a plan.
    StateEntered { state: String },
    AfterState { state: String, span: String },
    FactDue { fact: String, value: String, rule: String },
    EventHappened { event: String },
    Repeated { occurrence: u32, every: String },
    Silence { span: String },
    ByCalendar { rule: String, slot: String },
    Escalated { after: String, channel: Channel },
    FactChanged { fact: String, due: Instant },
    RulesChanged { due: Instant },
    Replaces { notice: String, state: Option<String> },

    // The case.
    CaseFits { state: Option<String> },
    LeftState { state: Option<String>, wanted: Vec<String> },
    CaseFinal { state: String },
    ConditionFalse { when: String },
    PastUntil { until: Instant },
    Superseded { by: String },
    RuleRemoved,
    RuleDisabled,
    ForStaff,
    FactRemoved { fact: String },
    OtherCustomer,
    EndOfPlay,
    SpokenSince { at: Instant },
    SignOfLife { sign: String },
    CameBack,
    ByOperator { who: String },
    NotSinceRestore { who: String },

    // The customer.
    Erased,
    CaseMuted,
    Paused { until: Instant },
    PauseIgnored { topic: String },

    // The channel.
    Candidate { channel: Channel, verdict: Verdict },
    NoChannel,
    Unsuited { channel: Channel, needs: Vec<String> },
    HumanOnly,
    NextChannel { after: Channel, detail: String },
    Learned { why: String },

    // The hour.
    HourFits,
    QuietHours { until: Instant, own: bool },
    UrgentInQuietHours,
    OutsideWindow { until: Instant, window: String },
    LegalHours { until: Instant, region: String },
    NoHourInTime { until: Instant },
    BestHour { until: Instant },

    // The frequency.
    WaitsForDigest { rhythm: String, until: Instant },
    DigestTooLate { until: Instant },
    OverCap { cap: u32, until: Instant },
    OverTelephoneCap { channel: Channel, cap: Cap, until: Instant },
    Carries { count: usize },
    RidesIn { notice: String },

    // The provider.
    ProviderRests { channel: Channel, until: Instant },
    Drained { channel: Channel, until: Instant },
    DestinationRests { of: String, until: Instant },
    RetriesWait { channel: Channel, until: Instant },
    Withdrawn { channel: Channel, percent: u32, until: Instant },
    WithdrawnAndOnly { channel: Channel, percent: u32 },

    // Worth.
    Expired { at: Instant },
    FactPast { fact: String, at: Instant },
    TextOutdated { since: Instant },

    // Events that led to no notification.
    BehindHead,
    SameState { state: String },
    NoJourney { case_type: String },
    UnknownState { state: String },
    NoNotice { state: Option<String> },
    UnknownCustomer,
    AlreadySaid { notice: String },

    // The hand-over.
    HandedOver { channel: Channel },
    Shadow { channel: Channel },
    Deferred { channel: Channel, detail: String, retry_at: Instant },
    Refused { channel: Channel, detail: String },
    NotStarted { detail: String },
    Unanswered { channel: Channel, detail: String },
    LeaseLost,
    SentAgainInDoubt,
    NoWordInTime,
    NotFoundThere { provider: String },
    ReceiptSaid { outcome: String, detail: String },
    RenderFailed { detail: String },
    TooManyClaims { claims: i64 },
}

/// What routing found about one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Verdict {
    Taken {
        by: Voice,
    },
    Allowed {
        by: Voice,
    },
    Refused {
        by: Voice,
    },
    NoAddress,
    Unverified,
    SuppressedAddress {
        why: String,
    },
    NotOffered,
    FailedBefore,
    /// The settings let nothing go to this country.
    CountryClosed {
        country: Option<String>,
    },
    /// A day's cost is capped and nobody knows what this one costs.
    PriceUnknown,
}

/// Whose word decided about a channel, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    Stop,
    Need,
    CaseChoice,
    TopicChoice,
    ChannelOrder,
    TopicDefault,
    Mandatory,
}

impl Voice {
    const fn words(self) -> &'static str {
        match self {
            Self::Stop => "the customer stopped this channel",
            Self::Need => "the customer asked for no calls",
            Self::CaseChoice => "the customer's choice for this case",
            Self::TopicChoice => "the customer's choice for this topic",
            Self::ChannelOrder => "the customer's channel order",
            Self::TopicDefault => "the default of this topic",
            Self::Mandatory => "the topic cannot be switched off",
        }
    }
}

/// Whose word chose the channel a decision took.
#[must_use]
pub fn chosen_by(reasons: &[Reason]) -> Voice {
    let taken = |reason: &Reason| match reason {
        Reason::Candidate { verdict: Verdict::Taken { by }, .. } => Some(*by),
        _ => None,
    };
    reasons.iter().find_map(taken).unwrap_or(Voice::TopicDefault)
}

impl Reason {
    /// The stable name of this reason, as counted in `by_reason`.
    #[must_use]
    pub fn code(&self) -> String {
        let value = serde_json::to_value(self).expect("a reason is plain data");
        value["code"].as_str().expect("a reason has a code").to_owned()
    }

    /// One plain sentence, times on the clock of `zone`.
    #[must_use]
    pub fn words(&self, zone: &TimeZone) -> String {
        let at =
            |instant: &Instant| local(*instant, zone).strftime("%a %-d %b %Y %H:%M %Z").to_string();
        let state_name = |state: &Option<String>| {
            state.as_ref().map_or_else(|| "no state".to_owned(), |state| format!("“{state}”"))
        };
        match self {
            Self::StateEntered { state } => format!("The case entered “{state}”."),
            Self::AfterState { state, span } => {
                format!("The case entered “{state}”; due {span} later.")
            }
            Self::FactDue { fact, value, rule } => {
                format!("The fact “{fact}” is {value}; due {rule} that.")
            }
            Self::EventHappened { event } => format!("The event “{event}” happened."),
            Self::Repeated { occurrence, every } => {
                format!("Said again, the {} time, every {every}.", ordinal(occurrence + 1))
            }
            Self::Silence { span } => format!("Nothing was said about the case for {span}."),
            Self::ByCalendar { rule, slot } => format!("Said by the calendar ({rule}), at {slot}."),
            Self::Escalated { after, channel } => format!(
                "Nobody reacted within {after} to the {}; the next allowed channel is tried.",
                channel.spoken()
            ),
            Self::FactChanged { fact, due } => {
                format!("The fact “{fact}” changed; now due {}.", at(due))
            }
            Self::RulesChanged { due } => format!(
                "Rules, calendars or time zones changed since it was planned; now due {}.",
                at(due)
            ),
            Self::Replaces { notice, state } => {
                format!("Replaces “{notice}” about {}, which was not said yet.", state_name(state))
            }
            Self::CaseFits { state } => {
                format!("The case is in {}, where this may be said.", state_name(state))
            }
            Self::LeftState { state, wanted } => format!(
                "The case is in {}; this is said only in {}.",
                state_name(state),
                wanted.join(", ")
            ),
            Self::CaseFinal { state } => format!("The case is over: “{state}” is final."),
            Self::ConditionFalse { when } => {
                format!("The condition of the rule does not hold: {when}.")
            }
            Self::PastUntil { until } => format!("The rule ended {}.", at(until)),
            Self::Superseded { by } => format!("A newer message, “{by}”, took its place."),
            Self::RuleRemoved => "The rule that planned it is gone.".into(),
            Self::RuleDisabled => "The rule is switched off.".into(),
            Self::ForStaff => "The words are for agents alone.".into(),
            Self::FactRemoved { fact } => format!("The fact “{fact}” was taken away."),
            Self::OtherCustomer => "The case now belongs to another customer.".into(),
            Self::EndOfPlay => "The played time ended before it was due.".into(),
            Self::SpokenSince { at: when } => {
                format!("Something was said about the case {}.", at(when))
            }
            Self::SignOfLife { sign } => {
                format!("The message before was {sign}; it needs no other channel.")
            }
            Self::CameBack => {
                "The message before came back and goes another way; what follows is planned anew."
                    .into()
            }
            Self::ByOperator { who } => format!("Decided by {who}."),
            Self::NotSinceRestore { who } => format!(
                "Was due before the store was restored from a copy and may have been sent then; cancelled by {who}."
            ),
            Self::Erased => "The customer's data was erased.".into(),
            Self::CaseMuted => "The customer muted this case.".into(),
            Self::Paused { until } => format!("The customer paused messages until {}.", at(until)),
            Self::PauseIgnored { topic } => {
                format!(
                    "The customer's pause does not hold back “{topic}”, which cannot be switched off."
                )
            }
            Self::Candidate { channel, verdict } => {
                let words = match verdict {
                    Verdict::Taken { by } => format!("chosen by {}", by.words()),
                    Verdict::Allowed { by } => format!("allowed by {}, not needed", by.words()),
                    Verdict::Refused { by } => format!("refused: {}", by.words()),
                    Verdict::NoAddress => "no address known".into(),
                    Verdict::Unverified => "the address is not verified".into(),
                    Verdict::SuppressedAddress { why } => {
                        format!("the address must not be used ({why})")
                    }
                    Verdict::NotOffered => "not offered here".into(),
                    Verdict::CountryClosed { country: Some(country) } => {
                        format!(
                            "nothing goes to numbers of {country} ([limits.{channel}] countries)"
                        )
                    }
                    Verdict::CountryClosed { country: None } => format!(
                        "nothing goes to numbers of no country ([limits.{channel}] countries)"
                    ),
                    Verdict::PriceUnknown => format!(
                        "the cost of a day is capped, and [prices] {channel} has no price for this number"
                    ),
                    Verdict::FailedBefore => "already failed for this message".into(),
                };
                format!("By {}: {words}.", channel.spoken())
            }
            Self::NoChannel => {
                "No channel is left that fits, reaches the customer and is allowed.".into()
            }
            Self::Unsuited { channel, needs } => format!(
                "By {}: suits this message less, which should be {}.",
                channel.spoken(),
                needs.join(" and ").replace('_', "-")
            ),
            Self::HumanOnly => "Too hard to hear from a machine: never an automated call.".into(),
            Self::NextChannel { after, detail } => {
                format!(
                    "After the {} failed ({detail}), the next allowed channel is tried.",
                    after.spoken()
                )
            }
            Self::Learned { why } => format!("Learned from earlier messages: {why}"),
            Self::HourFits => "The hour is right.".into(),
            Self::QuietHours { until, own: true } => {
                format!("The customer's quiet hours last until {}.", at(until))
            }
            Self::QuietHours { until, own: false } => {
                format!("The quiet hours of this channel last until {}.", at(until))
            }
            Self::UrgentInQuietHours => {
                "Urgent, and the customer allows urgent messages at any hour.".into()
            }
            Self::LegalHours { until, region } => format!(
                "The hours in which such messages are lawful there ({region}) begin {}.",
                at(until)
            ),
            Self::OutsideWindow { until, window } => {
                format!("The rule speaks only {window}; next {}.", at(until))
            }
            Self::NoHourInTime { until } => {
                format!("The next allowed hour, {}, comes too late.", at(until))
            }
            Self::BestHour { until } => {
                format!("Waits for the hour at which such messages do best, {}.", at(until))
            }
            Self::WaitsForDigest { rhythm, until } => {
                format!("The customer wants such news together ({rhythm}); next {}.", at(until))
            }
            Self::DigestTooLate { until } => {
                format!(
                    "Would come too late with the other news {}, so it goes at once.",
                    at(until)
                )
            }
            Self::OverCap { cap, until } => format!(
                "The customer wants at most {cap} a day; it rides in the next message, or goes after {}.",
                at(until)
            ),
            Self::OverTelephoneCap { channel, cap, until } => {
                let what = match cap {
                    Cap::PerNumberPerHour => "for this number",
                    Cap::UrgentPerNumberPerHour => "that is urgent for this number",
                    Cap::PerPrefixPerHour => "for numbers that begin like this one",
                    Cap::PerCountryPerHour => "for this country",
                    Cap::CostPerDay => "because of what they cost today",
                };
                format!(
                    "Enough for now: no more {} {what} before {} ([limits.{channel}] {}).",
                    channel.spoken(),
                    at(until),
                    cap.key()
                )
            }
            Self::Carries { count } => format!("Carries {count} more."),
            Self::RidesIn { notice } => format!("Part of the message “{notice}”."),
            Self::ProviderRests { channel, until } => format!(
                "The provider fails too often right now; no {} leaves before {}.",
                channel.spoken(),
                at(until)
            ),
            Self::Drained { channel, until } => format!(
                "An operator has stopped the channel: no {} leaves until they let it go on; looked at again {} at the latest.",
                channel.spoken(),
                at(until)
            ),
            Self::DestinationRests { of, until } => {
                let of = if of.is_empty() { "our relay" } else { of };
                format!("Mail to {of} rests after it was refused there; tried again {}.", at(until))
            }
            Self::RetriesWait { channel, until } => format!(
                "Too many are tried again by {} right now: a provider that fails is not buried under repeats; next {}.",
                channel.spoken(),
                at(until)
            ),
            Self::Withdrawn { channel, percent, until } => format!(
                "By {}: last of the channels, for only {percent} % of the last messages were delivered; as before again {}.",
                channel.spoken(),
                at(until)
            ),
            Self::WithdrawnAndOnly { channel, percent } => format!(
                "By {}: only {percent} % of the last messages were delivered, but no other channel is left.",
                channel.spoken()
            ),
            Self::Expired { at: when } => format!("Worth nothing since {}.", at(when)),
            Self::TextOutdated { since } => {
                format!("Its text was valid until {} only.", at(since))
            }
            Self::FactPast { fact, at: when } => {
                format!("The fact “{fact}” already lies in the past ({}).", at(when))
            }
            Self::BehindHead => "The event is older than what is already known of the case.".into(),
            Self::SameState { state } => format!("The case was already in “{state}”."),
            Self::NoJourney { case_type } => format!("No journey for cases of type “{case_type}”."),
            Self::UnknownState { state } => {
                format!("The journey does not know the state “{state}”.")
            }
            Self::NoNotice { state } => {
                format!("Nothing is said when a case enters {}.", state_name(state))
            }
            Self::UnknownCustomer => "The customer is not known yet.".into(),
            Self::AlreadySaid { notice } => {
                format!("“{notice}” is said only once: it was, or is planned.")
            }
            Self::HandedOver { channel } => format!("Handed over by {}.", channel.spoken()),
            Self::Shadow { channel } => format!(
                "Decided to go by {}; not handed over: this installation runs in shadow mode.",
                channel.spoken()
            ),
            Self::Deferred { channel, detail, retry_at } => format!(
                "The {} was put off by the provider ({detail}); tried again {}.",
                channel.spoken(),
                at(retry_at)
            ),
            Self::Refused { channel, detail } => {
                format!("The {} was refused by the provider ({detail}).", channel.spoken())
            }
            Self::NotStarted { detail } => format!("The hand-over was not started: {detail}."),
            Self::Unanswered { channel, detail } => format!(
                "The provider did not say whether it took the {} ({detail}).",
                channel.spoken()
            ),
            Self::LeaseLost => {
                "The process that was sending it stopped; whether it went out is in doubt.".into()
            }
            Self::SentAgainInDoubt => {
                "Sent again although the first may have arrived: the topic asks for that.".into()
            }
            Self::NotFoundThere { provider } => format!(
                "{provider} was asked and never heard of the message: it did not go out, and is sent again."
            ),
            Self::NoWordInTime => "No word came whether the message went out.".into(),
            Self::ReceiptSaid { detail, .. } if detail == super::call::VOICEMAIL_LEFT => {
                "A machine answered and was told who called, the number to call and how to stop; nothing of the case (voicemail_left).".into()
            }
            Self::ReceiptSaid { outcome, detail } => {
                format!("The provider reported: {outcome}{}.", paren(detail))
            }
            Self::RenderFailed { detail } => format!("The message could not be written: {detail}."),
            Self::TooManyClaims { claims } => {
                format!("Taken up {claims} times without being sent.")
            }
        }
    }
}

fn paren(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (1, teen) if teen != 11 => "st",
        (2, teen) if teen != 12 => "nd",
        (3, teen) if teen != 13 => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Zones, parse_instant};

    #[test]
    fn a_reason_has_a_stable_code_and_plain_words_on_the_customers_clock() {
        let zone = Zones::bundled().get("Europe/Berlin").expect("zone");
        let until = parse_instant("2026-03-29T06:00:00Z").expect("instant");
        let reason = Reason::QuietHours { until, own: true };
        assert_eq!(reason.code(), "quiet_hours");
        assert_eq!(
            reason.words(&zone),
            "The customer's quiet hours last until Sun 29 Mar 2026 08:00 CEST."
        );
    }
}
