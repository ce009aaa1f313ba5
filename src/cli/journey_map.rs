//! `tidings journeys map`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::app::content;
use crate::app::journey_map::{JourneyMap, Traffic, map, page};
use crate::app::simulate::Version;
use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::CaseEvent;
use crate::domain::time::Instant;
use crate::store::Store;
use crate::store::recorded::RecordedOutcome;

use super::{BadInput, ExitCode, Outcome, print};

/// Days of events whose counts stand on the arrows.
const DAYS: i64 = 30;

/// See each journey: its states, what is said in each, and where a customer hears nothing
#[derive(Debug, Args)]
pub struct Map {
    /// One case type only
    case_type: Option<String>,
    /// Write one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write one SVG picture, of one case type
    #[arg(long, value_name = "FILE", requires = "case_type")]
    svg: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Map {
    pub async fn run(self, settings: &Settings, store: &Store) -> Outcome {
        let files = match store.published().await? {
            Some((_, files)) => files,
            None => content::version_files(settings)?,
        };
        let version = Version::compile(settings, &files, &newest_zones())?;
        let journeys = &version.scribe.live.rules.journeys;
        if let Some(wanted) = self.case_type.as_deref().filter(|name| journeys.get(name).is_none())
        {
            let known: Vec<&str> =
                journeys.iter().map(|journey| journey.case_type.as_str()).collect();
            let why =
                format!("no journey is about {wanted:?} cases; there are {}", known.join(", "));
            return Err(BadInput(why).into());
        }
        let now = Clock::System.now();
        let mut recorded: Vec<(Instant, CaseEvent)> = Vec::new();
        let mut after = 0;
        loop {
            let page = store.recorded_events(after, now).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            recorded.extend(page.into_iter().filter_map(|row| Some((row.at, row.event?))));
        }
        // The last month that has events: a played store lies in the past.
        let last = recorded.last().map(|(at, _)| *at - chrono::TimeDelta::days(DAYS));
        let recent: Vec<&CaseEvent> = recorded
            .iter()
            .filter(|(at, _)| last.is_some_and(|from| *at >= from))
            .map(|(_, event)| event)
            .collect();
        let from_ms = last.map_or(0, |from| from.timestamp_millis());
        let mut outcomes: Vec<RecordedOutcome> = Vec::new();
        let mut after = String::new();
        loop {
            let page = store.recorded_outcomes(&after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            let told = |row: &RecordedOutcome| row.told_at_ms.is_some_and(|at| at >= from_ms);
            outcomes.extend(page.into_iter().filter(told));
        }
        let wanted = journeys.iter().filter(|journey| {
            self.case_type.as_ref().is_none_or(|wanted| *wanted == journey.case_type)
        });
        let maps: Vec<JourneyMap> = wanted
            .map(|journey| {
                let events = recent.iter().copied();
                let traffic = (!recent.is_empty())
                    .then(|| Traffic::count(&journey.case_type, events, &outcomes));
                map(journey, traffic.as_ref())
            })
            .collect();
        let written = |file: &PathBuf, text: String| {
            std::fs::write(file, text).with_context(|| file.display().to_string())
        };
        if let Some(file) = &self.html {
            written(file, page(&maps)?)?;
        }
        if let (Some(file), [only]) = (&self.svg, &maps[..]) {
            written(file, only.svg()?)?;
        }
        if self.json {
            print::json(&maps)?;
        } else if self.html.is_none() && self.svg.is_none() {
            for map in &maps {
                println!("{}", map.text());
            }
        }
        Ok(ExitCode::Done)
    }
}
