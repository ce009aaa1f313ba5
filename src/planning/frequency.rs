//! How often: the rhythm a customer chose for a topic, and their cap for a day.

use crate::domain::plan::{Decision, Outcome};
use crate::domain::preference::Digest;
use crate::domain::time::Instant;
use crate::domain::{Channel, Customer, Held, Notification, Reason, Urgency};

use super::digest::{Slot, first_slot, last_slot};
use super::eligibility::Matter;
use super::journey::Notice;
use super::rules::{Guard, Rules};
use super::schedule::next_morning;

/// What the frequency is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Frequency<'a> {
    pub matter: &'a Matter<'a>,
    pub notice: &'a Notice,
    pub mandatory: bool,
    pub now: Instant,
}

/// The digest a message belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rhythm {
    pub source: Digest,
    /// The first slot since it was due.
    pub first: Slot,
    /// The last slot until now: what leaves late leaves in one message too.
    pub last: Slot,
}

/// The digest a message waits for. Urgent and mandatory ones, and questions, never wait.
#[must_use]
pub fn rhythm(asked: &Frequency<'_>, rules: &Rules) -> Option<Rhythm> {
    let Frequency { matter, notice, mandatory, now } = asked;
    let never_waits = notice.urgency == Urgency::Urgent || !notice.answers.is_empty();
    if *mandatory || never_waits || !rules.keeps(Guard::Rhythm) {
        return None;
    }
    let source = *matter.customer.preferences.digest.get(&notice.topic)?;
    let zone = rules.zone_of(matter.customer);
    let first = first_slot(source, matter.notification.due_at, &zone)?;
    let last = last_slot(source, *now, &zone)?;
    Some(Rhythm { source, first, last })
}

/// The name of a digest on a channel.
#[must_use]
pub fn slot_name(channel: Channel, slot: &str) -> String {
    format!("{channel} {slot}")
}

/// The cap a message counts against. Urgent and mandatory ones pass it.
#[must_use]
pub fn counted(notification: &Notification, customer: &Customer, rules: &Rules) -> Option<u32> {
    let limit = rules.cap_of(customer)?;
    let passes = rules.is_mandatory(&notification.topic) || notification.urgency == Urgency::Urgent;
    (!passes).then_some(limit)
}

/// Holds back what would be a second digest of one slot, or more than the customer's cap.
#[must_use]
pub fn hold(
    asked: &Frequency<'_>,
    rules: &Rules,
    channel: Channel,
    slot: Option<&str>,
) -> Option<Decision> {
    let Frequency { matter, notice, mandatory, now } = asked;
    let zone = rules.zone_of(matter.customer);
    let preferences = &matter.customer.preferences;
    if matter.heard.rides {
        return None;
    }
    if let Some(slot) = slot
        && matter.heard.slots.contains(&slot_name(channel, slot))
    {
        let source = *preferences.digest.get(&notice.topic)?;
        let after = *now + chrono::TimeDelta::milliseconds(1);
        let until = first_slot(source, after, &zone)?.at;
        let reason = Reason::WaitsForDigest { rhythm: source.to_string(), until };
        let outcome = Outcome::Snooze { until, held: Some(Held::Digest) };
        return Some(Decision { outcome, reasons: vec![reason] });
    }
    let cap = rules.cap_of(matter.customer)?;
    if *mandatory || notice.urgency == Urgency::Urgent || matter.heard.today < cap {
        return None;
    }
    let until = next_morning(*now, &zone);
    let outcome = Outcome::Snooze { until, held: Some(Held::Cap) };
    Some(Decision { outcome, reasons: vec![Reason::OverCap { cap, until }] })
}
