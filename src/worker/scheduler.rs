//! Rings the bell for what falls due. The queue is bounded: what does not fit stays due.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::notification::Lane;
use crate::domain::time::Instant;
use crate::queue::{MAX_IDS, MAX_WAITING, Ticket};
use crate::store::Result;

use super::{Engine, Stopping, stopped};

/// How often the scheduler looks when nobody wakes it.
const TICK: Duration = Duration::from_millis(100);

/// How many missed events are rung in one go.
const MISSED_AT_ONCE: usize = 4 * MAX_IDS;

/// Rings everything due at `now` that the lanes have room for. Answers whether anything was.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn run_once(engine: &Engine, now: Instant) -> Result<bool> {
    let mut rung = ring_missed(engine, now).await?;
    for lane in engine.store.lanes_due(now).await? {
        while engine.queue.room(lane) > 0 {
            let limit = u32::try_from(MAX_IDS).expect("500");
            let notifications = engine.store.take_due(lane, now, limit).await?;
            let full = notifications.len() == MAX_IDS;
            if notifications.is_empty() {
                break;
            }
            rung = true;
            if !engine.ring(lane, Ticket::DispatchV1 { notifications }) || !full {
                break;
            }
        }
    }
    Ok(rung)
}

/// Events that are in the store and not on the desk, once the desk is empty; and the bell of
/// the desk, where it was refused. Where other processes plan too, what still waits for them
/// counts as the desk: to ask sooner would ring the same events again.
async fn ring_missed(engine: &Engine, now: Instant) -> Result<bool> {
    let waits_elsewhere = engine.queue.is_shared() && engine.queue.room(Lane::Now) < MAX_WAITING;
    if waits_elsewhere || !engine.desk.take_missed() {
        engine.ring_plan(&[]);
        return Ok(false);
    }
    let limit = i64::try_from(MISSED_AT_ONCE).expect("few");
    let events = engine.store.unplanned_events(now, limit).await?;
    if events.len() == MISSED_AT_ONCE {
        engine.desk.miss();
    }
    engine.ring_plan(&events);
    Ok(!events.is_empty())
}

/// Looks again and again, at once when woken.
pub async fn run(engine: Arc<Engine>, mut stopping: Stopping) {
    loop {
        if let Err(error) = run_once(&engine, engine.clock.now()).await {
            tracing::warn!(%error, "the scheduler could not look at the store");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::select! {
            () = engine.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}
