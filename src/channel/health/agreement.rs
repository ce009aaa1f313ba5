//! Both kinds of health, asked the same, answer the same; and what becomes of the shared kind
//! while its Redis is away.

use std::sync::Arc;
use std::time::Instant as Monotonic;

use futures::FutureExt;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::breaker::{Breaker, Tally};
use super::rate::Bucket;
use super::redis_server::RedisServer;
use super::shared::{Scripts, granted, standing};
use super::*;
use crate::domain::time::parse_instant;

/// Scripts that go by the last argument instead of the server's clock.
const TOLD_CLOCK: &str = "local now_us = tonumber(ARGV[#ARGV])\n";

const T0_US: i64 = 1_795_000_000_000_000;

fn t0() -> Instant {
    parse_instant("2026-11-23T10:00:00Z").expect("an instant")
}

const SMS: Way = Way::first(Channel::Sms);

fn lines(rate: Option<Rate>) -> ChannelMap<Vec<Line>> {
    let line = Line { provider: "carrier".into(), rate, weight: 100 };
    ChannelMap { sms: vec![line], ..ChannelMap::default() }
}

fn connect(server: &RedisServer) -> Connect {
    let client = redis::Client::open(server.url()).expect("an address");
    Arc::new(move || {
        let client = client.clone();
        async move { client.get_multiplexed_async_connection().await }.boxed()
    })
}

/// Looks again until it holds, for a while.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Monotonic::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_rate_is_the_same_arithmetic_in_redis_and_here() {
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    let scripts = Scripts::new(TOLD_CLOCK);
    let mut rng = SmallRng::seed_from_u64(7);
    for (n, (per_s, burst)) in [(10.0, 3), (0.5, 1), (333.0, 40), (7.7, 20)].into_iter().enumerate()
    {
        let rate = Rate::new(per_s, burst).expect("a limit");
        let (key, mut bucket, mut now_us) = (format!("rate-{n}"), Bucket::default(), T0_US);
        for step in 0..500 {
            now_us += rng.random_range(0..3 * rate.interval_us);
            if step % 97 == 96 {
                now_us -= 60_000_000;
            }
            let wanted = rng.random_range(0..2 * burst as usize + 2);
            let mut asked = scripts.rate(&key, rate, wanted);
            let told = asked.arg(now_us).invoke_async(&mut connection).await.expect("an answer");
            assert_eq!(
                granted(told),
                bucket.take(rate, wanted, now_us),
                "step {step} at {per_s}/s"
            );
        }
    }
}

#[tokio::test]
async fn retries_have_the_same_budget_in_redis_and_here() {
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    let scripts = Scripts::new(TOLD_CLOCK);
    let mut rng = SmallRng::seed_from_u64(11);
    let (mut budget, mut now_us, mut refused) = (Budget::default(), T0_US, 0);
    let allowed = Allowance::default();
    for step in 0..600 {
        now_us += rng.random_range(0..15_000_000);
        let (firsts, wanted) = (rng.random_range(0..40u32), rng.random_range(0..9u32));
        let mut asked = scripts.budget("budget", allowed, firsts, wanted);
        let told: u32 = asked.arg(now_us).invoke_async(&mut connection).await.expect("an answer");
        assert_eq!(told, budget.take(allowed, firsts, wanted, now_us / 1_000), "step {step}");
        refused += wanted - told;
    }
    assert!(refused > 50, "{refused}");
}

