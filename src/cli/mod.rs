//! One file per command: parse, call `app`, print.

mod admin;
mod backup;
mod balance;
mod bench;
mod bounce;
mod check;
mod consent;
mod customer;
mod demo;
mod explain;
mod generate;
mod import;
mod journey_map;
mod journeys;
mod map;
mod migrate;
mod operator;
mod play;
mod print;
mod ready;
mod report;
mod serve;
mod simulate;
mod stop;
mod webhooks;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::app::App;
use crate::clock::Clock;
use crate::config::{DEFAULT_FILE, LogFormat, Settings};
use crate::store::{Store, StoreError};

/// The right message, when it matters, on the channel the customer chose.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, about, max_term_width = 100)]
pub struct Cli {
    /// The settings file [default: config/tidings.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See Tidings at work: sample customers and cases, captured messages
    Demo(demo::Demo),
    /// Serve the API and do the work, until Ctrl-C
    Serve(serve::Serve),
    /// Do what is due, without serving
    Work(serve::Work),
    /// Take in customers from a file
    #[command(subcommand)]
    Import(import::Import),
    /// Take in case events from a file of JSON lines
    SendEvents(import::SendEvents),
    /// Play case events at their own times on a virtual clock
    Play(play::Play),
    /// Check settings, journeys and every message × language × channel
    Check(check::Check),
    /// See a message as it is sent, with its sample values
    Preview(check::Preview),
    /// Say in plain words why a message was sent, held, changed or not sent
    Explain(explain::Explain),
    /// Show that nothing was lost: what became of every accepted event
    Balance(balance::Balance),
    /// Figures for tuning: contacts after messages, cost, load, silence
    #[command(subcommand)]
    Report(report::Report),
    /// See what changed journeys or settings would have done to recorded events
    Simulate(simulate::Simulate),
    /// Try how a help desk's own webhook is read
    #[command(subcommand)]
    Map(map::Map),
    /// Publish journeys and messages, and see what was published
    #[command(subcommand)]
    Journeys(journeys::Journeys),
    /// Hand a customer's data over, or forget them
    #[command(subcommand)]
    Customer(customer::Customer),
    /// Compare refusals with the carrier's
    #[command(subcommand)]
    Consent(consent::Consent),
    /// What other systems are told by webhook, and telling it again
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Take in mail that came back: a bounce, a complaint, a reply
    Bounce(bounce::Bounce),
    /// API keys
    #[command(subcommand)]
    Key(admin::Key),
    /// People who use the console
    #[command(subcommand)]
    Operator(operator::Operator),
    /// Bring the store to this version's schema, or move everything to another engine
    Migrate(migrate::Migrate),
    /// Copy the store into a new file, checked; a server may go on meanwhile
    Backup(backup::Backup),
    /// Put a copy in the place of the store, and say what waits since
    Restore(backup::Restore),
    /// Say what is wrong with this installation, and how to mend it
    Doctor(admin::Doctor),
    /// Ask the process that serves on this machine whether it can keep what it accepts
    Ready(ready::Ready),
    /// Measure rate, cost, latency and memory on this machine
    Bench(bench::Bench),
    /// Print the OpenAPI 3.1 document of the HTTP API
    Openapi,
    /// Print completions for a shell
    Completions(generate::Completions),
    /// Print the manual page, or that of one command
    Man(generate::Man),
}

/// What a command ends with.
pub type Outcome = Result<ExitCode, anyhow::Error>;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    Done = 0,
    Failed = 1,
    BadInput = 2,
    /// Sendmail's `EX_TEMPFAIL`: the same again later may go well.
    TryAgain = 75,
}

/// A fault of input or settings: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

