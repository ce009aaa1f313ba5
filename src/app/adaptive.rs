//! Learning from outcomes: the store's rows become the histories that `planning::adaptive`
//! reads, and a report shows what it would suggest and what it changed.

use std::collections::{BTreeMap, HashSet};

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::customer::Profile;
use crate::domain::reason::Voice;
use crate::domain::time::{from_ms, local};
use crate::domain::{Channel, CustomerId, Zones};
use crate::planning::adaptive::{Adaptive, Counts, History, Question, Suggestion};
use crate::store::outcomes::OutcomeRow;
use crate::store::{Result, Store};

/// Messages read at a time.
const PAGE: i64 = 1_000;

/// The last messages of a customer that count.
const MAX_OWN: i64 = 200;

/// A contact within seven days after a message counts against it.
const CONTACT_WITHIN_MS: i64 = 7 * 86_400_000;

/// Customers who are alike: kind of case, and language without its region.
pub type Group = (String, String);

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
    customers: HashSet<String>,
    counts: Counts,
}

/// The clocks customers live by.
#[derive(Debug, Clone, Copy)]
pub struct Clocks<'a> {
    pub zones: &'a Zones,
    /// For customers whose zone nobody told us.
    pub default: &'a TimeZone,
    /// Likewise their language.
    pub default_locale: &'a str,
}

/// Reads every outcome there is.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn learn(store: &Store, settings: &Adaptive, clocks: Clocks<'_>) -> Result<Learned> {
    let mut learned = Learned::default();
    let mut after = String::new();
    loop {
        let page = store.outcomes(&after, PAGE, CONTACT_WITHIN_MS).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for row in page {
            let Some((channel, hour, counts, locale)) = read(&row, clocks)? else { continue };
            let language = locale.split('-').next().unwrap_or_default().to_owned();
            let group = (row.case_type, language);
            learned.groups.entry(group.clone()).or_default().add(channel, hour, counts);
            let sum = learned.by_channel.entry(group).or_default().entry(channel).or_default();
            *sum = sum.with(counts);
            let held_out = settings.holds_out(&CustomerId(row.customer_id.clone()));
            let arm = if held_out { &mut learned.held_out } else { &mut learned.treated };
            arm.counts = arm.counts.with(counts);
            arm.customers.insert(row.customer_id);
        }
    }
    Ok(learned)
}

/// What one customer's own outcomes say.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn history_of(
    store: &Store,
    customer: &CustomerId,
    clocks: Clocks<'_>,
) -> Result<History> {
    let mut history = History::default();
    for row in store.outcomes_of(customer, MAX_OWN, CONTACT_WITHIN_MS).await? {
        if let Some((channel, hour, counts, _)) = read(&row, clocks)? {
            history.add(channel, hour, counts);
        }
    }
    Ok(history)
}

/// Channel, local hour and outcome of a message, and its customer's language.
fn read(row: &OutcomeRow, clocks: Clocks<'_>) -> Result<Option<(Channel, i8, Counts, String)>> {
    let Ok(channel) = row.channel.parse::<Channel>() else { return Ok(None) };
    let profile: Profile = match &row.profile {
        Some(profile) => serde_json::from_str(profile)?,
        None => return Ok(None),
    };
    let zone = profile.time_zone.as_deref().and_then(|name| clocks.zones.get(name).ok());
    let hour = local(from_ms(row.told_at_ms), zone.as_ref().unwrap_or(clocks.default)).hour();
    let counts = Counts {
        told: 1,
        delivered: row.delivered.into(),
        opened: row.opened.into(),
        acknowledged: row.acknowledged.into(),
        contacted: row.contacted.into(),
    };
    let locale = profile.locale.unwrap_or_else(|| clocks.default_locale.to_owned());
    Ok(Some((channel, hour, counts, locale)))
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
            hours: [true; 24],
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
