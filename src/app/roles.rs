//! What a process does, and what runs beside its roles.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::worker::{Engine, Stopping, stopped};

/// How often the clock is compared with that of a shared store.
const COMPARE_EVERY: Duration = Duration::from_secs(10);

/// How far this host's clock may be off before the process says that it is not ready.
pub const MAX_CLOCK_OFF_MS: i64 = 1_000;

/// What a process does. Any number of processes may have each role where store and queue are
/// shared; no role needs a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Takes in events, receipts and what people choose.
    pub api: bool,
    /// Plans, decides and hands over.
    pub worker: bool,
    /// Rings what falls due and repairs what was lost.
    pub scheduler: bool,
}

impl Roles {
    pub const ALL: Self = Self { api: true, worker: true, scheduler: true };

    /// Does it take anything up that others could have taken up?
    #[must_use]
    pub const fn dispatches(self) -> bool {
        self.worker || self.scheduler
    }
}

/// Puts the clock right once.
///
/// # Errors
/// `Unavailable` when the store is away; the correction before stays.
pub async fn correct_clock(engine: &Engine) -> crate::store::Result<()> {
    if let Clock::Corrected(_) = engine.clock
        && let Some(ahead_ms) = engine.store.clock_ahead_ms(|| Clock::System.now()).await?
    {
        let off = ahead_ms.abs() > MAX_CLOCK_OFF_MS;
        if off && engine.clock.correction_ms().abs() <= MAX_CLOCK_OFF_MS {
            tracing::error!(ahead_ms, "this host's clock is off; the store's clock counts");
        }
        engine.clock.correct_by(ahead_ms);
    }
    Ok(())
}

/// Puts the clock right again and again.
pub(super) async fn keep_clock(engine: Arc<Engine>, mut stopping: Stopping) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(COMPARE_EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
        if let Err(error) = correct_clock(&engine).await {
            tracing::warn!(%error, "the clock could not be compared with the store's");
        }
    }
}