impl Cli {
    /// Does the command do one thing after the other?
    #[must_use]
    pub const fn is_sequential(&self) -> bool {
        matches!(self.command, Command::Play(_) | Command::Demo(_))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn run(self) -> Outcome {
        let context = Context { config: self.config };
        match self.command {
            Command::Import(command) => command.run(&context).await,
            Command::SendEvents(command) => command.run(&context).await,
            Command::Demo(command) => command.run().await,
            Command::Serve(command) => command.run(&context).await,
            Command::Work(command) => command.run(&context).await,
            Command::Play(command) => command.run(&context).await,
            Command::Check(command) => command.run(&context),
            Command::Preview(command) => command.run(&context),
            Command::Explain(command) => command.run(&context).await,
            Command::Balance(command) => command.run(&context).await,
            Command::Report(command) => command.run(&context).await,
            Command::Simulate(command) => command.run(&context).await,
            Command::Map(command) => command.run(&context),
            Command::Journeys(command) => command.run(&context).await,
            Command::Customer(command) => command.run(&context).await,
            Command::Consent(command) => command.run(&context).await,
            Command::Webhooks(command) => Box::pin(command.run(&context)).await,
            Command::Bounce(command) => Box::pin(command.run(&context)).await,
            Command::Key(command) => command.run(),
            Command::Operator(command) => command.run(&context),
            Command::Migrate(command) => command.run(&context).await,
            Command::Backup(command) => command.run(&context).await,
            Command::Restore(command) => command.run(&context).await,
            Command::Doctor(command) => command.run(&context).await,
            Command::Ready(command) => command.run(&context).await,
            Command::Bench(command) => command.run().await,
            Command::Openapi => generate::openapi(),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}

/// How long a process that stays waits for its store at start.
const WAIT_FOR_STORE: Duration = Duration::from_mins(1);

/// What every command may need.
#[derive(Debug)]
struct Context {
    config: Option<PathBuf>,
}

impl Context {
    fn settings(&self) -> Result<Settings, anyhow::Error> {
        let settings = Settings::load(self.config.as_deref(), std::env::vars())
            .map_err(|finding| BadInput(print::finding(&finding)))?;
        start_log(&settings);
        Ok(settings)
    }

    /// The settings, where there is a file of them.
    fn settings_if_any(&self) -> Result<Option<Settings>, anyhow::Error> {
        let there = self.config.is_some() || std::path::Path::new(DEFAULT_FILE).exists();
        there.then(|| self.settings()).transpose()
    }

    async fn store(&self, settings: &Settings) -> Result<Store, anyhow::Error> {
        let store = Store::open(&settings.store.url).await;
        let store = store.map_err(|error| self.at(&["store", "url"], &error))?;
        Ok(store.with_outbound(settings.outbound()))
    }

    /// The same for a process that stays: a database that is not there yet may come.
    async fn store_in_time(&self, settings: &Settings) -> Result<Store, anyhow::Error> {
        let give_up_at = Instant::now() + WAIT_FOR_STORE;
        let mut wait = Duration::from_millis(500);
        loop {
            match Store::open(&settings.store.url).await {
                Err(error @ StoreError::Unavailable { .. }) if Instant::now() < give_up_at => {
                    tracing::warn!(%error, again_in_s = wait.as_secs_f64(), "the store is not there yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                opened => return opened.map_err(|error| self.at(&["store", "url"], &error)),
            }
        }
    }

    /// An error that a key of the settings led to, with the place where it was set. A setting
    /// that will not do is bad input; a server that is away is not.
    fn at(&self, path: &[&str], error: &StoreError) -> anyhow::Error {
        let file = self.config.as_deref();
        let place = Settings::finding_at(file, std::env::vars(), path, &error.to_string());
        let text = print::finding(&place);
        match error {
            StoreError::Refused(_) => BadInput(text).into(),
            _ => anyhow::anyhow!(text),
        }
    }

    async fn app(
        &self,
        settings: Settings,
        clock: Clock,
        store: Store,
    ) -> Result<App, anyhow::Error> {
        // On the heap: settings and parts together are large.
        match Box::pin(App::build(settings, clock, store)).await {
            Ok(app) => Ok(app),
            Err(crate::app::AppError::Findings(findings)) => {
                let errors = findings.iter().filter(|finding| finding.is_error());
                let text: Vec<String> = errors.map(print::finding).collect();
                Err(BadInput(text.join("\n")).into())
            }
            Err(crate::app::AppError::Settings(why)) => Err(BadInput(why).into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is logged: a level or the directives of `RUST_LOG`, with libraries kept quiet that would
/// log what people wrote, or the links they follow, whatever is asked for.
#[must_use]
pub fn log_filter(wanted: &str) -> tracing_subscriber::EnvFilter {
    use tracing_subscriber::EnvFilter;
    // What ends a queue's worker is told once, by the room that starts the next.
    let floor = "lettre=warn,hyper=warn,reqwest=warn,sqlx=warn,apalis=warn,apalis_core=off,\
                 tower_http::csrf=off";
    EnvFilter::try_new(format!("{wanted},{floor}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("info,{floor}")))
}

fn start_log(settings: &Settings) {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| settings.log.level.clone());
    let filter = log_filter(&wanted);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second call, in tests, keeps the first.
    let _ = match settings.log.format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Pretty => subscriber.with_target(false).try_init(),
    };
}
