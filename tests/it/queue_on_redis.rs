//! The queue between processes, on a real Redis. A `RedisQueue` here stands for a process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidings::domain::notification::Lane;
use tidings::domain::{NotificationId, RedisUrl};
use tidings::queue::{Handler, MAX_WAITING, Queue, RedisQueue, Ticket, Timing};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::TestApp;
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
    let timing = Timing { tick: Duration::from_mins(1), ..Timing::default() };
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
    // Generous, for machines that are busy with other things; the tick is a minute.
    assert!(median < Duration::from_secs(1), "{median:?}");
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

/// apalis moves what is due by one call with an argument per ticket and never again once 8,000
/// are: nothing of ours ever waits there.
#[tokio::test]
async fn nine_thousand_tickets_put_there_by_another_hand_stop_nobody() {
    let server = RedisServer::start();
    let hall = queue(&server.url()).await;
    let mut pipe = ::redis::pipe();
    for n in 0..9_000 {
        let meta = format!("tidings:v1:bulk:meta:other-{n}");
        pipe.hset("tidings:v1:bulk:data", format!("other-{n}"), payload(&plan(n))).ignore();
        let fields = [("attempts", "0"), ("max_attempts", "1"), ("status", "Pending")];
        pipe.hset_multiple(meta, &fields).ignore();
        pipe.rpush("tidings:v1:bulk:active", format!("other-{n}")).ignore();
    }
    let _: () = pipe.query_async(&mut server.connection().await).await.expect("stored");
    let mut crew = Crew::start(&hall);
    for _ in 0..500 {
        crew.next().await;
    }
    assert_eq!(server.ask::<usize>(&["ZCARD", "tidings:v1:bulk:scheduled"]).await, 0);
    crew.end().await;
}

#[tokio::test]
async fn after_a_flush_tickets_are_worked_on_again() {
    let server = RedisServer::start();
    let (door, hall) = (queue(&server.url()).await, queue(&server.url()).await);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = Arc::clone(&gate);
    let mut crew = Crew::doing(&hall, move |_| {
        let held = Arc::clone(&held);
        Box::pin(async move { held.acquire().await.expect("open").forget() })
    });
    for n in 0..20 {
        assert!(push(&door, Lane::Bulk, dispatch()) && push(&door, Lane::Now, plan(n)));
    }
    in_flight(&server, "bulk", 4).await;
    let _: () = server.ask(&["FLUSHALL"]).await;
    gate.add_permits(10_000);
    for n in 100..110 {
        pushed(&door, Lane::Now, plan(n)).await;
        while crew.next().await != plan(n) {}
    }
    crew.end().await;
}

#[tokio::test]
async fn when_redis_was_killed_and_is_back_tickets_are_worked_on_again() {
    let mut server = RedisServer::start();
    let (door, hall) = (queue(&server.url()).await, queue(&server.url()).await);
    let mut crew = Crew::start(&hall);
    assert!(push(&door, Lane::Now, plan(1)));
    crew.next().await;
    server.kill();
    let ended = Arc::new(AtomicUsize::new(0));
    let counts = CountsWhenDropped(Arc::clone(&ended));
    // What is pushed before the loss is noticed is lost, and counts as no longer under way.
    assert!(Queue::redis(door.clone()).0.push(Lane::Now, plan(2), counts));
    until("the ticket counts as lost", async || ended.load(Ordering::Acquire) == 1).await;
    assert!(!door.is_reachable() && !push(&door, Lane::Now, plan(3)), "redis is away");
    assert_eq!(Queue::redis(door.clone()).0.room(Lane::Now), 0);
    server.start_again();
    let back = Instant::now();
    pushed(&door, Lane::Now, plan(4)).await;
    assert_eq!(crew.next().await, plan(4));
    println!("worked on again {:?} after Redis was back", back.elapsed());
    crew.end().await;
}

