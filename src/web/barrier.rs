//! The opt-out barrier: a refusal is confirmed only when no hand-over against it can start any
//! more, whichever door it came by.

use std::time::Duration;

use crate::domain::customer::Address;
use crate::domain::{Channel, CustomerId};
use crate::store::Result;

use super::Web;

/// Added to the hand-over window of an attempt that opened just before the refusal.
const MARGIN: Duration = Duration::from_millis(100);

/// Waits for what was on the wire to a customer. Was there anything?
pub async fn settled(web: &Web, customer: &CustomerId) -> bool {
    settle(web, web.app.engine.store.any_on_the_wire(customer).await).await
}

/// The same for one address, whoever it belongs to.
pub async fn settled_at(web: &Web, channel: Channel, address: &Address) -> bool {
    settle(web, web.app.engine.store.any_on_the_wire_to(channel, address).await).await
}

/// Where the store does not say, something may be on the wire.
async fn settle(web: &Web, on_the_wire: Result<bool>) -> bool {
    let on_the_wire = on_the_wire.unwrap_or(true);
    if on_the_wire {
        tokio::time::sleep(web.app.engine.behaviour.hand_over_window + MARGIN).await;
    }
    on_the_wire
}
