//! `tidings play FILE`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::app::files;
use crate::app::play::{Script, play};
use crate::clock::Clock;
use crate::domain::Span;
use crate::store::{Beside, StoreError};

use super::{Context, ExitCode, Outcome, print};

#[derive(Debug, Args)]
pub struct Play {
    /// Case events, one JSON object a line; - for standard input, .gz is unpacked
    file: PathBuf,
    /// How long time goes on after the last event
    #[arg(long, default_value = "30 days")]
    tail: Span,
    /// How many workers take turns, each claiming and sending for itself
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Play {
    pub async fn run(self, context: &Context) -> Outcome {
        let mut settings = context.settings()?;
        // What is played has happened long ago: nobody else is told of it.
        settings.webhooks.clear();
        let store = context.store(&settings).await?;
        let lock = store.lock_dispatch("play", Beside::Nobody).await?;
        let real_now = Clock::System.now();
        let reader = files::open(&self.file).with_context(|| self.file.display().to_string())?;
        let script = Script::read(reader, real_now);
        let clock = Clock::manual(script.begins_at().unwrap_or(real_now));
        let app = context.app(settings, clock, store).await?;
        let app = app.with_workers(usize::from(self.workers));
        app.recover(&lock).await?;
        let told = async || -> Result<i64, StoreError> {
            Ok(app.engine.store.summary().await?.by_channel.values().sum())
        };
        let before = told().await?;
        let began = Instant::now();
        let workers = app.start_driven();
        let bar = print::progress(Some(script.len() as u64), "playing");
        let report = play(&app, script, self.tail, |done| bar.set_position(done as u64)).await?;
        bar.finish_and_clear();
        workers.stop().await;
        let duration_s = began.elapsed().as_secs_f64();
        let summary = app.engine.store.summary().await?;
        let sent = told().await? - before;
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_second = sent as f64 / duration_s;
        if self.json {
            print::json(&json!({
                "events": report,
                "balance": summary.balance,
                "by_status": summary.by_status,
                "by_reason": summary.by_reason,
                "by_channel": summary.by_channel,
                "sent": sent,
                "duration_s": duration_s,
                "per_second": per_second,
            }))?;
        } else {
            print::report(&report, "events");
            print::summary(&summary);
            println!("played in {duration_s:.1} s: {sent} messages sent, {per_second:.0} a second");
        }
        let fine = summary.balance.adds_up();
        Ok(match (report.invalid, fine) {
            (_, false) => ExitCode::Failed,
            (0, true) => ExitCode::Done,
            (_, true) => ExitCode::BadInput,
        })
    }
}
