//! `tidings balance`: what became of every accepted event.

use clap::Args;

use crate::app::balance::{Sheet, sheet};
use crate::store::balance;

use super::report::Days;
use super::{Context, ExitCode, Outcome, print};

/// Show that nothing was lost: what became of every accepted event, per day and case type
#[derive(Debug, Args)]
pub struct Balance {
    #[command(flatten)]
    days: Days,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Balance {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let sheet = sheet(&store, self.days.period()?).await?;
        if self.json {
            print::json(&sheet)?;
        } else {
            show(&sheet);
        }
        Ok(if sheet.adds_up { ExitCode::Done } else { ExitCode::Failed })
    }
}

fn show(sheet: &Sheet) {
    let row = |day: String, case_type: &str, sums: &balance::Balance| {
        let sums = [sums.accepted, sums.told, sums.silent, sums.task, sums.open];
        let mut row = vec![day, case_type.to_owned()];
        row.extend(sums.map(|n| n.to_string()));
        row
    };
    let days = sheet.by_day.iter().map(|r| row(r.day.to_string(), &r.case_type, &r.balance));
    let types = sheet.by_case_type.iter();
    let types = types.map(|(case_type, sums)| row("all days".into(), case_type, sums));
    let total = std::iter::once(row("all days".into(), "all", &sheet.total));
    let header = ["accepted on", "case type", "events", "told", "silent", "task", "open"];
    println!("{}", print::table(&header, days.chain(types).chain(total)));
    let words = &sheet.unprompted;
    println!(
        "Words no event caused: {} planned, {} told, {} not said, {} tasks, {} open.",
        words.planned, words.told, words.silent, words.task, words.open
    );
    if sheet.adds_up {
        println!(
            "It adds up: every accepted event is told, silent with a reason, a task, or open."
        );
        return;
    }
    println!("It does not add up.");
    for event in &sheet.lost {
        println!(
            "  nothing came of event {} from {} (case {}): tidings explain --event {}",
            event.id, event.source, event.case_id, event.id
        );
    }
    for case in &sheet.short_cases {
        println!(
            "  case {}: {} events were accepted, {} are stored",
            case.case_id, case.accepted, case.stored
        );
    }
}
