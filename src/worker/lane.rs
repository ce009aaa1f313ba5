//! The way out by one provider: a bounded queue, an opener, and as many senders as the provider
//! has connections.
//!
//! [`super::opener`] opens what may start; each sender looks at the hand-over window once more
//! before the first byte.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant as Monotonic};

use tokio::sync::{Mutex, Notify, mpsc};

use crate::channel::health::Call;
use crate::channel::{Gateway, Way};
use crate::domain::time::Instant;
use crate::store::attempts::Closing;

use super::dispatch::Ready;
use super::opener::{OnItsWay, Opener};
use super::outcome;
use super::patience::Waits;
use super::seams::Seam;
use super::{Engine, Stopping};

/// Ready messages that wait for a provider.
pub(super) const MAX_READY: usize = 500;

/// Attempts opened in one transaction.
const MAX_OPEN: usize = 500;

/// Where ready messages are put.
#[derive(Debug)]
pub struct LaneHandle {
    ready: mpsc::Sender<Ready>,
    /// To the senders, while the lane works.
    on_its_way: mpsc::WeakSender<OnItsWay>,
    pace: Arc<Pace>,
}

/// The other end of a lane, until it is started.
#[derive(Debug)]
pub struct LaneEnd {
    way: Way,
    ready: mpsc::Receiver<Ready>,
    on_its_way: (mpsc::Sender<OnItsWay>, mpsc::Receiver<OnItsWay>),
    pace: Arc<Pace>,
    gateway: Gateway,
}

/// The lane to a provider; messages wait in it until it is started.
#[must_use]
pub fn lane(way: Way, gateway: Gateway) -> (LaneHandle, LaneEnd) {
    let (sender, receiver) = mpsc::channel(MAX_READY);
    let on_its_way = mpsc::channel(MAX_OPEN);
    let pace = Arc::new(Pace {
        micros: AtomicU64::new(0),
        waiting: AtomicUsize::new(0),
        in_line: AtomicUsize::new(0),
        connections: gateway.connections.max(1),
        freed: Notify::new(),
    });
    let weak = on_its_way.0.downgrade();
    let handle = LaneHandle { ready: sender, on_its_way: weak, pace: Arc::clone(&pace) };
    (handle, LaneEnd { way, ready: receiver, on_its_way, pace, gateway })
}

impl LaneHandle {
    /// How many more messages find room at once.
    #[must_use]
    pub fn room(&self) -> usize {
        self.ready.capacity()
    }

    /// Waits for room until `deadline`. A message that finds none comes back: one slow
    /// provider must not hold up the others.
    ///
    /// # Errors
    /// The message, for its claim to be given back.
    pub async fn push(
        &self,
        message: Ready,
        deadline: tokio::time::Instant,
    ) -> std::result::Result<(), Box<Ready>> {
        match tokio::time::timeout_at(deadline, self.ready.reserve()).await {
            Ok(Ok(place)) => {
                place.send(message);
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Box::new(message)),
        }
    }

    /// Leave for up to `wanted` messages to go straight to the senders, opened by whoever asks;
    /// none while others are in line before them.
    pub(super) fn leave(&self, wanted: usize, window: Duration) -> Option<Leave> {
        let in_line = self.pace.in_line.load(Ordering::Acquire);
        if in_line > 0 || self.ready.capacity() < MAX_READY {
            return None;
        }
        let on_its_way = self.on_its_way.upgrade()?;
        let count = self.pace.reserve(wanted, window);
        (count > 0).then(|| Leave { on_its_way, pace: Arc::clone(&self.pace), count })
    }
}

/// Leave to send so many messages on their way; what is not used is given back.
#[derive(Debug)]
pub(super) struct Leave {
    on_its_way: mpsc::Sender<OnItsWay>,
    pace: Arc<Pace>,
    count: usize,
}

impl Leave {
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Sends one of them on its way.
    pub async fn send(&mut self, message: OnItsWay) {
        self.count -= 1;
        // The senders take what comes as long as somebody may send.
        let _ = self.on_its_way.send(message).await;
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.pace.waiting.fetch_sub(self.count, Ordering::AcqRel);
        self.pace.freed.notify_one();
    }
}

/// How quickly the senders get through, in microseconds per message and connection.
#[derive(Debug)]
pub(super) struct Pace {
    micros: AtomicU64,
    waiting: AtomicUsize,
    /// Messages the opener has before it, for want of room or by their rate.
    in_line: AtomicUsize,
    connections: usize,
    freed: Notify,
}

impl Pace {
    /// How many opened attempts may wait for a sender within a hand-over `window`.
    fn most(&self, window: Duration) -> usize {
        let window_micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        let micros = self.micros.load(Ordering::Relaxed);
        let at_pace = if micros == 0 {
            self.connections
        } else {
            let per_connection = window_micros / 4 / micros.max(1);
            usize::try_from(per_connection).unwrap_or(MAX_OPEN).saturating_mul(self.connections)
        };
        at_pace.clamp(self.connections, MAX_OPEN)
    }

