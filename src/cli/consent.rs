//! `tidings consent`: does the carrier hold the same refusals as we do?

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::app::drift::{self, DriftKind};
use crate::clock::Clock;
use crate::domain::Channel;
use crate::domain::time::from_ms;

use super::{BadInput, Context, ExitCode, Outcome, print};

#[derive(Debug, Subcommand)]
pub enum Consent {
    /// Compare the carrier's list of opt-outs with ours; exits 1 where they differ
    Reconcile {
        /// A CSV with a column named address, phone or number; - for standard input
        #[arg(long)]
        file: PathBuf,
        /// The channel of the numbers
        #[arg(long, default_value = "sms")]
        channel: Channel,
        /// Stop here whoever is stopped at the carrier
        #[arg(long)]
        apply: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl Consent {
    pub async fn run(self, context: &Context) -> Outcome {
        let Self::Reconcile { file, channel, apply, json } = self;
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let now = Clock::System.now();
        let named = |why: String| BadInput(format!("{}: {why}", file.display()));
        let list = crate::app::files::open(&file).map_err(|error| named(error.to_string()))?;
        let list = drift::read_list(list, channel).map_err(named)?;
        let found = drift::drift(&store, channel, &list, now).await?;
        let taken_over =
            if apply { drift::take_over(&store, channel, &found, now).await? } else { 0 };
        let left = found.len() - taken_over;
        if json {
            print::json(&json!({
                "channel": channel,
                "compared": list.addresses.len(),
                "invalid": list.invalid,
                "drift": found,
                "taken_over": taken_over,
            }))?;
        } else {
            for bad in &list.invalid {
                eprintln!("{}, line {}: {}", file.display(), bad.line, bad.reason);
            }
            if !found.is_empty() {
                let rows = found.iter().map(|drift| {
                    let since = drift.since_ms.map(|ms| from_ms(ms).format("%Y-%m-%d").to_string());
                    vec![
                        drift.address.clone(),
                        meaning(drift.kind).into(),
                        since.unwrap_or_default(),
                    ]
                });
                println!(
                    "{}",
                    print::table(&["Address", "What differs", "Stopped here since"], rows)
                );
            }
            println!(
                "{} addresses compared, {} differ, {taken_over} taken over",
                list.addresses.len(),
                found.len()
            );
        }
        let done = left == 0 && list.invalid.is_empty();
        Ok(if done { ExitCode::Done } else { ExitCode::Failed })
    }
}

const fn meaning(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::NotStoppedHere => "stopped at the carrier only: nothing gets through",
        DriftKind::NotStoppedAtCarrier => "stopped here only: kept out by us",
    }
}
