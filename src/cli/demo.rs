//! `tidings demo`: the story, told as it happens.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;

use crate::app::demo::{Demo as Story, Told, What};
use crate::web::{Metrics, Web, router, serve};

use super::stop::Stop;
use super::{ExitCode, Outcome, print};

/// See Tidings at work: a return told to three customers, with captured messages
#[derive(Debug, Args)]
pub struct Demo {
    /// End when the story is told, without staying up
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

/// Where the second column begins, in characters.
const INDENT: usize = 23;

/// How soon what is done on the pages is worked on.
const LOOK_AFTER: Duration = Duration::from_secs(1);

impl Demo {
    pub async fn run(self) -> Outcome {
        let listener = listen().await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut story = Story::prepare(&url).await?;
        let web = Web { app: Arc::clone(&story.app), metrics: Metrics::install() };
        let stop = Stop::listen()?.asked();
        let mut server = tokio::spawn(serve(listener, router(web), stop));
        let watched = std::io::stdout().is_terminal() && !self.json;
        if !self.json {
            introduce(&story).await?;
        }
        let (text, json) = (self.text, self.json);
        let mut lines = Vec::new();
        let mut at = String::new();
        let told = async |told: Told| {
            if json {
                lines.push(told);
                return;
            }
            say(&told, &mut at, text);
            if watched {
                tokio::time::sleep(READING_TIME).await;
            }
        };
        let client = reqwest::Client::new();
        let follow = async |path: String, answer: String| {
            let form = [("answer", answer)];
            let page = client.post(format!("{url}{path}")).form(&form).send().await;
            page.context("the link in the message cannot be opened")?.error_for_status()?;
            Ok(())
        };
        tokio::select! {
            played = story.play(told, follow) => played?,
            stopped = &mut server => {
                stopped?;
                story.end().await;
                return Ok(ExitCode::Done);
            }
        }
        let summary = story.app.engine.store.summary().await?;
        if self.json {
            print::json(&json!({
                "events": { "accepted": summary.balance.accepted },
                "story": lines,
                "balance": summary.balance,
                "by_status": summary.by_status,
                "by_reason": summary.by_reason,
                "by_channel": summary.by_channel,
            }))?;
        } else {
            println!();
            print::summary(&summary);
        }
        if self.exit || self.json {
            server.abort();
            story.end().await;
            return Ok(ExitCode::Done);
        }
        println!("\nThe server stays up until Ctrl-C:");
        let line = |title: &str, link: &str| println!("  {title:<36}{link}");
        for (id, name, _) in story.customers().await? {
            line(&format!("{name}'s own page"), &story.page_of(&id));
            line("  what was told, and why", &format!("{url}/v1/customers/{id}/timeline"));
        }
        line("Ada's return", &format!("{url}/v1/cases/R-1001"));
        line("the console", &format!("{url}/console"));
        line("the API", &format!("{url}/docs"));
        line("figures", &format!("{url}/metrics"));
        line("every message as it was sent", &story.outbox().display().to_string());
        // The clock of the story stands still; what is done on its pages has its effect.
        let work = async {
            loop {
                tokio::time::sleep(LOOK_AFTER).await;
                if let Err(error) = story.app.engine.run_until_idle().await {
                    tracing::warn!(%error, "the work on what was done goes on in a moment");
                }
            }
        };
        tokio::select! {
            stopped = server => stopped?,
            () = work => {}
        }
        story.end().await;
        Ok(ExitCode::Done)
    }
}

/// Port 8080, or a free one.
async fn listen() -> std::io::Result<TcpListener> {
    match TcpListener::bind(("127.0.0.1", 8080)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await,
    }
}

async fn introduce(story: &Story) -> Result<(), anyhow::Error> {
    println!("Three customers of Example Shop send something back. Each is told what matters, on");
    println!("the channel and in the language they chose. Times are each customer's own.\n");
    for (_, name, chose) in story.customers().await? {
        println!("  {name:<15}{chose}");
    }
    println!();
    Ok(())
}

/// One line of the story; the time only where it is another than before (`at`).
fn say(told: &Told, at: &mut String, text: bool) {
    let shown = if *at == told.at { String::new() } else { told.at.clone() };
    at.clone_from(&told.at);
    let name = told.customer.split(' ').next().unwrap_or_default();
    let line = match &told.what {
        What::Happened { says } => says.clone(),
        What::Planned { notice, until, why } => {
            if why.is_empty() {
                format!("    … {name}: {notice} is planned for {until}.")
            } else {
                format!("    … {name}: {notice} waits until {until}. {why}")
            }
        }
        What::Message { channel, notice, gist, .. } => {
            format!("    → {} to {name} ({notice}): {gist}", channel.spoken())
        }
        What::Silence { notice, what, why } => format!("    · {name}: {notice} {what}. {why}"),
    };
    println!("{shown:<INDENT$}{line}");
    if let What::Message { text: words, .. } = &told.what
        && text
    {
        for words in words.lines() {
            println!("{:INDENT$}      │ {words}", "");
        }
    }
}
