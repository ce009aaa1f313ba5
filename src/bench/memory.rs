//! Resident memory of a process that works on a store full of planned notifications.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use tokio::process::Command;

use crate::app::App;
use crate::app::roles::Roles;
use crate::clock::Clock;
use crate::store::Store;

use super::pipeline::{accept, import};
use super::reference::tempdir;
use super::{Memory, Sinks, measure};

pub async fn run(sinks: &Sinks, planned: usize) -> Result<Memory, anyhow::Error> {
    let folder = tempdir()?;
    let began = Instant::now();
    fill(sinks, &folder, planned).await?;
    let filled_in_s = began.elapsed().as_secs_f64();
    let file = folder.join("bench.db");
    #[allow(clippy::cast_precision_loss, reason = "a size for people")]
    let store_mb = std::fs::metadata(&file)?.len() as f64 / 1_048_576.0;
    // A process of its own: this one has done much else.
    let output = Command::new(std::env::current_exe()?)
        .args(["bench", "--resident"])
        .arg(&folder)
        .args(["--smtp", &sinks.smtp, "--http", &sinks.http])
        .stdout(Stdio::piped())
        .output()
        .await?;
    let resident_mb: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(Memory { planned, resident_mb, store_mb, filled_in_s })
}

/// Plans through the real planner: each case is in a state whose reminder is days away.
async fn fill(
    sinks: &Sinks,
    folder: &std::path::Path,
    planned: usize,
) -> Result<(), anyhow::Error> {
    let settings = sinks.settings(folder, 0)?;
    let store = Store::open(&settings.store.url).await?;
    let app = App::build(settings, Clock::System, store).await?;
    import(&app).await?;
    let workers = app.start_driven();
    for batch in (0..planned).collect::<Vec<_>>().chunks(500) {
        let bodies: Vec<_> = batch.iter().map(|n| measure::event("mem", *n, "closed")).collect();
        accept(&app, &bodies).await?;
        app.engine.activity.idle().await;
    }
    app.engine.run_until_idle().await?;
    let summary = app.engine.store.summary().await?;
    let there = summary.by_status.get("planned").copied().unwrap_or(0);
    anyhow::ensure!(there == i64::try_from(planned)?, "{there} are planned");
    workers.stop().await;
    Ok(())
}

/// Works on the full store for a while and prints what it holds in memory.
///
/// # Errors
/// When the store cannot be had.
pub async fn resident(
    smtp: String,
    http: String,
    folder: &std::path::Path,
) -> Result<f64, anyhow::Error> {
    let child = Command::new("true").spawn()?;
    let sinks = Sinks { _child: child, smtp, http };
    let settings = sinks.settings(folder, 0)?;
    let store = Store::open(&settings.store.url).await?;
    let app = Arc::new(App::build(settings, Clock::System, store).await?);
    let workers = app.start(Roles::ALL);
    let mut most = 0.0_f64;
    for round in 0..30 {
        let bodies: Vec<_> = (0..100)
            .map(|n| measure::event(&format!("live{round}"), n, "take_in_charge_ticket"))
            .collect();
        accept(&app, &bodies).await?;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        most = most.max(measure::resident_mb());
    }
    workers.stop().await;
    Ok(most)
}
