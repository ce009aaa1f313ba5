//! What one run means: how many messages when, to whom, how soon, at what cost, and how long
//! cases were silent.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::app::reports::cost::{self, Line};
use crate::app::reports::{Spread, silence};
use crate::config::Prices;
use crate::domain::time::{Instant, local};
use crate::domain::{CaseId, Customer, Reason, Status};
use crate::planning::rules::Rules;
use crate::simulate::{History, Outcome, PromiseState, Run};
use crate::store::reports::Handed;

/// Minutes from an event to its message up to which each row of the histogram goes.
const LATENCY_MIN: [(i64, &str); 7] = [
    (1, "at once"),
    (60, "within an hour"),
    (6 * 60, "1 to 6 hours"),
    (12 * 60, "6 to 12 hours"),
    (24 * 60, "12 to 24 hours"),
    (3 * 24 * 60, "1 to 3 days"),
    (i64::MAX, "later"),
];

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What is looked at: instants from which and before which.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    pub from: Instant,
    pub to: Instant,
}

impl Period {
    pub(super) fn holds(&self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }
}

/// How often a notice came to an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flow {
    pub notice: String,
    /// `told by email`, `folded`, or why it was not said.
    pub outcome: String,
    pub count: i64,
}

/// The promises of another word whose last day fell into the period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Promises {
    pub kept: i64,
    pub broken: i64,
    /// A person was asked to look.
    pub alarmed: i64,
}

/// One run in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Messages of their own; what rode in another is `folded`.
    pub messages: i64,
    pub folded: i64,
    /// Mails, texts, their parts, calls, and what they cost.
    pub cost: Line,
    pub currency: String,
    /// Messages by weekday (Monday first) and hour, on the customers' clocks.
    pub by_hour: [[i64; 24]; 7],
    /// Messages a customer got in a week → how many such weeks, Monday to Monday in UTC.
    pub per_customer_week: BTreeMap<i64, i64>,
    /// From the event to its message.
    pub latency: Vec<(&'static str, i64)>,
    pub latency_min: Spread,
    /// Cases by the longest they heard nothing, from so many days up to the next row.
    pub silence_days: BTreeMap<i64, i64>,
    pub silence_hours: Spread,
    pub flows: Vec<Flow>,
    /// Events of which nothing came, by reason.
    pub silent_events: BTreeMap<String, i64>,
    pub promises: Promises,
    /// How often a person is asked to act, over the whole history.
    pub tasks: usize,
}

/// Draws up the figures of a run.
#[must_use]
pub fn figures(
    run: &Run,
    history: &History,
    rules: &Rules,
    prices: &Prices,
    period: Period,
) -> Figures {
    let told: Vec<(&Outcome, Instant)> = run
        .notifications
        .iter()
        .filter_map(|outcome| Some((outcome, outcome.told_at?)))
        .filter(|(_, at)| period.holds(*at))
        .collect();
    let messages: Vec<_> = told.iter().filter(|(outcome, _)| outcome.is_message()).collect();
    let report = cost::sum(&handed(&messages), prices);
    let mut zones: HashMap<&str, TimeZone> = HashMap::new();
    let mut by_hour = [[0; 24]; 7];
    let mut weeks: HashMap<(&str, i64), i64> = HashMap::new();
    for (outcome, at) in &messages {
        let n = &outcome.notification;
        let customer = history.customer(&n.customer, *at);
        let zone = zones.entry(n.customer.as_str()).or_insert_with(|| zone(customer, rules));
        let clock = local(*at, zone);
        let day = usize::try_from(clock.weekday().to_monday_zero_offset()).unwrap_or(0);
        let hour = usize::try_from(clock.hour()).unwrap_or(0);
        by_hour[day][hour] += 1;
        // 1970-01-05 was a Monday.
        let week = (at.timestamp() - 4 * 86_400).div_euclid(7 * 86_400);
        *weeks.entry((n.customer.as_str(), week)).or_default() += 1;
    }
    let mut per_customer_week = BTreeMap::new();
    for count in weeks.into_values() {
        *per_customer_week.entry(count).or_default() += 1;
    }
    let (latency, latency_min) = latency(&told);
    let (silence_days, silence_hours) = silences(run, history, rules, period);
    let mut silent_events = BTreeMap::new();
    for (event, happening) in run.events.iter().zip(&history.events) {
        if let Some(reason) = event.silent.as_ref().filter(|_| period.holds(happening.at)) {
            *silent_events.entry(reason.code()).or_default() += 1;
        }
    }
    let mut promises = Promises::default();
    for promise in run.promises.iter().filter(|p| period.holds(p.promise.due_at)) {
        promises.kept += i64::from(promise.state == PromiseState::Kept);
        promises.broken += i64::from(promise.state == PromiseState::Broken);
        promises.alarmed += i64::from(promise.alarmed);
    }
    let folded = told.len() - messages.len();
    Figures {
        messages: i64::try_from(messages.len()).unwrap_or(i64::MAX),
        folded: i64::try_from(folded).unwrap_or(i64::MAX),
        cost: report.total,
        currency: report.currency,
        by_hour,
        per_customer_week,
        latency,
        latency_min,
        silence_days,
        silence_hours,
        flows: flows(run, period),
        silent_events,
        promises,
        tasks: run.tasks,
    }
}

