use clap::Args;

use crate::app::reports::load::{self, Report};

use super::super::{Context, ExitCode, Outcome, print};
use super::Days;

/// How many messages customers get in a week, and how many they are spared
#[derive(Debug, Args)]
pub struct Load {
    #[command(flatten)]
    period: Days,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Load {
    pub async fn run(self, context: &Context) -> Outcome {
        let period = self.period.period()?;
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let report = load::report(&store, period).await?;
        if self.json {
            print::json(&report)?;
        } else {
            show(&report);
        }
        Ok(ExitCode::Done)
    }
}

pub(super) fn show(report: &Report) {
    let row = |name: &str, load: &load::Load| {
        let spread = &load.spread;
        let mut row =
            vec![name.to_owned(), spread.count.to_string(), format!("{:.2}", spread.mean)];
        row.extend([spread.p50, spread.p95, spread.max].map(|n| n.to_string()));
        row
    };
    let rows = [row("as sent", &report.as_sent), row("each word alone", &report.each_alone)];
    let header = ["messages per customer and week", "weeks", "mean", "p50", "p95", "most"];
    println!("{}", print::table(&header, rows));
    let histogram = &report.as_sent.histogram;
    println!("{}", print::histogram(["messages in a week", "weeks"], histogram));
}
