//! Stopping a channel and letting it go on.

use serde_json::json;

use crate::app::App;
use crate::channel::health::DRAIN_LOOK;
use crate::domain::time::Instant;
use crate::domain::{Channel, Operator};
use crate::store::Result;

use super::audit;

/// Stops a channel: nothing new is handed over by it, on this process at once and on every
/// other within seconds. Answers whether it went on until now.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn stop(
    app: &App,
    operator: &Operator,
    channel: Channel,
    why: &str,
    now: Instant,
) -> Result<bool> {
    let engine = &app.engine;
    let stopped = engine.store.drain(channel, &operator.name, why, now).await?;
    crate::worker::drains::run_once(engine).await?;
    if stopped {
        let detail = json!({ "reason": why });
        audit::note(app, operator, "drain", channel.as_str(), detail).await?;
    }
    Ok(stopped)
}

/// Lets a channel go on with what waited. Answers how much that was; `None` where it was not
/// stopped.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn go_on(
    app: &App,
    operator: &Operator,
    channel: Channel,
    now: Instant,
) -> Result<Option<u64>> {
    let engine = &app.engine;
    // What waits for it is looked at again by then, at a place of its own within seconds.
    let horizon = now + DRAIN_LOOK * 2;
    let waited = engine.store.undrain(channel, now, horizon).await?;
    crate::worker::drains::run_once(engine).await?;
    if let Some(waited) = waited {
        let detail = json!({ "waited": waited });
        audit::note(app, operator, "undrain", channel.as_str(), detail).await?;
        engine.wake.notify_one();
    }
    Ok(waited)
}
