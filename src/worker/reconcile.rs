//! Repairs what was lost: bells nobody heard, leases of processes that are gone, receipts that waited, promises about to break, times that are others now.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::lookup::SETTLED_AFTER;
use crate::domain::time::Instant;
use crate::queue::MAX_IDS;
use crate::store::Result;

use super::{Engine, Stopping, stopped};
use super::{audit, balance, doubts, promises, receipts, resolve};

/// How often the reconciler looks.
const PERIOD: Duration = Duration::from_secs(5);

/// Does every repair once, and settles what is in doubt.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn run_once(engine: &Engine, now: Instant) -> Result<()> {
    repair(engine, now).await?;
    doubts::settle(engine, now).await
}

/// When a doubt is looked at first whose sender is gone.
#[must_use]
pub fn settle_by(engine: &Engine, now: Instant) -> Instant {
    now + engine.behaviour.settle_doubt_after.min(SETTLED_AFTER)
}

async fn repair(engine: &Engine, now: Instant) -> Result<()> {
    let settle_by = settle_by(engine, now);
    let (planned_again, doubtful) = engine.store.reap(now, settle_by).await?;
    if planned_again + doubtful > 0 {
        tracing::warn!(planned_again, doubtful, "took back what a lost process held");
    }
    resolve::run_once(engine, now).await?;
    promises::run_once(engine, now).await?;
    receipts::apply(engine, now).await?;
    ring_unplanned(engine, now).await
}

/// Rings for events nobody planned; the scheduler goes on where there are more.
async fn ring_unplanned(engine: &Engine, now: Instant) -> Result<()> {
    let limit = i64::try_from(MAX_IDS).expect("500");
    let events = engine.store.unplanned_events(now, limit).await?;
    if events.len() == MAX_IDS {
        engine.desk.miss();
    }
    engine.ring_plan(&events);
    Ok(())
}

/// Repairs on a period, and when another process committed something.
pub async fn run(engine: Arc<Engine>, mut stopping: Stopping) {
    let mut foreign_commits = engine.store.foreign_commits();
    let mut audited = None;
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                if let Err(error) = repair(&engine, engine.clock.now()).await {
                    tracing::warn!(%error, "the reconciler could not look at the store");
                }
                if let Err(error) = balance::run_once(&engine, engine.clock.now()).await {
                    tracing::warn!(%error, "the providers could not be compared");
                }
                let today = engine.clock.now().date_naive();
                if audited != Some(today) {
                    match audit::run_once(&engine, engine.clock.now()).await {
                        Ok(_) => audited = Some(today),
                        Err(error) => tracing::warn!(%error, "the balance was not looked at"),
                    }
                }
            }
            // Where tickets go round between processes, who took the events in has rung.
            Ok(()) = foreign_commits.changed(), if !engine.queue.is_shared() => {
                let now = engine.clock.now();
                if let Err(error) = ring_unplanned(&engine, now).await {
                    tracing::warn!(%error, "could not look for events of others");
                }
                engine.wake.notify_one();
            }
            () = stopped(&mut stopping) => return,
        }
    }
}

/// Renews what this process holds, so that only a process that stopped loses it.
pub async fn renew(engine: Arc<Engine>, mut stopping: Stopping) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(engine.behaviour.renew_every) => {}
            () = stopped(&mut stopping) => return,
        }
        let now = engine.clock.now();
        if let Err(error) = engine.store.renew_leases(&engine.held.claims(), now).await {
            tracing::warn!(%error, "leases could not be renewed");
        }
    }
}
