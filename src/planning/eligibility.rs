//! May it go now? The steps in their one order; the first that applies decides,
//! and every one looked at leaves its reason.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::domain::customer::Address;
use crate::domain::plan::{Decision, Outcome};
use crate::domain::quota::Cap;
use crate::domain::reason::Verdict;
use crate::domain::time::Instant;
use crate::domain::{
    Case, CaseChoice, Channel, ChannelMap, Customer, Held, Notification, NotificationId, Reason,
    Rest, Sign, Status, Step, Urgency, Withdrawn,
};

use super::adaptive::{self, Evidence};
use super::caps::Uses;
use super::carry::goes_alone;
use super::condition;
use super::frequency::{self, Frequency, Rhythm};
use super::journey::{AllowedStates, FactOffset, Journey, Notice, Trigger, Until};
use super::openings::Openings;
use super::promise::promise;
use super::routing::{Candidate, Question, route};
use super::rules::{Guard, Rules};
use super::schedule::{fact_instant, shift};

/// What a decision is about.
#[derive(Debug)]
pub struct Matter<'a> {
    pub notification: &'a Notification,
    pub journey: &'a Journey,
    /// `None` when the version in force no longer has the rule.
    pub notice: Option<&'a Notice>,
    pub case: &'a Case,
    pub customer: &'a Customer,
    pub choice: CaseChoice,
    /// Until when each channel's provider is left alone.
    pub rests: ChannelMap<Option<Rest>>,
    /// Channels that deliver too little to be used while there is another.
    pub withdrawn: ChannelMap<Option<Withdrawn>>,
    pub heard: &'a Heard,
}

/// What the customer heard before, as far as a rule or a choice asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// When anything was last said about the case.
    pub last_word: Option<Instant>,
    /// Messages of this day, on the customer's clock, that count against their cap.
    pub today: u32,
    /// Digests that were handed over: `email 2026-11-23T18:00`.
    pub slots: Vec<String>,
    /// The strongest sign that the message this one escalates reached somebody.
    pub sign: Option<Sign>,
    /// Newer steps of its collapse group that were said, or are to be said.
    pub newer: Vec<Step>,
    /// It would ride in another message, which counts for both.
    pub rides: bool,
    /// Nothing was ever said to this customer.
    pub first: bool,
    /// What earlier messages came to, where decisions learn from it.
    pub evidence: Option<Evidence>,
    /// What was used of the caps of the customer's numbers; `None` where nothing was.
    pub uses: Option<Arc<Uses>>,
}

impl Heard {
    /// Nothing, as far as planning knows: a plan made twice is the same plan.
    pub const NOTHING: &'static Self = &Self {
        last_word: None,
        today: 0,
        slots: Vec::new(),
        sign: None,
        newer: Vec::new(),
        rides: false,
        first: false,
        evidence: None,
        uses: None,
    };
}

/// Messages that wait for the same provider come back spread over this time, so that its
/// recovery is no stampede.
const SPREAD_AFTER_REST_MS: u128 = 5_000;

/// How often a message is looked at whose channel an operator has stopped and whose end is near.
const LOOK_AT_DRAIN: chrono::TimeDelta = chrono::TimeDelta::seconds(15);

/// What a person is told whose message was ours to send and did not leave.
const NOT_IN_TIME: &str = "due and allowed, but not sent in time";
const OUTDATED: &str = "due, and its text is valid no longer";
const NO_OTHER_IN_TIME: &str = "a channel failed, and no other may be used in time";

fn settle(status: Status, mut reasons: Vec<Reason>, last: Reason) -> Decision {
    reasons.push(last);
    Decision { outcome: Outcome::Settle { status, task: None }, reasons }
}

