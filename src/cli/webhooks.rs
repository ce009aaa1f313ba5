//! `tidings webhooks`: hooks of other systems, what they were told, and telling it again.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::app::webhooks::{self, Standing, standing};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::time::{from_ms, parse_instant};
use crate::store::webhooks::{DeliveryView, LAST, Wanted};

use super::{BadInput, Context, ExitCode, Outcome, print};

#[derive(Debug, Subcommand)]
pub enum Webhooks {
    /// The hooks of the settings, and how they are doing
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// What was told to whom, newest first
    Deliveries {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// Those before this number: the last of the page before
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Tell something again: one delivery, or all that are meant once you have seen how many
    Replay {
        /// The number of one delivery
        #[arg(conflicts_with_all = ["hook", "status", "kind", "since"])]
        id: Option<i64>,
        #[command(flatten)]
        which: Which,
        /// Do it
        #[arg(long)]
        yes: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Send a tidings.test to a hook now and print what it answers
    Test {
        name: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Let a hook be told again whose receiver said 410 Gone
    Enable { name: String },
    /// Print a new secret to sign with
    Secret,
}

/// Which deliveries are meant.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Of this hook
    #[arg(long, value_name = "NAME")]
    hook: Option<String>,
    /// That stand like this
    #[arg(long)]
    status: Option<Status>,
    /// Of this type, such as task.created
    #[arg(long = "type", value_name = "TYPE", id = "kind")]
    kind: Option<String>,
    /// Of facts since then, such as 2026-11-22T09:30:00Z
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    Pending,
    Delivered,
    Failed,
    All,
}

impl Which {
    fn wanted(self, status: Status) -> Result<Wanted, BadInput> {
        let since = self.since.map(|text| {
            parse_instant(&text).map_err(|why| BadInput(format!("--since {text}: {why}")))
        });
        let status = match self.status.unwrap_or(status) {
            Status::Pending => Some("pending"),
            Status::Delivered => Some("delivered"),
            Status::Failed => Some("failed"),
            Status::All => None,
        };
        Ok(Wanted {
            hook: self.hook,
            status: status.map(str::to_owned),
            kind: self.kind,
            since_ms: since.transpose()?.map_or(0, |since| since.timestamp_millis()),
        })
    }
}

impl Webhooks {
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Secret => {
                println!("{}", webhooks::secret());
                Ok(ExitCode::Done)
            }
            Self::List { json } => list(context, json).await,
            Self::Deliveries { which, limit, before, json } => {
                let wanted = which.wanted(Status::All)?;
                let store = context.store(&context.settings()?).await?;
                let page = store.deliveries(&wanted, before, limit).await?;
                show(&page, json)
            }
            Self::Replay { id, which, yes, json } => replay(context, id, which, yes, json).await,
            Self::Test { name, json } => test(context, &name, json).await,
            Self::Enable { name } => {
                let settings = context.settings()?;
                known(&settings, &name)?;
                let enabled = context.store(&settings).await?.enable_hook(&name).await?;
                println!("{name} {}", if enabled { "is told again" } else { "was not stopped" });
                Ok(ExitCode::Done)
            }
        }
    }
}

fn known(settings: &Settings, name: &str) -> Result<(), BadInput> {
    if settings.webhooks.iter().any(|hook| hook.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = settings.webhooks.iter().map(|hook| hook.name.as_str()).collect();
    Err(BadInput(match names[..] {
        [] => "the settings name no hook; `tidings check --defaults` shows how".to_owned(),
        _ => format!("there is no hook {name:?}; the settings name {}", names.join(", ")),
    }))
}

async fn list(context: &Context, json: bool) -> Outcome {
    let settings = context.settings()?;
    let store = context.store(&settings).await?;
    let hooks = standing(&store, &settings).await?;
    if json {
        print::json(&json!({ "webhooks": hooks }))?;
        return Ok(ExitCode::Done);
    }
    let header = ["Hook", "Told", "Delivered", "Given up", "Rate", "Waiting", ""];
    let rows = hooks.iter().map(|hook| {
        vec![
            hook.name.clone(),
            hook.events.join(", "),
            hook.delivered.to_string(),
            hook.failed.to_string(),
            hook.rate.map(|rate| format!("{:.1} %", rate * 100.0)).unwrap_or_default(),
            hook.pending.to_string(),
            remark(hook),
        ]
    });
    println!("{}", print::table(&header, rows));
    println!("Delivered, given up and rate: the last {LAST} deliveries of each.");
    Ok(ExitCode::Done)
}

fn remark(hook: &Standing) -> String {
    match (hook.stopped_at_ms, &hook.url) {
        (Some(at), _) => format!("stopped since {}: 410 Gone", on_the_minute(at)),
        (None, None) => "not in the settings any more".to_owned(),
        (None, Some(_)) => hook
            .oldest_pending_ms
            .map(|at| format!("the oldest waits since {}", on_the_minute(at)))
            .unwrap_or_default(),
    }
}

fn on_the_minute(ms: i64) -> String {
    from_ms(ms).format("%Y-%m-%d %H:%MZ").to_string()
}

fn show(page: &[DeliveryView], json: bool) -> Outcome {
    if json {
        print::json(&json!({ "deliveries": page }))?;
        return Ok(ExitCode::Done);
    }
    let header = ["Id", "Happened", "Type", "Case", "Hook", "Status", "Attempts", "Last answer"];
    let rows = page.iter().map(|row| {
        let answer = row.answer.map(|answer| format!("{answer} ")).unwrap_or_default();
        vec![
            row.seq.to_string(),
            on_the_minute(row.occurred_at_ms),
            row.kind.clone(),
            row.case_id.clone().unwrap_or_default(),
            row.hook.clone(),
            row.status.clone(),
            row.attempts.to_string(),
            format!("{answer}{}", row.said.clone().unwrap_or_default()),
        ]
    });
    println!("{}", print::table(&header, rows));
    Ok(ExitCode::Done)
}

async fn replay(
    context: &Context,
    id: Option<i64>,
    which: Which,
    yes: bool,
    json: bool,
) -> Outcome {
    let wanted = which.wanted(Status::Failed)?;
    let store = context.store(&context.settings()?).await?;
    let now = Clock::System.now();
    let (meant, replayed) = if let Some(id) = id {
        store.replay_delivery(id, now).await?;
        (1, 1)
    } else {
        let meant = store.count_deliveries(&wanted).await?;
        let replayed = if yes { store.replay_deliveries(&wanted, None, now).await? } else { 0 };
        (meant, replayed)
    };
    if json {
        print::json(&json!({ "count": meant, "replayed": replayed }))?;
    } else if replayed == 0 && meant > 0 {
        println!("{meant} deliveries are meant; --yes tells them again");
    } else {
        println!("{replayed} deliveries are told again by the process that serves");
    }
    Ok(ExitCode::Done)
}

async fn test(context: &Context, name: &str, json: bool) -> Outcome {
    let settings = context.settings()?;
    known(&settings, name)?;
    let outlets = webhooks::outlets(&settings)?;
    let answer = webhooks::test(&outlets, name).await.context("it is in the settings")?;
    let took_ms = u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX);
    if json {
        print::json(&json!({
            "hook": name,
            "taken": answer.is_taken(),
            "answer": answer.status,
            "said": answer.said,
            "took_ms": took_ms,
        }))?;
    } else {
        let word = if answer.is_taken() { "took it" } else { "did not take it" };
        println!("{name} {word} in {took_ms} ms: {}", answer.in_words());
    }
    Ok(if answer.is_taken() { ExitCode::Done } else { ExitCode::Failed })
}