    /// Counts up to `wanted` as waiting for a sender; answers how many.
    fn reserve(&self, wanted: usize, window: Duration) -> usize {
        let (most, mut count) = (self.most(window), 0);
        let _ = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            count = most.saturating_sub(waiting).min(wanted);
            Some(waiting + count)
        });
        count
    }

    /// Waits until attempts may be opened within a hand-over `window`. Answers how many.
    pub async fn wait_for_allowance(&self, window: Duration) -> usize {
        loop {
            let waiting = self.waiting.load(Ordering::Acquire);
            match self.most(window).saturating_sub(waiting) {
                0 => self.freed.notified().await,
                allowance => return allowance,
            }
        }
    }

    /// So many messages are in line before the opener.
    pub fn note_line(&self, messages: usize) {
        self.in_line.store(messages, Ordering::Release);
    }

    /// One more waits for a sender.
    pub fn expect_one(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
    }

    fn done(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let known = self.micros.load(Ordering::Relaxed);
        let smoothed = if known == 0 { took } else { (known * 7 + took) / 8 };
        self.micros.store(smoothed, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }
}

/// Starts the opener and the senders of a lane. They end when the engine's handle is gone
/// or `stopping` is set, after finishing what is on the wire.
pub fn start(
    engine: &Arc<Engine>,
    end: LaneEnd,
    outcomes: &mpsc::Sender<Finished>,
    stopping: &Stopping,
) -> Vec<tokio::task::JoinHandle<()>> {
    let connections = end.gateway.connections.max(1);
    let (pace, (sender, receiver)) = (end.pace, end.on_its_way);
    let receiver = Arc::new(Mutex::new(receiver));
    let mut tasks = Vec::with_capacity(connections + 1);
    for _ in 0..connections {
        tasks.push(tokio::spawn(send_all(
            Arc::clone(engine),
            (end.way, end.gateway.clone()),
            Arc::clone(&receiver),
            Arc::clone(&pace),
            outcomes.clone(),
        )));
    }
    let opener = Opener {
        engine: Arc::clone(engine),
        way: end.way,
        kind: end.gateway.name.kind(),
        ready: end.ready,
        on_its_way: sender,
        pace,
        stopping: stopping.clone(),
        backlog: VecDeque::new(),
        booked: engine.clock.now(),
        booked_at: HashMap::new(),
    };
    tasks.push(tokio::spawn(opener.run()));
    tasks
}

async fn send_all(
    engine: Arc<Engine>,
    (way, gateway): (Way, Gateway),
    on_its_way: Arc<Mutex<mpsc::Receiver<OnItsWay>>>,
    pace: Arc<Pace>,
    outcomes: mpsc::Sender<Finished>,
) {
    loop {
        let next = on_its_way.lock().await.recv().await;
        let Some(OnItsWay { message, opened, window }) = next else { return };
        engine.seams.pass(Seam::BeforeWire).await;
        let began = Monotonic::now();
        let result = gateway.provider.send(&message.outgoing, window).await;
        let took = began.elapsed();
        pace.done(took);
        metrics::histogram!("tidings_send_seconds", "channel" => message.opening.channel.as_str(), "provider" => message.opening.provider.label())
            .record(took);
        engine.health.record(way, Call::of(&result), engine.clock.now());
        if opened.on_channel == 1 {
            engine.health.note_first(way, engine.clock.now());
        }
        engine.seams.pass(Seam::AfterReply).await;
        let closing = outcome::closing(&engine, &message, opened, result);
        let _ = outcomes.send(Finished { closing, message }).await;
    }
}

/// Records outcomes, again and again while the store is away: what a provider said is known
/// only here. What cannot be recorded within a lease is in doubt: never lost.
async fn record(engine: &Engine, closings: Vec<Closing>, now: Instant) {
    let mut waits = Waits::within(engine.behaviour.renew_every * 3);
    while let Err(error) = engine.store.close_attempts(closings.clone(), now).await {
        tracing::warn!(%error, outcomes = closings.len(), "outcomes are recorded again");
        if !waits.wait().await {
            tracing::error!(%error, outcomes = closings.len(), "outcomes could not be recorded");
            return;
        }
    }
}

/// An outcome to be recorded, and the message that stays busy until it is.
#[derive(Debug)]
pub struct Finished {
    pub closing: Closing,
    pub message: Ready,
}

/// Records outcomes: what arrived while the last commit ran is the next commit.
pub async fn record_outcomes(engine: Arc<Engine>, mut outcomes: mpsc::Receiver<Finished>) {
    while let Some(first) = outcomes.recv().await {
        let mut batch = vec![first];
        while batch.len() < MAX_OPEN
            && let Ok(next) = outcomes.try_recv()
        {
            batch.push(next);
        }
        let now = engine.clock.now();
        let (closings, messages): (Vec<Closing>, Vec<Ready>) =
            batch.into_iter().map(|done| (done.closing, done.message)).unzip();
        record(&engine, closings, now).await;
        engine.seams.pass(Seam::AfterOutcome).await;
        engine.wake.notify_one();
        drop(messages);
    }
}
