//! Waiting for a store that is away: longer and longer, and not for ever.

use std::time::{Duration, Instant};

/// The first wait, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// The waits between tries.
#[derive(Debug)]
pub(super) struct Waits {
    next: Duration,
    until: Instant,
}

impl Waits {
    /// Waits that end after `limit`.
    pub fn within(limit: Duration) -> Self {
        Self { next: FIRST, until: Instant::now() + limit }
    }

    /// Waits, or answers false when the time is over.
    pub async fn wait(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(LONGEST);
        true
    }
}