#[tokio::test]
async fn a_redis_that_swallows_everything_is_left_and_found_again() {
    let server = RedisServer::start();
    let timing = Timing { response_timeout: Duration::from_secs(1), ..Timing::default() };
    let (door, hall) = (with(&server.url(), timing).await, with(&server.url(), timing).await);
    let mut crew = Crew::start(&hall);
    assert!(push(&door, Lane::Now, plan(1)));
    crew.next().await;
    server.freeze(true);
    assert!(push(&door, Lane::Now, plan(2)), "nobody noticed yet");
    until("the silence is noticed", async || !door.is_reachable()).await;
    server.freeze(false);
    pushed(&door, Lane::Now, plan(3)).await;
    while crew.next().await != plan(3) {}
    crew.end().await;
}

/// Whoever waits for room waits for an hour: what comes while others are carried over does not.
#[tokio::test]
async fn what_comes_while_others_are_carried_over_follows_at_once() {
    let server = RedisServer::start();
    let timing = Timing { wait_for_room: Duration::from_hours(1), ..Timing::default() };
    let (door, hall) = (with(&server.url(), timing).await, queue(&server.url()).await);
    let mut crew = Crew::start(&hall);
    let is_left = async || Queue::redis(door.clone()).0.room(Lane::Now) == MAX_WAITING;
    for n in (1..=20).step_by(2) {
        server.freeze(true);
        assert!(push(&door, Lane::Now, plan(n)));
        until("the first is on its way", is_left).await;
        assert!(push(&door, Lane::Now, plan(n + 1)));
        server.freeze(false);
        assert_eq!([crew.next().await, crew.next().await], [plan(n), plan(n + 1)]);
        until("none waits", is_left).await;
    }
    crew.end().await;
}

