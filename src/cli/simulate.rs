//! `tidings simulate`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;
use serde_json::json;

use crate::app::balance::milliseconds;
use crate::app::publishing::in_force;
use crate::app::reports::cost::money;
use crate::app::simulate::compare::{Comparison, compare};
use crate::app::simulate::figures::{Figures, Period, figures};
use crate::app::simulate::page::{Heading, page};
use crate::app::simulate::{FromFiles, Reproduced, Version, history_of, reproduced};
use crate::app::{AppError, content, files};
use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Finding, Span};
use crate::planning::schedule::{Calendar, shift};
use crate::simulate::{Ending, History};
use crate::store::journeys::VersionFiles;
use crate::store::recorded::RecordedOutcome;

use super::{BadInput, Context, ExitCode, Outcome, print};

/// The most cases named on the terminal.
const MAX_SHOWN: usize = 10;

/// See what changed journeys or settings would have done to recorded events; nothing is sent
#[derive(Debug, Args)]
pub struct Simulate {
    /// The first day looked at, in UTC
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// The last day
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// Journeys to set beside those in force; a folder
    #[arg(long, value_name = "DIR")]
    journeys: Option<PathBuf>,
    /// Settings to set beside those in force; a file
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Case events from a file instead of the store; .gz is unpacked
    #[arg(long, value_name = "FILE", requires = "customers")]
    events: Option<PathBuf>,
    /// Their customers: JSON lines or CSV
    #[arg(long, value_name = "FILE", requires = "events")]
    customers: Option<PathBuf>,
    /// How long time goes on after the last event of a file
    #[arg(long, default_value = "30 days")]
    tail: Span,
    /// Write one HTML page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What is played, and what it is compared with.
struct Stage {
    history: History,
    ending: Ending,
    base: Version,
    base_name: String,
    files: VersionFiles,
    recorded: Option<Vec<RecordedOutcome>>,
    bad_lines: usize,
}

impl Simulate {
    pub async fn run(self, context: &Context) -> Outcome {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return Err(BadInput(format!("--from {from} comes after --to {to}")).into());
        }
        let settings = context.settings()?;
        let stage = match (&self.events, &self.customers) {
            (Some(events), Some(customers)) => self.set_by_files(&settings, events, customers)?,
            _ => self.set_by_store(context, &settings).await?,
        };
        if stage.history.events.is_empty() {
            return Err(BadInput("there are no events to simulate in that time".into()).into());
        }
        if stage.base.live.rules.adaptive.enabled {
            eprintln!("[adaptive] is on: what was learned from outcomes is left out here");
        }
        let changed = self.changed(&settings, &stage)?;
        let (Ending::Open(end) | Ending::Cancel(end)) = stage.ending;
        let period = milliseconds(self.from, self.to);
        let first = stage.history.events.first().map_or(end, |happening| happening.at);
        let period = Period {
            from: if self.from.is_some() { from_ms(period.start) } else { first },
            to: if self.to.is_some() { from_ms(period.end).min(end) } else { end },
        };
        let draw = |version: &Version, settings: &Settings| {
            let run = version.run(&stage.history, stage.ending);
            let rules = &version.live.rules;
            let drawn = figures(&run, &stage.history, rules, &settings.prices, period);
            (run, drawn)
        };
        let (base_run, base) = draw(&stage.base, &settings);
        let same = stage.recorded.as_deref().map(|recorded| reproduced(&base_run, recorded));
        let mut names = vec![stage.base_name.clone()];
        let other = changed.as_ref().map(|(name, version, settings)| {
            names.push(name.clone());
            draw(version, settings)
        });
        let comparison = other.as_ref().map(|(run, _)| compare(&base_run, run, period));
        let versions: Vec<&Figures> =
            std::iter::once(&base).chain(other.as_ref().map(|(_, figures)| figures)).collect();
        let in_period = |h: &&crate::simulate::Happening| period.from <= h.at && h.at < period.to;
        let events = stage.history.events.iter().filter(in_period).count();
        if let Some(file) = &self.html {
            let heading = Heading::new(names.clone(), events, period);
            let text = page(&heading, &versions, comparison.as_ref())?;
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
        }
        if self.json {
            print::json(&json!({
                "events": events, "from": period.from, "to": period.to,
                "versions": names.iter().zip(&versions)
                    .map(|(name, figures)| json!({"name": name, "figures": figures}))
                    .collect::<Vec<_>>(),
                "comparison": comparison, "reproduced": same,
            }))?;
        } else {
            show(&names, &versions, comparison.as_ref());
            if let Some(same) = &same {
                show_reproduced(same);
            }
            if let Some(file) = &self.html {
                println!("plots: {}", file.display());
            }
        }
        Ok(if stage.bad_lines > 0 { ExitCode::BadInput } else { ExitCode::Done })
    }

