//! The workers that take tickets up: one apalis worker per lane, replaced whenever it ends.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{
    BackendExt, Codec, ParallelizeExt, TaskId, WorkerBuilder, WorkerBuilderExt, WorkerError,
};
use apalis_redis::RedisStorage;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::domain::notification::Lane;
use crate::queue::{Handler, Ticket};

use super::bell::{Bell, pass_on};
use super::{RedisQueue, layout};

/// How long a shutdown waits for tickets that are being worked on.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Tickets of one lane worked on at once in one process.
const CONCURRENCY: usize = 8;

/// How often the tickets that are done are forgotten.
const TIDY_EVERY: Duration = Duration::from_mins(1);

/// The waits before a worker that ended is replaced: doubled from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(500)];

/// A worker that lived this long had a good start.
const SETTLED: Duration = Duration::from_secs(5);

/// What a worker finds; nothing where it cannot be read.
#[derive(Debug)]
struct Found(Option<Ticket>);

/// Reads tickets. Never fails: an unreadable one would end the worker that took it, and then
/// the next.
#[derive(Debug, Clone, Copy)]
struct Reading;

impl Codec<Found> for Reading {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, found: &Found) -> Result<Vec<u8>, Infallible> {
        Ok(serde_json::to_vec(&found.0).expect("tickets are plain data"))
    }

    fn decode(&self, payload: &Vec<u8>) -> Result<Found, Infallible> {
        Ok(Found(serde_json::from_slice(payload).ok()))
    }
}

/// Works tickets off until `stop` completes, then finishes those in hand.
///
/// # Errors
/// When some could not be finished within 20 s.
pub async fn run(
    queue: RedisQueue,
    handler: Handler,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), String> {
    let bells = [(Lane::Now, Bell::default()), (Lane::Bulk, Bell::default())];
    let (tell, stopping) = watch::channel(false);
    let lanes = bells.clone().map(|(lane, bell)| {
        let (queue, handler) = (queue.clone(), Arc::clone(&handler));
        keep_staffed(queue, lane, bell, handler, stopping.clone()).boxed()
    });
    let [(now, now_bell), (bulk, bulk_bell)] = bells;
    let bells = [
        (queue.shared.lane(now).keys.clone(), now_bell),
        (queue.shared.lane(bulk).keys.clone(), bulk_bell),
    ];
    let too_late = async {
        stop.await;
        let _ = tell.send(true);
        sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        _ = futures::future::join_all(lanes) => Ok(()),
        () = too_late => Err("tickets were still being worked on".into()),
        () = pass_on(queue.shared.link.clone(), bells) => Ok(()),
        () = keep_tidy(&queue) => Ok(()),
    }
}

/// Replaces the lane's worker whenever it ends: any error of Redis ends it (a restart, a
/// flush, an entry without content).
async fn keep_staffed(
    queue: RedisQueue,
    lane: Lane,
    bell: Bell,
    handler: Handler,
    mut stopping: watch::Receiver<bool>,
) {
    let mut pause = PAUSES[0];
    loop {
        // Never the same name twice: Redis takes its bearer for alive.
        let name = queue.shared.new_name(layout::name(lane));
        let began = Instant::now();
        let work = worker(&queue, lane, &name, &bell, &handler, stopping.clone());
        let ended = AssertUnwindSafe(work).catch_unwind().await;
        let stop = *stopping.borrow();
        // In order: what it took and did not begin is for others. Else it may be what ended
        // the worker, or is being worked on here still; its bell is rung again either way.
        let in_order = matches!(ended, Ok(Ok(())));
        let (keys, mut link) = (&queue.shared.lane(lane).keys, queue.shared.link.clone());
        let struck_off = keys.strike_off(&mut link, &name, in_order).await;
        if stop {
            return;
        }
        let settled = began.elapsed() >= SETTLED;
        let why = match &ended {
            Ok(Ok(())) => "it stopped".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        if settled {
            pause = PAUSES[0];
            tracing::warn!(worker = name, why, "a queue worker ended; another takes its place");
        } else {
            tracing::debug!(worker = name, why, ?struck_off, "a queue worker ended");
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        pause = (pause * 2).min(PAUSES[1]);
    }
}

/// One worker's life.
fn worker(
    queue: &RedisQueue,
    lane: Lane,
    name: &str,
    bell: &Bell,
    handler: &Handler,
    mut stopping: watch::Receiver<bool>,
) -> BoxFuture<'static, Result<(), WorkerError>> {
    let shared = &queue.shared;
    let config = apalis_redis::Config::default()
        .queue(&shared.lane(lane).keys.queue)
        // While fetched tickets wait for a place no sign of life is given: fetch what there
        // is a place for.
        .batch_size(1)
        // A lock would search the whole list for every ticket.
        .lock_tasks(false)
        .emit_events(false)
        // Without its result no ticket is ever taken for done.
        .persist_results(true)
        .heartbeat_interval(shared.timing.heartbeat)
        .missed_heartbeats(shared.timing.missed_heartbeats);
    let backend = RedisStorage::<Found, _>::new(shared.link.clone())
        .with_config(config)
        .poll_with_strategy(bell.listener(shared.timing.tick))
        .with_codec(Reading);
    let (shared, handler) = (Arc::clone(shared), Arc::clone(handler));
    let worker = WorkerBuilder::new(name)
        .backend(backend)
        .concurrency(CONCURRENCY)
        .enable_tracing()
        .catch_panic()
        .parallelize(tokio::spawn)
        .build(move |found: Found, id: TaskId| {
            let done = shared.done_when_dropped(&id.to_string());
            let working = found.0.map(&*handler);
            async move {
                if let Some(working) = working {
                    working.await;
                } else {
                    tracing::error!(%id, "threw away a ticket that cannot be read");
                }
                drop(done);
            }
        });
    let stop = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
        Ok::<_, WorkerError>(())
    };
    worker.run_until(stop).boxed()
}

async fn keep_tidy(queue: &RedisQueue) {
    let mut tick = tokio::time::interval(TIDY_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = queue.tidy().await {
            tracing::debug!(%error, "tickets that are done were left in Redis");
        }
    }
}
