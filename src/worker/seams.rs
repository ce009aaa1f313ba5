//! The places between two facts at which a process may die.
//! In production nobody looks at them; a test may wait, count or stop for ever at each. A test
//! of whole processes names one in the environment, and the process dies or stands still there.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::process::{Signal, getpid, kill_process};

/// The variable that names a failpoint: `after_open:3` for `kill -9` at the third pass of that
/// seam, `after_open:3:stop` to stand still there until somebody says go on. Unset: none.
pub const FAILPOINT: &str = "TIDINGS_FAILPOINT";

/// A place between two facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seam {
    /// Events are on durable storage, their sender does not know yet.
    AfterEventCommit,
    /// Plans are recorded, nothing of them is on its way.
    AfterPlan,
    /// Claimed, not decided.
    AfterClaim,
    /// Decided and written, not in its channel's queue.
    AfterRender,
    /// On its channel, not opened.
    BeforeOpen,
    /// The attempt is written down, nothing has left.
    AfterOpen,
    /// A sender has it, and looks at the hand-over window next.
    BeforeWire,
    /// The provider has answered, the outcome is not recorded.
    AfterReply,
    /// The outcome is recorded.
    AfterOutcome,
    /// A doubt was read, not settled.
    BeforeSettling,
    /// A provider told something later, and it is not written down.
    ReceiptBeforeCommit,
    /// It is written down, and the provider does not know.
    AfterReceiptCommit,
    /// A customer chose, and it is not written down.
    OptoutBeforeCommit,
    /// It is written down, and the customer does not know.
    AfterOptoutCommit,
}

impl Seam {
    pub const ALL: [Self; 14] = [
        Self::AfterEventCommit,
        Self::AfterPlan,
        Self::AfterClaim,
        Self::AfterRender,
        Self::BeforeOpen,
        Self::AfterOpen,
        Self::BeforeWire,
        Self::AfterReply,
        Self::AfterOutcome,
        Self::BeforeSettling,
        Self::ReceiptBeforeCommit,
        Self::AfterReceiptCommit,
        Self::OptoutBeforeCommit,
        Self::AfterOptoutCommit,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AfterEventCommit => "after_event_commit",
            Self::AfterPlan => "after_plan",
            Self::AfterClaim => "after_claim",
            Self::AfterRender => "after_render",
            Self::BeforeOpen => "before_open",
            Self::AfterOpen => "after_open",
            Self::BeforeWire => "before_wire",
            Self::AfterReply => "after_reply",
            Self::AfterOutcome => "after_outcome",
            Self::BeforeSettling => "before_settling",
            Self::ReceiptBeforeCommit => "receipt_before_commit",
            Self::AfterReceiptCommit => "after_receipt_commit",
            Self::OptoutBeforeCommit => "optout_before_commit",
            Self::AfterOptoutCommit => "after_optout_commit",
        }
    }
}

/// What a test does at a seam.
pub type Watcher = Arc<dyn Fn(Seam) -> BoxFuture<'static, ()> + Send + Sync>;

/// Who watches the seams: nobody, as a rule.
#[derive(Clone, Default)]
pub struct Seams {
    watcher: Option<Watcher>,
}

impl std::fmt::Debug for Seams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seams(watched: {})", self.watcher.is_some())
    }
}

/// Where this process strikes itself, how often it passes there before, and with what.
#[derive(Debug)]
struct Failpoint {
    seam: Seam,
    passes_left: AtomicU32,
    signal: Signal,
}

impl FromStr for Failpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let seam = Seam::ALL.into_iter().find(|seam| seam.as_str() == name);
        let seam = seam.ok_or_else(|| {
            let known = Seam::ALL.map(Seam::as_str).join(", ");
            format!("{name:?} is no failpoint; use one of {known}")
        })?;
        let pass: u32 = match parts.next() {
            None => 1,
            Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of a pass"))?,
        };
        let signal = match parts.next() {
            None | Some("kill") => Signal::KILL,
            Some("stop") => Signal::STOP,
            Some(other) => return Err(format!("{other:?}: use kill or stop")),
        };
        Ok(Self { seam, passes_left: AtomicU32::new(pass), signal })
    }
}

impl Failpoint {
    fn pass(&self, seam: Seam) {
        if seam != self.seam {
            return;
        }
        let left = self
            .passes_left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if left == Ok(1) {
            kill_process(getpid(), self.signal).expect("a process may signal itself");
        }
    }
}

impl Seams {
    /// Watched by the failpoint that the environment names; by nobody when it names none.
    ///
    /// # Errors
    /// A sentence that says what a failpoint looks like.
    pub fn from_env() -> Result<Self, String> {
        let Ok(text) = std::env::var(FAILPOINT) else { return Ok(Self::default()) };
        let failpoint: Failpoint = text.parse().map_err(|why| format!("{FAILPOINT}: {why}"))?;
        let watcher = move |seam| {
            failpoint.pass(seam);
            std::future::ready(()).boxed()
        };
        Ok(Self::watched_by(Arc::new(watcher)))
    }

    #[must_use]
    pub fn watched_by(watcher: Watcher) -> Self {
        Self { watcher: Some(watcher) }
    }

    /// Passes a seam.
    pub async fn pass(&self, seam: Seam) {
        if let Some(watcher) = &self.watcher {
            watcher(seam).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_names_a_seam_a_pass_and_a_signal() {
        let failpoint: Failpoint = "after_open:3:stop".parse().expect("a failpoint");
        assert_eq!((failpoint.seam, failpoint.signal), (Seam::AfterOpen, Signal::STOP));
        assert_eq!(failpoint.passes_left.into_inner(), 3);
        let failpoint: Failpoint = "before_wire".parse().expect("a failpoint");
        assert_eq!((failpoint.seam, failpoint.signal), (Seam::BeforeWire, Signal::KILL));
        for wrong in ["", "nowhere:1", "after_open:soon", "after_open:1:sing"] {
            assert!(wrong.parse::<Failpoint>().is_err(), "{wrong:?}");
        }
    }
}