/// Decides about one notification at `now`.
#[must_use]
pub fn decide(matter: &Matter<'_>, rules: &Rules, now: Instant) -> Decision {
    let mut reasons = Vec::new();
    let notice = match look_at_case(matter, rules, now) {
        Ok(notice) => notice,
        Err(why) => return settle(Status::Cancelled, reasons, why),
    };
    reasons.push(Reason::CaseFits { state: matter.case.state.clone() });
    if let Some(newer) = overtaken(matter, rules) {
        let by = newer.notice.clone();
        return settle(Status::Superseded, reasons, Reason::Superseded { by });
    }
    if let Some(since) = outdated(matter, notice, rules, now) {
        reasons.push(Reason::TextOutdated { since });
        let outcome = Outcome::Settle { status: Status::Expired, task: Some(OUTDATED) };
        return Decision { outcome, reasons };
    }
    if let Some((until, at)) = spoken_since(matter, notice, rules, now) {
        reasons.push(Reason::SpokenSince { at });
        return Decision { outcome: Outcome::Snooze { until, held: None }, reasons };
    }

    if let Some(decision) = look_at_customer(matter, notice, rules, now, &mut reasons) {
        return decision;
    }

    let question = Question {
        topic: &notice.topic,
        fitting: &notice.channels,
        needs: &notice.needs,
        human_only: notice.human_only,
        failed: &matter.notification.failed_channels,
        customer: matter.customer,
        choice: matter.choice,
    };
    let (mut candidates, refused) = route(&question, rules);
    reasons.extend(refused);
    if candidates.is_empty() {
        let only_by_voice = notice.human_only
            && !route(&Question { human_only: false, ..question }, rules).0.is_empty();
        return no_channel(matter, notice, rules, only_by_voice, reasons);
    }
    let best = adaptive::apply(matter, notice, &mut candidates, rules, &mut reasons);
    withdrawn_last(matter, &mut candidates, now, &mut reasons);
    look_at_hour(matter, notice, &candidates, best, rules, now, reasons)
}

/// A channel that delivers too little comes last: a poor channel is better than none.
fn withdrawn_last(
    matter: &Matter<'_>,
    candidates: &mut [Candidate],
    now: Instant,
    reasons: &mut Vec<Reason>,
) {
    let of = |channel| matter.withdrawn.get(channel).filter(|withdrawn| now < withdrawn.until);
    let another = candidates.iter().any(|candidate| of(candidate.channel).is_none());
    for channel in candidates.iter().map(|candidate| candidate.channel) {
        let Some(Withdrawn { until, percent }) = of(channel) else { continue };
        reasons.push(if another {
            Reason::Withdrawn { channel, percent, until }
        } else {
            Reason::WithdrawnAndOnly { channel, percent }
        });
    }
    candidates.sort_by_key(|candidate| of(candidate.channel).is_some());
}

/// The step that took its place while it was on its way, or in doubt: an older one that comes
/// back is not said after it.
fn overtaken<'m>(matter: &'m Matter<'_>, rules: &Rules) -> Option<&'m Step> {
    let Matter { notification, journey, heard, .. } = matter;
    let mut newer = heard.newer.iter().filter(|_| rules.keeps(Guard::Collapse));
    newer.find(|step| journey.replaces(step.state.as_deref(), notification.state.as_deref()))
}

/// Since when the text of a notice says what is no longer so, where it does.
fn outdated(matter: &Matter<'_>, notice: &Notice, rules: &Rules, now: Instant) -> Option<Instant> {
    let since = notice.valid_until?.ends_at(&rules.zone_of(matter.customer));
    (since <= now).then_some(since)
}

/// A word after a silence waits for as long since the last one. Answers until when, and when
/// that was.
fn spoken_since(
    matter: &Matter<'_>,
    notice: &Notice,
    rules: &Rules,
    now: Instant,
) -> Option<(Instant, Instant)> {
    let Trigger::Silence { after } = notice.on else { return None };
    let at = matter.heard.last_word?;
    let zone = rules.zone_of(matter.customer);
    let until = shift(at, after, false, &zone, rules.calendar(matter.journey));
    (until > now).then_some((until, at))
}

/// Does the case still ask for what was told? Then its question may still be answered.
#[must_use]
pub fn still_asked(matter: &Matter<'_>, rules: &Rules, now: Instant) -> bool {
    !matter.customer.erased && look_at_case(matter, rules, now).is_ok()
}

