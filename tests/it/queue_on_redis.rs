//! The queue between processes, on a real Redis. A `RedisQueue` here stands for a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings::domain::RedisUrl;
use tidings::domain::notification::Lane;
use tidings::queue::{Handler, MAX_WAITING, Queue, RedisQueue, Ticket, Timing};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::redis::RedisServer;

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(20);

/// A queue as a process of its own would have it.
async fn queue(url: &str) -> RedisQueue {
    with(url, Timing::default()).await
}

async fn with(url: &str, timing: Timing) -> RedisQueue {
    static STARTS: AtomicUsize = AtomicUsize::new(0);
    let owner = format!("test-{}", STARTS.fetch_add(1, Ordering::Relaxed));
    let url = RedisUrl::parse(url).expect("an address");
    RedisQueue::connect(&url, &owner, timing).await.unwrap_or_else(|error| panic!("{error}"))
}

/// The workers of a process, and what they were given.
struct Crew {
    seen: mpsc::UnboundedReceiver<Ticket>,
    stop: Arc<Notify>,
    running: JoinHandle<Result<(), String>>,
}

impl Crew {
    /// Workers that note down what they get.
    fn start(queue: &RedisQueue) -> Self {
        Self::doing(queue, |_| Box::pin(std::future::ready(())))
    }

    /// Workers that do this with every ticket, then note it down.
    fn doing(
        queue: &RedisQueue,
        work: impl Fn(Ticket) -> futures::future::BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let handler: Handler = Arc::new(move |ticket| {
            let (working, sender) = (work(ticket.clone()), sender.clone());
            Box::pin(async move {
                working.await;
                let _ = sender.send(ticket);
            })
        });
        let stop = Arc::new(Notify::new());
        let (_, receivers) = Queue::redis(queue.clone());
        let stopping = Arc::clone(&stop);
        let running = tokio::spawn(async move {
            tidings::queue::run(receivers, handler, stopping.notified()).await
        });
        Self { seen, stop, running }
    }

    async fn next(&mut self) -> Ticket {
        let next = tokio::time::timeout(LONG, self.seen.recv()).await;
        next.expect("a ticket in time").expect("the workers run")
    }

    async fn end(self) {
        self.stop.notify_one();
        let ended = tokio::time::timeout(LONG, self.running).await.expect("in time");
        ended.expect("no panic").expect("in good order");
    }
}

/// Looks again and again until this holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(5));
    while !holds().await {
        assert!(began.elapsed() < LONG, "waited in vain: {what}");
        look.tick().await;
    }
}

fn plan(n: i64) -> Ticket {
    Ticket::PlanV1 { events: vec![n] }
}

/// A ticket that never joins another.
fn dispatch() -> Ticket {
    Ticket::DispatchV1 { notifications: Vec::new() }
}

fn push(queue: &RedisQueue, lane: Lane, ticket: Ticket) -> bool {
    Queue::redis(queue.clone()).0.push(lane, ticket, ())
}

#[tokio::test]
async fn a_ticket_pushed_by_one_process_is_worked_on_by_another() {
    let server = RedisServer::start();
    let (door, hall) = (queue(&server.url()).await, queue(&server.url()).await);
    let mut crew = Crew::start(&hall);
    assert!(push(&door, Lane::Now, plan(7)));
    assert_eq!(crew.next().await, plan(7));
    assert!(push(&door, Lane::Bulk, dispatch()));
    assert_eq!(crew.next().await, dispatch());
    crew.end().await;
}

/// With a tick of a minute only the bell can be what wakes the worker.
#[tokio::test]
async fn an_idle_worker_starts_at_the_bell_and_not_at_the_tick() {
    let server = RedisServer::start();
    let timing = Timing { tick: Duration::from_secs(60), ..Timing::default() };
    let (door, hall) = (queue(&server.url()).await, with(&server.url(), timing).await);
    let mut crew = Crew::start(&hall);
    // The first may be found by the look every worker begins with.
    assert!(push(&door, Lane::Now, plan(0)));
    crew.next().await;
    let mut waits = Vec::new();
    for n in 1..=300 {
        let began = Instant::now();
        assert!(push(&door, Lane::Now, plan(n)));
        crew.next().await;
        waits.push(began.elapsed());
    }
    waits.sort_unstable();
    let (median, worst) = (waits[150], waits[299]);
    println!("an idle worker starts after {median:?} (median of 300), {worst:?} at worst");
    assert!(median < Duration::from_millis(50), "{median:?}");
    crew.end().await;
}

#[tokio::test]
async fn no_more_than_sixty_four_wait_however_many_are_pushed() {
    let server = RedisServer::start();
    let door = queue(&server.url()).await;
    let queue_of = Queue::redis(door.clone()).0;
    let mut taken = 0;
    for round in 0..40 {
        taken += (0..300).filter(|_| push(&door, Lane::Bulk, dispatch())).count();
        if round < 2 {
            until("what was pushed arrives", async || {
                server.ask::<usize>(&["LLEN", "tidings:v1:bulk:active"]).await == MAX_WAITING
            })
            .await;
        }
    }
    let waiting: usize = server.ask(&["LLEN", "tidings:v1:bulk:active"]).await;
    assert_eq!(waiting, MAX_WAITING);
    assert!(taken < 3 * MAX_WAITING, "{taken} of 12,000 were taken");
    until("the lane has no room", async || queue_of.room(Lane::Bulk) == 0).await;
    assert_eq!(queue_of.room(Lane::Now), MAX_WAITING, "the other lane has");
    let mut crew = Crew::start(&door);
    for _ in 0..MAX_WAITING {
        crew.next().await;
    }
    until("the lane has room again", async || queue_of.room(Lane::Bulk) == MAX_WAITING).await;
    crew.end().await;
}
