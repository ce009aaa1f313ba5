//! Repairs what was lost: bells nobody heard, leases of processes that are gone, doubts whose
//! time has come, receipts that waited, promises about to break, times that are others now.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Status;
use crate::domain::reason::Reason;
use crate::domain::time::Instant;
use crate::planning::rules::InDoubt;
use crate::queue::MAX_IDS;
use crate::store::Result;

use super::seams::Seam;
use super::{Engine, Stopping, stopped};
use super::{audit, promises, resolve};

/// How often the reconciler looks.
const PERIOD: Duration = Duration::from_secs(5);

/// Does every repair once.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn run_once(engine: &Engine, now: Instant) -> Result<()> {
    let settle_by = now + engine.behaviour.settle_doubt_after;
    let (planned_again, doubtful) = engine.store.reap(now, settle_by).await?;
    if planned_again + doubtful > 0 {
        tracing::warn!(planned_again, doubtful, "took back what a lost process held");
    }
    settle_doubts(engine, now).await?;
    resolve::run_once(engine, now).await?;
    promises::run_once(engine, now).await?;
    if engine.store.apply_receipts(now).await? {
        engine.wake.notify_one();
    }
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

/// A doubt that no receipt settled in time: the topic says whether better twice or not.
async fn settle_doubts(engine: &Engine, now: Instant) -> Result<()> {
    let live = engine.live.load_full();
    for doubt in engine.store.doubts_due(now, 500).await? {
        engine.seams.pass(Seam::BeforeSettling).await;
        let topic = live.rules.topics.get(&doubt.notification.topic);
        let again = topic.is_some_and(|topic| topic.in_doubt == InDoubt::AtLeastOnce)
            && now < doubt.notification.expires_at
            && doubt.notification.attempts < 2;
        let (status, reason, task) = if again {
            (Status::Planned, Reason::SentAgainInDoubt, None)
        } else {
            let task = Some("nobody can tell whether the message arrived");
            (Status::Unknown, Reason::NoWordInTime, task)
        };
        engine.store.settle_doubt(&doubt.notification, status, vec![reason], task, now).await?;
        engine.wake.notify_one();
    }
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
                if let Err(error) = run_once(&engine, engine.clock.now()).await {
                    tracing::warn!(%error, "the reconciler could not look at the store");
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
