//! Words that follow another or the passing of time: repeats, the word after a silence, the
//! calendar, and the next channel when nobody reacts.

use jiff::tz::TimeZone;

use crate::domain::plan::Created;
use crate::domain::time::Instant;
use crate::domain::{Channel, Customer, Notification, NotificationId, Reason, Status};

use super::journey::{CronZone, Journey, Notice, Trigger};
use super::rules::Rules;
use super::schedule::{Calendar, shift};

/// How often in a row a word after a silence is planned again that was not said.
const MAX_UNSAID: u32 = 12;

/// When a watch is due next after `now`: the instant, its trigger key, and why.
pub(super) fn next(
    on: &Trigger,
    rules: &Rules,
    now: Instant,
    zone: &TimeZone,
    calendar: &Calendar,
) -> Option<(Instant, String, Reason)> {
    match on {
        Trigger::Silence { after } => {
            let why = Reason::Silence { span: after.to_string() };
            Some((shift(now, *after, false, zone, calendar), "silence".into(), why))
        }
        Trigger::Cron { cron, zone: named } => {
            let named = match named {
                CronZone::Customer => zone.clone(),
                CronZone::Named(name) => rules.zones.get(name).ok()?,
            };
            let slot = cron.next_after(now, &named)?;
            let why = Reason::ByCalendar { rule: cron.source.clone(), slot: slot.name.clone() };
            Some((slot.at, slot.name, why))
        }
        Trigger::State { .. } | Trigger::Fact { .. } | Trigger::Event { .. } => None,
    }
}

/// How a notification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Handed over on this channel.
    Told(Channel),
    /// Suppressed, expired, or not wanted this time; or nobody knows.
    Unsaid,
}

/// Did it end unsaid in a way after which its watch goes on?
#[must_use]
pub fn is_unsaid(status: Status, reasons: &[Reason]) -> bool {
    match status {
        Status::Suppressed | Status::Expired | Status::Failed | Status::Unknown => true,
        Status::Cancelled => matches!(reasons.last(), Some(Reason::ConditionFalse { .. })),
        _ => false,
    }
}

/// What is planned because a notification ended at `at`: its next time, and the next channel.
#[must_use]
pub fn followers(
    ended: &Notification,
    how: Ended,
    notice: &Notice,
    journey: &Journey,
    customer: &Customer,
    rules: &Rules,
    at: Instant,
) -> Vec<Created> {
    let follow = Follow { ended, notice, journey, customer, rules, at };
    let again = match (&notice.on, how) {
        // Said once already, on another channel.
        _ if ended.escalates.is_some() => None,
        (on, _) if on.is_watch() => follow.watch(how),
        (_, Ended::Told(_)) => follow.repeat(),
        _ => None,
    };
    let next_channel = match how {
        Ended::Told(channel) => follow.escalation(channel),
        Ended::Unsaid => None,
    };
    again.into_iter().chain(next_channel).collect()
}

struct Follow<'a> {
    ended: &'a Notification,
    notice: &'a Notice,
    journey: &'a Journey,
    customer: &'a Customer,
    rules: &'a Rules,
    at: Instant,
}

impl Follow<'_> {
    fn repeat(&self) -> Option<Created> {
        let repeat = self.notice.repeat?;
        let occurrence = self.ended.occurrence + 1;
        if occurrence >= repeat.at_most {
            return None;
        }
        let due_at = self.shifted(repeat.every);
        let why = Reason::Repeated { occurrence, every: repeat.every.to_string() };
        Some(self.created(self.ended.trigger_key.clone(), occurrence, due_at, why))
    }

    /// The next silence or slot. What is never said is not planned for ever: the silence key
    /// counts how often in a row it was not.
    fn watch(&self, how: Ended) -> Option<Created> {
        let zone = self.rules.zone_of(self.customer);
        let calendar = self.rules.calendar(self.journey);
        let (due_at, mut key, why) = next(&self.notice.on, self.rules, self.at, &zone, calendar)?;
        if how == Ended::Unsaid && matches!(self.notice.on, Trigger::Silence { .. }) {
            let unsaid = self.ended.trigger_key.strip_prefix("silence/");
            let unsaid = unsaid.and_then(|n| n.parse::<u32>().ok()).unwrap_or(0) + 1;
            if unsaid >= MAX_UNSAID {
                return None;
            }
            key = format!("silence/{unsaid}");
        }
        Some(self.created(key, self.ended.occurrence + 1, due_at, why))
    }

    fn escalation(&self, channel: Channel) -> Option<Created> {
        let escalate = self.notice.escalate?;
        let mut tried = self.ended.failed_channels.clone();
        tried.push(channel);
        if self.notice.channels.iter().all(|channel| tried.contains(channel)) {
            return None;
        }
        let why = Reason::Escalated { after: escalate.after.to_string(), channel };
        let key = format!("{}\u{1f}next after {channel}", self.ended.trigger_key);
        let due_at = self.shifted(escalate.after);
        let mut created = self.created(key, self.ended.occurrence, due_at, why);
        created.keyed = false;
        created.notification.failed_channels = tried;
        created.notification.escalates = Some(self.ended.id);
        Some(created)
    }

    fn shifted(&self, span: crate::domain::Span) -> Instant {
        let zone = self.rules.zone_of(self.customer);
        shift(self.at, span, false, &zone, self.rules.calendar(self.journey))
    }

    fn created(&self, key: String, occurrence: u32, due_at: Instant, why: Reason) -> Created {
        let zone = self.rules.zone_of(self.customer);
        let calendar = self.rules.calendar(self.journey);
        let case = self.ended.case.as_str();
        let notification = Notification {
            id: NotificationId::derive(case, &self.ended.notice, &key, occurrence),
            trigger_key: key,
            occurrence,
            held: None,
            escalates: None,
            status: Status::Planned,
            planned_at: self.at,
            due_at,
            next_at: due_at,
            expires_at: shift(due_at, self.notice.expires_after, false, &zone, calendar),
            failed_channels: Vec::new(),
            skipped: Vec::new(),
            version: self.rules.journeys.version_of(&self.ended.case).to_owned(),
            code: String::new(),
            epoch: 0,
            claims: 0,
            attempts: 0,
            ..self.ended.clone()
        };
        Created {
            notification,
            reasons: vec![why],
            task: None,
            keyed: self.notice.on.is_keyed(),
            once_per_customer: false,
        }
    }
}
