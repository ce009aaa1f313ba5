//! One channel's way out: a bounded queue, an opener, and as many senders as the provider
//! has connections.
//!
//! The opener opens only what will start within a quarter of the hand-over window at the
//! pace measured so far; each sender looks at the window once more before the first byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant as Monotonic;

use tokio::sync::{Mutex, Notify, mpsc};

use crate::channel::{Gateway, HandOverWindow};
use crate::domain::NotificationId;
use crate::store::attempts::{Closing, Opened};

use super::dispatch::{ById, Ready, number};
use super::outcome;
use super::seams::Seam;
use super::{Engine, Stopping, stopped};

/// Ready messages that wait for a channel.
const MAX_READY: usize = 500;

/// Attempts opened in one transaction.
const MAX_OPEN: usize = 500;

/// Where ready messages are put.
#[derive(Debug)]
pub struct LaneHandle {
    ready: mpsc::Sender<Ready>,
}

/// The other end of a lane, until it is started.
#[derive(Debug)]
pub struct LaneEnd {
    ready: mpsc::Receiver<Ready>,
    gateway: Gateway,
}

/// A lane to the gateway; messages wait in it until it is started.
#[must_use]
pub fn lane(gateway: Gateway) -> (LaneHandle, LaneEnd) {
    let (sender, receiver) = mpsc::channel(MAX_READY);
    (LaneHandle { ready: sender }, LaneEnd { ready: receiver, gateway })
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
}

/// An opened attempt on its way to a sender.
struct OnItsWay {
    message: Ready,
    opened: Opened,
    window: HandOverWindow,
}

/// How quickly the senders get through, in microseconds per message and connection.
struct Pace {
    micros: AtomicU64,
    waiting: AtomicUsize,
    connections: usize,
    freed: Notify,
}

impl Pace {
    /// How many more attempts may be opened now.
    fn allowance(&self, window_micros: u64) -> usize {
        let micros = self.micros.load(Ordering::Relaxed);
        let at_pace = if micros == 0 {
            self.connections
        } else {
            let per_connection = window_micros / 4 / micros.max(1);
            usize::try_from(per_connection).unwrap_or(MAX_OPEN).saturating_mul(self.connections)
        };
        let waiting = self.waiting.load(Ordering::Acquire);
        at_pace.clamp(self.connections, MAX_OPEN).saturating_sub(waiting)
    }

    fn done(&self, took: std::time::Duration) {
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
    let pace = Arc::new(Pace {
        micros: AtomicU64::new(0),
        waiting: AtomicUsize::new(0),
        connections,
        freed: Notify::new(),
    });
    let (sender, receiver) = mpsc::channel(MAX_OPEN);
    let receiver = Arc::new(Mutex::new(receiver));
    let mut tasks = Vec::with_capacity(connections + 1);
    for _ in 0..connections {
        tasks.push(tokio::spawn(send_all(
            Arc::clone(engine),
            end.gateway.clone(),
            Arc::clone(&receiver),
            Arc::clone(&pace),
            outcomes.clone(),
        )));
    }
    tasks.push(tokio::spawn(open_all(Arc::clone(engine), end, sender, pace, stopping.clone())));
    tasks
}

/// Opens attempts in batches: what gathered while the last batch was opened is the next.
async fn open_all(
    engine: Arc<Engine>,
    mut end: LaneEnd,
    on_its_way: mpsc::Sender<OnItsWay>,
    pace: Arc<Pace>,
    mut stopping: Stopping,
) {
    let window = engine.behaviour.hand_over_window;
    let window_micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    let provider = end.gateway.provider.name();
    loop {
        let first = tokio::select! {
            biased;
            () = stopped(&mut stopping) => break,
            message = end.ready.recv() => match message {
                Some(message) => message,
                None => break,
            },
        };
        let mut allowance = pace.allowance(window_micros);
        while allowance == 0 {
            pace.freed.notified().await;
            allowance = pace.allowance(window_micros);
        }
        let mut batch: ById = ById::new();
        batch.insert(first.notification.id, first);
        while batch.len() < allowance
            && let Ok(message) = end.ready.try_recv()
        {
            batch.insert(message.notification.id, message);
        }
        let openings = batch.values().map(|message| message.opening.clone()).collect();
        engine.seams.pass(Seam::BeforeOpen).await;
        let now = engine.clock.now();
        let opened = match engine.store.open_attempts(openings, now).await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "attempts could not be opened; their leases bring them back");
                continue;
            }
        };
        let window = HandOverWindow::open(window);
        engine.seams.pass(Seam::AfterOpen).await;
        for opened in opened {
            let Some(mut message) = batch.remove(&opened.id) else { continue };
            number(&engine, &mut message.outgoing, provider, opened.no);
            pace.waiting.fetch_add(1, Ordering::AcqRel);
            if on_its_way.send(OnItsWay { message, opened, window }).await.is_err() {
                return;
            }
        }
        give_back(&engine, batch).await;
    }
    // What is claimed and not opened goes back, for whoever comes next.
    let mut rest = ById::new();
    while let Ok(message) = end.ready.try_recv() {
        rest.insert(message.notification.id, message);
    }
    give_back(&engine, rest).await;
}

/// What changed under the decision is decided again: consent, or the case.
async fn give_back(engine: &Engine, messages: ById) {
    if messages.is_empty() {
        return;
    }
    let claims: Vec<(NotificationId, i64)> = messages
        .values()
        .map(|message| (message.notification.id, message.notification.epoch))
        .collect();
    if let Err(error) = engine.store.release(&claims, engine.clock.now()).await {
        tracing::warn!(%error, "claims could not be given back; their leases bring them back");
    }
    engine.wake.notify_one();
}

async fn send_all(
    engine: Arc<Engine>,
    gateway: Gateway,
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
        pace.done(began.elapsed());
        engine.seams.pass(Seam::AfterReply).await;
        let closing = outcome::closing(&engine, &message, opened, result);
        let _ = outcomes.send(Finished { closing, message }).await;
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
        // An outcome that cannot be recorded is in doubt when its lease ends: never lost.
        if let Err(error) = engine.store.close_attempts(closings, now).await {
            tracing::error!(%error, outcomes = messages.len(), "outcomes could not be recorded");
        }
        engine.seams.pass(Seam::AfterOutcome).await;
        engine.wake.notify_one();
        drop(messages);
    }
}
