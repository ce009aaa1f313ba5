//! What was learned from outcomes, for people: what is suggested, and what that changed.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::domain::reason::Voice;
use crate::domain::time::Instant;
use crate::domain::{Channel, CustomerId};
use crate::planning::adaptive::{Adaptive, Counts, History, Question, Suggestion};
use crate::store::{Result, Store};
use crate::worker::learning::{Clocks, Group, Lesson, each_lesson};

/// What all customers' outcomes say.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    pub groups: BTreeMap<Group, History>,
    by_channel: BTreeMap<Group, BTreeMap<Channel, Counts>>,
    treated: Arm,
    held_out: Arm,
}

#[derive(Debug, Clone, Default)]
struct Arm {
    customers: HashSet<CustomerId>,
    counts: Counts,
}

/// Reads every outcome there is, as known at `now`.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn learn(
    store: &Store,
    settings: &Adaptive,
    clocks: Clocks<'_>,
    now: Instant,
) -> Result<Learned> {
    let mut learned = Learned::default();
    each_lesson(store, clocks, Instant::UNIX_EPOCH..now, |lesson| {
        let Lesson { customer, group, channel, hour, counts } = lesson;
        learned.groups.entry(group.clone()).or_default().add(channel, hour, counts);
        let sum = learned.by_channel.entry(group).or_default().entry(channel).or_default();
        *sum = sum.with(counts);
        let held_out = settings.holds_out(&customer);
        let arm = if held_out { &mut learned.held_out } else { &mut learned.treated };
        arm.counts = arm.counts.with(counts);
        arm.customers.insert(customer);
    })
    .await?;
    Ok(learned)
}

/// What became of the messages of some customers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    pub customers: usize,
    #[serde(flatten)]
    pub counts: Counts,
    /// Of the messages handed over, from 0 to 1.
    pub delivered_rate: f64,
    pub acknowledged_rate: f64,
    pub contacted_rate: f64,
}

/// A group, its outcomes by channel, and what would be suggested to a customer of it who has
/// ranked no channel and has no outcomes of their own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupReport {
    pub case_type: String,
    pub language: String,
    pub channels: BTreeMap<Channel, Counts>,
    pub suggestion: Suggestion,
    /// Its reasons in plain words.
    pub words: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub settings: Adaptive,
    pub treated: Effect,
    pub held_out: Effect,
    pub groups: Vec<GroupReport>,
}

/// Sets the treated beside those left alone, and says what was learned about each group.
#[must_use]
pub fn report(learned: &Learned, settings: Adaptive) -> Report {
    let groups = learned.groups.iter().map(|((case_type, language), history)| {
        let channels = learned.by_channel[&(case_type.clone(), language.clone())].clone();
        let allowed: Vec<_> =
            channels.keys().map(|channel| (*channel, Voice::TopicDefault)).collect();
        // Whoever it is: nobody in particular is asked about.
        let anyone = Adaptive { enabled: true, hold_out: 0.0, ..settings };
        let suggestion = anyone.suggest(&Question {
            customer: &CustomerId(String::new()),
            allowed: &allowed,
            hours: &|_| [true; 24],
            own: &History::default(),
            group: history,
        });
        let words = suggestion.because.iter().map(ToString::to_string).collect();
        let (case_type, language) = (case_type.clone(), language.clone());
        GroupReport { case_type, language, channels, suggestion, words }
    });
    Report {
        settings,
        treated: learned.treated.effect(),
        held_out: learned.held_out.effect(),
        groups: groups.collect(),
    }
}

impl Arm {
    fn effect(&self) -> Effect {
        let counts = self.counts;
        let rate = |n: u32| f64::from(n) / f64::from(counts.told.max(1));
        Effect {
            customers: self.customers.len(),
            counts,
            delivered_rate: rate(counts.delivered),
            acknowledged_rate: rate(counts.acknowledged),
            contacted_rate: rate(counts.contacted),
        }
    }
}
