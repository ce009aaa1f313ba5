use clap::Args;

use crate::app::reports::Spread;
use crate::app::reports::silence::{Report, report};
use crate::clock::Clock;
use crate::domain::time::{Instant, parse_instant};

use super::super::{Context, ExitCode, Outcome, print};

/// How long customers heard nothing about their cases
#[derive(Debug, Args)]
pub struct Silence {
    /// Open cases are silent until this moment [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    at: Option<Instant>,
    /// How many open cases are printed, at most 100
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Silence {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let app = context.app(settings, Clock::System, store).await?;
        let engine = &app.engine;
        let now = self.at.unwrap_or_else(|| engine.clock.now());
        let live = engine.live.load();
        let mut report = report(&engine.store, &live.rules.journeys, now).await?;
        report.open.truncate(self.limit);
        if self.json {
            print::json(&report)?;
        } else {
            show(&report, self.limit);
        }
        Ok(ExitCode::Done)
    }
}

pub(super) fn show(report: &Report, limit: usize) {
    let open = report.open.iter().take(limit).map(|silence| {
        vec![
            silence.case.clone(),
            silence.case_type.clone(),
            silence.state.clone().unwrap_or_default(),
            silence.words.to_string(),
            days(silence.longest_hours),
            days(silence.present_hours),
        ]
    });
    let header = ["open case", "case type", "state", "words", "longest silence", "silent now"];
    println!("{}", print::table(&header, open));
    let row = |name: &str, spread: &Spread| {
        let mut row = vec![name.to_owned(), spread.count.to_string()];
        row.extend([spread.p50, spread.p95, spread.max].map(days));
        row
    };
    let rows = [row("open", &report.open_hours), row("all", &report.all_hours)];
    println!("{}", print::table(&["longest silence", "cases", "p50", "p95", "most"], rows));
    let histogram = &report.histogram_days;
    println!("{}", print::histogram(["days of silence, from", "cases"], histogram));
}

/// `3 days 4 h`
fn days(hours: i64) -> String {
    match (hours / 24, hours % 24) {
        (0, hours) => format!("{hours} h"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}
