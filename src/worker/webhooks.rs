//! Tells other systems what they asked to be told. Each hook is served by itself: one receiver
//! that is slow or away holds up nobody else, and is left alone for a while.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::channel::webhook::{Answer, Hook};
use crate::clock::Clock;
use crate::domain::time::Instant;
use crate::planning::webhook::{Next, Verdict, next, rest};
use crate::store::webhooks::{Becomes, DueDelivery, Tried};
use crate::store::{Result, Store};

use super::{Stopping, stopped};

/// How often a hook is looked at when nothing wakes it.
const TICK: Duration = Duration::from_secs(1);

/// How long after its timeout a request that nobody recorded is made again, in milliseconds.
const LEASE_BEYOND_MS: i64 = 30_000;

/// How often what is old is forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// One hook as it is served.
#[derive(Debug)]
pub struct Outlet {
    pub name: String,
    pub hook: Hook,
    pub timeout: Duration,
    pub max_attempts: i64,
    /// Requests at a time.
    pub concurrency: usize,
    /// Failures in a row, and until when the receiver is left alone.
    mood: Mutex<Mood>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Mood {
    failures: u32,
    rests_until: Option<Instant>,
}

impl Outlet {
    #[must_use]
    pub fn new(
        name: String,
        hook: Hook,
        timeout: Duration,
        max_attempts: i64,
        concurrency: usize,
    ) -> Self {
        let mood = Mutex::default();
        Self { name, hook, timeout, max_attempts, concurrency, mood }
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().expect("no panic while held")
    }

    /// How many requests may be under way at `now`: after failures one at a time, and none while
    /// the receiver rests.
    fn room(&self, now: Instant) -> usize {
        match self.mood() {
            Mood { rests_until: Some(until), .. } if now < until => 0,
            Mood { failures: 0, .. } => self.concurrency,
            Mood { .. } => 1,
        }
    }

    fn heard(&self, answer: &Answer, now: Instant) {
        let mut mood = self.mood.lock().expect("no panic while held");
        if answer.is_taken() || answer.status == Some(410) {
            *mood = Mood::default();
            return;
        }
        mood.failures = mood.failures.saturating_add(1);
        mood.rests_until = Some(now + rest(mood.failures, answer.retry_after));
    }
}

/// Tells a hook everything that is due, until nothing is or its receiver must be left alone.
/// Answers how many requests were made.
///
/// # Errors
/// `Unavailable` when the store is away: what was under way is told once more later.
pub async fn run_once(
    store: &Store,
    clock: &Clock,
    outlet: &Outlet,
    stopping: Option<&Stopping>,
) -> Result<usize> {
    let lease_ms = i64::try_from(outlet.timeout.as_millis()).unwrap_or(0) + LEASE_BEYOND_MS;
    let mut under_way = FuturesUnordered::new();
    let mut noted = store.facts_noted();
    let mut made = 0;
    loop {
        let now = clock.now();
        let asked_to_stop = stopping.is_some_and(|stopping| *stopping.borrow());
        let room = outlet.room(now).saturating_sub(under_way.len());
        if room > 0 && !asked_to_stop && store.deliveries_due(&outlet.name, now).await? {
            for due in store.claim_deliveries(&outlet.name, now, lease_ms, room).await? {
                under_way.push(tell(outlet, clock, due));
            }
        }
        if under_way.is_empty() {
            return Ok(made);
        }
        let more = outlet.room(clock.now()) > under_way.len() && !asked_to_stop;
        let mut ended: Vec<_> = tokio::select! {
            first = under_way.next() => first.into_iter().collect(),
            // One that takes its time holds up no other.
            Ok(()) = noted.changed(), if more => continue,
            () = tokio::time::sleep(TICK), if more => continue,
        };
        while let Some(Some(more)) = under_way.next().now_or_never() {
            ended.push(more);
        }
        made += ended.len();
        let now = clock.now();
        let tried = ended.into_iter().map(|(due, answer)| tried(outlet, &due, answer, now));
        store.record_deliveries(tried.collect(), now).await?;
    }
}

async fn tell(outlet: &Outlet, clock: &Clock, due: DueDelivery) -> (DueDelivery, Answer) {
    // Receivers compare it with their own clock, which no play moves.
    let at = if clock.is_manual() { Clock::System.now() } else { clock.now() };
    let answer = outlet.hook.post(&due.id, at.timestamp(), &due.body).await;
    (due, answer)
}

fn tried(outlet: &Outlet, due: &DueDelivery, answer: Answer, now: Instant) -> Tried {
    outlet.heard(&answer, now);
    let verdict = match answer.status {
        _ if answer.is_taken() => Verdict::Taken,
        Some(410) => Verdict::Gone,
        _ => Verdict::Failed { retry_after: answer.retry_after },
    };
    let hook = outlet.name.clone();
    let (outcome, becomes) =
        match next(due.seq, due.attempts + 1, outlet.max_attempts, verdict, now) {
            Next::Delivered => ("delivered", Becomes::Delivered),
            Next::Again(at) => ("again", Becomes::Again(at)),
            Next::GiveUp => {
                tracing::error!(
                    hook,
                    id = due.id,
                    said = answer.in_words(),
                    "a webhook was given up"
                );
                ("failed", Becomes::Failed)
            }
            Next::Disable => {
                tracing::error!(hook, "the receiver of a webhook said 410: nothing goes there now");
                ("gone", Becomes::HookStopped)
            }
        };
    metrics::counter!("tidings_webhook_requests_total", "hook" => hook.clone(), "outcome" => outcome)
        .increment(1);
    metrics::histogram!("tidings_webhook_seconds", "hook" => hook.clone())
        .record(answer.took.as_secs_f64());
    Tried {
        seq: due.seq,
        epoch: due.epoch,
        hook,
        becomes,
        answer: answer.status,
        took_ms: i64::try_from(answer.took.as_millis()).unwrap_or(i64::MAX),
        said: if answer.status.is_none() { answer.in_words() } else { answer.said },
    }
}

/// Serves a hook, at once when a fact is noted in this process and within a second when it is in
/// another.
pub async fn run(store: Store, clock: Clock, outlet: Arc<Outlet>, mut stopping: Stopping) {
    let mut noted = store.facts_noted();
    loop {
        if let Err(error) = run_once(&store, &clock, &outlet, Some(&stopping)).await {
            tracing::warn!(hook = outlet.name, %error, "webhooks wait for the store");
        }
        tokio::select! {
            Ok(()) = noted.changed() => {}
            () = tokio::time::sleep(TICK) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

/// Forgets what was told, thirty days after it happened.
pub async fn forget(store: Store, clock: Clock, mut stopping: Stopping) {
    loop {
        match store.forget_deliveries(clock.now()).await {
            Ok((_, 0)) => {}
            Ok((_, unmade)) => {
                tracing::error!(unmade, "webhooks that waited 30 days for a hook were forgotten");
            }
            Err(error) => tracing::warn!(%error, "old webhooks are still kept"),
        }
        if let Err(error) = store.forget_counts(clock.now()).await {
            tracing::warn!(%error, "old counts of texts and calls are still kept");
        }
        tokio::select! {
            () = tokio::time::sleep(FORGET_EVERY) => {}
            () = stopped(&mut stopping) => return,
        }
    }
}
