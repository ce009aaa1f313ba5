//! Which channel: the customer's choices, fit and reachability, in the one written order.
//!
//! Order of channels: choice for this case > choice for this topic > the customer's channel
//! order > what suits the message > the notice's order. Precedence of consent: suppression of the address > channel
//! switched off > case choice > topic choice > channel order > topic default.

use crate::domain::customer::{Address, ContactPoint};
use crate::domain::preference::Need;
use crate::domain::reason::{Verdict, Voice};
use crate::domain::{CaseChoice, Channel, Customer, Reason};

use super::caps::Closed;
use super::fit::{ChannelNeed, unmet};
use super::rules::Rules;

/// What routing looks at.
#[derive(Debug)]
pub struct Question<'a> {
    pub topic: &'a str,
    /// Channels that fit the message, best first.
    pub fitting: &'a [Channel],
    /// What the message needs of its channel: those that lack it come later.
    pub needs: &'a [ChannelNeed],
    /// Never an automated call.
    pub human_only: bool,
    /// Channels that failed for good for this notification.
    pub failed: &'a [Channel],
    pub customer: &'a Customer,
    pub choice: CaseChoice,
}

/// A channel that may be used, with the address and the word that allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub channel: Channel,
    pub address: Address,
    pub by: Voice,
}

/// May this topic use this channel, whatever the address? `Ok` and `Err` name whose word
/// decided. A topic nobody configured is refused.
///
/// # Errors
/// The word that refuses.
pub fn consent(
    topic: &str,
    channel: Channel,
    customer: &Customer,
    choice: CaseChoice,
    rules: &Rules,
) -> Result<Voice, Voice> {
    let preferences = &customer.preferences;
    if preferences.stopped.contains(&channel) {
        return Err(Voice::Stop);
    }
    let no_calls = preferences.needs.as_ref().is_some_and(|needs| needs.contains(&Need::NoCalls));
    if channel == Channel::Voice && no_calls {
        return Err(Voice::Need);
    }
    let say = |allowed: bool, by: Voice| if allowed { Ok(by) } else { Err(by) };
    if choice.channel == Some(channel) {
        return Ok(Voice::CaseChoice);
    }
    if let Some(wanted) = preferences.topics.get(topic).and_then(|map| map.get(&channel)) {
        return say(*wanted, Voice::TopicChoice);
    }
    if let Some(order) = &preferences.channel_order {
        return say(order.contains(&channel), Voice::ChannelOrder);
    }
    let default = rules.topics.get(topic).is_some_and(|topic| *topic.default.get(channel));
    say(default, Voice::TopicDefault)
}

/// The channels that may be used now, best first, and why each fitting one is in or out.
/// The first becomes the channel; the reasons say `allowed` until the hour is known.
#[must_use]
pub fn route(question: &Question<'_>, rules: &Rules) -> (Vec<Candidate>, Vec<Reason>) {
    let mut candidates = Vec::new();
    let mut reasons = Vec::new();
    for channel in in_order(question) {
        if question.human_only && channel == Channel::Voice {
            reasons.push(Reason::HumanOnly);
            continue;
        }
        let lacks = unmet(question.needs, channel);
        if !lacks.is_empty() {
            let needs = lacks.iter().map(|need| need.as_str().to_owned()).collect();
            reasons.push(Reason::Unsuited { channel, needs });
        }
        match look_at(channel, question, rules) {
            Ok(candidate) => candidates.push(candidate),
            Err(verdict) => reasons.push(Reason::Candidate { channel, verdict }),
        }
    }
    (candidates, reasons)
}

fn in_order(question: &Question<'_>) -> Vec<Channel> {
    let preferences = &question.customer.preferences;
    let topic = preferences.topics.get(question.topic);
    let place = |channel: &Channel| {
        let by_case = question.choice.channel != Some(*channel);
        let by_topic = topic.and_then(|map| map.get(channel)) != Some(&true);
        let by_customer = preferences
            .channel_order
            .as_ref()
            .and_then(|order| order.iter().position(|known| known == channel))
            .unwrap_or(usize::MAX);
        let lacks = unmet(question.needs, *channel).len();
        (by_case, by_topic, by_customer, lacks)
    };
    let mut channels = question.fitting.to_vec();
    channels.sort_by_key(place); // stable: the notice's order decides last
    channels
}

fn look_at(channel: Channel, question: &Question<'_>, rules: &Rules) -> Result<Candidate, Verdict> {
    let by = consent(question.topic, channel, question.customer, question.choice, rules)
        .map_err(|by| Verdict::Refused { by })?;
    let point = best_address(&question.customer.contact_points, channel)?;
    if !rules.offered.get(channel) {
        return Err(Verdict::NotOffered);
    }
    if let Some(caps) = rules.caps.get(channel)
        && let Err(closed) = caps.open(&point.address, &rules.countries)
    {
        return Err(match closed {
            Closed::Country(country) => Verdict::CountryClosed { country },
            Closed::NoPrice => Verdict::PriceUnknown,
        });
    }
    if question.failed.contains(&channel) {
        return Err(Verdict::FailedBefore);
    }
    Ok(Candidate { channel, address: point.address.clone(), by })
}

