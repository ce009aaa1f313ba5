//! `tidings import customers FILE` and `tidings send-events FILE`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::app::files;
use crate::app::redis::connector;
use crate::app::stream::{DEFAULT_STREAM, write::write};
use crate::clock::{Clock, newest_zones};

use super::{BadInput, Context, ExitCode, Outcome, print};

#[derive(Debug, Subcommand)]
pub enum Import {
    /// Customers: JSON lines or CSV; the same file again changes nothing
    Customers(FileArgs),
}

/// Case events, one JSON object a line; the same file again changes nothing
#[derive(Debug, Args)]
pub struct SendEvents {
    #[command(flatten)]
    file: FileArgs,
    /// Write them into the stream of this Redis instead of the store
    #[arg(long, value_name = "redis://host:6379/0")]
    to: Option<String>,
}

#[derive(Debug, Args)]
pub struct FileArgs {
    /// The file; - for standard input, .gz is unpacked
    file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Import {
    pub async fn run(self, context: &Context) -> Outcome {
        let Self::Customers(args) = self;
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let reader = files::open(&args.file).with_context(|| args.file.display().to_string())?;
        let bar = print::progress(None, "importing");
        let began = Instant::now();
        let now = || Clock::System.now();
        let zones = newest_zones();
        let mut report = files::import_customers(&store, reader, &zones, now, |line| {
            bar.set_position(line as u64);
        })
        .await?;
        report.duration_s = began.elapsed().as_secs_f64();
        bar.finish_and_clear();
        finish(&report, args.json, "customers")
    }
}

impl SendEvents {
    pub async fn run(self, context: &Context) -> Outcome {
        if let Some(url) = &self.to {
            return self.write_to(url, context).await;
        }
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let path = &self.file.file;
        let reader = files::open(path).with_context(|| path.display().to_string())?;
        let bar = print::progress(None, "sending");
        let began = Instant::now();
        let now = || Clock::System.now();
        let mut report =
            files::send_events(&store, reader, now, |line| bar.set_position(line as u64)).await?;
        report.duration_s = began.elapsed().as_secs_f64();
        bar.finish_and_clear();
        finish(&report, self.file.json, "events")
    }

    /// Into the stream the settings name; no settings are needed where it has its usual name.
    async fn write_to(&self, url: &str, context: &Context) -> Outcome {
        let stream = match context.settings_if_any()? {
            Some(settings) if settings.intake.stream.is_empty() => {
                return Err(
                    BadInput("[intake] stream is empty: nobody reads a stream".into()).into()
                );
            }
            Some(settings) => settings.intake.stream,
            None => DEFAULT_STREAM.to_owned(),
        };
        let connect = connector(url).map_err(|why| BadInput(format!("--to {why}")))?;
        let connection = connect().await.map_err(|error| {
            anyhow::anyhow!("--to: Redis cannot be reached: {error}; nothing was sent")
        })?;
        let path = &self.file.file;
        let reader = files::open(path).with_context(|| path.display().to_string())?;
        let bar = print::progress(None, "sending");
        let began = Instant::now();
        let now = || Clock::System.now();
        let progress = |line| bar.set_position(line as u64);
        let mut report = write(connection, &stream, reader, now, progress).await?;
        report.duration_s = began.elapsed().as_secs_f64();
        bar.finish_and_clear();
        finish(&report, self.file.json, "events")
    }
}

fn finish(report: &files::Report, json: bool, what: &str) -> Outcome {
    if json {
        print::json(report)?;
    } else {
        print::report(report, what);
    }
    Ok(if report.invalid > 0 { ExitCode::BadInput } else { ExitCode::Done })
}