/// Step 1: does the case still ask for it?
fn look_at_case<'a>(
    matter: &Matter<'a>,
    rules: &Rules,
    now: Instant,
) -> Result<&'a Notice, Reason> {
    let Matter { notification, journey, case, customer, .. } = matter;
    let notice = matter.notice.ok_or(Reason::RuleRemoved)?;
    if let Some(reason) = notice.unsent() {
        return Err(reason);
    }
    if case.customer != notification.customer {
        return Err(Reason::OtherCustomer);
    }
    let state = case.state.as_deref();
    let state = state.filter(|_| rules.keeps(Guard::State));
    if let Some(state) = state.filter(|_| journey.is_final(state)) {
        let about_this_end = notification.state.as_deref() == Some(state);
        let said_at_the_end = matches!(&notice.allowed_states,
            AllowedStates::Only(states) if states.iter().any(|known| known == state));
        if !about_this_end && !said_at_the_end {
            return Err(Reason::CaseFinal { state: state.to_owned() });
        }
    }
    if rules.keeps(Guard::State) && !notice.fits_state(journey, state) {
        return Err(Reason::LeftState {
            state: case.state.clone(),
            wanted: notice.wanted_states(journey),
        });
    }
    if notification.escalates.is_some() {
        still_unheard(matter, notice)?;
    }
    if let Some(when) = &notice.when
        && !when.holds(&condition::context(case, customer, now))
    {
        return Err(Reason::ConditionFalse { when: when.source.clone() });
    }
    if let Some(until) = until_instant(matter, notice, rules)
        && now >= until
    {
        return Err(Reason::PastUntil { until });
    }
    Ok(notice)
}

/// The next channel is for who has not reacted, about a case that has not moved.
fn still_unheard(matter: &Matter<'_>, notice: &Notice) -> Result<(), Reason> {
    let Matter { notification, case, heard, .. } = matter;
    if case.state != notification.state {
        let wanted = notification.state.iter().cloned().collect();
        return Err(Reason::LeftState { state: case.state.clone(), wanted });
    }
    match (heard.sign, notice.escalate) {
        (Some(sign), Some(escalate)) if sign >= escalate.unless => {
            let sign = format!("{sign:?}").to_lowercase();
            Err(Reason::SignOfLife { sign })
        }
        (_, None) => Err(Reason::RuleRemoved),
        _ => Ok(()),
    }
}

fn until_instant(matter: &Matter<'_>, notice: &Notice, rules: &Rules) -> Option<Instant> {
    match notice.until.as_ref()? {
        Until::At(at) => Some(*at),
        Until::Fact(fact) => {
            let value = matter.case.facts.get(fact)?;
            fact_instant(value, &rules.zone_of(matter.customer))
        }
    }
}

/// Step 2: does the customer want to hear anything at all now?
fn look_at_customer(
    matter: &Matter<'_>,
    notice: &Notice,
    rules: &Rules,
    now: Instant,
    reasons: &mut Vec<Reason>,
) -> Option<Decision> {
    if matter.customer.erased {
        let reasons = std::mem::take(reasons);
        return Some(settle(Status::Cancelled, reasons, Reason::Erased));
    }
    if matter.choice.muted {
        let reasons = std::mem::take(reasons);
        return Some(settle(Status::Suppressed, reasons, Reason::CaseMuted));
    }
    let until = matter.customer.preferences.paused_until.filter(|until| *until > now)?;
    if rules.is_mandatory(&notice.topic) {
        reasons.push(Reason::PauseIgnored { topic: notice.topic.clone() });
        return None;
    }
    let mut reasons = std::mem::take(reasons);
    reasons.push(Reason::Paused { until });
    Some(snooze_or_expire(matter, notice, rules, until, reasons))
}