fn zone(customer: Option<&Customer>, rules: &Rules) -> TimeZone {
    customer.map_or(TimeZone::UTC, |customer| rules.zone_of(customer))
}

/// As the cost report reads it from the store.
fn handed(messages: &[&(&Outcome, Instant)]) -> Vec<Handed> {
    let mut rows: BTreeMap<(String, &str), (i64, i64)> = BTreeMap::new();
    for (outcome, _) in messages {
        let Some(channel) = outcome.channel else { continue };
        let row = rows.entry((channel.to_string(), &outcome.prefix)).or_default();
        row.0 += 1;
        row.1 += i64::from(outcome.parts);
    }
    let row = |((channel, prefix), (attempts, parts)): ((String, &str), (i64, i64))| Handed {
        key: channel.clone(),
        channel,
        prefix: prefix.to_owned(),
        attempts,
        parts,
    };
    rows.into_iter().map(row).collect()
}

/// How long after the event that caused it each message came.
fn latency(told: &[(&Outcome, Instant)]) -> (Vec<(&'static str, i64)>, Spread) {
    let mut rows: Vec<(&'static str, i64)> =
        LATENCY_MIN.iter().map(|(_, name)| (*name, 0)).collect();
    let mut minutes: BTreeMap<i64, i64> = BTreeMap::new();
    let caused = |n: &crate::domain::Notification| n.event_seq.is_some() && n.occurrence == 0;
    for (outcome, at) in told.iter().filter(|(outcome, _)| caused(&outcome.notification)) {
        let n = &outcome.notification;
        // What a rule says later is late only after it was due.
        let waited = (*at - n.due_at.max(n.happened_at)).num_minutes().max(0);
        let row = LATENCY_MIN.iter().position(|(up_to, _)| waited < *up_to).unwrap_or(0);
        rows[row].1 += 1;
        *minutes.entry(waited).or_default() += 1;
    }
    (rows, Spread::of(&minutes))
}

/// The longest silence of each case that was open in the period: from its first event to its
/// first word, from word to word, and from the last one to its end.
fn silences(
    run: &Run,
    history: &History,
    rules: &Rules,
    period: Period,
) -> (BTreeMap<i64, i64>, Spread) {
    let mut words: HashMap<&CaseId, Vec<Instant>> = HashMap::new();
    for outcome in &run.notifications {
        if let Some(at) = outcome.told_at {
            words.entry(&outcome.notification.case).or_default().push(at);
        }
    }
    let mut open: HashMap<&CaseId, (Instant, Option<Instant>)> = HashMap::new();
    for happening in &history.events {
        let event = &happening.event;
        let Some(journey) = rules.journeys.of(&event.case_type, &event.case) else { continue };
        let span = open.entry(&event.case).or_insert((happening.at, None));
        if event.state.is_some() {
            span.1 = journey.is_final(event.state.as_deref()).then_some(happening.at);
        }
    }
    let (mut days, mut hours) = (BTreeMap::new(), BTreeMap::new());
    for (case, (from, ended)) in open {
        let to = ended.unwrap_or(period.to).min(period.to);
        if to < period.from || from >= period.to {
            continue;
        }
        let mut edges = words.remove(case).unwrap_or_default();
        edges.retain(|at| *at > from && *at < to);
        edges.extend([from, to]);
        edges.sort_unstable();
        let longest = edges.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        let longest = longest.num_milliseconds() / HOUR_MS;
        *hours.entry(longest).or_default() += 1;
        *days.entry(silence::row_of(longest / 24)).or_default() += 1;
    }
    (days, Spread::of(&hours))
}

fn flows(run: &Run, period: Period) -> Vec<Flow> {
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    let ended = run.notifications.iter().filter(|o| period.holds(o.notification.due_at));
    for outcome in ended {
        let n = &outcome.notification;
        let key = (format!("{}/{}", n.case_type, n.notice), outcome_of(outcome));
        *counts.entry(key).or_default() += 1;
    }
    let flow = |((notice, outcome), count)| Flow { notice, outcome, count };
    counts.into_iter().map(flow).collect()
}

/// How a notification ended, in a few words.
fn outcome_of(outcome: &Outcome) -> String {
    match (outcome.notification.status, outcome.channel) {
        (Status::Folded, _) => "told in another".into(),
        (_, Some(channel)) => format!("told by {channel}"),
        (Status::Cancelled, _) => match &outcome.reason {
            Some(Reason::EndOfPlay) => "not due yet".into(),
            _ => "no longer needed".into(),
        },
        (Status::Planned, _) => "not due yet".into(),
        (status, _) => status.to_string(),
    }
}