    fn set_by_files(
        &self,
        settings: &Settings,
        events: &Path,
        customers: &Path,
    ) -> Result<Stage, anyhow::Error> {
        let zones = newest_zones();
        let open = |path: &Path| {
            files::open(path).map_err(|error| BadInput(format!("{}: {error}", path.display())))
        };
        let read = FromFiles::read(open(events)?, open(customers)?, &zones, Clock::System.now());
        for (report, path) in [(&read.events, events), (&read.customers, customers)] {
            for error in &report.errors {
                eprintln!("{} line {}: {}", path.display(), error.line, error.reason);
            }
        }
        let mut history = read.history;
        if let Some(to) = self.to {
            let until = from_ms(milliseconds(None, Some(to)).end);
            history.events.retain(|happening| happening.at < until);
        }
        let last = history.events.last().map_or_else(|| from_ms(0), |happening| happening.at);
        let utc = jiff::tz::TimeZone::UTC;
        let files =
            content::version_files(settings).map_err(|error| BadInput(error.to_string()))?;
        Ok(Stage {
            history,
            ending: Ending::Cancel(shift(last, self.tail, false, &utc, &Calendar::default())),
            base: compiled(settings, &files)?,
            base_name: "journeys of the settings".into(),
            files,
            recorded: None,
            bad_lines: read.events.invalid + read.customers.invalid,
        })
    }

    async fn set_by_store(
        &self,
        context: &Context,
        settings: &Settings,
    ) -> Result<Stage, anyhow::Error> {
        let store = context.store(settings).await?;
        let Some(in_force) = in_force::read(&store).await? else {
            let why = "nothing is published in this store yet; `tidings journeys publish` does it, and --events simulates a file";
            return Err(BadInput(why.into()).into());
        };
        let now = Clock::System.now();
        let until = from_ms(milliseconds(None, self.to).end.min(now.timestamp_millis()));
        let history = history_of(&store, until).await?;
        let recorded = store.recorded_outcomes().await?;
        let played = recorded.iter().any(|o| o.reason.as_deref() == Some("end_of_play"));
        let ending = match history.events.last() {
            // A played store ends where its play did.
            Some(last) if played && self.to.is_none() => {
                let utc = jiff::tz::TimeZone::UTC;
                Ending::Cancel(shift(last.at, self.tail, false, &utc, &Calendar::default()))
            }
            _ => Ending::Open(until),
        };
        Ok(Stage {
            history,
            ending,
            base: Version::in_force(settings, &in_force, &newest_zones())?,
            base_name: format!("in force ({})", in_force.hash),
            files: in_force.files,
            recorded: self.to.is_none().then_some(recorded),
            bad_lines: 0,
        })
    }

