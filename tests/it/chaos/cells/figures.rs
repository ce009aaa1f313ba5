//! What a struck server costs: the delay a flushed queue adds under a steady load, and how soon
//! the rate is back after a restart. Printed, not judged; nothing may be lost all the same.
//! `TIDINGS_CHAOS_FIGURES` makes the seconds of a selftest minutes.

use std::time::{Duration, Instant};

use super::super::checker::Verdict;
use super::super::cluster::Part;
use super::super::ledger::now_ms;
use super::super::load::Size;
use super::super::stage::{Engines, Setting, Stage};
use super::super::{pause, until};

/// How often the queue is flushed, and how often in all.
struct Plan {
    every: Duration,
    flushes: u32,
    cases_per_s: usize,
    /// Events that wait when the rate is measured.
    backlog: usize,
}

fn planned() -> Plan {
    if std::env::var_os("TIDINGS_CHAOS_FIGURES").is_some() {
        Plan { every: Duration::from_secs(30), flushes: 4, cases_per_s: 100, backlog: 40_000 }
    } else {
        Plan { every: Duration::from_secs(1), flushes: 3, cases_per_s: 40, backlog: 1_000 }
    }
}

fn setting(size: Size) -> Setting {
    Setting { seed: 0, engines: Engines::Servers, rough: false, size }
}

fn show(name: &str, verdict: &Verdict) {
    println!("{}\n{}", Verdict::head(), verdict.row(name));
    assert!(verdict.holds(), "{name}: {}", verdict.findings.join("\n"));
}

/// A steady load while the queue is flushed every so often.
async fn under_load(plan: &Plan, flushed: bool) -> Verdict {
    let spread = plan.every * (plan.flushes + 1);
    let seconds = usize::try_from(spread.as_secs()).expect("minutes");
    let cases = plan.cases_per_s * seconds;
    let size = Size { customers: 1_000, cases, spread, choices_per_s: 0 };
    let mut stage = Stage::set(&setting(size)).await;
    for _ in 0..plan.flushes {
        pause(plan.every).await;
        if flushed {
            stage.servers.as_ref().expect("servers").flush_redis().await;
            stage.blows += 1;
        }
    }
    stage.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn delay_of_a_flushed_queue_figure() {
    let plan = planned();
    let p99_ms = |verdict: &Verdict| verdict.delay_ms(99);
    let still = under_load(&plan, false).await;
    let flushed = under_load(&plan, true).await;
    show("nothing strikes, servers", &still);
    show("flushed again and again, servers", &flushed);
    println!("\n| a flushed queue adds to p99 | {} ms |", p99_ms(&flushed) - p99_ms(&still));
}

/// Hand-overs in a second of the run.
fn per_second(taken_ms: &[i64], from_ms: i64, seconds: i64) -> f64 {
    let until_ms = from_ms + seconds * 1_000;
    let count = taken_ms.iter().filter(|at| (from_ms..until_ms).contains(*at)).count();
    f64::from(u32::try_from(count).expect("few")) / f64::from(i32::try_from(seconds).expect("few"))
}

/// Lets workers loose on a backlog, strikes in the middle, and says how soon the rate is back.
async fn rate_around(name: &str, strike: impl AsyncFnOnce(&mut Stage)) {
    let plan = planned();
    let none = Size { customers: 1_000, cases: 0, spread: Duration::ZERO, choices_per_s: 0 };
    let mut stage = Stage::set(&setting(none)).await;
    let workers = stage.cluster.of(Part::Worker);
    for n in &workers {
        stage.cluster.kill(*n);
    }
    stage.load.at_once(plan.backlog).await;
    for n in &workers {
        stage.cluster.start(*n, None);
    }
    let patience = Duration::from_mins(5);
    let reached = async |stage: &Stage, count: usize| {
        until(patience, async || stage.taken_ms().len() >= count).await
    };
    assert!(reached(&stage, plan.backlog / 3).await, "the workers work");
    let struck_ms = now_ms();
    let struck = Instant::now();
    strike(&mut stage).await;
    stage.blows += 1;
    let down = struck.elapsed();
    assert!(reached(&stage, plan.backlog * 9 / 10).await, "and go on");
    let taken_ms = stage.taken_ms();
    let first_ms = taken_ms.iter().min().copied().unwrap_or(struck_ms);
    let before_s = ((struck_ms - first_ms) / 1_000 - 1).clamp(1, 8);
    let before = per_second(&taken_ms, struck_ms - before_s * 1_000, before_s);
    let last_ms = taken_ms.iter().max().copied().unwrap_or(struck_ms);
    let back_ms = (struck_ms..last_ms - 2_000)
        .step_by(250)
        .find(|from_ms| per_second(&taken_ms, *from_ms, 2) >= before * 0.95);
    let back = back_ms.map_or("not before the end".into(), |at| format!("{} ms", at - struck_ms));
    let after = per_second(&taken_ms, last_ms - 5_000, 5);
    println!(
        "\n| {name} | before {before:.0}/s | away {down:.1?} | back at 95 % after {back} | last five seconds {after:.0}/s |"
    );
    show(name, &stage.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_after_a_restart_of_the_store_figure() {
    let restart =
        async |stage: &mut Stage| stage.servers.as_ref().expect("servers").restart_postgres();
    rate_around("store restarted", restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_after_a_restart_of_the_queue_figure() {
    let restart = async |stage: &mut Stage| {
        let servers = stage.servers.as_mut().expect("servers");
        servers.redis.kill();
        servers.redis.start_again();
    };
    rate_around("queue restarted", restart).await;
}