/// Step 3, nothing left: the customer refused all channels, or all of them failed, or wants to
/// hear `only_by_voice` what no machine may say.
fn no_channel(
    matter: &Matter<'_>,
    notice: &Notice,
    rules: &Rules,
    only_by_voice: bool,
    mut reasons: Vec<Reason>,
) -> Decision {
    reasons.push(Reason::NoChannel);
    let outcome = if matter.notification.escalates.is_some() {
        // Said once already; there is only no second way.
        Outcome::Settle { status: Status::Cancelled, task: None }
    } else if only_by_voice {
        let task = Some("call the customer: they want calls alone, and no machine may say this");
        Outcome::Settle { status: Status::Suppressed, task }
    } else if failed_before(matter) {
        Outcome::Settle { status: Status::Failed, task: Some("every allowed channel failed") }
    } else if rules.is_mandatory(&notice.topic) {
        let task = Some("the topic is mandatory and no channel is left");
        Outcome::Settle { status: Status::Suppressed, task }
    } else {
        Outcome::Settle { status: Status::Suppressed, task: None }
    };
    Decision { outcome, reasons }
}

/// Steps 4, 7 and 8: the hour and the provider, channel by channel, and whether it is still
/// worth anything.
fn look_at_hour(
    matter: &Matter<'_>,
    notice: &Notice,
    candidates: &[Candidate],
    best: Option<Instant>,
    rules: &Rules,
    now: Instant,
    mut reasons: Vec<Reason>,
) -> Decision {
    let mandatory = rules.is_mandatory(&notice.topic);
    let asked = Frequency { matter, notice, mandatory, now };
    let rhythm = frequency::rhythm(&asked, rules);
    let hard = hard_limit(matter, notice, rules);
    let promised = promised_by(matter, notice, rules);
    let digest = rhythm.filter(|rhythm| {
        let limits = [hard.as_ref().map(|(limit, _)| *limit), promised];
        let in_time = limits.into_iter().flatten().all(|limit| rhythm.first.at < limit);
        if !in_time {
            reasons.push(Reason::DigestTooLate { until: rhythm.first.at });
        }
        in_time
    });
    let (mut limit, past) = worth_until(matter, notice, rules);
    if let Some(rhythm) = &digest {
        // A member does not expire before its slot; whether it is still true decides.
        let slot = rhythm.first.at + TimeDelta::days(1);
        limit = hard.map_or(limit.max(slot), |(hard, _)| limit.max(slot).min(hard));
    }
    if now >= limit {
        return expired(matter, limit, past, reasons);
    }
    if let Some(rhythm) = digest.as_ref().filter(|rhythm| now < rhythm.first.at) {
        let until = rhythm.first.at;
        reasons.push(Reason::WaitsForDigest { rhythm: rhythm.source.to_string(), until });
        let held = Some(Held::Digest);
        return Decision { outcome: Outcome::Snooze { until, held }, reasons };
    }
    // What waits for company goes on waiting for it through the night.
    let held = matter.notification.held;
    let best = best.filter(|best| digest.is_none() && held.is_none() && now < *best);
    if let Some(until) = best.filter(|best| *best < limit && promised.is_none_or(|by| *best < by)) {
        reasons.push(Reason::BestHour { until });
        return Decision { outcome: Outcome::Snooze { until, held }, reasons };
    }
    let mut earliest: Option<Instant> = None;
    let mut provider_fails = false;
    let mut drained = false;
    for (index, Candidate { channel, address, by }) in candidates.iter().enumerate() {
        let gathered = digest.is_some();
        let openings = Openings::of(*channel, address, matter, notice, gathered, rules);
        let allowed = openings.next(now);
        let rests = matter.rests.get(*channel).filter(|rest| rest.until() > now);
        let over = over_cap(*channel, address, notice, matter, rules, now);
        if allowed == Some(now) && rests.is_none() && over.is_none() {
            // What could not be in the digest of its slot waits for no other.
            let missed = |rhythm: &Rhythm| {
                let name = frequency::slot_name(*channel, &rhythm.last.name);
                matter.heard.slots.contains(&name) && !openings.lawful(rhythm.last.at)
            };
            let slot = digest
                .as_ref()
                .filter(|rhythm| !goes_alone(notice, *channel) && !missed(rhythm))
                .map(|rhythm| rhythm.last.name.clone());
            if let Some(decision) = frequency::hold(&asked, rules, *channel, slot.as_deref()) {
                let mut reasons = reasons;
                reasons.extend(decision.reasons);
                return Decision { outcome: decision.outcome, reasons };
            }
            let taken = Verdict::Taken { by: *by };
            reasons.push(Reason::Candidate { channel: *channel, verdict: taken });
            for rest in &candidates[index + 1..] {
                let verdict = Verdict::Allowed { by: rest.by };
                reasons.push(Reason::Candidate { channel: rest.channel, verdict });
            }
            let any_hour = openings.any_hour;
            reasons.push(if any_hour { Reason::UrgentInQuietHours } else { Reason::HourFits });
            let address = address.clone();
            let outcome = Outcome::Send { channel: *channel, address, digest: slot };
            return Decision { outcome, reasons };
        }
        let verdict = Verdict::Allowed { by: *by };
        reasons.push(Reason::Candidate { channel: *channel, verdict });
        if let Some(rests) = rests
            && allowed == Some(now)
        {
            let until = spread(rests.until(), matter.notification.id);
            reasons.push(match rests {
                Rest::Failing { .. } => Reason::ProviderRests { channel: *channel, until },
                Rest::Drained { .. } => Reason::Drained { channel: *channel, until },
            });
            if until < limit {
                return Decision { outcome: Outcome::Snooze { until, held }, reasons };
            }
            earliest = Some(earliest.map_or(until, |known| known.min(until)));
            provider_fails = true;
            drained |= matches!(rests, Rest::Drained { .. });
            continue;
        }
        if let Some((cap, until)) = over
            && allowed == Some(now)
        {
            let until = spread(until, matter.notification.id);
            reasons.push(Reason::OverTelephoneCap { channel: *channel, cap, until });
            // What is urgent takes another way, where there is one, rather than wait.
            let waits = notice.urgency != Urgency::Urgent || index + 1 == candidates.len();
            if waits && until < limit {
                return Decision { outcome: Outcome::Snooze { until, held }, reasons };
            }
            earliest = Some(earliest.map_or(until, |known| known.min(until)));
            continue;
        }
        let until = allowed.unwrap_or(Instant::MAX_UTC);
        reasons.push(openings.closed(now, until));
        if until < limit {
            return Decision { outcome: Outcome::Snooze { until, held }, reasons };
        }
        earliest = Some(earliest.map_or(until, |known| known.min(until)));
    }
    // An operator may let the channel go on at any moment: it is looked at until its end.
    let soon = now + LOOK_AT_DRAIN;
    if drained && soon < limit {
        return Decision { outcome: Outcome::Snooze { until: soon, held }, reasons };
    }
    let until = earliest.unwrap_or(limit);
    reasons.push(Reason::NoHourInTime { until });
    let outcome = if failed_before(matter) {
        Outcome::Settle { status: Status::Failed, task: Some(NO_OTHER_IN_TIME) }
    } else {
        let task = provider_fails.then_some(NOT_IN_TIME);
        Outcome::Settle { status: Status::Expired, task }
    };
    Decision { outcome, reasons }
}

