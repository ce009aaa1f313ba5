//! Learns which channels operators have stopped. A process that was not told within a second
//! asks the store itself.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::health::DRAIN_LOOK;
use crate::domain::time::Instant;
use crate::domain::{Channel, ChannelMap};
use crate::store::Result;

use super::{Engine, Stopping, stopped};

/// How often the store is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks the store once, and takes up what this process has held for a channel that goes on.
///
/// # Errors
/// `Unavailable` when the store is away; what was known stays.
pub async fn run_once(engine: &Engine) -> Result<()> {
    for channel in learn(engine).await? {
        release(engine, channel, engine.clock.now()).await?;
    }
    Ok(())
}

/// Asks the store which channels are stopped. Answers those that go on since it was asked last.
///
/// # Errors
/// `Unavailable` when the store is away; what was known stays.
pub async fn learn(engine: &Engine) -> Result<Vec<Channel>> {
    let drains = engine.store.drains().await?;
    let is_drained = |channel| drains.get(channel).is_some();
    Ok(engine.health.set_drained(ChannelMap::from_fn(is_drained)))
}

/// Brings forward what waited for a channel. Answers how much that was.
///
/// # Errors
/// `Unavailable` when the store is away; what was not brought forward comes by itself.
pub async fn release(engine: &Engine, channel: Channel, now: Instant) -> Result<u64> {
    // What waits for it is looked at again by then, at a place of its own within seconds.
    let horizon = now + DRAIN_LOOK * 2;
    let waited = engine.store.release_drained(channel, now, horizon).await?;
    engine.wake.notify_one();
    Ok(waited)
}

/// Asks again and again.
pub async fn run(engine: Arc<Engine>, mut stopping: Stopping) {
    loop {
        if let Err(error) = run_once(&engine).await {
            tracing::debug!(%error, "it could not be asked which channels are stopped");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}
