//! The cells: what strikes, on which engines, under which weather.

use std::time::Duration;

use rand::RngExt;

use super::checker::Verdict;
use super::cluster::{Engines, Part};
use super::load::Size;
use super::pause;
use super::stage::{Setting, Stage};

/// Seeds of each cell; `TIDINGS_CHAOS_SEEDS` asks for more.
const SEEDS: u64 = 1;

/// A load of a few seconds for every cell.
const SHORT: Size =
    Size { customers: 64, cases: 250, spread: Duration::from_secs(4), choices_per_s: 20 };

/// How long a process may take to come to its failpoint.
const FAILPOINT: Duration = Duration::from_secs(4);

/// Where a process dies by itself.
const FAILPOINTS: [&str; 7] = [
    "after_plan",
    "after_claim",
    "before_open",
    "after_open",
    "after_reply",
    "after_outcome",
    "before_settling",
];

/// What strikes during the load.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Nothing,
    /// `kill -9` at random.
    Kill(Part),
    /// Death at each failpoint in turn.
    Failpoints(Part),
    /// `kill -9` when the provider has read a message and not answered.
    KillAfterWire,
    /// SIGSTOP, longer than the hand-over window.
    Freeze(Part),
}

fn seeds() -> u64 {
    std::env::var("TIDINGS_CHAOS_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS)
}

/// Runs a cell for all its seeds, prints its row, and fails on what must not be.
async fn cell(name: &str, blow: Blow, rough: bool, size: Size, engines: impl AsyncFn() -> Engines) {
    let mut all = Verdict::default();
    for seed in 0..seeds() {
        let engines = engines().await;
        let setting = Setting { seed, engines, rough, size, more: String::new() };
        let mut stage = Stage::set(&setting).await;
        strike(&mut stage, blow).await;
        let mut verdict = stage.end().await;
        for finding in &mut verdict.findings {
            finding.insert_str(0, &format!("seed {seed}: "));
        }
        all.add(verdict);
    }
    println!("{}\n{}", Verdict::head(), all.row(name));
    assert!(all.holds(), "{name}: {}", all.findings.join("\n"));
}

async fn strike(stage: &mut Stage, blow: Blow) {
    let mut failpoint = 0;
    while stage.goes_on() {
        match blow {
            Blow::Nothing => pause(Duration::from_millis(100)).await,
            Blow::Kill(part) => {
                pause(Duration::from_millis(stage.rng.random_range(150..900))).await;
                let n = one_of(stage, part);
                stage.cluster.kill(n);
                stage.cluster.start(n, None);
                stage.cluster.ready().await;
            }
            Blow::Failpoints(part) => {
                let n = one_of(stage, part);
                let pass = stage.rng.random_range(1..4);
                let place = format!("{}:{pass}", FAILPOINTS[failpoint % FAILPOINTS.len()]);
                failpoint += 1;
                stage.cluster.kill(n);
                stage.cluster.start(n, Some(&place));
                stage.cluster.ready().await;
                super::until(FAILPOINT, async || stage.cluster.is_gone(n) || !stage.goes_on())
                    .await;
                stage.cluster.kill(n);
                stage.cluster.start(n, None);
                stage.cluster.ready().await;
            }
            Blow::KillAfterWire => {
                let n = one_of(stage, Part::Worker);
                let nth = stage.rng.random_range(0..40);
                stage.weather.hold(nth);
                let held = stage.weather.held();
                if tokio::time::timeout(FAILPOINT, held).await.is_err() {
                    continue;
                }
                stage.cluster.kill(n);
                stage.cluster.start(n, None);
                stage.cluster.ready().await;
            }
            Blow::Freeze(part) => {
                pause(Duration::from_millis(stage.rng.random_range(100..600))).await;
                let n = one_of(stage, part);
                stage.cluster.freeze(n);
                pause(Duration::from_millis(stage.rng.random_range(50..4_000))).await;
                stage.cluster.thaw(n);
            }
        }
        stage.blows += usize::from(!matches!(blow, Blow::Nothing));
    }
}

fn one_of(stage: &mut Stage, part: Part) -> usize {
    let all = stage.cluster.of(part);
    all[stage.rng.random_range(0..all.len())]
}

async fn sqlite() -> Engines {
    Engines::Sqlite
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_on_sqlite() {
    cell("kill -9 on SQLite", Blow::Kill(Part::Worker), true, SHORT, sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_failpoint_on_sqlite() {
    cell("failpoints on SQLite", Blow::Failpoints(Part::Worker), true, SHORT, sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_wire_and_reply_on_sqlite() {
    cell("kill -9 after wire on SQLite", Blow::KillAfterWire, false, SHORT, sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_past_the_hand_over_window_on_sqlite() {
    cell("SIGSTOP on SQLite", Blow::Freeze(Part::Worker), true, SHORT, sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_race_the_sends_on_sqlite() {
    let size = Size { customers: 1_000, choices_per_s: 500, ..SHORT };
    cell("opt-outs at 500/s on SQLite", Blow::Nothing, true, size, sqlite).await;
}
