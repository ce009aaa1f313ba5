//! Other systems are told what they asked for: once for each fact, signed, until they take it,
//! and nowhere they should not be.

mod delivery;
mod doors;
mod facts;
mod guard;
pub mod receiver;

use tidings::app::webhooks::tell_all;
use tidings::store::webhooks::{DeliveryView, Wanted};

use crate::support::TestApp;

/// Tells what is due now. Answers how many requests were made.
pub async fn tell(app: &TestApp) -> usize {
    tell_all(&app.app).await.expect("the store is there")
}

/// Every delivery, oldest first.
async fn deliveries(app: &TestApp) -> Vec<DeliveryView> {
    let all = app.store().deliveries(&Wanted::default(), None, 1_000).await;
    let mut all = all.expect("the store is there");
    all.reverse();
    all
}

/// Moves the clock to each instant at which a delivery is due, until nothing waits.
async fn tell_until_nothing_waits(app: &TestApp) {
    loop {
        tell(app).await;
        let waiting = deliveries(app).await.into_iter().filter(|row| row.status == "pending");
        let Some(next) = waiting.map(|row| row.next_at_ms).min() else { return };
        let next = tidings::domain::time::from_ms(next);
        // A receiver that was left alone is tried again a little later.
        let later = app.now() + chrono::TimeDelta::minutes(6);
        app.app.engine.clock.advance_to(next.max(later));
    }
}
