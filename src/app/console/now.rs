//! What goes on at this moment: counts, how quick, and how the providers are.

use chrono::TimeDelta;
use serde::Serialize;

use crate::app::App;
use crate::channel::Way;
use crate::domain::Channel;
use crate::domain::time::{Instant, from_ms};
use crate::store::Result;
use crate::store::drains::Drain;
use crate::store::glance::{LastAttempt, MANY};

/// Over which time a rate is taken.
const RATE_OVER: TimeDelta = TimeDelta::seconds(60);

/// The page of this moment. Instants are RFC 3339.
#[derive(Debug, Clone, Serialize)]
pub struct Now {
    pub due: String,
    pub sending: String,
    pub in_doubt: String,
    pub tasks: String,
    pub unplanned: String,
    /// When the first thing planned was due, where that is past.
    pub oldest_due_at: Option<String>,
    pub oldest_due_s: i64,
    /// What ended badly within a day, by status.
    pub trouble: Vec<(String, String)>,
    /// From event to hand-over within the last hour, in milliseconds.
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    /// Of how many messages.
    pub timed: usize,
    pub lines: Vec<Line>,
    /// What was due before a restore waits for a person.
    pub restored: bool,
}

/// A channel and its provider.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub channel: Channel,
    pub spoken: &'static str,
    pub provider: String,
    /// `well`, `tried` (one probe decides), `rests`, `stopped`.
    pub state: &'static str,
    /// For how long it rests still, in seconds.
    pub rests_s: u64,
    /// Whoever stopped it, or its whole channel.
    pub drain: Option<Drain>,
    /// Its whole channel is stopped.
    pub channel_stopped: bool,
    /// It is one of several; the first of its channel says so for all.
    pub of_several: bool,
    pub first: bool,
    /// Its share now, in percent, and as the settings have it.
    pub share: u32,
    pub configured_share: u32,
    /// RFC 3339.
    pub drained_at: Option<String>,
    /// Hand-overs a second within the last minute.
    pub per_second: String,
    /// Of the last hand-overs of that minute, and how many of them failed or are in doubt.
    pub handed: usize,
    pub faults: usize,
    /// The limit of the settings, a second.
    pub limit: Option<String>,
}

/// A count as it is shown: what was not counted to its end says so.
#[must_use]
pub fn count(n: i64) -> String {
    if n > MANY { format!("more than {}", thousands(MANY)) } else { thousands(n) }
}

/// `1,234,567`.
#[must_use]
pub fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Reads the figures.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn now(app: &App, now: Instant) -> Result<Now> {
    let store = &app.engine.store;
    let glance = store.glance(now).await?;
    let trouble = store.trouble_since(now - TimeDelta::days(1)).await?;
    let mut took = store.latencies(now - TimeDelta::hours(1)).await?;
    took.sort_unstable();
    let oldest = glance.first_due_ms.map(from_ms).filter(|due| *due <= now);
    Ok(Now {
        due: count(glance.due),
        sending: count(glance.sending),
        in_doubt: count(glance.in_doubt),
        tasks: count(glance.tasks_open),
        unplanned: count(glance.unplanned),
        oldest_due_at: oldest.map(|due| due.to_rfc3339()),
        oldest_due_s: oldest.map_or(0, |due| (now - due).num_seconds()),
        trouble: trouble.into_iter().map(|(status, n)| (status, count(n))).collect(),
        p50_ms: rank(&took, 50),
        p95_ms: rank(&took, 95),
        timed: took.len(),
        lines: lines(app, now).await?,
        restored: store.restored_at().await?.is_some(),
    })
}

/// How the providers are.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn lines(app: &App, now: Instant) -> Result<Vec<Line>> {
    let engine = &app.engine;
    let attempts = engine.store.last_attempts(now - RATE_OVER).await?;
    let drains = engine.store.drains().await?;
    let of_providers = engine.store.drains_of_providers().await?;
    let mut lines = Vec::new();
    for channel in Channel::ALL {
        let offered = engine.health.lines(channel);
        let shares = percent(&engine.health.weights(channel));
        let configured = percent(&offered.iter().map(|line| line.weight).collect::<Vec<_>>());
        for (place, line) in offered.iter().enumerate() {
            let name = line.provider.name();
            let of_line = |attempt: &&LastAttempt| {
                attempt.channel == channel.as_str() && attempt.provider == name
            };
            let handed: Vec<&LastAttempt> = attempts.iter().filter(of_line).collect();
            let faults = handed.iter().filter(|a| matches!(&*a.state, "deferred" | "in_doubt"));
            let standing = engine.health.standing(Way { channel, place }, now);
            let stopped = drains.get(channel).as_ref();
            let own = of_providers.get(&(channel, name.to_owned()));
            let drain = stopped.or(own).cloned();
            lines.push(Line {
                channel,
                spoken: channel.spoken(),
                provider: name.to_owned(),
                state: match (&drain, standing.open, standing.rests.is_zero()) {
                    (Some(_), ..) => "stopped",
                    (None, true, true) => "tried",
                    (None, true, false) => "rests",
                    (None, false, _) => "well",
                },
                rests_s: standing.rests.as_secs(),
                drained_at: drain.as_ref().map(|drain| from_ms(drain.since_ms).to_rfc3339()),
                drain,
                channel_stopped: stopped.is_some(),
                of_several: offered.len() > 1,
                first: place == 0,
                share: shares[place],
                configured_share: configured[place],
                per_second: per_second(&attempts, handed.len(), now),
                handed: handed.len(),
                faults: faults.count(),
                limit: line.rate.map(|rate| {
                    let seconds = rate.interval().as_secs_f64();
                    format!("{:.1}", 1.0 / seconds.max(f64::MIN_POSITIVE))
                }),
            });
        }
    }
    Ok(lines)
}

/// Weights as percent of their sum.
fn percent(weights: &[u32]) -> Vec<u32> {
    let sum = weights.iter().sum::<u32>().max(1);
    weights.iter().map(|weight| (weight * 100 + sum / 2) / sum).collect()
}

/// The rate of `handed` of these: over a minute, or over what the last thousand took.
#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(attempts: &[LastAttempt], handed: usize, now: Instant) -> String {
    const ALL_READ: usize = 1_000;
    let oldest = attempts.iter().map(|attempt| attempt.opened_at_ms).min();
    let span_ms = match oldest {
        Some(oldest) if attempts.len() >= ALL_READ => now.timestamp_millis() - oldest,
        _ => RATE_OVER.num_milliseconds(),
    };
    format!("{:.1}", handed as f64 * 1_000.0 / span_ms.max(1) as f64)
}

/// The value at so many percent, by nearest rank.
fn rank(sorted: &[i64], percent: usize) -> Option<i64> {
    let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_say_where_counting_ended() {
        for (n, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (10_000, "10,000"),
            (10_001, "more than 10,000"),
            (-12_345, "-12,345"),
        ] {
            assert_eq!(count(n), shown);
        }
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn a_rank_is_a_value_that_came() {
        assert_eq!(rank(&[], 50), None);
        assert_eq!(rank(&[7], 95), Some(7));
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!((rank(&hundred, 50), rank(&hundred, 95)), (Some(50), Some(95)));
    }
}
