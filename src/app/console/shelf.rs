//! What reads much is drawn up beside the page that shows it, kept for a while, and shown with
//! when that was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;

use crate::domain::time::Instant;
use crate::store::Result;

/// For how long it is shown before it is drawn up again.
const KEPT: TimeDelta = TimeDelta::minutes(15);

/// How long a page waits for it before it says that it is being drawn up.
const PATIENCE: Duration = Duration::from_millis(50);

/// What was drawn up last, and whether it is being drawn up now.
#[derive(Debug)]
pub struct Shelf<T>(Arc<Mutex<Inside<T>>>);

#[derive(Debug)]
struct Inside<T> {
    last: Option<(Instant, Arc<T>)>,
    /// Tells when the one under way is over.
    under_way: Option<watch::Receiver<bool>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inside { last: None, under_way: None })))
    }
}

impl<T> Clone for Shelf<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> Shelf<T> {
    /// What is kept, or what `draw` makes where that does not take long.
    pub async fn look<D>(&self, now: Instant, draw: D) -> Option<(Instant, Arc<T>)>
    where
        D: Future<Output = Result<T>> + Send + 'static,
    {
        let fresh = |at: Instant| at <= now && now - at < KEPT;
        if let Some(last) = self.last().filter(|(at, _)| fresh(*at)) {
            return Some(last);
        }
        self.renew(now, draw, PATIENCE).await;
        self.last()
    }

    /// Draws it up now, and waits until that is done.
    pub async fn renew<D>(&self, now: Instant, draw: D, patience: Duration)
    where
        D: Future<Output = Result<T>> + Send + 'static,
    {
        let mut over = self.begin(now, draw);
        let _ = tokio::time::timeout(patience, over.wait_for(|over| *over)).await;
    }

    fn last(&self) -> Option<(Instant, Arc<T>)> {
        self.0.lock().expect("no panic while held").last.clone()
    }

    /// Begins, unless that was begun before. Answers what tells when it is over.
    fn begin<D>(&self, now: Instant, draw: D) -> watch::Receiver<bool>
    where
        D: Future<Output = Result<T>> + Send + 'static,
    {
        let mut inside = self.0.lock().expect("no panic while held");
        if let Some(under_way) = &inside.under_way {
            return under_way.clone();
        }
        let (tell, over) = watch::channel(false);
        inside.under_way = Some(over.clone());
        let shelf = self.clone();
        tokio::spawn(async move {
            let drawn = draw.await;
            let mut inside = shelf.0.lock().expect("no panic while held");
            match drawn {
                Ok(drawn) => inside.last = Some((now, Arc::new(drawn))),
                Err(error) => tracing::warn!(%error, "what a page shows could not be drawn up"),
            }
            inside.under_way = None;
            let _ = tell.send(true);
        });
        over
    }
}
