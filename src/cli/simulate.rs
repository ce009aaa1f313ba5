//! `tidings simulate`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;

use crate::app::balance::milliseconds;
use crate::app::publishing::in_force;
use crate::app::reports::cost::money;
use crate::app::simulate::compare::Comparison;
use crate::app::simulate::figures::{Figures, Period};
use crate::app::simulate::page::{Heading, page};
use crate::app::simulate::reproduced::{Recorded, Reproduced};
use crate::app::simulate::study::Study;
use crate::app::simulate::{FromFiles, Version, history_of};
use crate::app::{AppError, content, files};
use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Finding, Span};
use crate::planning::schedule::{Calendar, shift};
use crate::simulate::{Ending, History};
use crate::store::journeys::VersionFiles;

use super::{BadInput, Context, ExitCode, Outcome, print};

/// The most cases named on the terminal.
const MAX_SHOWN: usize = 10;

/// Where the parts of a day begin and end that the table counts messages in.
const HOURS: [usize; 7] = [0, 6, 9, 12, 18, 21, 24];

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
    recorded: Option<Recorded>,
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
        if stage.history.is_empty() {
            return Err(BadInput("there are no events to simulate in that time".into()).into());
        }
        if stage.base.scribe.live.rules.adaptive.enabled {
            eprintln!("[adaptive] is on: what was learned from outcomes is left out here");
        }
        let changed = self.changed(&settings, &stage)?;
        let (Ending::Open(end) | Ending::Cancel(end)) = stage.ending;
        let period = milliseconds(self.from, self.to);
        let first = stage.history.instants().next().unwrap_or(end);
        let period = Period {
            from: if self.from.is_some() { from_ms(period.start) } else { first },
            to: if self.to.is_some() { from_ms(period.end).min(end) } else { end },
        };
        let mut names = vec![stage.base_name.clone()];
        let mut sides = vec![(&stage.base, &settings.prices)];
        if let Some((name, version, settings)) = &changed {
            names.push(name.clone());
            sides.push((version, &settings.prices));
        }
        let study = Study {
            history: &stage.history,
            ending: stage.ending,
            period,
            recorded: stage.recorded.as_ref().filter(|_| self.to.is_none()),
            reworded: &BTreeSet::new(),
            remember: true,
        };
        let answer = study.answer(&sides);
        let in_period = |at: &Instant| period.from <= *at && *at < period.to;
        let events = stage.history.instants().filter(in_period).count();
        let heading = Heading::new(names, events, period);
        let versions = answer.versions();
        if let Some(file) = &self.html {
            let text = page(&heading, &versions, answer.comparison.as_ref())?;
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
        }
        if self.json {
            print::json(&answer.document(&heading))?;
        } else {
            show(&heading.names, &versions, answer.comparison.as_ref());
            if let Some(same) = &answer.reproduced {
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
            history.cut(until);
        }
        let last = history.instants().next_back().unwrap_or_else(|| from_ms(0));
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
        let recorded = Recorded::read(&store).await?;
        let ending = match history.instants().next_back() {
            // A played store ends where its play did.
            Some(last) if recorded.played && self.to.is_none() => {
                let utc = jiff::tz::TimeZone::UTC;
                Ending::Cancel(shift(last, self.tail, false, &utc, &Calendar::default()))
            }
            _ => Ending::Open(until),
        };
        Ok(Stage {
            history,
            ending,
            base: Version::in_force(settings, &in_force, &newest_zones()).map_err(said)?,
            base_name: format!("in force ({})", in_force.hash),
            files: in_force.files,
            recorded: Some(recorded),
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
    Version::compile(settings, files, &newest_zones()).map_err(said)
}

/// What is wrong with a version, for people.
fn said(error: AppError) -> anyhow::Error {
    match error {
        AppError::Findings(findings) => {
            let errors = findings.iter().filter(|finding| Finding::is_error(finding));
            BadInput(errors.map(print::finding).collect::<Vec<_>>().join("\n")).into()
        }
        error => error.into(),
    }
}

fn show(names: &[String], versions: &[&Figures], comparison: Option<&Comparison>) {
    let mut header = vec![""];
    header.extend(names.iter().map(String::as_str));
    let row = |name: &str, of: &dyn Fn(&Figures) -> String| {
        let values = versions.iter().map(|figures| of(figures));
        std::iter::once(name.to_owned()).chain(values).collect::<Vec<_>>()
    };
    let mut rows = vec![
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
    rows.extend(HOURS.windows(2).map(|hours| {
        let (from, to) = (hours[0], hours[1]);
        let name = format!("messages from {from:02}:00 to {to:02}:00, on the customers' clocks");
        let between = |f: &Figures| f.by_hour.iter().flat_map(|day| &day[from..to]).sum::<i64>();
        row(&name, &|f| between(f).to_string())
    }));
    println!("{}", print::table(&header, rows));
    let Some(comparison) = comparison else { return };
    let c = &comparison.customers;
    println!("{} customers get more messages, {} fewer, {} as many", c.more, c.fewer, c.as_many);
    for change in comparison.customers_changed.iter().take(MAX_SHOWN) {
        println!("  {}: {} before, {} after", change.customer, change.before, change.after);
    }
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
