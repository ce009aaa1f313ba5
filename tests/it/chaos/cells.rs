//! The cells: what strikes, on which engines, under which weather.

mod figures;

use std::time::Duration;

use rand::RngExt;

use super::checker::Verdict;
use super::cluster::Part;
use super::load::Size;
use super::stage::{Engines, Setting, Stage};
use super::{pause, until};

/// Seeds of each cell; `TIDINGS_CHAOS_SEEDS` asks for more, `TIDINGS_CHAOS_SEED` for one.
const SEEDS: u64 = 1;

/// A load of a few seconds for every cell.
const SHORT: Size =
    Size { customers: 64, cases: 160, spread: Duration::from_secs(3), choices_per_s: 20 };

/// A load that lasts while every failpoint is passed.
const LONG: Size = Size { cases: 300, spread: Duration::from_secs(8), ..SHORT };

/// How long a process may take to come to its failpoint.
const FAILPOINT: Duration = Duration::from_secs(3);

/// Where a process dies by itself.
const OF_WORKERS: [&str; 9] = [
    "after_plan",
    "after_claim",
    "after_render",
    "before_open",
    "after_open",
    "before_wire",
    "after_reply",
    "after_outcome",
    "before_settling",
];
const OF_DOORS: [&str; 5] = [
    "after_event_commit",
    "receipt_before_commit",
    "after_receipt_commit",
    "optout_before_commit",
    "after_optout_commit",
];

/// What strikes during the load.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Nothing,
    /// `kill -9` at random.
    Kill(&'static [Part]),
    /// Death at each failpoint in turn.
    Failpoints(Part, &'static [&'static str]),
    /// `kill -9` when the provider has read a message and not answered.
    KillAfterWire,
    /// SIGSTOP, for less or more than the hand-over window and the lease.
    Freeze(Part),
    /// SIGSTOP of the process by itself between opening and wire, past the lease.
    FreezeAtTheWire,
    FlushRedis,
    KillRedis,
    RestartPostgres,
    TerminateBackends,
    /// One worker reaches neither store nor queue, and the providers still.
    CutOff,
    /// Every message of the queue is played again five times.
    Replay,
}

fn seeds() -> std::ops::Range<u64> {
    let asked = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    match asked("TIDINGS_CHAOS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("TIDINGS_CHAOS_SEEDS").unwrap_or(SEEDS),
    }
}

/// Runs a cell for all its seeds, prints its row, and fails on what must not be.
async fn cell(name: &str, engines: Engines, blow: Blow, rough: bool, size: Size) {
    let mut all = Verdict::default();
    for seed in seeds() {
        let mut stage = Stage::set(&Setting { seed, engines, rough, size }).await;
        let mut turn = 0;
        while stage.goes_on() {
            strike(&mut stage, blow, turn).await;
            turn += 1;
        }
        let mut verdict = stage.end().await;
        for finding in &mut verdict.findings {
            finding.insert_str(0, &format!("seed {seed}: "));
        }
        all.add(verdict);
    }
    let on = if engines == Engines::Sqlite { "SQLite" } else { "servers" };
    println!("{}\n{}", Verdict::head(), all.row(&format!("{name}, {on}")));
    assert!(all.holds(), "{name}: {}", all.findings.join("\n"));
}

async fn strike(stage: &mut Stage, blow: Blow, turn: usize) {
    let struck = match blow {
        Blow::Nothing => {
            pause(Duration::from_millis(100)).await;
            false
        }
        Blow::Kill(parts) => {
            some_time(stage, 150..900).await;
            let n = one_of(stage, parts[turn % parts.len()]);
            restart(stage, n).await;
            true
        }
        Blow::Failpoints(part, places) => failpoint(stage, part, places[turn % places.len()]).await,
        Blow::KillAfterWire => kill_after_wire(stage).await,
        Blow::Freeze(part) => {
            some_time(stage, 100..600).await;
            let n = one_of(stage, part);
            stage.cluster.freeze(n);
            some_time(stage, 50..6_000).await;
            stage.cluster.thaw(n);
            true
        }
        Blow::FreezeAtTheWire => freeze_at_the_wire(stage, turn).await,
        Blow::FlushRedis => {
            some_time(stage, 100..700).await;
            stage.servers.as_ref().expect("servers").flush_redis().await;
            true
        }
        Blow::KillRedis => {
            some_time(stage, 300..1_000).await;
            stage.servers.as_mut().expect("servers").redis.kill();
            some_time(stage, 100..1_500).await;
            stage.servers.as_mut().expect("servers").redis.start_again();
            true
        }
        Blow::RestartPostgres => {
            some_time(stage, 300..1_200).await;
            stage.servers.as_ref().expect("servers").restart_postgres();
            true
        }
        Blow::TerminateBackends => {
            some_time(stage, 200..900).await;
            stage.servers.as_ref().expect("servers").terminate_backends() > 0
        }
        Blow::CutOff => {
            some_time(stage, 300..900).await;
            stage.servers.as_ref().expect("servers").cut_off();
            some_time(stage, 500..6_000).await;
            stage.servers.as_ref().expect("servers").mend();
            true
        }
        Blow::Replay => {
            pause(Duration::from_millis(20)).await;
            let again = stage.servers.as_mut().expect("servers").replay().await;
            stage.blows += again.saturating_sub(1);
            again > 0
        }
    };
    stage.blows += usize::from(struck);
}

