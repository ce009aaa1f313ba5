//! FIGURES: how quick, at what cost, in how much memory; printed, never asserted.
//!
//! The sinks run in a process of their own, so that a figure of CPU is Tidings' alone. The
//! reference is a bare loop that only renders the same message and hands it to the same sinks
//! over connections kept open: no queue, no store.

pub mod console;
pub mod decisions;
mod here;
mod latency;
mod measure;
mod memory;
pub mod pages;
mod pipeline;
mod reference;
pub mod sinks;
mod visits;
pub mod what_if;

pub use memory::resident;

use std::process::Stdio;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::config::Settings;

/// A few invented numbers get everything: no caps.
const UNCAPPED: &str = "[limits.sms]\ncountries = []\nper_number_per_hour = 0\nurgent_per_number_per_hour = 0\nper_prefix_per_hour = 0\n\
    [limits.voice]\ncountries = []\nper_number_per_hour = 0\nurgent_per_number_per_hour = 0\nper_prefix_per_hour = 0\n";

/// What Tidings runs on while it is measured.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// A database to make a schema in, and to remove it again; none: a file of its own.
    pub store: Option<String>,
    /// A Redis; none: the queue inside the process.
    pub queue: Option<String>,
    /// Workers that take turns; with both engines, processes in the figure of latency.
    pub workers: usize,
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Messages of the throughput figures.
    pub messages: usize,
    /// Events a second of the latency figure, and for how long.
    pub rate: u32,
    pub seconds: u32,
    /// Planned notifications of the memory figure; 0 leaves it out.
    pub planned: usize,
}

/// Messages a second, and what one costs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Throughput {
    pub messages: usize,
    pub seconds: f64,
    pub per_second: f64,
    pub cpu_us_each: f64,
}

/// From accepted to the first byte at the provider, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, serde::Deserialize)]
pub struct Latency {
    pub events: usize,
    /// Not accepted, not wanted, or not seen to arrive (a call names no case): the figures
    /// below leave them out.
    pub missing: usize,
    pub per_second: u32,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub planned: usize,
    pub resident_mb: f64,
    pub store_mb: f64,
    pub filled_in_s: f64,
}

/// All figures.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub cores: usize,
    pub reference: Throughput,
    pub tidings: Throughput,
    /// Tidings' rate in parts of the reference's, and its cost in times of it.
    pub rate_share: f64,
    pub cpu_times: f64,
    pub latency: Latency,
    pub memory: Option<Memory>,
}

/// Takes all figures; `say` hears what is being done.
///
/// # Errors
/// When a store, a sink or a process cannot be had.
pub async fn run(
    size: Size,
    engines: &Engines,
    say: impl Fn(&str),
) -> Result<Figures, anyhow::Error> {
    let sinks = Sinks::start().await?;
    say("the bare loop: render and hand over, no queue, no store");
    let reference = reference::run(&sinks, size.messages).await?;
    say("Tidings: accept, plan, decide, open, hand over, record; everything durable");
    let tidings = pipeline::run(&sinks, engines, size.messages).await?;
    say("latency from accepted to the first byte at the provider");
    let latency = latency::run(&sinks, engines, size.rate, size.seconds).await?;
    let memory = match size.planned {
        0 => None,
        planned => {
            say("memory with a full store");
            Some(memory::run(&sinks, planned).await?)
        }
    };
    Ok(Figures {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        rate_share: tidings.per_second / reference.per_second,
        cpu_times: tidings.cpu_us_each / reference.cpu_us_each,
        reference,
        tidings,
        latency,
        memory,
    })
}

/// The process with the sinks.
#[derive(Debug)]
pub struct Sinks {
    _child: Child,
    pub smtp: String,
    pub http: String,
}

impl Sinks {
    async fn start() -> Result<Self, anyhow::Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "--sinks"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or_else(|| anyhow::anyhow!("no output"))?;
        let mut lines = BufReader::new(out).lines();
        let mut next = async || -> Result<String, anyhow::Error> {
            lines.next_line().await?.ok_or_else(|| anyhow::anyhow!("the sinks did not start"))
        };
        let (smtp, http) = (next().await?, next().await?);
        Ok(Self { _child: child, smtp, http })
    }

    /// Has visits made from over there.
    async fn visit(&self, visits: visits::Visits) -> Result<visits::Timing, anyhow::Error> {
        let url = format!("{}/visits", self.http);
        let answer = reqwest::Client::new().post(url).json(&visits).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Settings that lead to the sinks, the store in `folder`.
    fn settings(&self, folder: &std::path::Path, port: u16) -> Result<Settings, anyhow::Error> {
        let store = format!("sqlite:{}/bench.db", folder.display());
        let text = self.settings_on(folder, port, &store, "embedded")?;
        Settings::read("the benchmark's settings", &text, [])
            .map_err(|finding| anyhow::anyhow!("{finding}"))
    }

    /// The text of settings on other engines. Every notice may go by each channel.
    fn settings_on(
        &self,
        folder: &std::path::Path,
        port: u16,
        store: &str,
        queue: &str,
    ) -> Result<String, anyhow::Error> {
        let journeys = folder.join("journeys");
        std::fs::create_dir_all(&journeys)?;
        let ticket = include_str!("../../config/journeys/ticket.toml");
        let by_all = r#"channels = ["email", "sms", "voice"]"#;
        std::fs::write(
            journeys.join("ticket.toml"),
            ticket.replacen(r#"channels = ["email", "sms"]"#, by_all, 1),
        )?;
        let token = folder.join("token");
        std::fs::write(&token, "secret")?;
        let (folder, token) = (folder.display(), token.display());
        let (smtp, http) = (&self.smtp, &self.http);
        let telephone = format!(
            "provider = \"twilio\"\nbase_url = \"{http}\"\naccount = \"AC1\"\nfrom = \"+442079460001\"\ntoken_file = \"{token}\"\n"
        );
        Ok(format!(
            "[store]\nurl = \"{store}\"\n[queue]\nurl = \"{queue}\"\n\
             [journeys]\ndir = \"{folder}/journeys\"\n\
             [http]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n\
             [sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\nphone = \"+442079460000\"\n\
             [quiet_hours]\nsms = \"none\"\nvoice = \"none\"\n\
             [legal_hours.default]\nsms = []\nvoice = []\n[legal_hours.gb]\nsms = []\nvoice = []\n\
             [channels.email]\nprovider = \"smtp\"\nurl = \"{smtp}\"\nmax_connections = 8\n\
             [channels.sms]\n{telephone}max_connections = 8\n[channels.voice]\n{telephone}{UNCAPPED}"
        ))
    }
}
