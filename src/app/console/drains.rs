//! Stopping a channel, or one provider of it, and letting it go on.

use serde_json::json;

use crate::app::App;
use crate::domain::Operator;
use crate::domain::time::Instant;
use crate::store::Result;
use crate::store::drains::Target;
use crate::worker::drains;

use super::audit;

/// Stops a channel or a provider: nothing new is handed over by it, on this process at once and on every
/// other within seconds. Answers whether it went on until now.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn stop(
    app: &App,
    operator: &Operator,
    target: Target,
    why: &str,
    now: Instant,
) -> Result<bool> {
    let engine = &app.engine;
    let stopped = engine.store.drain(target.clone(), &operator.name, why, now).await?;
    drains::learn(engine).await?;
    if stopped {
        let detail = json!({ "reason": why });
        audit::note(app, operator, "drain", &target.to_string(), detail).await?;
    }
    Ok(stopped)
}

/// Lets it go on with what waited. Answers how much that was; `None` where it was not
/// stopped.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn go_on(
    app: &App,
    operator: &Operator,
    target: Target,
    now: Instant,
) -> Result<Option<u64>> {
    let engine = &app.engine;
    if !engine.store.undrain(target.clone()).await? {
        return Ok(None);
    }
    // First this process knows, so that nothing it looks at meanwhile is held again.
    drains::learn(engine).await?;
    let waited = drains::release(engine, target.clone(), now).await?;
    let detail = json!({ "waited": waited });
    audit::note(app, operator, "undrain", &target.to_string(), detail).await?;
    Ok(Some(waited))
}
