//! The places between two facts at which a process may die.
//! In production nobody looks at them; a test may wait, count or stop for ever at each.

use std::sync::Arc;

use futures::future::BoxFuture;

/// A place between two facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seam {
    /// Plans are recorded, nothing of them is on its way.
    AfterPlan,
    /// Claimed, not decided.
    AfterClaim,
    /// Decided and written, not opened.
    BeforeOpen,
    /// The attempt is written down, nothing has left.
    AfterOpen,
    /// The provider has answered, the outcome is not recorded.
    AfterReply,
    /// The outcome is recorded.
    AfterOutcome,
    /// A doubt was read, not settled.
    BeforeSettling,
}

impl Seam {
    pub const ALL: [Self; 7] = [
        Self::AfterPlan,
        Self::AfterClaim,
        Self::BeforeOpen,
        Self::AfterOpen,
        Self::AfterReply,
        Self::AfterOutcome,
        Self::BeforeSettling,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AfterPlan => "after_plan",
            Self::AfterClaim => "after_claim",
            Self::BeforeOpen => "before_open",
            Self::AfterOpen => "after_open",
            Self::AfterReply => "after_reply",
            Self::AfterOutcome => "after_outcome",
            Self::BeforeSettling => "before_settling",
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

impl Seams {
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
