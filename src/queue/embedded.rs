//! The queue inside one process: apalis' in-memory backend, fed by a channel of our own.
//! (Its own push can panic under contention, QUEUE 4.11; ours cannot.)

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apalis::prelude::{
    MemorySink, MemoryStorage, Monitor, ParallelizeExt, RandomId, Task, TaskId, WorkerBuilder,
    WorkerBuilderExt,
};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::domain::notification::Lane;

use super::{Handler, MAX_WAITING, Ticket};

/// How long a shutdown waits for tickets that are being worked on.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Tickets of one lane worked on at once.
const CONCURRENCY: usize = 4;

/// Both lanes, and how many tickets wait in each.
#[derive(Debug, Clone)]
pub struct EmbeddedQueue {
    now: LaneSender,
    bulk: LaneSender,
}

/// A ticket, and what ends when it is done or lost.
pub struct Job {
    ticket: Ticket,
    busy: Box<dyn Send + Sync>,
}

#[derive(Debug, Clone)]
struct LaneSender {
    sender: UnboundedSender<Job>,
    waiting: Arc<AtomicUsize>,
}

/// The ends the workers read from.
#[derive(Debug)]
pub struct Receivers {
    now: LaneReceiver,
    bulk: LaneReceiver,
}

#[derive(Debug, Clone)]
struct LaneReceiver {
    /// Shared, so that a worker started anew goes on where the one before stopped.
    receiver: Arc<Mutex<UnboundedReceiver<Job>>>,
    waiting: Arc<AtomicUsize>,
}

impl EmbeddedQueue {
    #[must_use]
    pub fn new() -> (Self, Receivers) {
        let lane = || {
            let (sender, receiver) = unbounded();
            let waiting = Arc::new(AtomicUsize::new(0));
            let receiver = Arc::new(Mutex::new(receiver));
            (
                LaneSender { sender, waiting: Arc::clone(&waiting) },
                LaneReceiver { receiver, waiting },
            )
        };
        let ((now, now_end), (bulk, bulk_end)) = (lane(), lane());
        (Self { now, bulk }, Receivers { now: now_end, bulk: bulk_end })
    }

    const fn lane(&self, lane: Lane) -> &LaneSender {
        match lane {
            Lane::Now => &self.now,
            Lane::Bulk => &self.bulk,
        }
    }

    pub(super) fn room(&self, lane: Lane) -> usize {
        MAX_WAITING.saturating_sub(self.lane(lane).waiting.load(Ordering::Acquire))
    }

    pub(super) fn push(&self, lane: Lane, ticket: Ticket, busy: Box<dyn Send + Sync>) -> bool {
        let lane = self.lane(lane);
        if lane.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING
            || lane.sender.unbounded_send(Job { ticket, busy }).is_err()
        {
            lane.waiting.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        true
    }
}

impl LaneReceiver {
    /// An apalis backend over what is left in the lane.
    fn backend(&self) -> MemoryStorage<Job> {
        let (receiver, waiting) = (Arc::clone(&self.receiver), Arc::clone(&self.waiting));
        let tickets = futures::stream::poll_fn(move |context| {
            let mut receiver = receiver.lock().expect("no panic while held");
            let ticket = receiver.poll_next_unpin(context);
            if matches!(ticket, std::task::Poll::Ready(Some(_))) {
                waiting.fetch_sub(1, Ordering::AcqRel);
            }
            ticket.map(|job| job.map(named))
        });
        // Nobody pushes through apalis; its sink leads nowhere.
        let nowhere = futures::sink::drain();
        let nowhere = futures::SinkExt::sink_map_err(nowhere, |never| match never {});
        let sink = MemorySink::new(Arc::new(futures::lock::Mutex::new(Box::new(nowhere))));
        MemoryStorage::new_with(sink, tickets.boxed())
    }
}

/// A job as apalis wants it: under an id of its own.
fn named(job: Job) -> Task<Job> {
    Task::new(job).into_builder().task_id(TaskId::from_string(RandomId::default())).build()
}

/// Works tickets off until `stop` completes, then finishes those in hand.
///
/// # Errors
/// When a worker could not be stopped in good order.
pub(super) async fn run(
    receivers: Receivers,
    handler: Handler,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), String> {
    let mut monitor = Monitor::new().with_terminator(async { tokio::time::sleep(SHUTDOWN_TIMEOUT).await }).should_restart(
        |context, error| {
            tracing::error!(worker = context.name(), %error, "a queue worker stopped; starting another");
            true
        },
    );
    for (name, lane) in [("now", receivers.now), ("bulk", receivers.bulk)] {
        let handler = Arc::clone(&handler);
        let started = Arc::new(AtomicU64::new(0));
        monitor = monitor.register(move |_| {
            // Never the same name twice (QUEUE 4.5).
            let n = started.fetch_add(1, Ordering::Relaxed);
            let handler = Arc::clone(&handler);
            WorkerBuilder::new(format!("tidings-{name}-{n}"))
                .backend(lane.backend())
                .concurrency(CONCURRENCY)
                .enable_tracing()
                .catch_panic()
                .parallelize(tokio::spawn)
                .build(move |job: Job| {
                    let working = handler(job.ticket);
                    async move {
                        working.await;
                        drop(job.busy);
                    }
                })
        });
    }
    let stop = async {
        stop.await;
        Ok(())
    };
    monitor.run_with_signal(stop).await.map_err(|error| error.to_string())
}
