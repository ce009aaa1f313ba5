//! What is going on in this process right now, so that a play, a test or a shutdown can wait
//! until nothing is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Clone, Default)]
pub struct Activity {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    going_on: AtomicUsize,
    ended: Notify,
}

/// Something is going on as long as this lives.
#[derive(Debug)]
pub struct Busy {
    inner: Arc<Inner>,
}

impl Activity {
    #[must_use]
    pub fn begin(&self) -> Busy {
        self.inner.going_on.fetch_add(1, Ordering::AcqRel);
        Busy { inner: Arc::clone(&self.inner) }
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.inner.going_on.load(Ordering::Acquire)
    }

    /// Completes when nothing is going on.
    pub async fn idle(&self) {
        loop {
            let ended = self.inner.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.inner.going_on.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.ended.notify_waiters();
        }
    }
}
