//! What a change would have done to the last month of recorded events: worked out by the
//! simulation, kept with the draft, shown before anybody publishes.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::app::reports::cost::money;
use crate::app::simulate::compare::{Words, changed_customers, compare};
use crate::app::simulate::figures::{Figures, Period, figures};
use crate::app::simulate::page::{Heading, page};
use crate::app::simulate::{Version, history_of, reproduced};
use crate::app::{App, AppError, content};
use crate::clock::newest_zones;
use crate::domain::time::Instant;
use crate::simulate::{Ending, History, Run};
use crate::store::journeys::VersionFiles;

use super::in_force;
use super::touched::{Touched, touched};

/// Days of events looked at.
const DAYS: i64 = 30;

/// The most promises named.
const MAX_NAMED: usize = 20;

/// What a change would have done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub from: Option<Instant>,
    pub to: Option<Instant>,
    pub events: usize,
    pub before: Side,
    pub after: Side,
    /// Customers who get more messages, fewer, as many.
    pub more: i64,
    pub fewer: i64,
    pub as_many: i64,
    /// Customers who would have got anything else, at another time or in other words.
    pub touched: u64,
    pub words: Words,
    /// What changes by notice; only those that change.
    pub by_notice: Vec<(String, Words)>,
    /// Cases about which more promises would break, and how many there are.
    pub would_break: Vec<Breaks>,
    pub would_break_count: usize,
    /// How many of the recorded decisions the rules in force reproduce exactly.
    pub reproduced: Option<(usize, usize)>,
}

/// The sums of one version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    pub messages: i64,
    pub mails: i64,
    pub texts: i64,
    pub sms_parts: i64,
    pub calls: i64,
    pub cost: String,
    pub broken: i64,
}

/// A promise that would break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaks {
    pub case: String,
    pub due_at: Instant,
}

impl Side {
    fn of(figures: &Figures) -> Self {
        Self {
            messages: figures.messages,
            mails: figures.cost.mails,
            texts: figures.cost.texts,
            sms_parts: figures.cost.sms_parts,
            calls: figures.cost.calls,
            cost: money(&figures.cost, &figures.currency),
            broken: figures.promises.broken,
        }
    }
}

/// Works out what files would have done beside what is in force. Answers the report as a
/// page, too; empty where nothing ever happened.
///
/// # Errors
/// `Findings` when anything is wrong with the files; `Unavailable` when the store is away.
pub async fn work_out(app: &App, files: &VersionFiles) -> Result<(Effect, String), AppError> {
    let store = &app.engine.store;
    let zones = newest_zones();
    let after = Version::compile(&app.settings, files, &zones)?;
    let Some(in_force) = in_force::read(store).await? else {
        return Ok((Effect::default(), String::new()));
    };
    let layouts = content::layouts(&app.settings)?;
    let offered = crate::channel::offered(&app.engine.gateways);
    let live = in_force.compile(&layouts, &app.settings, offered, &zones)?;
    let before = Version::of(in_force.hash.clone(), live, &app.settings);
    let differ = touched((&in_force.files, &before.live.rules), (files, &after.live.rules));

    let now = app.engine.clock.now();
    let history = history_of(store, now).await?;
    let Some(last) = history.events.last().map(|event| event.at) else {
        return Ok((Effect::default(), String::new()));
    };
    let recorded = store.recorded_outcomes().await?;
    let month = TimeDelta::days(DAYS);
    let played =
        last + month <= now && recorded.iter().any(|o| o.reason.as_deref() == Some("end_of_play"));
    // A played store lies in the past, and ends where its play did.
    let ending = if played { Ending::Cancel(last + month) } else { Ending::Open(now) };
    let to = if played { last + month } else { now };
    // The last month that has events.
    let from = if last + month <= now { last - month } else { now - month };
    let period = Period { from, to };
    let settings = app.settings.clone();
    let work = move || {
        let run = |version: &Version| {
            let run = version.run(&history, ending);
            let rules = &version.live.rules;
            let drawn = figures(&run, &history, rules, &settings.prices, period);
            (run, drawn)
        };
        let ((was, base), (is, changed)) = (run(&before), run(&after));
        let same = reproduced(&was, &recorded);
        let names = vec![format!("in force ({})", before.hash), format!("draft ({})", after.hash)];
        let events = count(&history, period);
        let effect = effect(&was, &base, &is, &changed, &differ, period);
        let effect = Effect { events, reproduced: Some((same.same, same.recorded)), ..effect };
        let comparison = compare(&was, &is, period);
        let report =
            page(&Heading::new(names, events, period), &[&base, &changed], Some(&comparison))
                .map_err(|error| AppError::Settings(format!("the report: {error}")))?;
        Ok((effect, report))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| AppError::Settings(format!("the simulation stopped: {error}")))?
}

fn count(history: &History, period: Period) -> usize {
    history.events.iter().filter(|h| period.from <= h.at && h.at < period.to).count()
}

fn effect(
    was: &Run,
    base: &Figures,
    is: &Run,
    changed: &Figures,
    differ: &Touched,
    period: Period,
) -> Effect {
    let comparison = compare(was, is, period);
    let mut customers: BTreeSet<_> = changed_customers(was, is, period);
    // Whoever is told the same thing in other words is touched as well.
    for outcome in &is.notifications {
        let n = &outcome.notification;
        let told = outcome.told_at.is_some_and(|at| period.from <= at && at < period.to);
        if told && differ.words.contains(&format!("{}/{}", n.case_type, n.notice)) {
            customers.insert(&n.customer);
        }
    }
    let by_notice = comparison.by_notice.iter().filter(|(_, words)| words.any());
    let would_break = comparison.newly_broken.iter().take(MAX_NAMED);
    Effect {
        from: Some(period.from),
        to: Some(period.to),
        events: 0,
        before: Side::of(base),
        after: Side::of(changed),
        more: comparison.customers.more,
        fewer: comparison.customers.fewer,
        as_many: comparison.customers.as_many,
        touched: u64::try_from(customers.len()).unwrap_or(u64::MAX),
        words: comparison.words,
        by_notice: by_notice.map(|(notice, words)| (notice.clone(), *words)).collect(),
        would_break: would_break
            .map(|broken| Breaks { case: broken.case.clone(), due_at: broken.due_at })
            .collect(),
        would_break_count: comparison.newly_broken.len(),
        reproduced: None,
    }
}
