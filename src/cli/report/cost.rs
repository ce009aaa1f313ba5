use clap::{Args, ValueEnum};

use crate::app::reports::cost::{CostBy, Line, Report, money, report};

use super::super::{Context, ExitCode, Outcome, print};
use super::Days;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Case,
    Channel,
    Message,
}

/// What messages cost, at the prices of the settings, dearest first
#[derive(Debug, Args)]
pub struct Cost {
    /// What each line is about
    #[arg(long, value_enum, default_value_t = By::Message)]
    by: By,
    /// How many lines are printed
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    period: Days,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Cost {
    pub async fn run(self, context: &Context) -> Outcome {
        let period = self.period.period()?;
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let by = match self.by {
            By::Case => CostBy::Case,
            By::Channel => CostBy::Channel,
            By::Message => CostBy::Message,
        };
        let mut report = report(&store, &settings.prices, by, period).await?;
        let left_out = report.lines.len().saturating_sub(self.limit);
        report.lines.truncate(self.limit);
        if self.json {
            print::json(&report)?;
        } else {
            show(&report, left_out);
        }
        Ok(ExitCode::Done)
    }
}

fn show(report: &Report, left_out: usize) {
    let row = |line: &Line| {
        let mut row = vec![line.key.clone()];
        let counts = [line.mails, line.texts, line.sms_parts, line.calls];
        row.extend(counts.map(|n| n.to_string()));
        row.push(money(line, &report.currency));
        row
    };
    let lines = report.lines.iter().chain([&report.total]).map(row);
    let header = ["", "mails", "texts", "their parts", "calls", "cost"];
    println!("{}", print::table(&header, lines));
    if left_out > 0 {
        println!("… and {left_out} more; --limit shows them.");
    }
    if !report.missing_prices.is_empty() {
        let keys: Vec<&str> = report.missing_prices.iter().map(String::as_str).collect();
        println!(
            "{} mails, parts and calls have no price; the settings lack {}. For example:\n[prices]\nemail = 0.0004\nsms = {{ default = 0.08, \"+44\" = 0.04 }}\nvoice = {{ default = 0.1 }}",
            report.total.unpriced,
            keys.join(", ")
        );
    }
}