/// The cap that a message to this number would be over, and when it counts anew.
fn over_cap(
    channel: Channel,
    number: &Address,
    notice: &Notice,
    matter: &Matter<'_>,
    rules: &Rules,
    now: Instant,
) -> Option<(Cap, Instant)> {
    let caps = rules.caps.get(channel).as_ref()?;
    let uses = matter.heard.uses.as_ref()?;
    let quotas = caps.quotas(number, notice.urgency, &rules.countries);
    let full = caps.used_up(channel, number, &quotas, uses, now)?;
    Some((full.cap, full.until(now)))
}

/// By when the word after a silence must be said to keep the journey's promise.
fn promised_by(matter: &Matter<'_>, notice: &Notice, rules: &Rules) -> Option<Instant> {
    if !matches!(notice.on, Trigger::Silence { .. }) {
        return None;
    }
    let every = matter.journey.promise?;
    let from = matter.heard.last_word.unwrap_or(matter.notification.planned_at);
    let zone = rules.zone_of(matter.customer);
    Some(promise(from, every, &zone, rules.calendar(matter.journey)).due_at)
}

/// Did a channel fail, so that it was ours to tell and is not told?
fn failed_before(matter: &Matter<'_>) -> bool {
    !matter.notification.failed_channels.is_empty() && matter.notification.escalates.is_none()
}

