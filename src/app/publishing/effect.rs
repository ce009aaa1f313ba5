//! What a change would have done to the last month of recorded events: worked out by the
//! simulation, kept with the draft, shown before anybody publishes.

use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::app::reports::cost::money;
use crate::app::simulate::compare::{Comparison, Words};
use crate::app::simulate::figures::{Figures, Period};
use crate::app::simulate::page::{Heading, page};
use crate::app::simulate::reproduced::Recorded;
use crate::app::simulate::study::Study;
use crate::app::simulate::{Version, history_of};
use crate::app::{App, AppError};
use crate::clock::newest_zones;
use crate::domain::time::Instant;
use crate::simulate::{Ending, History};
use crate::store::journeys::VersionFiles;

use super::in_force;
use super::touched::touched;

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
    let before = Version::in_force(&app.settings, &in_force, &zones)?;
    let (was, is) = (&before.scribe.live.rules, &after.scribe.live.rules);
    let reworded = touched((&in_force.files, was), (files, is)).words;

    let now = app.engine.clock.now();
    let history = history_of(store, now).await?;
    let Some(last) = history.instants().next_back() else {
        return Ok((Effect::default(), String::new()));
    };
    let recorded = Recorded::read(store).await?;
    let month = TimeDelta::days(DAYS);
    let played = last + month <= now && recorded.played;
    // A played store lies in the past, and ends where its play did.
    let ending = if played { Ending::Cancel(last + month) } else { Ending::Open(now) };
    let to = if played { last + month } else { now };
    // The last month that has events.
    let from = if last + month <= now { last - month } else { now - month };
    let period = Period { from, to };
    let settings = app.settings.clone();
    // One at a time, also when who asked no longer waits.
    let one_at_a_time = Arc::clone(&app.what_if).lock_owned().await;
    let work = move || {
        let _one_at_a_time = one_at_a_time;
        let study = Study {
            history: &history,
            ending,
            period,
            recorded: Some(&recorded),
            reworded: &reworded,
            remember: true,
        };
        let answer = study.answer(&[(&before, &settings.prices), (&after, &settings.prices)]);
        let names = vec![format!("in force ({})", before.hash), format!("draft ({})", after.hash)];
        let events = count(&history, period);
        let heading = Heading::new(names, events, period);
        let report = page(&heading, &answer.versions(), answer.comparison.as_ref())
            .map_err(|error| AppError::Settings(format!("the report: {error}")))?;
        let ([base, changed], Some(comparison)) = (&answer.figures[..], &answer.comparison) else {
            return Ok((Effect::default(), report));
        };
        let reproduced = answer.reproduced.map(|same| (same.same, same.recorded));
        Ok((Effect { events, reproduced, ..effect(base, changed, comparison, period) }, report))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| AppError::Settings(format!("the simulation stopped: {error}")))?
}

fn count(history: &History, period: Period) -> usize {
    history.instants().filter(|at| period.from <= *at && *at < period.to).count()
}

fn effect(base: &Figures, changed: &Figures, comparison: &Comparison, period: Period) -> Effect {
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
        touched: comparison.touched,
        words: comparison.words,
        by_notice: by_notice.map(|(notice, words)| (notice.clone(), *words)).collect(),
        would_break: would_break
            .map(|broken| Breaks { case: broken.case.clone(), due_at: broken.due_at })
            .collect(),
        would_break_count: comparison.newly_broken.len(),
        reproduced: None,
    }
}
