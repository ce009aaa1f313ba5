//! Learns which channels operators have stopped. A process that was not told within a second
//! asks the store itself.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ChannelMap;
use crate::store::Result;

use super::{Engine, Stopping, stopped};

/// How often the store is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks the store once.
///
/// # Errors
/// `Unavailable` when the store is away; what was known stays.
pub async fn run_once(engine: &Engine) -> Result<()> {
    let drains = engine.store.drains().await?;
    let is_drained = |channel| drains.get(channel).is_some();
    engine.health.set_drained(ChannelMap::from_fn(is_drained));
    Ok(())
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