#[tokio::test]
async fn a_ticket_whose_work_panics_runs_once_and_takes_nobody_with_it() {
    let server = RedisServer::start();
    let hall = queue(&server.url()).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut crew = Crew::doing(&hall, move |ticket| {
        let panics = ticket == plan(13);
        counted.fetch_add(usize::from(panics), Ordering::AcqRel);
        Box::pin(async move { assert!(!panics, "the thirteenth") })
    });
    let ended = Arc::new(AtomicUsize::new(0));
    let counts = CountsWhenDropped(Arc::clone(&ended));
    assert!(Queue::redis(hall.clone()).0.push(Lane::Now, plan(13), counts));
    until("it is no longer under way", async || ended.load(Ordering::Acquire) == 1).await;
    for n in 100..150 {
        pushed(&hall, Lane::Bulk, plan(n)).await;
        assert_eq!(crew.next().await, plan(n));
    }
    in_flight(&server, "now", 0).await;
    assert_eq!(server.ask::<usize>(&["ZCARD", "tidings:v1:now:scheduled"]).await, 0);
    assert_eq!(runs.load(Ordering::Acquire), 1);
    crew.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_thrown_away_and_stops_nobody() {
    let server = RedisServer::start();
    let hall = queue(&server.url()).await;
    for (id, payload) in [("p-1", "no ticket"), ("p-2", "{\"PlanV9\":{}}"), ("p-3", "\u{0}")] {
        put(&server, id, payload).await;
    }
    // An id without content, and one whose record is gone: each ends the worker that takes it.
    let _: () = server.ask(&["RPUSH", "tidings:v1:now:active", "p-4"]).await;
    put(&server, "p-5", "{\"PlanV1\":{\"events\":[5]}}").await;
    let _: () = server.ask(&["DEL", "tidings:v1:now:meta:p-5"]).await;
    let mut crew = Crew::start(&hall);
    for n in 0..20 {
        pushed(&hall, Lane::Now, plan(n)).await;
        assert_eq!(crew.next().await, plan(n));
    }
    in_flight(&server, "now", 0).await;
    hall.tidy().await.expect("redis is there");
    until("nothing of them is left", async || {
        hall.tidy().await.expect("redis is there");
        server.ask::<usize>(&["HLEN", "tidings:v1:now:data"]).await == 0
    })
    .await;
    crew.end().await;
}

/// Signs of life are given though every place is taken, so nobody runs a ticket again while
/// it is being worked on.
#[tokio::test]
async fn work_that_outlasts_the_signs_of_life_runs_once() {
    let server = RedisServer::start();
    let timing =
        Timing { heartbeat: Duration::from_secs(1), missed_heartbeats: 4, ..Timing::default() };
    let (one, two) = (with(&server.url(), timing).await, with(&server.url(), timing).await);
    let runs = Arc::new(Mutex::new(Vec::new()));
    let crews = [&one, &two].map(|queue| {
        let runs = Arc::clone(&runs);
        Crew::doing(queue, move |ticket| {
            runs.lock().expect("no panic while held").push(ticket);
            Box::pin(async {
                tokio::time::interval_at(
                    Instant::now() + Duration::from_secs(1),
                    Duration::from_secs(1),
                )
                .tick()
                .await;
            })
        })
    });
    for n in 0..60 {
        pushed(&one, Lane::Bulk, Ticket::DispatchV1 { notifications: vec![id(n)] }).await;
    }
    until("all are begun", async || runs.lock().expect("no panic").len() >= 60).await;
    until("all are done", async || {
        server.ask::<usize>(&["SCARD", "tidings:v1:bulk:done"]).await == 60
    })
    .await;
    assert_eq!(runs.lock().expect("no panic").len(), 60);
    for crew in crews {
        crew.end().await;
    }
}

#[tokio::test]
async fn done_tickets_are_forgotten_and_waiting_ones_never() {
    let server = RedisServer::start();
    let hall = queue(&server.url()).await;
    let mut crew = Crew::start(&hall);
    for n in 0..100 {
        pushed(&hall, Lane::Now, plan(n)).await;
        crew.next().await;
    }
    until("all are taken for done", async || {
        server.ask::<usize>(&["SCARD", "tidings:v1:now:done"]).await == 100
    })
    .await;
    crew.end().await;
    for n in 0..10 {
        pushed(&hall, Lane::Bulk, Ticket::DispatchV1 { notifications: vec![id(n)] }).await;
    }
    until("ten wait", async || {
        server.ask::<usize>(&["LLEN", "tidings:v1:bulk:active"]).await == 10
    })
    .await;
    assert_eq!(hall.tidy().await.expect("redis is there"), 100);
    let left: Vec<String> = server.ask(&["KEYS", "tidings:v1:now:*"]).await;
    assert_eq!(left, [""; 0], "nothing is left of a lane at rest");
    let mut crew = Crew::start(&hall);
    for _ in 0..10 {
        crew.next().await;
    }
    crew.end().await;
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_hand_and_leaves_the_rest_to_others_at_once() {
    let server = RedisServer::start();
    let (leaving, staying) = (queue(&server.url()).await, queue(&server.url()).await);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held = Arc::clone(&gate);
    let mut crew = Crew::doing(&leaving, move |_| {
        let held = Arc::clone(&held);
        Box::pin(async move { held.acquire().await.expect("open").forget() })
    });
    for n in 0..40 {
        pushed(&staying, Lane::Bulk, Ticket::DispatchV1 { notifications: vec![id(n)] }).await;
    }
    in_flight(&server, "bulk", 4).await;
    crew.stop.notify_one();
    gate.add_permits(4);
    let ended = tokio::time::timeout(LONG, &mut crew.running).await.expect("in time");
    ended.expect("no panic").expect("in good order");
    let mut done = 0;
    while crew.seen.recv().await.is_some() {
        done += 1;
    }
    assert_eq!(done, 4, "what was in hand");
    // A new worker of the same process begins at once: its name is new.
    let mut crew = Crew::start(&leaving);
    let began = Instant::now();
    for _ in 0..36 {
        crew.next().await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    crew.end().await;
}

#[tokio::test]
async fn a_ticket_counts_as_under_way_until_it_is_done_here_or_gone() {
    let server = RedisServer::start();
    let timing = Timing { gone_after: Duration::from_millis(300), ..Timing::default() };
    let here = with(&server.url(), timing).await;
    let ended = Arc::new(AtomicUsize::new(0));
    let counts = CountsWhenDropped(Arc::clone(&ended));
    let began = Instant::now();
    assert!(Queue::redis(here.clone()).0.push(Lane::Now, plan(1), counts));
    until("nobody took it", async || ended.load(Ordering::Acquire) == 1).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    let other_engine = here.clone();
    let mut crew = Crew::start(&other_engine);
    crew.next().await;
    let counts = CountsWhenDropped(Arc::clone(&ended));
    assert!(Queue::redis(here.clone()).0.push(Lane::Now, plan(2), counts));
    crew.next().await;
    until("done by an engine of this process", async || ended.load(Ordering::Acquire) == 2).await;
    crew.end().await;
}

#[tokio::test]
async fn behind_sentinel_tickets_are_worked_on_again_after_a_failover() {
    let leader = RedisServer::start();
    let follower = RedisServer::with(&["--replicaof", "127.0.0.1", &leader.port().to_string()]);
    told(&follower, "replication", "master_link_status:up").await;
    let sentinel = RedisServer::sentinel("tidings", &leader);
    told(&sentinel, "sentinel", "slaves=1").await;
    let url = format!("redis+sentinel://127.0.0.1:{}/tidings", sentinel.port());
    let (door, hall) = (queue(&url).await, queue(&url).await);
    let mut crew = Crew::start(&hall);
    pushed(&door, Lane::Now, plan(1)).await;
    assert_eq!(crew.next().await, plan(1));

    let began = Instant::now();
    until("the sentinel fails over", async || {
        sentinel.try_to_ask::<()>(&["SENTINEL", "FAILOVER", "tidings"]).await.is_ok()
    })
    .await;
    told(&follower, "replication", "role:master").await;
    // The old leader still takes what it is given, for the ten seconds until it is told. What
    // is lost on the way would be rung again by the store.
    until("tickets are worked on at the new leader", async || {
        let _ = push(&door, Lane::Now, plan(2));
        crew.seen.try_recv().is_ok()
            && follower
                .try_to_ask::<usize>(&["HLEN", "tidings:v1:now:data"])
                .await
                .is_ok_and(|tickets| tickets > 0)
    })
    .await;
    println!("at the new leader {:?} after the word to fail over", began.elapsed());
    told(&leader, "replication", "role:slave").await;
    for n in 4..50 {
        pushed(&door, Lane::Now, plan(n)).await;
        while crew.next().await != plan(n) {}
    }
    crew.end().await;
}

#[tokio::test]
async fn when_the_leader_dies_the_sentinel_leads_elsewhere() {
    let mut leader = RedisServer::start();
    let follower = RedisServer::with(&["--replicaof", "127.0.0.1", &leader.port().to_string()]);
    let sentinel = RedisServer::sentinel("tidings", &leader);
    told(&sentinel, "sentinel", "slaves=1").await;
    let url = format!("redis+sentinel://127.0.0.1:{}/tidings", sentinel.port());
    let door = queue(&url).await;
    let mut crew = Crew::start(&door);
    pushed(&door, Lane::Now, plan(1)).await;
    crew.next().await;
    let began = Instant::now();
    leader.kill();
    told(&follower, "replication", "role:master").await;
    let leads = began.elapsed();
    until("a ticket is worked on", async || {
        push(&door, Lane::Now, plan(2)) && crew.seen.try_recv().is_ok()
    })
    .await;
    println!("the follower led {leads:?} after the kill, worked on again {:?}", began.elapsed());
    crew.end().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_the_queue_is_named_without_its_password() {
    let locked = RedisServer::with(&["--requirepass", "s3cret"]);
    let cluster = RedisServer::with(&["--cluster-enabled", "yes"]);
    let port = locked.port();
    for (url, word) in [
        (format!("redis://:wr0ng@127.0.0.1:{port}"), "127.0.0.1"),
        (format!("redis://127.0.0.1:{port}"), "uthentication"),
        (format!("redis://:s3cret@127.0.0.1:{port}/99"), "/99"),
        ("redis://:s3cret@127.0.0.1:9".to_owned(), "127.0.0.1:9/0"),
        (format!("redis+sentinel://:s3cret@127.0.0.1:{port}/tidings"), "tidings"),
        (cluster.url(), "Cluster"),
    ] {
        let parsed = RedisUrl::parse(&url).expect("an address");
        let error = RedisQueue::connect(&parsed, "test", Timing::default()).await;
        let said = error.expect_err("no queue").to_string();
        println!("{said}");
        assert!(said.contains(word), "{said}");
        assert!(!said.contains("s3cret") && !said.contains("wr0ng"), "{said}");
    }
    let right = RedisUrl::parse(&format!("redis://:s3cret@127.0.0.1:{port}/9")).expect("valid");
    assert!(RedisQueue::connect(&right, "test", Timing::default()).await.is_ok());
}

/// The whole way, from the event to the mail, through tickets in Redis.
#[tokio::test]
async fn an_event_becomes_a_mail_through_redis() {
    let server = RedisServer::start();
    let app = TestApp::with(&format!("[queue]\nurl = \"{}\"\n", server.url())).await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    let worked: usize = server.ask(&["HLEN", "tidings:v1:now:data"]).await;
    assert!(worked >= 1, "a ticket went through Redis");
    app.end().await;
}

#[tokio::test]
async fn while_redis_is_away_events_are_kept_and_the_process_says_it_is_not_ready() {
    let mut server = RedisServer::start();
    let app = TestApp::with(&format!("[queue]\nurl = \"{}\"\n", server.url())).await;
    app.ada().await;
    assert_eq!(app.get("/readyz").await.0, 200);
    server.kill();
    app.event("take_in_charge_ticket").await;
    until("the process is not ready", async || {
        let (status, why) = app.get("/readyz").await;
        status == 503 && why.contains("the queue")
    })
    .await;
    server.start_again();
    until("the process is ready", async || app.get("/readyz").await.0 == 200).await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    app.end().await;
}

/// Pushed, however often it takes until there is room and Redis is there.
async fn pushed(queue: &RedisQueue, lane: Lane, ticket: Ticket) {
    until("there is room", async || push(queue, lane, ticket.clone())).await;
}

/// Waits until a server says this of itself. Servers that change places hang up in between.
async fn told(server: &RedisServer, section: &str, wanted: &str) {
    until(wanted, async || {
        let told = server.try_to_ask::<String>(&["INFO", section]).await;
        told.is_ok_and(|told| told.contains(wanted))
    })
    .await;
}

/// Waits until so many tickets of a lane are being worked on.
async fn in_flight(server: &RedisServer, lane: &str, wanted: usize) {
    until("tickets are being worked on", async || {
        let keys: Vec<String> =
            server.ask(&["KEYS", &format!("tidings:v1:{lane}:inflight:*")]).await;
        let mut all = 0;
        for key in keys {
            all += server.ask::<usize>(&["SCARD", &key]).await;
        }
        all == wanted
    })
    .await;
}

/// Puts something into the lane `now` as another hand would.
async fn put(server: &RedisServer, id: &str, payload: &str) {
    let _: () = server.ask(&["HSET", "tidings:v1:now:data", id, payload]).await;
    let meta = format!("tidings:v1:now:meta:{id}");
    let fields = ["attempts", "0", "max_attempts", "1", "status", "Pending"];
    let _: () = server.ask(&[&["HSET", meta.as_str()], &fields[..]].concat()).await;
    let _: () = server.ask(&["RPUSH", "tidings:v1:now:active", id]).await;
}

fn payload(ticket: &Ticket) -> String {
    serde_json::to_string(ticket).expect("plain data")
}

fn id(n: u32) -> NotificationId {
    NotificationId::parse(&format!("00000000-0000-5000-8000-{n:012}")).expect("an id")
}

/// Stands for what a ticket keeps busy.
struct CountsWhenDropped(Arc<AtomicUsize>);

impl Drop for CountsWhenDropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}
