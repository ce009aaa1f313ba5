use clap::Args;
use serde_json::json;

use crate::app::reports::{load, silence};
use crate::clock::Clock;
use crate::domain::time::{Instant, parse_instant};

use super::super::{Context, ExitCode, Outcome, print};
use super::Days;

/// The balance, messages per week and longest silences on one sheet
#[derive(Debug, Args)]
pub struct All {
    /// Open cases are silent until this moment [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = parse_instant)]
    at: Option<Instant>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl All {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let app = context.app(settings, Clock::System, store).await?;
        let store = &app.engine.store;
        let now = self.at.unwrap_or_else(|| app.engine.clock.now());
        let summary = store.summary().await?;
        let held = store.decisions_by_kind().await?;
        let load = load::report(store, Days { from: None, to: None }.period()?).await?;
        let live = app.engine.live.load();
        let silence = silence::report(store, &live.rules.journeys, now).await?;
        let fine = summary.balance.adds_up();
        if self.json {
            print::json(&json!({
                "balance": summary.balance, "by_status": summary.by_status,
                "by_reason": summary.by_reason, "by_channel": summary.by_channel,
                "decisions": held, "load": load, "silence": silence,
            }))?;
        } else {
            print::summary(&summary);
            let rows = held.iter().map(|(what, n)| vec![what.replace('_', " "), n.to_string()]);
            println!("{}", print::table(&["decisions besides sending", ""], rows));
            super::load::show(&load);
            super::silence::show(&silence, 10);
        }
        Ok(if fine { ExitCode::Done } else { ExitCode::Failed })
    }
}