/// This notification's place after a rest that ends at `until`: derived from its id, so that
/// a replay lands on the same instant.
fn spread(until: Instant, id: NotificationId) -> Instant {
    let later_ms = id.0.as_u128() % SPREAD_AFTER_REST_MS;
    until + TimeDelta::milliseconds(i64::try_from(later_ms).unwrap_or(0))
}

/// Until when it is worth sending, and the reason to give afterwards. What is over the cap
/// does not expire: whether it is still true decides.
fn worth_until(matter: &Matter<'_>, notice: &Notice, rules: &Rules) -> (Instant, Reason) {
    let expires_at = expires_at(matter, notice, rules);
    let expiry = (matter.notification.held != Some(Held::Cap))
        .then_some((expires_at, Reason::Expired { at: expires_at }));
    let limits = [expiry, hard_limit(matter, notice, rules)].into_iter().flatten();
    limits
        .min_by_key(|(at, _)| *at)
        .unwrap_or((Instant::MAX_UTC, Reason::Expired { at: expires_at }))
}

/// When it expires. A word after a silence is due again, and worth as long, whenever something
/// else was said.
fn expires_at(matter: &Matter<'_>, notice: &Notice, rules: &Rules) -> Instant {
    let planned = matter.notification.expires_at;
    let (Trigger::Silence { after }, Some(at)) = (&notice.on, matter.heard.last_word) else {
        return planned;
    };
    let zone = rules.zone_of(matter.customer);
    let calendar = rules.calendar(matter.journey);
    let due = shift(at, *after, false, &zone, calendar);
    planned.max(shift(due, notice.expires_after, false, &zone, calendar))
}

/// From when on it would be wrong, where the rule names such an instant.
fn hard_limit(matter: &Matter<'_>, notice: &Notice, rules: &Rules) -> Option<(Instant, Reason)> {
    let until = until_instant(matter, notice, rules);
    let until = until.map(|until| (until, Reason::PastUntil { until }));
    let fact = match &notice.on {
        Trigger::Fact { fact, offset: FactOffset::Before(_) } => {
            let value = matter.case.facts.get(fact);
            let at = value.and_then(|value| fact_instant(value, &rules.zone_of(matter.customer)));
            at.map(|at| (at, Reason::FactPast { fact: fact.clone(), at }))
        }
        _ => None,
    };
    [until, fact].into_iter().flatten().min_by_key(|(at, _)| *at)
}

fn snooze_or_expire(
    matter: &Matter<'_>,
    notice: &Notice,
    rules: &Rules,
    until: Instant,
    reasons: Vec<Reason>,
) -> Decision {
    let (limit, _) = worth_until(matter, notice, rules);
    if until < limit {
        let held = matter.notification.held;
        return Decision { outcome: Outcome::Snooze { until, held }, reasons };
    }
    settle(Status::Expired, reasons, Reason::NoHourInTime { until })
}

/// Expired. A person is told when it was due, allowed and known in time, and still not sent.
fn expired(matter: &Matter<'_>, limit: Instant, why: Reason, mut reasons: Vec<Reason>) -> Decision {
    let Notification { planned_at, next_at, .. } = matter.notification;
    reasons.push(why);
    if failed_before(matter) {
        let task = Some(NO_OTHER_IN_TIME);
        return Decision { outcome: Outcome::Settle { status: Status::Failed, task }, reasons };
    }
    let was_due = *next_at < limit && *planned_at < limit;
    let task = was_due.then_some(NOT_IN_TIME);
    Decision { outcome: Outcome::Settle { status: Status::Expired, task }, reasons }
}
