//! `tidings demo`: the story, told as it happens.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use crate::app::demo::{Demo as Story, Told};
use crate::domain::time::{Instant, local};
use crate::web::{Metrics, Web, router, serve};

use super::{ExitCode, Outcome, print};

/// See Tidings at work: sample customers and cases, captured messages
#[derive(Debug, Args)]
pub struct Demo {
    /// End when the story is told, without serving
    #[arg(long)]
    exit: bool,
    /// Print the words of every message
    #[arg(long)]
    text: bool,
    /// Print one JSON document; implies --exit
    #[arg(long)]
    json: bool,
}

/// How long a reader gets for one line, at a terminal.
const READING_TIME: Duration = Duration::from_millis(900);

impl Demo {
    pub async fn run(self) -> Outcome {
        let listener = listen().await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut story = Story::prepare(&url).await?;
        let watched = std::io::stdout().is_terminal() && !self.json;
        let quiet = self.json;
        if !quiet {
            println!(
                "Three customers of Example Shop, each with a ticket. Times are the customer's own.\n"
            );
        }
        let text = self.text;
        story
            .play(async |told| {
                if quiet {
                    return;
                }
                say(&told, text);
                if watched {
                    tokio::time::sleep(READING_TIME).await;
                }
            })
            .await?;
        let summary = story.app.engine.store.summary().await?;
        if self.json {
            print::json(&summary)?;
        } else {
            println!();
            print::summary(&summary);
            println!("Messages lie in {}", story.outbox().display());
        }
        if self.exit || self.json {
            story.end().await;
            return Ok(ExitCode::Done);
        }
        println!("\nThe server stays up until Ctrl-C:");
        println!("  what happened with a customer   {url}/v1/customers/C-1/timeline");
        println!("  a case                          {url}/v1/cases/T-2041");
        println!("  figures                         {url}/metrics");
        let web = Web { app: std::sync::Arc::clone(&story.app), metrics: Metrics::install() };
        serve(listener, router(web), super::serve::asked_to_stop()).await;
        story.end().await;
        Ok(ExitCode::Done)
    }
}

/// Port 8080, or a free one.
async fn listen() -> std::io::Result<tokio::net::TcpListener> {
    match tokio::net::TcpListener::bind(("127.0.0.1", 8080)).await {
        Ok(listener) => Ok(listener),
        Err(_) => tokio::net::TcpListener::bind(("127.0.0.1", 0)).await,
    }
}

fn say(told: &Told, text: bool) {
    let clock =
        |at: &Instant, zone: &TimeZone| local(*at, zone).strftime("%a %-d %b %H:%M %Z").to_string();
    match told {
        Told::Event { at, case, customer, what } => {
            let at = local(*at, &TimeZone::UTC).strftime("%a %-d %b %H:%M UTC").to_string();
            println!("{at:<22} case {case} of {customer}: {}", what.replace('_', " "));
        }
        Told::Message { at, zone, customer, channel, notice, text: words } => {
            println!("{:<22}   → {} to {customer}: {notice}", clock(at, zone), channel.spoken());
            if text {
                for line in words.lines() {
                    println!("{:<26}│ {line}", "");
                }
            }
        }
        Told::Silence { at, zone, customer, notice, what, why } => {
            println!("{:<22}   · {customer}: {notice} {what}. {why}", clock(at, zone));
        }
    }
}
