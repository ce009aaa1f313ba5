//! From accepted to the first byte at the provider, through the real server: in this process
//! on one engine, in processes of their own where store and queue are shared.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::app::App;
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::Store;

use super::here::Here;
use super::pipeline::import;
use super::reference::tempdir;
use super::{Engines, Latency, Sinks};

/// How long processes may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

pub async fn run(
    sinks: &Sinks,
    engines: &Engines,
    rate: u32,
    seconds: u32,
) -> Result<Latency, anyhow::Error> {
    let folder = tempdir()?;
    let latency = match (&engines.store, &engines.queue) {
        (Some(store), Some(queue)) => {
            let place = Store::scratch(store).await?;
            let load = Load { sinks, rate, seconds };
            let latency = between_processes(load, engines.workers, &folder, &place, queue).await;
            Store::drop_scratch(&place).await?;
            latency?
        }
        _ => in_this_process(Load { sinks, rate, seconds }, &folder).await?,
    };
    std::fs::remove_dir_all(&folder)?;
    Ok(latency)
}

/// Events a second, for so long.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub sinks: &'a Sinks,
    pub rate: u32,
    pub seconds: u32,
}

impl Load<'_> {
    pub async fn on(self, port: u16) -> Result<Latency, anyhow::Error> {
        let load = reqwest::Url::parse_with_params(
            &format!("{}/load", self.sinks.http),
            [
                ("url", format!("http://127.0.0.1:{port}/v1/events")),
                ("rate", self.rate.to_string()),
                ("seconds", self.seconds.to_string()),
            ],
        )?;
        let latency = reqwest::get(load).await?.bytes().await?;
        Ok(serde_json::from_slice(&latency)?)
    }
}

async fn in_this_process(load: Load<'_>, folder: &Path) -> Result<Latency, anyhow::Error> {
    let here = Here::start(|port| load.sinks.settings(folder, port)).await?;
    let latency = load.on(here.port).await;
    here.end().await?;
    latency
}

/// One process with the API, one with the scheduler, and so many workers.
async fn between_processes(
    load: Load<'_>,
    workers: usize,
    folder: &Path,
    store: &str,
    queue: &str,
) -> Result<Latency, anyhow::Error> {
    let port = free_port().await?;
    let text = load.sinks.settings_on(folder, port, store, queue)?;
    let file = folder.join("tidings.toml");
    std::fs::write(&file, &text)?;
    let settings = Settings::read("the benchmark's settings", &text, [])
        .map_err(|finding| anyhow::anyhow!("{finding}"))?;
    let app = App::build(settings, Clock::System, Store::open(store).await?).await?;
    import(&app).await?;
    drop(app);
    let mut processes = vec![start(&file, "api", port)?];
    for role in ["scheduler"].into_iter().chain((0..workers).map(|_| "worker")) {
        let port = free_port().await?;
        processes.push(start(&file, role, port)?);
        ready(port).await?;
    }
    ready(port).await?;
    let latency = load.on(port).await;
    for process in &mut processes {
        let _ = process.kill().await;
    }
    latency
}

fn start(settings: &Path, role: &str, port: u16) -> Result<Child, anyhow::Error> {
    Ok(Command::new(std::env::current_exe()?)
        .arg("--config")
        .arg(settings)
        .args(["serve", "--roles", role])
        .env("TIDINGS__HTTP__LISTEN", format!("127.0.0.1:{port}"))
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?)
}

async fn free_port() -> Result<u16, anyhow::Error> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

async fn ready(port: u16) -> Result<(), anyhow::Error> {
    let url = format!("http://127.0.0.1:{port}/readyz");
    let asking = async {
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Ok(tokio::time::timeout(READY_WITHIN, asking).await?)
}