    /// The version to set beside the one in force: journeys of a folder, other settings, or in
    /// a store the files that were not published yet.
    fn changed(
        &self,
        settings: &Settings,
        stage: &Stage,
    ) -> Result<Option<(String, Version, Settings)>, anyhow::Error> {
        let mut name = Vec::new();
        let mut changed = match &self.settings {
            None => settings.clone(),
            Some(file) => {
                name.push(file.display().to_string());
                Settings::load(Some(file), std::env::vars())
                    .map_err(|finding| BadInput(print::finding(&finding)))?
            }
        };
        let files = match &self.journeys {
            Some(dir) => {
                name.push(dir.display().to_string());
                changed.journeys.dir.clone_from(dir);
                content::version_files(&changed).map_err(|error| BadInput(error.to_string()))?
            }
            None if self.settings.is_some() => stage.files.clone(),
            None => {
                let on_disk =
                    content::version_files(settings).map_err(|e| BadInput(e.to_string()))?;
                if on_disk == stage.files {
                    return Ok(None);
                }
                name.push("files not published".into());
                on_disk
            }
        };
        Ok(Some((name.join(", "), compiled(&changed, &files)?, changed)))
    }
}

fn compiled(settings: &Settings, files: &VersionFiles) -> Result<Version, anyhow::Error> {
    Version::compile(settings, files, &newest_zones()).map_err(|error| match error {
        AppError::Findings(findings) => {
            let errors = findings.iter().filter(|finding| Finding::is_error(finding));
            BadInput(errors.map(print::finding).collect::<Vec<_>>().join("\n")).into()
        }
        error => error.into(),
    })
}

fn show(names: &[String], versions: &[&Figures], comparison: Option<&Comparison>) {
    let mut header = vec![""];
    header.extend(names.iter().map(String::as_str));
    let row = |name: &str, of: &dyn Fn(&Figures) -> String| {
        let values = versions.iter().map(|figures| of(figures));
        std::iter::once(name.to_owned()).chain(values).collect::<Vec<_>>()
    };
    let rows = [
        row("messages", &|f| f.messages.to_string()),
        row("words in other messages", &|f| f.folded.to_string()),
        row("mails", &|f| f.cost.mails.to_string()),
        row("texts", &|f| f.cost.texts.to_string()),
        row("their parts", &|f| f.cost.sms_parts.to_string()),
        row("calls", &|f| f.cost.calls.to_string()),
        row("cost", &|f| money(&f.cost, &f.currency)),
        row("minutes to a message, middle", &|f| f.latency_min.p50.to_string()),
        row("longest silence of a case, middle, hours", &|f| f.silence_hours.p50.to_string()),
        row("promises kept", &|f| f.promises.kept.to_string()),
        row("promises broken", &|f| f.promises.broken.to_string()),
        row("tasks for people", &|f| f.tasks.to_string()),
    ];
    println!("{}", print::table(&header, rows));
    let Some(comparison) = comparison else { return };
    let c = &comparison.customers;
    println!("{} customers get more messages, {} fewer, {} as many", c.more, c.fewer, c.as_many);
    let changed = comparison.by_notice.iter().filter(|(_, words)| words.any());
    let rows = changed.map(|(notice, w)| {
        let counts = [w.new, w.gone, w.later, w.earlier, w.other_channel, w.same];
        std::iter::once(notice.clone()).chain(counts.map(|n| n.to_string())).collect()
    });
    let header = ["notice", "new", "gone", "later", "earlier", "another way", "as before"];
    println!("{}", print::table(&header, rows));
    let (more, fewer) = (&comparison.newly_broken, &comparison.no_longer_broken);
    println!("more promises break about {} cases, fewer about {}", more.len(), fewer.len());
    for promise in more.iter().take(MAX_SHOWN) {
        println!("  {}, the first due {}", promise.case, day(promise.due_at));
    }
    if more.len() > MAX_SHOWN {
        println!("  … and {} more; --json names them all", more.len() - MAX_SHOWN);
    }
}

fn day(at: Instant) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn show_reproduced(same: &Reproduced) {
    println!(
        "{} of {} recorded decisions are reproduced exactly by the rules in force",
        same.same, same.recorded
    );
    for difference in &same.differences {
        println!("  {difference}");
    }
}