async fn some_time(stage: &mut Stage, ms: std::ops::Range<u64>) {
    pause(Duration::from_millis(stage.rng.random_range(ms))).await;
}

fn one_of(stage: &mut Stage, part: Part) -> usize {
    let all = stage.cluster.of(part);
    all[stage.rng.random_range(0..all.len())]
}

async fn restart(stage: &mut Stage, n: usize) {
    stage.cluster.kill(n);
    stage.cluster.start(n, None);
    stage.cluster.ready().await;
}

/// Starts a process that dies at this place, and again without. Did it die there?
async fn failpoint(stage: &mut Stage, part: Part, place: &str) -> bool {
    let n = one_of(stage, part);
    let pass = stage.rng.random_range(1..4);
    stage.cluster.kill(n);
    stage.cluster.start(n, Some(&format!("{place}:{pass}")));
    stage.cluster.ready().await;
    let died = until(FAILPOINT, async || stage.cluster.is_gone(n)).await;
    restart(stage, n).await;
    died
}

async fn kill_after_wire(stage: &mut Stage) -> bool {
    let nth = stage.rng.random_range(0..20);
    stage.weather.hold(nth);
    if tokio::time::timeout(FAILPOINT, stage.weather.held()).await.is_err() {
        return false;
    }
    // Which of the workers it was is not known: all of them.
    for n in stage.cluster.of(Part::Worker) {
        restart(stage, n).await;
    }
    true
}

/// A worker stands still with an attempt open, until its lease is over and others took it.
async fn freeze_at_the_wire(stage: &mut Stage, turn: usize) -> bool {
    let n = one_of(stage, Part::Worker);
    let place = ["after_open", "before_wire", "before_open", "after_reply"][turn % 4];
    stage.cluster.kill(n);
    let pass = stage.rng.random_range(1..4);
    stage.cluster.start(n, Some(&format!("{place}:{pass}:stop")));
    if !until(FAILPOINT, async || stage.cluster.stands_still(n)).await {
        // It would stand still later, when nobody lets it go on.
        restart(stage, n).await;
        return false;
    }
    some_time(stage, 100..6_000).await;
    stage.cluster.thaw(n);
    true
}

macro_rules! cells {
    ($($name:ident: $on:ident, $blow:expr, $weather:ident, $size:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let name = stringify!($name).rsplit_once("_on_").expect("on what").0;
                let name = name.replace('_', " ");
                cell(&name, Engines::$on, $blow, stringify!($weather) == "rough", $size).await;
            }
        )*
    };
}

const EVERY_PART: &[Part] = &[Part::Worker, Part::Api, Part::Scheduler];
const CHOICES: Size = Size { customers: 1_000, choices_per_s: 500, ..SHORT };

cells! {
    killed_at_random_on_sqlite: Sqlite, Blow::Kill(EVERY_PART), rough, SHORT;
    died_at_failpoints_of_workers_on_sqlite:
        Sqlite, Blow::Failpoints(Part::Worker, &OF_WORKERS), rough, LONG;
    died_at_failpoints_of_doors_on_sqlite:
        Sqlite, Blow::Failpoints(Part::Api, &OF_DOORS), rough, LONG;
    killed_between_wire_and_reply_on_sqlite: Sqlite, Blow::KillAfterWire, fair, SHORT;
    frozen_on_sqlite: Sqlite, Blow::Freeze(Part::Worker), rough, SHORT;
    choices_race_the_sends_on_sqlite: Sqlite, Blow::Nothing, rough, CHOICES;

    killed_at_random_on_servers: Servers, Blow::Kill(EVERY_PART), rough, SHORT;
    died_at_failpoints_of_workers_on_servers:
        Servers, Blow::Failpoints(Part::Worker, &OF_WORKERS), rough, LONG;
    died_at_failpoints_of_doors_on_servers:
        Servers, Blow::Failpoints(Part::Api, &OF_DOORS), rough, LONG;
    killed_between_wire_and_reply_on_servers: Servers, Blow::KillAfterWire, fair, SHORT;
    frozen_on_servers: Servers, Blow::Freeze(Part::Worker), rough, SHORT;
    frozen_at_the_wire_on_servers: Servers, Blow::FreezeAtTheWire, rough, LONG;
    queue_flushed_on_servers: Servers, Blow::FlushRedis, rough, SHORT;
    queue_killed_on_servers: Servers, Blow::KillRedis, rough, SHORT;
    queue_replayed_on_servers: Servers, Blow::Replay, rough, SHORT;
    store_crashed_on_servers: Servers, Blow::RestartPostgres, rough, SHORT;
    connections_terminated_on_servers: Servers, Blow::TerminateBackends, rough, SHORT;
    worker_cut_off_on_servers: Servers, Blow::CutOff, rough, LONG;
    choices_race_the_sends_on_servers: Servers, Blow::Nothing, rough, CHOICES;
}
