//! A provider that was down with much queued comes back: it is not asked for more than it takes.
//!
//! The real limits, breaker, budget and retry policy on a virtual clock, and a double of a
//! provider; the queue is a list ordered by when each message is looked at next.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use chrono::TimeDelta;
use tidings::channel::Way;
use tidings::channel::health::{Admission, Call, Health, Line, Rate};
use tidings::domain::time::Instant;
use tidings::domain::{Channel, ChannelMap, NotificationId};
use tidings::planning::retry::{FailedAttempt, Failure, NextStep, RetryPolicy};

use crate::support::at;

const QUEUED: u32 = 10_000;
const PER_S: usize = 50;
const DOWN_S: i64 = 300;
/// Messages looked at in one go.
const MOST: usize = 500;
const TICK: TimeDelta = TimeDelta::milliseconds(100);

struct Message {
    id: NotificationId,
    attempts: u32,
}

/// Calls in each second, those that failed, and retries in each minute.
#[derive(Default)]
struct Seen {
    calls: BTreeMap<i64, usize>,
    faults: usize,
    firsts: BTreeMap<i64, usize>,
    retries: BTreeMap<i64, usize>,
}

async fn play() -> (Seen, i64) {
    let rate = Rate::new(f64::from(u32::try_from(PER_S).expect("few")), 10);
    let line = Line { provider: "carrier".into(), rate, weight: 100 };
    let health = Health::in_process(ChannelMap { sms: vec![line], ..ChannelMap::default() });
    let way = Way::first(Channel::Sms);
    let policy = RetryPolicy { delays_s: vec![5, 30, 120, 600, 1_800], spread_percent: 100 };
    let t0 = at("2026-11-23T10:00:00Z");
    let mut queue: BTreeMap<(Instant, u32), Message> = (0..QUEUED)
        .map(|n| {
            let id = NotificationId::derive("R-1", "received", "desk/e1", n);
            ((t0, n), Message { id, attempts: 0 })
        })
        .collect();
    let (mut seen, mut now) = (Seen::default(), t0);
    while !queue.is_empty() {
        let wanted = queue.range(..=(now, u32::MAX)).take(MOST).count();
        let count = match health.admit(way, wanted, now).await {
            Admission::All => wanted,
            Admission::Probe => 1,
            Admission::Some { count, .. } => count,
            Admission::Rests { .. } => 0,
        };
        let (second, minute) = ((now - t0).num_seconds(), now.timestamp() / 60);
        let mut called = 0;
        while called < count {
            if queue.first_key_value().is_none_or(|((at, _), _)| *at > now) {
                break;
            }
            let Some(((_, n), mut message)) = queue.pop_first() else { break };
            if message.attempts > 0 && health.may_retry(way, 1, now).await == 0 {
                let next_minute = at("1970-01-01T00:00:00Z") + TimeDelta::minutes(minute + 1);
                queue.insert((next_minute, n), message);
                continue;
            }
            called += 1;
            *seen.calls.entry(second).or_default() += 1;
            let counted = if message.attempts == 0 { &mut seen.firsts } else { &mut seen.retries };
            *counted.entry(minute).or_default() += 1;
            if message.attempts == 0 {
                health.note_first(way, now);
            }
            message.attempts += 1;
            if now >= t0 + TimeDelta::seconds(DOWN_S) {
                health.record(way, Call::Answered, now);
                continue;
            }
            seen.faults += 1;
            health.record(way, Call::Fault, now);
            let failed = FailedAttempt {
                notification: message.id,
                attempts: NonZeroU32::new(message.attempts).expect("one"),
                failure: Failure::Temporary { retry_after: None },
                at: now,
                expires_at: t0 + TimeDelta::days(1),
            };
            let NextStep::RetryAt(at) = policy.next_step(&failed) else { panic!("given up") };
            queue.insert((at, n), message);
        }
        now += TICK;
        assert!(now < t0 + TimeDelta::hours(3), "{} wait still", queue.len());
    }
    (seen, (now - t0).num_seconds())
}

#[tokio::test]
async fn after_five_minutes_down_with_ten_thousand_queued_the_peak_is_at_most_twice_the_limit() {
    let (seen, took_s) = play().await;
    let after = seen.calls.range(DOWN_S..).map(|(_, calls)| *calls);
    let peak = after.max().expect("calls");
    println!(
        "10,000 queued, down for {DOWN_S} s at a limit of {PER_S}/s: {} calls failed, recovery peak {peak}/s, all told after {took_s} s",
        seen.faults
    );
    assert!(peak <= 2 * PER_S, "{peak} a second");
    assert!(seen.faults < 100, "{} calls were spent on a provider that was down", seen.faults);
    for (minute, retries) in &seen.retries {
        let firsts = seen.firsts.get(minute).copied().unwrap_or(0);
        assert!(*retries <= firsts / 10 + 10, "{retries} retries to {firsts} first attempts");
    }
}
