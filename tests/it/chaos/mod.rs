//! Faults on real processes: what customers were told, as their providers saw it, against what
//! was promised. One run is an installation, a load, a cell of faults, and a checker that
//! knows nothing of the engine but its doors.

pub mod checker;
pub mod cluster;
pub mod doors;
pub mod ledger;
pub mod load;
pub mod mail;
pub mod parcel;
pub mod phone;
pub mod proxy;
pub mod servers;
pub mod stage;
pub mod weather;

mod cells;
mod judged;

use std::time::Duration;

/// What the reader of a message learns: the `case/state` after `Ref`.
pub fn tells(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Ref ")?;
    let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
    rest[..end].contains('/').then(|| rest[..end].to_owned())
}

/// Asks again and again until it holds, or the time is over.
pub async fn until(patience: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let asking = async {
        while !holds().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(patience, asking).await.is_ok()
}

/// Completes after so long; for the beat of a load and of blows.
pub async fn pause(length: Duration) {
    let _ = tokio::time::timeout(length, std::future::pending::<()>()).await;
}
