//! The opt-out barrier: a refusal is confirmed only when no hand-over against it can start any
//! more, whichever door it came by.

use std::time::Duration;

use crate::domain::customer::Address;
use crate::domain::{Channel, CustomerId};
use crate::store::Result;
use crate::store::consent::OwnWord;
use crate::worker::seams::Seam;

use super::App;

/// Added to the hand-over window of an attempt that opened just before the refusal.
const MARGIN: Duration = Duration::from_millis(100);

/// Waits for what was on the wire to a customer. Was there anything?
pub async fn settled(app: &App, customer: &CustomerId) -> bool {
    settle(app, app.engine.store.any_on_the_wire(customer).await).await
}

/// The same for one address, whoever it belongs to.
pub async fn settled_at(app: &App, channel: Channel, address: &Address) -> bool {
    settle(app, app.engine.store.any_on_the_wire_to(channel, address).await).await
}

/// Where the store does not say, something may be on the wire.
async fn settle(app: &App, on_the_wire: Result<bool>) -> bool {
    let on_the_wire = on_the_wire.unwrap_or(true);
    if on_the_wire {
        tokio::time::sleep(app.engine.behaviour.hand_over_window + MARGIN).await;
    }
    on_the_wire
}

/// Stops an address. With `wait` it returns when nothing new can start; was anything on the
/// wire?
///
/// # Errors
/// `Unavailable` when it could not be kept.
pub async fn stop(
    app: &App,
    channel: Channel,
    address: &Address,
    why: OwnWord,
    wait: bool,
) -> Result<bool> {
    let engine = &app.engine;
    engine.seams.pass(Seam::OptoutBeforeCommit).await;
    let now = engine.clock.now();
    engine.store.suppress(channel, address, why.reason, why.source, now).await?;
    engine.seams.pass(Seam::AfterOptoutCommit).await;
    engine.wake.notify_one();
    Ok(wait && settled_at(app, channel, address).await)
}
