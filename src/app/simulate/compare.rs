//! Two runs of one history side by side: who hears more or less, later or earlier, another way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::app::reports::Spread;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{CaseId, Channel, CustomerId, NotificationId};
use crate::simulate::{Outcome, PromiseState, Run};

use super::figures::Period;

/// The most changed words, and customers, listed one by one.
const MAX_LISTED: usize = 100;

/// How many customers get more messages, fewer, or as many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Customers {
    pub more: i64,
    pub fewer: i64,
    pub as_many: i64,
}

/// A customer who gets more or fewer messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomerChange {
    pub customer: String,
    pub before: i64,
    pub after: i64,
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
    /// Customers who are told anything more, less, at another time, another way or in other
    /// words.
    pub touched: u64,
    /// The hundred whose number of messages changes most, those first.
    pub customers_changed: Vec<CustomerChange>,
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

/// What differs so far, group by group.
#[derive(Debug, Default)]
pub struct Changes {
    customers: Customers,
    touched: HashSet<CustomerId>,
    moved: BTreeMap<(i64, String), CustomerChange>,
    words: Words,
    by_notice: BTreeMap<String, Words>,
    later: BTreeMap<i64, i64>,
    earlier: BTreeMap<i64, i64>,
    newly_broken: Vec<BrokenPromise>,
    no_longer_broken: Vec<BrokenPromise>,
    /// In the order of their instants, the first hundred.
    differences: BTreeMap<(Option<Instant>, NotificationId), Difference>,
}

impl Changes {
    /// Compares what was told in a period about one group. `reworded` are the notices that say
    /// the same in other words, as `case type/notice`.
    pub fn add(&mut self, before: &Run, after: &Run, reworded: &BTreeSet<String>, period: Period) {
        let (was, is) = (told(before, period), told(after, period));
        let mut by_notice: HashMap<(&str, &str), Words> = HashMap::new();
        let only_after = is.iter().filter(|(id, _)| !was.contains_key(*id));
        for (id, outcome) in was.iter().chain(only_after) {
            let n = &outcome.notification;
            let (before, after) = (was.get(id).copied().map(way), is.get(id).copied().map(way));
            let of_notice = by_notice.entry((n.case_type.as_str(), n.notice.as_str())).or_default();
            of_notice.count(before, after);
            let other_words = || {
                !reworded.is_empty() && reworded.contains(&format!("{}/{}", n.case_type, n.notice))
            };
            if before != after || other_words() {
                self.touched.insert(n.customer.clone());
            }
            if let (Some(before), Some(after)) = (before, after) {
                let minutes = (after.at - before.at).num_minutes();
                if after.at > before.at {
                    *self.later.entry(minutes).or_default() += 1;
                } else if after.at < before.at {
                    *self.earlier.entry(-minutes).or_default() += 1;
                }
            }
            let place = (outcome.told_at, *id);
            let listed = self.differences.len() < MAX_LISTED
                || self.differences.last_key_value().is_some_and(|(last, _)| place < *last);
            if before != after && listed {
                let notice = format!("{}/{}", n.case_type, n.notice);
                let (case, customer) = (n.case.0.clone(), n.customer.0.clone());
                self.list(place, Difference { case, customer, notice, before, after });
            }
        }
        for ((case_type, notice), words) in by_notice {
            self.words.add(words);
            self.by_notice.entry(format!("{case_type}/{notice}")).or_default().add(words);
        }
        self.count_customers(&was, &is);
        let (broken, breaks) = (broken(before, period), broken(after, period));
        self.newly_broken.extend(beyond(&breaks, &broken));
        self.no_longer_broken.extend(beyond(&broken, &breaks));
    }

    fn list(&mut self, place: (Option<Instant>, NotificationId), difference: Difference) {
        self.differences.insert(place, difference);
        if self.differences.len() > MAX_LISTED {
            self.differences.pop_last();
        }
    }

    fn count_customers(
        &mut self,
        was: &HashMap<NotificationId, &Outcome>,
        is: &HashMap<NotificationId, &Outcome>,
    ) {
        let mut counts: HashMap<&CustomerId, (i64, i64)> = HashMap::new();
        for outcome in was.values() {
            let count = counts.entry(&outcome.notification.customer).or_default();
            count.0 += i64::from(outcome.is_message());
        }
        for outcome in is.values() {
            let count = counts.entry(&outcome.notification.customer).or_default();
            count.1 += i64::from(outcome.is_message());
        }
        for (customer, (before, after)) in counts {
            match (after - before).signum() {
                1 => self.customers.more += 1,
                -1 => self.customers.fewer += 1,
                _ => {
                    self.customers.as_many += 1;
                    continue;
                }
            }
            let change = CustomerChange { customer: customer.0.clone(), before, after };
            self.list_customer(change);
        }
    }

    /// The greatest changes stay.
    fn list_customer(&mut self, change: CustomerChange) {
        let place = (-(change.after - change.before).abs(), change.customer.clone());
        self.moved.insert(place, change);
        if self.moved.len() > MAX_LISTED {
            self.moved.pop_last();
        }
    }

    /// Adds what was compared elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.customers.more += other.customers.more;
        self.customers.fewer += other.customers.fewer;
        self.customers.as_many += other.customers.as_many;
        self.touched.extend(other.touched);
        self.words.add(other.words);
        for (notice, words) in other.by_notice {
            self.by_notice.entry(notice).or_default().add(words);
        }
        for (sums, more) in [(&mut self.later, other.later), (&mut self.earlier, other.earlier)] {
            for (minutes, count) in more {
                *sums.entry(minutes).or_default() += count;
            }
        }
        self.newly_broken.extend(other.newly_broken);
        self.no_longer_broken.extend(other.no_longer_broken);
        for (place, difference) in other.differences {
            self.list(place, difference);
        }
        for change in other.moved.into_values() {
            self.list_customer(change);
        }
    }

    /// Everything that differs.
    #[must_use]
    pub fn comparison(mut self) -> Comparison {
        for broken in [&mut self.newly_broken, &mut self.no_longer_broken] {
            broken.sort_by(|one, other| one.case.cmp(&other.case));
        }
        Comparison {
            customers: self.customers,
            touched: self.touched.len().try_into().unwrap_or(u64::MAX),
            customers_changed: self.moved.into_values().collect(),
            words: self.words,
            by_notice: self.by_notice,
            later_min: Spread::of(&self.later),
            earlier_min: Spread::of(&self.earlier),
            newly_broken: self.newly_broken,
            no_longer_broken: self.no_longer_broken,
            differences: self.differences.into_values().collect(),
        }
    }
}

impl Words {
    const fn add(&mut self, other: Self) {
        self.new += other.new;
        self.gone += other.gone;
        self.later += other.later;
        self.earlier += other.earlier;
        self.other_channel += other.other_channel;
        self.same += other.same;
    }

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
