//! May it go now? The steps in their one order; the first that applies decides,
//! and every one looked at leaves its reason.

use chrono::TimeDelta;

use crate::domain::plan::{Decision, Outcome};
use crate::domain::reason::Verdict;
use crate::domain::time::Instant;
use crate::domain::{
    Case, CaseChoice, ChannelMap, Customer, Notification, NotificationId, Reason, Status, Urgency,
};

use super::condition;
use super::journey::{AllowedStates, FactOffset, Journey, Notice, Trigger, Until};
use super::routing::{Candidate, Question, route};
use super::rules::Rules;
use super::schedule::{fact_instant, next_allowed};

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
    pub rests: ChannelMap<Option<Instant>>,
}

/// Messages that wait for the same provider come back spread over this time, so that its
/// recovery is no stampede.
const SPREAD_AFTER_REST_MS: u128 = 5_000;

/// What a person is told whose message was ours to send and did not leave.
const NOT_IN_TIME: &str = "due and allowed, but not sent in time";

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

    if let Some(decision) = look_at_customer(matter, notice, rules, now, &mut reasons) {
        return decision;
    }

    let question = Question {
        topic: &notice.topic,
        fitting: &notice.channels,
        failed: &matter.notification.failed_channels,
        customer: matter.customer,
        choice: matter.choice,
    };
    let (candidates, refused) = route(&question, rules);
    reasons.extend(refused);
    if candidates.is_empty() {
        return no_channel(matter, notice, rules, reasons);
    }
    look_at_hour(matter, notice, &candidates, rules, now, reasons)
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
    if !notice.enabled {
        return Err(Reason::RuleDisabled);
    }
    if case.customer != notification.customer {
        return Err(Reason::OtherCustomer);
    }
    let state = case.state.as_deref();
    if let Some(state) = state.filter(|_| journey.is_final(state)) {
        let about_this_end = notification.state.as_deref() == Some(state);
        let said_at_the_end = matches!(&notice.allowed_states,
            AllowedStates::Only(states) if states.iter().any(|known| known == state));
        if !about_this_end && !said_at_the_end {
            return Err(Reason::CaseFinal { state: state.to_owned() });
        }
    }
    if !notice.fits_state(journey, state) {
        return Err(Reason::LeftState {
            state: case.state.clone(),
            wanted: notice.wanted_states(journey),
        });
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

/// Step 3, nothing left: the customer refused all channels, or all of them failed.
fn no_channel(
    matter: &Matter<'_>,
    notice: &Notice,
    rules: &Rules,
    mut reasons: Vec<Reason>,
) -> Decision {
    reasons.push(Reason::NoChannel);
    let failed = !matter.notification.failed_channels.is_empty();
    let outcome = if failed {
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
    rules: &Rules,
    now: Instant,
    mut reasons: Vec<Reason>,
) -> Decision {
    let (limit, past) = worth_until(matter, notice, rules);
    if now >= limit {
        return expired(matter, limit, past, reasons);
    }
    let preferences = &matter.customer.preferences;
    let zone = rules.zone_of(matter.customer);
    let calendar = rules.calendar(matter.journey);
    let urgent = notice.urgency == Urgency::Urgent && preferences.urgent_any_hour == Some(true);
    let mut earliest: Option<Instant> = None;
    let mut provider_fails = false;
    for (index, Candidate { channel, address, by }) in candidates.iter().enumerate() {
        let default = *rules.quiet_hours.get(*channel);
        let own = preferences.quiet_hours.as_ref();
        let quiet = own.map_or(default, |hours| hours.on(*channel, default));
        let quiet = if urgent { None } else { quiet };
        let allowed = next_allowed(now, &zone, quiet, notice.window, calendar);
        let rests = matter.rests.get(*channel).filter(|until| *until > now);
        if allowed == Some(now) && rests.is_none() {
            let taken = Verdict::Taken { by: *by };
            reasons.push(Reason::Candidate { channel: *channel, verdict: taken });
            for rest in &candidates[index + 1..] {
                let verdict = Verdict::Allowed { by: rest.by };
                reasons.push(Reason::Candidate { channel: rest.channel, verdict });
            }
            reasons.push(if urgent { Reason::UrgentInQuietHours } else { Reason::HourFits });
            let outcome = Outcome::Send { channel: *channel, address: address.clone() };
            return Decision { outcome, reasons };
        }
        let verdict = Verdict::Allowed { by: *by };
        reasons.push(Reason::Candidate { channel: *channel, verdict });
        if let Some(rests) = rests
            && allowed == Some(now)
        {
            let until = spread(rests, matter.notification.id);
            reasons.push(Reason::ProviderRests { channel: *channel, until });
            if until < limit {
                return Decision { outcome: Outcome::Snooze { until }, reasons };
            }
            earliest = Some(earliest.map_or(until, |known| known.min(until)));
            provider_fails = true;
            continue;
        }
        let until = allowed.unwrap_or(Instant::MAX_UTC);
        let closed_by_quiet = quiet
            .is_some_and(|hours| hours.contains(crate::domain::time::local(now, &zone).time()));
        reasons.push(if closed_by_quiet {
            Reason::QuietHours { until, own: own.is_some() }
        } else {
            let window = notice.window.map(|window| window.to_string()).unwrap_or_default();
            Reason::OutsideWindow { until, window }
        });
        if until < limit {
            return Decision { outcome: Outcome::Snooze { until }, reasons };
        }
        earliest = Some(earliest.map_or(until, |known| known.min(until)));
    }
    let until = earliest.unwrap_or(limit);
    reasons.push(Reason::NoHourInTime { until });
    let task = provider_fails.then_some(NOT_IN_TIME);
    Decision { outcome: Outcome::Settle { status: Status::Expired, task }, reasons }
}

/// This notification's place after a rest that ends at `until`: derived from its id, so that
/// a replay lands on the same instant.
fn spread(until: Instant, id: NotificationId) -> Instant {
    let later_ms = id.0.as_u128() % SPREAD_AFTER_REST_MS;
    until + TimeDelta::milliseconds(i64::try_from(later_ms).unwrap_or(0))
}

/// Until when it is worth sending, and the reason to give afterwards.
fn worth_until(matter: &Matter<'_>, notice: &Notice, rules: &Rules) -> (Instant, Reason) {
    let expires_at = matter.notification.expires_at;
    let mut limit = (expires_at, Reason::Expired { at: expires_at });
    if let Some(until) = until_instant(matter, notice, rules)
        && until < limit.0
    {
        limit = (until, Reason::PastUntil { until });
    }
    if let Trigger::Fact { fact, offset: FactOffset::Before(_) } = &notice.on
        && let Some(value) = matter.case.facts.get(fact)
        && let Some(at) = fact_instant(value, &rules.zone_of(matter.customer))
        && at < limit.0
    {
        limit = (at, Reason::FactPast { fact: fact.clone(), at });
    }
    limit
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
        return Decision { outcome: Outcome::Snooze { until }, reasons };
    }
    settle(Status::Expired, reasons, Reason::NoHourInTime { until })
}

/// Expired. A person is told when it was due, allowed and known in time, and still not sent.
fn expired(matter: &Matter<'_>, limit: Instant, why: Reason, mut reasons: Vec<Reason>) -> Decision {
    let Notification { planned_at, next_at, .. } = matter.notification;
    let was_due = *next_at < limit && *planned_at < limit;
    reasons.push(why);
    let task = was_due.then_some(NOT_IN_TIME);
    Decision { outcome: Outcome::Settle { status: Status::Expired, task }, reasons }
}