/// The first address of the channel that is verified and not suppressed.
fn best_address(points: &[ContactPoint], channel: Channel) -> Result<&ContactPoint, Verdict> {
    let mut worst = Verdict::NoAddress;
    for point in points.iter().filter(|point| point.channel == channel) {
        match (&point.suppressed, point.verified) {
            (None, true) => return Ok(point),
            (Some(why), _) => worst = Verdict::SuppressedAddress { why: why.clone() },
            (None, false) => worst = Verdict::Unverified,
        }
    }
    Err(worst)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{customer, rules};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn channels(candidates: &[Candidate]) -> Vec<Channel> {
        candidates.iter().map(|candidate| candidate.channel).collect()
    }

    fn ask(customer: &Customer, choice: CaseChoice) -> Question<'_> {
        Question {
            topic: "status",
            fitting: &Channel::ALL,
            needs: &[],
            human_only: false,
            failed: &[],
            customer,
            choice,
        }
    }

    #[test]
    fn the_word_nearest_to_the_case_decides_the_order() {
        use Channel::{Email, Sms, Voice};
        let rules = rules("");
        let mut ada = customer("C-1");
        let none = CaseChoice::default();
        // Topic default: e-mail and text on, voice off; the notice's order.
        assert_eq!(channels(&route(&ask(&ada, none), &rules).0), [Email, Sms]);
        ada.preferences.channel_order = Some(vec![Voice, Sms, Email]);
        assert_eq!(channels(&route(&ask(&ada, none), &rules).0), [Voice, Sms, Email]);
        ada.preferences.topics =
            BTreeMap::from([("status".to_owned(), BTreeMap::from([(Sms, true), (Voice, false)]))]);
        assert_eq!(channels(&route(&ask(&ada, none), &rules).0), [Sms, Email]);
        let by_voice = CaseChoice { channel: Some(Voice), muted: false };
        assert_eq!(channels(&route(&ask(&ada, by_voice), &rules).0), [Voice, Sms, Email]);
    }

    #[test]
    fn an_unverified_suppressed_failed_or_unoffered_channel_is_left_out_with_its_reason() {
        let mut offered = rules("");
        offered.offered.voice = false;
        let mut ada = customer("C-1");
        ada.preferences.channel_order = Some(Channel::ALL.to_vec());
        ada.contact_points[0].suppressed = Some("hard bounce".into());
        ada.contact_points[1].verified = false;
        let (candidates, reasons) = route(&ask(&ada, CaseChoice::default()), &offered);
        assert_eq!(candidates, []);
        let verdicts: Vec<_> = reasons
            .iter()
            .map(|reason| match reason {
                Reason::Candidate { verdict, .. } => verdict.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            verdicts,
            [
                Verdict::SuppressedAddress { why: "hard bounce".into() },
                Verdict::Unverified,
                Verdict::NotOffered
            ]
        );
    }

    /// The precedence, written a second time as one plain chain of ifs.
    fn oracle(
        stopped: bool,
        case: bool,
        topic: Option<bool>,
        order: Option<bool>,
        default: bool,
    ) -> bool {
        !stopped && (case || topic.or(order).unwrap_or(default))
    }

    #[test]
    fn consent_precedence_holds_for_every_combination_of_choices() {
        let maybe = [None, Some(false), Some(true)];
        let mut looked_at = 0;
        for channel in Channel::ALL {
            for stopped in [false, true] {
                for case in [false, true] {
                    for topic in maybe {
                        for order in maybe {
                            for default in [false, true] {
                                let mut rules = rules("");
                                let status = rules.topics.get_mut("status").expect("shipped");
                                *status.default.get_mut(channel) = default;
                                let mut ada = customer("C-1");
                                let chosen = &mut ada.preferences;
                                if stopped {
                                    chosen.stopped.push(channel);
                                }
                                if let Some(wanted) = topic {
                                    let map = BTreeMap::from([(channel, wanted)]);
                                    chosen.topics.insert("status".into(), map);
                                }
                                chosen.channel_order =
                                    order.map(|named| if named { vec![channel] } else { vec![] });
                                let choice =
                                    CaseChoice { channel: case.then_some(channel), muted: false };
                                let allowed =
                                    consent("status", channel, &ada, choice, &rules).is_ok();
                                assert_eq!(allowed, oracle(stopped, case, topic, order, default));
                                let routed = route(&ask(&ada, choice), &rules).0;
                                assert_eq!(channels(&routed).contains(&channel), allowed);
                                looked_at += 1;
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(looked_at, 3 * 2 * 2 * 3 * 3 * 2);
    }

    proptest! {
        #[test]
        fn a_route_is_a_permutation_of_allowed_channels_and_refusing_one_more_never_adds(
            order in proptest::sample::subsequence(Channel::ALL.to_vec(), 0..=3).prop_shuffle(),
            refused in proptest::sample::subsequence(Channel::ALL.to_vec(), 0..=3),
            fitting in proptest::sample::subsequence(Channel::ALL.to_vec(), 1..=3).prop_shuffle(),
            one_more in proptest::sample::select(Channel::ALL.to_vec()),
        ) {
            let rules = rules("");
            let mut ada = customer("C-1");
            ada.preferences.channel_order = Some(order);
            ada.preferences.stopped = refused;
            let ask = |ada: &Customer| {
                let question = Question {
                    topic: "status", fitting: &fitting, needs: &[], human_only: false, failed: &[],
                    customer: ada,
                    choice: CaseChoice::default(),
                };
                channels(&route(&question, &rules).0)
            };
            let before = ask(&ada);
            prop_assert!(before.iter().all(|c| fitting.contains(c) && !ada.preferences.stopped.contains(c)));
            ada.preferences.stopped.push(one_more);
            let after = ask(&ada);
            let expected: Vec<_> = before.into_iter().filter(|c| *c != one_more).collect();
            prop_assert_eq!(after, expected);
        }
    }
}
