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
use crate::simulate::{Happening, History, Outcome, PromiseState, Run};
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

/// What is added up, group by group, until the figures are drawn up.
#[derive(Debug, Default)]
pub struct Tally {
    messages: i64,
    folded: i64,
    /// Channel and beginning of the address → messages, parts.
    handed: BTreeMap<(String, String), (i64, i64)>,
    by_hour: [[i64; 24]; 7],
    per_customer_week: BTreeMap<i64, i64>,
    latency: [i64; LATENCY_MIN.len()],
    latency_min: BTreeMap<i64, i64>,
    silence_days: BTreeMap<i64, i64>,
    silence_hours: BTreeMap<i64, i64>,
    flows: BTreeMap<(String, String), i64>,
    silent_events: BTreeMap<String, i64>,
    promises: Promises,
    tasks: usize,
}

impl Tally {
    /// Adds what became of a group's events.
    pub fn add(
        &mut self,
        run: &Run,
        history: &History,
        events: &[Happening],
        rules: &Rules,
        period: Period,
    ) {
        let mut zones: HashMap<&str, TimeZone> = HashMap::new();
        let mut weeks: HashMap<(&str, i64), i64> = HashMap::new();
        for outcome in &run.notifications {
            let Some(at) = outcome.told_at.filter(|at| period.holds(*at)) else { continue };
            self.wait(outcome, at);
            if !outcome.is_message() {
                self.folded += 1;
                continue;
            }
            self.messages += 1;
            self.hand(outcome);
            let n = &outcome.notification;
            let customer = history.customer(&n.customer, at);
            let zone = zones.entry(n.customer.as_str()).or_insert_with(|| zone(customer, rules));
            let clock = local(at, zone);
            let day = usize::try_from(clock.weekday().to_monday_zero_offset()).unwrap_or(0);
            let hour = usize::try_from(clock.hour()).unwrap_or(0);
            self.by_hour[day][hour] += 1;
            // 1970-01-05 was a Monday.
            let week = (at.timestamp() - 4 * 86_400).div_euclid(7 * 86_400);
            *weeks.entry((n.customer.as_str(), week)).or_default() += 1;
        }
        for count in weeks.into_values() {
            *self.per_customer_week.entry(count).or_default() += 1;
        }
        self.listen(run, events, rules, period);
        self.flow(run, period);
        for (event, happening) in run.events.iter().zip(events) {
            if let Some(reason) = event.silent.as_ref().filter(|_| period.holds(happening.at)) {
                *self.silent_events.entry(reason.code()).or_default() += 1;
            }
        }
        for promise in run.promises.iter().filter(|p| period.holds(p.promise.due_at)) {
            self.promises.kept += i64::from(promise.state == PromiseState::Kept);
            self.promises.broken += i64::from(promise.state == PromiseState::Broken);
            self.promises.alarmed += i64::from(promise.alarmed);
        }
        self.tasks += run.tasks;
    }

    /// Adds what was added up elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.messages += other.messages;
        self.folded += other.folded;
        for (key, (messages, parts)) in other.handed {
            let row = self.handed.entry(key).or_default();
            *row = (row.0 + messages, row.1 + parts);
        }
        for (hours, more) in self.by_hour.iter_mut().zip(other.by_hour) {
            hours.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
        self.latency.iter_mut().zip(other.latency).for_each(|(count, more)| *count += more);
        add_all(&mut self.per_customer_week, other.per_customer_week);
        add_all(&mut self.latency_min, other.latency_min);
        add_all(&mut self.silence_days, other.silence_days);
        add_all(&mut self.silence_hours, other.silence_hours);
        add_all(&mut self.flows, other.flows);
        add_all(&mut self.silent_events, other.silent_events);
        self.promises.kept += other.promises.kept;
        self.promises.broken += other.promises.broken;
        self.promises.alarmed += other.promises.alarmed;
        self.tasks += other.tasks;
    }

