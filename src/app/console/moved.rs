//! What was moved by measure: weight between providers, channels left out for a while.

use serde::Serialize;

use crate::app::App;
use crate::domain::Channel;
use crate::domain::time::{Instant, from_ms};
use crate::store::Result;

/// Moves that are shown.
const SHOWN: i64 = 20;

/// Lately, newest first. Instants are RFC 3339.
#[derive(Debug, Clone, Serialize)]
pub struct Moved {
    pub weights: Vec<WeightLine>,
    pub withdrawn: Vec<WithdrawnLine>,
}

#[derive(Debug, Clone, Serialize)]
pub struct WeightLine {
    pub at: String,
    pub spoken: &'static str,
    pub provider: String,
    /// With its sign.
    pub points: String,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct WithdrawnLine {
    pub spoken: &'static str,
    pub since: String,
    pub until: String,
    pub percent: i64,
    pub measured: i64,
    /// Still.
    pub now: bool,
}

/// Reads them.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn moved(app: &App, now: Instant) -> Result<Moved> {
    let store = &app.engine.store;
    let moves = store.weight_moves(SHOWN).await?.into_iter();
    let weights = moves.map(|row| WeightLine {
        at: from_ms(row.at_ms).to_rfc3339(),
        spoken: row.channel.parse::<Channel>().map_or("", Channel::spoken),
        provider: row.provider,
        points: format!("{:+}", row.points),
        reason: row.reason,
    });
    let last = store.withdrawals().await?;
    let withdrawn = Channel::ALL.into_iter().filter_map(|channel| {
        let row = (*last.get(channel))?;
        Some(WithdrawnLine {
            spoken: channel.spoken(),
            since: from_ms(row.since_ms).to_rfc3339(),
            until: from_ms(row.until_ms).to_rfc3339(),
            percent: row.percent,
            measured: row.measured,
            now: now.timestamp_millis() < row.until_ms,
        })
    });
    Ok(Moved { weights: weights.collect(), withdrawn: withdrawn.collect() })
}
