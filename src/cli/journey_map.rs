//! `tidings journeys map`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::app::content;
use crate::app::journey_map::{JourneyMap, last_month, page};
use crate::app::simulate::Version;
use crate::clock::newest_zones;
use crate::config::Settings;
use crate::store::Store;

use super::{BadInput, ExitCode, Outcome, print};

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
        let month = last_month(store).await?;
        let wanted = journeys.iter().filter(|journey| {
            self.case_type.as_ref().is_none_or(|wanted| *wanted == journey.case_type)
        });
        let maps: Vec<JourneyMap> = wanted.map(|journey| month.map_of(journey)).collect();
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
