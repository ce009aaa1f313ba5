//! Two runs of one history side by side: who hears more or less, later or earlier, another way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::app::reports::Spread;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{CaseId, Channel, CustomerId, NotificationId};
use crate::simulate::{Outcome, PromiseState, Run};

use super::figures::Period;

/// The most changed words listed one by one.
const MAX_LISTED: usize = 100;

/// How many customers get more messages, fewer, or as many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Customers {
    pub more: i64,
    pub fewer: i64,
    pub as_many: i64,
}

/// What changes about words, whether messages of their own or part of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Said only by the change.
    pub new: i64,
    /// No longer said.
    pub gone: i64,
    pub later: i64,
    pub earlier: i64,
    /// By another channel, whenever.
    pub other_channel: i64,
    pub same: i64,
}

/// One word that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub case: String,
    pub customer: String,
    pub notice: String,
    pub before: Option<Told>,
    pub after: Option<Told>,
}

/// When, and by which channel of its own; `None` where it rode in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Told {
    pub at: Instant,
    pub channel: Option<Channel>,
}

/// A case about which one of the two breaks more promises than the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenPromise {
    pub case: String,
    /// The last day of the first that breaks is over.
    pub due_at: Instant,
}

/// Everything that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub customers: Customers,
    pub words: Words,
    pub by_notice: BTreeMap<String, Words>,
    /// How many minutes later, of those that come later; and earlier.
    pub later_min: Spread,
    pub earlier_min: Spread,
    /// Cases about which the change breaks more promises than before.
    pub newly_broken: Vec<BrokenPromise>,
    /// Cases about which it breaks fewer.
    pub no_longer_broken: Vec<BrokenPromise>,
    /// The first hundred words that change.
    pub differences: Vec<Difference>,
}

/// Compares what was told in a period.
#[must_use]
pub fn compare(before: &Run, after: &Run, period: Period) -> Comparison {
    let (was, is) = (told(before, period), told(after, period));
    let mut words = Words::default();
    let mut by_notice: BTreeMap<String, Words> = BTreeMap::new();
    let (mut later, mut earlier) = (BTreeMap::new(), BTreeMap::new());
    let mut differences = Vec::new();
    let only_after = is.iter().filter(|(id, _)| !was.contains_key(*id)).map(|(id, o)| (*id, *o));
    let mut all: Vec<(NotificationId, &Outcome)> =
        was.iter().map(|(id, outcome)| (*id, *outcome)).chain(only_after).collect();
    all.sort_by_key(|(id, outcome)| (outcome.told_at, *id));
    for (id, outcome) in all {
        let n = &outcome.notification;
        let (before, after) = (was.get(&id).copied().map(way), is.get(&id).copied().map(way));
        let notice = format!("{}/{}", n.case_type, n.notice);
        let of_notice = by_notice.entry(notice.clone()).or_default();
        for counted in [&mut words, of_notice] {
            counted.count(before, after);
        }
        if let (Some(before), Some(after)) = (before, after) {
            let minutes = (after.at - before.at).num_minutes();
            if after.at > before.at {
                *later.entry(minutes).or_default() += 1;
            } else if after.at < before.at {
                *earlier.entry(-minutes).or_default() += 1;
            }
        }
        if before != after && differences.len() < MAX_LISTED {
            differences.push(Difference {
                case: n.case.0.clone(),
                customer: n.customer.0.clone(),
                notice,
                before,
                after,
            });
        }
    }
    let (broken, breaks) = (broken(before, period), broken(after, period));
    Comparison {
        customers: customers(&was, &is),
        words,
        by_notice,
        later_min: Spread::of(&later),
        earlier_min: Spread::of(&earlier),
        newly_broken: beyond(&breaks, &broken),
        no_longer_broken: beyond(&broken, &breaks),
        differences,
    }
}

/// The customers who are told anything more, less, at another time or another way.
#[must_use]
pub fn changed_customers<'r>(
    before: &'r Run,
    after: &'r Run,
    period: Period,
) -> BTreeSet<&'r CustomerId> {
    let (was, is) = (told(before, period), told(after, period));
    let differs =
        |id: &NotificationId| was.get(id).copied().map(way) != is.get(id).copied().map(way);
    let all = was.iter().chain(&is).filter(|(id, _)| differs(id));
    all.map(|(_, outcome)| &outcome.notification.customer).collect()
}

impl Words {
    fn count(&mut self, before: Option<Told>, after: Option<Told>) {
        match (before, after) {
            (None, _) => self.new += 1,
            (_, None) => self.gone += 1,
            (Some(before), Some(after)) => {
                self.later += i64::from(after.at > before.at);
                self.earlier += i64::from(after.at < before.at);
                self.other_channel += i64::from(after.channel != before.channel);
                self.same += i64::from(after == before);
            }
        }
    }

    /// Does anything change?
    #[must_use]
    pub const fn any(&self) -> bool {
        self.new + self.gone + self.later + self.earlier + self.other_channel > 0
    }
}

fn told(run: &Run, period: Period) -> HashMap<NotificationId, &Outcome> {
    run.notifications
        .iter()
        .filter(|outcome| outcome.told_at.is_some_and(|at| period.holds(at)))
        .map(|outcome| (outcome.notification.id, outcome))
        .collect()
}

fn way(outcome: &Outcome) -> Told {
    let at = outcome.told_at.unwrap_or_else(|| from_ms(0));
    Told { at, channel: outcome.channel }
}

fn customers(
    was: &HashMap<NotificationId, &Outcome>,
    is: &HashMap<NotificationId, &Outcome>,
) -> Customers {
    let mut balance: HashMap<&CustomerId, i64> = HashMap::new();
    for (outcomes, step) in [(was, -1), (is, 1)] {
        for outcome in outcomes.values() {
            let message = i64::from(outcome.is_message());
            *balance.entry(&outcome.notification.customer).or_default() += step * message;
        }
    }
    let mut customers = Customers::default();
    for more in balance.into_values() {
        match more.signum() {
            1 => customers.more += 1,
            -1 => customers.fewer += 1,
            _ => customers.as_many += 1,
        }
    }
    customers
}

/// Broken promises of each case: how many, and when the first was due.
fn broken(run: &Run, period: Period) -> BTreeMap<&CaseId, (usize, Instant)> {
    let mut broken = BTreeMap::new();
    for promise in &run.promises {
        let due_at = promise.promise.due_at;
        if promise.state == PromiseState::Broken && period.holds(due_at) {
            broken.entry(&promise.case).or_insert((0, due_at)).0 += 1;
        }
    }
    broken
}

fn beyond(
    these: &BTreeMap<&CaseId, (usize, Instant)>,
    those: &BTreeMap<&CaseId, (usize, Instant)>,
) -> Vec<BrokenPromise> {
    let more = these
        .iter()
        .filter(|(case, (count, _))| those.get(*case).is_none_or(|(before, _)| count > before));
    more.map(|(case, (_, due_at))| BrokenPromise { case: case.0.clone(), due_at: *due_at })
        .collect()
}
