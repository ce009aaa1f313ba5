//! Keeps the shares of a channel's providers, and the use of channels, by what is measured. All
//! processes go by what the store says; any of them may make the next move, only one does.

use std::collections::BTreeMap;

use crate::channel::health::Line;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Channel, ChannelMap, Withdrawn};
use crate::planning::failover::{self, Seen, shares};
use crate::planning::withdrawal::{Measured, REST};
use crate::store::Result;
use crate::store::weights::{Counts, InForce, WeightMove, Windows};
use crate::store::withdrawals::Withdrawal;

use super::Engine;

const WINDOWS: Windows = Windows {
    errors_ms: failover::ERROR_WINDOW.num_milliseconds(),
    receipts_ms: failover::SLOW_WINDOW.num_milliseconds(),
    slow_ms: failover::SLOW_AFTER.num_milliseconds(),
};

/// Asks the store which shares are in force, and which channels are withdrawn.
///
/// # Errors
/// `Unavailable` when the store is away; what was known stays.
pub async fn learn(engine: &Engine) -> Result<()> {
    for channel in Channel::ALL {
        let lines = engine.health.lines(channel);
        if lines.len() > 1 {
            let (_, weights) = in_force(engine, channel, lines).await?;
            engine.health.set_weights(channel, &weights);
        }
    }
    if Channel::ALL.iter().any(|channel| engine.behaviour.targets.get(*channel).is_some()) {
        let now = engine.clock.now();
        let last = engine.store.withdrawals().await?;
        engine.health.set_withdrawn(ChannelMap::from_fn(|channel| {
            engine.behaviour.targets.get(channel).as_ref()?;
            (*last.get(channel)).filter(|w| w.until_ms > now.timestamp_millis()).map(withdrawn)
        }));
    }
    Ok(())
}

fn withdrawn(withdrawal: Withdrawal) -> Withdrawn {
    let percent = u32::try_from(withdrawal.percent).unwrap_or(0);
    Withdrawn { until: from_ms(withdrawal.until_ms), percent }
}

/// Looks at the counts once, and moves what they say.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn run_once(engine: &Engine, now: Instant) -> Result<()> {
    let several = |channel: &Channel| engine.health.lines(*channel).len() > 1;
    if Channel::ALL.iter().any(several) {
        let counts = engine.store.provider_counts(WINDOWS, now).await?;
        for channel in Channel::ALL.into_iter().filter(several) {
            move_weight(engine, channel, &counts, now).await?;
        }
    }
    withdraw(engine, now).await?;
    learn(engine).await
}

/// What the settings say of a channel's providers: when that changes, what was measured before
/// says nothing any more.
fn as_configured(lines: &[Line]) -> String {
    let each = lines.iter().map(|line| format!("{}={}", line.provider, line.weight));
    each.collect::<Vec<_>>().join(" ")
}

async fn in_force(
    engine: &Engine,
    channel: Channel,
    lines: &[Line],
) -> Result<(Option<InForce>, Vec<u32>)> {
    let last = engine.store.weights(channel).await?;
    let configured = lines.iter().map(|line| line.weight).collect::<Vec<_>>();
    let weights = match &last {
        Some(last) if last.settings == as_configured(lines) => lines
            .iter()
            .map(|line| last.weights.get(line.provider.name()).copied().unwrap_or(0))
            .collect(),
        _ => shares(&configured),
    };
    Ok((last, weights))
}

async fn move_weight(
    engine: &Engine,
    channel: Channel,
    counts: &[Counts],
    now: Instant,
) -> Result<()> {
    let lines = engine.health.lines(channel);
    let (last, weights) = in_force(engine, channel, lines).await?;
    let configured = shares(&lines.iter().map(|line| line.weight).collect::<Vec<_>>());
    let seen: Vec<Seen> = lines
        .iter()
        .enumerate()
        .map(|(place, line)| {
            let name = line.provider.name();
            let of = counts.iter().find(|c| c.channel == channel.as_str() && c.provider == name);
            let count = |n: i64| u32::try_from(n).unwrap_or(0);
            let tells = engine.gateways.get(channel)[place].provider.tells_of_delivery();
            Seen {
                configured: configured[place],
                weight: weights[place],
                errors: of.map_or(0, |of| count(of.errors)),
                measured: of.filter(|_| tells).map_or(0, |of| count(of.measured)),
                slow: of.filter(|_| tells).map_or(0, |of| count(of.slow)),
            }
        })
        .collect();
    let last_at = last.as_ref().map(|last| from_ms(last.at_ms));
    let Some(moved) = failover::next(&seen, last_at, now) else { return Ok(()) };
    let provider = lines[moved.place].provider.name();
    let names = lines.iter().map(|line| line.provider.name().to_owned());
    let to = InForce {
        seq: 0,
        settings: as_configured(lines),
        weights: names.zip(moved.weights).collect::<BTreeMap<_, _>>(),
        at_ms: now.timestamp_millis(),
    };
    let row = WeightMove {
        channel: channel.as_str().to_owned(),
        provider: provider.to_owned(),
        points: moved.points,
        reason: moved.why.to_string(),
        at_ms: now.timestamp_millis(),
    };
    let points = moved.points;
    if engine.store.move_weight(row, &to, last.as_ref()).await? {
        let (channel, why) = (channel.as_str(), moved.why.to_string());
        tracing::warn!(channel, provider, points, why, "weight moved between providers");
        metrics::counter!("tidings_provider_moves_total", "channel" => channel).increment(1);
    }
    Ok(())
}

/// Withdraws channels that deliver less than their target.
async fn withdraw(engine: &Engine, now: Instant) -> Result<()> {
    let now_ms = now.timestamp_millis();
    for channel in Channel::ALL {
        let Some(target) = *engine.behaviour.targets.get(channel) else { continue };
        let gateways = engine.gateways.get(channel);
        if !gateways.iter().all(|gateway| gateway.provider.tells_of_delivery()) {
            continue;
        }
        let last = *engine.store.withdrawals().await?.get(channel);
        if last.is_some_and(|last| last.until_ms > now_ms) {
            continue;
        }
        let since_ms = last.map_or(0, |last| last.until_ms);
        let (delivered, of) =
            engine.store.delivered_of_last(channel, since_ms, target.over).await?;
        let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        let measured = Measured { delivered: count(delivered), of: count(of) };
        if !target.is_missed(measured) {
            continue;
        }
        let percent = measured.percent();
        let withdrawal = Withdrawal {
            since_ms: now_ms,
            until_ms: (now + REST).timestamp_millis(),
            percent: i64::from(percent),
            measured: of,
        };
        if engine.store.withdraw(channel, withdrawal).await? {
            let channel = channel.as_str();
            tracing::warn!(channel, percent, of, "a channel delivers too little and is withdrawn");
        }
    }
    Ok(())
}