    /// The figures, at these prices.
    #[must_use]
    pub fn figures(self, prices: &Prices) -> Figures {
        // As the cost report reads it from the store.
        let handed = self.handed.into_iter().map(|((channel, prefix), (attempts, parts))| Handed {
            key: channel.clone(),
            channel,
            prefix,
            attempts,
            parts,
        });
        let report = cost::sum(&handed.collect::<Vec<_>>(), prices);
        let rows = LATENCY_MIN.iter().zip(self.latency);
        let flow = |((notice, outcome), count)| Flow { notice, outcome, count };
        Figures {
            messages: self.messages,
            folded: self.folded,
            cost: report.total,
            currency: report.currency,
            by_hour: self.by_hour,
            per_customer_week: self.per_customer_week,
            latency: rows.map(|((_, name), count)| (*name, count)).collect(),
            latency_min: Spread::of(&self.latency_min),
            silence_days: self.silence_days,
            silence_hours: Spread::of(&self.silence_hours),
            flows: self.flows.into_iter().map(flow).collect(),
            silent_events: self.silent_events,
            promises: self.promises,
            tasks: self.tasks,
        }
    }

    fn hand(&mut self, outcome: &Outcome) {
        let Some(channel) = outcome.channel else { return };
        let key = (channel.to_string(), outcome.prefix.clone());
        let row = self.handed.entry(key).or_default();
        *row = (row.0 + 1, row.1 + i64::from(outcome.parts));
    }

    /// How long after the event that caused it a message came.
    fn wait(&mut self, outcome: &Outcome, at: Instant) {
        let n = &outcome.notification;
        if n.event_seq.is_none() || n.occurrence > 0 {
            return;
        }
        // What a rule says later is late only after it was due.
        let waited = (at - n.due_at.max(n.happened_at)).num_minutes().max(0);
        let row = LATENCY_MIN.iter().position(|(up_to, _)| waited < *up_to).unwrap_or(0);
        self.latency[row] += 1;
        *self.latency_min.entry(waited).or_default() += 1;
    }

    /// The longest silence of each case that was open in the period: from its first event to
    /// its first word, from word to word, and from the last one to its end.
    fn listen(&mut self, run: &Run, events: &[Happening], rules: &Rules, period: Period) {
        let mut words: HashMap<&CaseId, Vec<Instant>> = HashMap::new();
        for outcome in &run.notifications {
            if let Some(at) = outcome.told_at {
                words.entry(&outcome.notification.case).or_default().push(at);
            }
        }
        let mut open: HashMap<&CaseId, (Instant, Option<Instant>)> = HashMap::new();
        for happening in events {
            let event = &happening.event;
            let Some(journey) = rules.journeys.of(&event.case_type, &event.case) else { continue };
            let span = open.entry(&event.case).or_insert((happening.at, None));
            if event.state.is_some() {
                span.1 = journey.is_final(event.state.as_deref()).then_some(happening.at);
            }
        }
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
            *self.silence_hours.entry(longest).or_default() += 1;
            *self.silence_days.entry(silence::row_of(longest / 24)).or_default() += 1;
        }
    }

    fn flow(&mut self, run: &Run, period: Period) {
        let mut counts: HashMap<(&str, &str, String), i64> = HashMap::new();
        let ended = run.notifications.iter().filter(|o| period.holds(o.notification.due_at));
        for outcome in ended {
            let n = &outcome.notification;
            let key = (n.case_type.as_str(), n.notice.as_str(), outcome_of(outcome));
            *counts.entry(key).or_default() += 1;
        }
        for ((case_type, notice, outcome), count) in counts {
            *self.flows.entry((format!("{case_type}/{notice}"), outcome)).or_default() += count;
        }
    }
}

fn add_all<K: Ord>(sums: &mut BTreeMap<K, i64>, more: BTreeMap<K, i64>) {
    for (key, count) in more {
        *sums.entry(key).or_default() += count;
    }
}

fn zone(customer: Option<&Customer>, rules: &Rules) -> TimeZone {
    customer.map_or(TimeZone::UTC, |customer| rules.zone_of(customer))
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