#[tokio::test]
async fn the_breaker_has_the_same_rules_in_redis_and_here() {
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    let scripts = Scripts::new(TOLD_CLOCK);
    let (mut opened, mut closed) = (0, 0);
    for seed in 0..8 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (key, mut breaker, mut now_us) = (format!("b-{seed}"), Breaker::default(), T0_US);
        let mut was_open = false;
        for step in 0..400 {
            let longest_s = if step % 50 == 49 { 700 } else { 12 };
            now_us += rng.random_range(0..longest_s * 1_000_000);
            let ended = Tally {
                answered: rng.random_range(0..8u32).saturating_sub(4),
                faults: rng.random_range(0..14u32).saturating_sub(4),
                unmade: rng.random_range(0..2),
            };
            let wanted = rng.random_range(0..3);
            let mut asked = scripts.breaker(&key, ended, wanted);
            let told = asked.arg(now_us).invoke_async(&mut connection).await.expect("an answer");
            let now_ms = now_us / 1_000;
            breaker.record(ended, now_ms);
            let here = breaker.ask(wanted, now_ms);
            assert_eq!(standing(told), here, "seed {seed}, step {step}");
            opened += u32::from(here.1.open && !was_open);
            closed += u32::from(!here.1.open && was_open);
            was_open = here.1.open;
        }
    }
    assert!(opened > 20 && closed > 20, "{opened} times opened, {closed} times closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_redis_share_one_limit() {
    let server = RedisServer::start();
    let (per_s, burst) = (2_000, 50);
    let rate = Rate::new(f64::from(per_s), burst);
    let began = Monotonic::now();
    let processes = (0..4).map(|_| {
        let health = Health::shared(lines(rate), connect(&server));
        tokio::spawn(async move {
            let mut count = 0;
            while count < 200 {
                count += match health.admit(SMS, 20, t0()).await {
                    Admission::All => 20,
                    Admission::Some { count, .. } => count,
                    other => panic!("{other:?}"),
                };
            }
            count
        })
    });
    let mut sum = 0;
    for process in processes {
        sum += process.await.expect("it ended well");
    }
    // A little more for the time between the server's clock and this one.
    let most = f64::from(per_s) * (began.elapsed().as_secs_f64() + 0.01) + f64::from(burst);
    assert!(f64::from(u32::try_from(sum).expect("few")) <= most, "{sum} > {most}");
}

#[tokio::test]
async fn what_one_process_learns_of_a_provider_the_others_know() {
    let server = RedisServer::start();
    let one = Health::shared(lines(None), connect(&server));
    let other = Health::shared(lines(None), connect(&server));
    for _ in 0..20 {
        one.record(SMS, Call::Fault, t0());
    }
    until("the other rests too", async || other.rests(t0()).sms[0].is_some()).await;
    let rest = other.rests(t0()).sms[0].expect("it rests").until() - t0();
    assert!(rest <= TimeDelta::seconds(10), "{rest}");
    assert!(matches!(other.admit(SMS, 5, t0()).await, Admission::Rests { .. }));
}

#[tokio::test]
async fn while_redis_is_away_each_process_goes_by_what_it_knows() {
    let mut server = RedisServer::start();
    let health = Health::shared(lines(Rate::new(0.001, 5)), connect(&server));
    assert_eq!(health.admit(SMS, 5, t0()).await, Admission::All);
    let held = health.admit(SMS, 1, t0()).await;
    assert!(matches!(held, Admission::Some { count: 0, .. }), "{held:?}");
    server.kill();
    let own = health.admit(SMS, 9, t0()).await;
    assert!(matches!(own, Admission::Some { count: 5, .. }), "a limit of its own: {own:?}");
    for _ in 0..20 {
        health.record(SMS, Call::Fault, t0());
    }
    assert!(health.rests(t0()).sms[0].is_some(), "it saw the faults itself");
    server.start_again();
    until("the shared standing is known again", async || health.rests(t0()).sms[0].is_none()).await;
    let shared = health.admit(SMS, 5, t0()).await;
    assert_eq!(shared, Admission::All, "Redis forgot, and is asked again");
}

#[tokio::test]
async fn a_redis_that_hangs_holds_up_no_message_for_long() {
    let server = RedisServer::start();
    let health = Health::shared(lines(Rate::new(0.001, 5)), connect(&server));
    assert_eq!(health.admit(SMS, 5, t0()).await, Admission::All);
    server.freeze(true);
    let began = Monotonic::now();
    for _ in 0..50 {
        let own = health.admit(SMS, 1, t0()).await;
        assert!(matches!(own, Admission::All | Admission::Some { count: 0, .. }), "{own:?}");
    }
    let took = began.elapsed();
    server.freeze(false);
    assert!(took < Duration::from_secs(3), "asked once, then left alone: {took:?}");
    until("it is asked again", async || {
        matches!(health.admit(SMS, 1, t0()).await, Admission::Some { count: 0, .. })
            && health.shared.as_ref().is_some_and(|shared| shared.standing(SMS).is_some())
    })
    .await;
}
