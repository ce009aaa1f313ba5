//! Learns which channels and providers operators have stopped. A process that was not told within a second
//! asks the store itself.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::health::{DRAIN_LOOK, Resumed};
use crate::domain::time::Instant;
use crate::store::Result;
use crate::store::drains::Target;

use super::{Engine, Stopping, balance, stopped};

/// How often the store is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks the store once, also for the shares of providers, and takes up what this process has held for a channel that goes on.
///
/// # Errors
/// `Unavailable` when the store is away; what was known stays.
pub async fn run_once(engine: &Engine) -> Result<()> {
    balance::learn(engine).await?;
    for (channel, provider) in learn(engine).await? {
        release(engine, Target { channel, provider }, engine.clock.now()).await?;
    }
    Ok(())
}

/// Asks the store what is stopped. Answers what goes on since it was asked last.
///
/// # Errors
/// `Unavailable` when the store is away; what was known stays.
pub async fn learn(engine: &Engine) -> Result<Vec<Resumed>> {
    let drains = engine.store.drains().await?;
    let of_providers = engine.store.drains_of_providers().await?;
    Ok(engine.health.set_drained(|channel, provider| match provider {
        None => drains.get(channel).is_some(),
        Some(name) => of_providers.contains_key(&(channel, name.to_owned())),
    }))
}

/// Brings forward what waited for a channel, or for one provider of it. Answers how much that was.
///
/// # Errors
/// `Unavailable` when the store is away; what was not brought forward comes by itself.
pub async fn release(engine: &Engine, target: impl Into<Target>, now: Instant) -> Result<u64> {
    // What waits for it is looked at again by then, at a place of its own within seconds.
    let horizon = now + DRAIN_LOOK * 2;
    let waited = engine.store.release_drained(target, now, horizon).await?;
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
