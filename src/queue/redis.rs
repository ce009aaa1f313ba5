//! The queue between processes: tickets in Redis, taken up by apalis' workers.
//!
//! Pushing never waits: tickets lie in an outbox of this process until a task of each lane
//! carries them over in one go. Redis keeps at most 64 waiting per lane and loses them as it
//! likes; the store rings again for what was lost. One database of Redis belongs to one
//! installation.

mod bell;
mod crew;
mod layout;
mod link;
mod outbox;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::RedisError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::domain::RedisUrl;
use crate::domain::notification::Lane;

use super::{MAX_WAITING, Ticket};
use layout::Keys;
pub use link::Link;
use outbox::Outbox;

pub(super) use crew::run;

/// Ends when its ticket is done or lost.
type Busy = Box<dyn Send + Sync>;

/// How the queue keeps time.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How often an idle worker looks though nothing rang.
    pub tick: Duration,
    /// How often a worker gives a sign of life.
    pub heartbeat: Duration,
    /// After how many missing signs others take its tickets. Long, because signs carry the
    /// clock of their host; nothing waits for it, the store rings again sooner.
    pub missed_heartbeats: usize,
    /// When a ticket of ours that nobody here took counts as gone: taken elsewhere, or lost.
    pub gone_after: Duration,
    /// How long tickets wait that Redis has no room for.
    pub wait_for_room: Duration,
    /// How long an answer of Redis may take. Half a second, the default of its client, gives
    /// up on pushes that arrived.
    pub response_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(50),
            heartbeat: Duration::from_secs(5),
            missed_heartbeats: 120,
            gone_after: Duration::from_secs(10),
            wait_for_room: Duration::from_millis(50),
            response_timeout: Duration::from_secs(10),
        }
    }
}

/// Both lanes in Redis. Clones, and the workers of every engine of this process that has one,
/// know of the same tickets.
#[derive(Debug, Clone)]
pub struct RedisQueue {
    shared: Arc<Shared>,
    _tasks: Arc<Tasks>,
}

#[derive(Debug)]
struct Shared {
    link: Link,
    timing: Timing,
    /// Who this process is: never the same twice.
    owner: String,
    names_given: AtomicU64,
    now: LaneState,
    bulk: LaneState,
    /// Tickets of ours that are in Redis or being worked on here.
    under_way: Mutex<HashMap<String, UnderWay>>,
    away: AtomicBool,
}

#[derive(Debug)]
struct LaneState {
    keys: Keys,
    outbox: Mutex<Outbox>,
    /// Something lies in the outbox.
    filled: Notify,
    /// How many tickets waited in Redis when last heard.
    backlog: AtomicUsize,
}

struct UnderWay {
    since: Instant,
    busy: Vec<Busy>,
}

impl std::fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnderWay").field("since", &self.since).finish_non_exhaustive()
    }
}

/// What goes on for as long as anybody holds the queue.
#[derive(Debug)]
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// How often the Sentinels are asked who leads.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

async fn follow_the_leader(link: Link) {
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        if let Err(error) = link.follow_the_leader().await {
            tracing::debug!(%error, "no Sentinel says who leads the queue");
        }
    }
}

/// Why Redis cannot be the queue.
#[derive(Debug, thiserror::Error)]
pub enum RedisUnusable {
    /// Wrong address, nobody there, or not let in. Never holds a password.
    #[error("{url}: {source}")]
    OutOfReach { url: String, source: RedisError },
    /// A node of a Redis Cluster spreads keys that belong together over servers.
    #[error("{url} is a node of a Redis Cluster, which the queue cannot use")]
    Cluster { url: String },
}

impl RedisQueue {
    /// Connects, as `owner`: a name no process bore before.
    ///
    /// # Errors
    /// When Redis cannot be the queue.
    pub async fn connect(
        url: &RedisUrl,
        owner: &str,
        timing: Timing,
    ) -> Result<Self, RedisUnusable> {
        let out_of_reach = |source| RedisUnusable::OutOfReach { url: url.to_string(), source };
        let mut link = Link::new(url, timing.response_timeout).map_err(out_of_reach)?;
        if layout::is_cluster(&mut link).await.map_err(out_of_reach)? {
            return Err(RedisUnusable::Cluster { url: url.to_string() });
        }
        let shared = Arc::new(Shared {
            link,
            timing,
            owner: owner.to_owned(),
            names_given: AtomicU64::new(0),
            now: LaneState::new(Lane::Now),
            bulk: LaneState::new(Lane::Bulk),
            under_way: Mutex::default(),
            away: AtomicBool::new(false),
        });
        let tasks = vec![
            tokio::spawn(outbox::carry(Arc::clone(&shared), Lane::Now)),
            tokio::spawn(outbox::carry(Arc::clone(&shared), Lane::Bulk)),
            tokio::spawn(follow_the_leader(shared.link.clone())),
        ];
        Ok(Self { shared, _tasks: Arc::new(Tasks(tasks)) })
    }

    /// None while Redis is away: what is due is left to be rung when it is back.
    pub(super) fn room(&self, lane: Lane) -> usize {
        if !self.is_reachable() {
            return 0;
        }
        let lane = self.shared.lane(lane);
        let ours = lane.outbox.lock().expect("no panic while held").len();
        MAX_WAITING.saturating_sub(ours + lane.backlog.load(Ordering::Acquire))
    }

    pub(super) fn push(&self, lane: Lane, ticket: Ticket, busy: Busy) -> bool {
        if !self.is_reachable() {
            return false;
        }
        let lane = self.shared.lane(lane);
        let room = MAX_WAITING.saturating_sub(lane.backlog.load(Ordering::Acquire));
        let taken = lane.outbox.lock().expect("no panic while held").lay_down(ticket, busy, room);
        if taken {
            lane.filled.notify_one();
        }
        taken
    }

    /// Did Redis answer when last spoken to?
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !self.shared.away.load(Ordering::Acquire)
    }

    /// Forgets the tickets that are done. Answers how many those were.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn tidy(&self) -> Result<usize, RedisError> {
        let mut link = self.shared.link.clone();
        let now = self.shared.now.keys.tidy(&mut link).await?;
        Ok(now + self.shared.bulk.keys.tidy(&mut link).await?)
    }
}

impl LaneState {
    fn new(lane: Lane) -> Self {
        Self {
            keys: Keys::of(lane),
            outbox: Mutex::default(),
            filled: Notify::new(),
            backlog: AtomicUsize::new(0),
        }
    }
}

impl Shared {
    const fn lane(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Now => &self.now,
            Lane::Bulk => &self.bulk,
        }
    }

    /// A name nothing bore before, here or elsewhere.
    fn new_name(&self, of: &str) -> String {
        let n = self.names_given.fetch_add(1, Ordering::Relaxed);
        format!("{}-{of}-{n}", self.owner)
    }

    fn begin(&self, id: &str, busy: Vec<Busy>) {
        let under_way = UnderWay { since: Instant::now(), busy };
        self.under_way.lock().expect("no panic while held").insert(id.to_owned(), under_way);
    }

    /// The ticket is no longer under way; what it kept busy is the caller's.
    fn take(&self, id: &str) -> Vec<Busy> {
        let taken = self.under_way.lock().expect("no panic while held").remove(id);
        taken.map(|it| it.busy).unwrap_or_default()
    }

    /// The ticket is done, or lost.
    fn end(&self, id: &str) {
        drop(self.take(id));
    }

    /// Ends what nobody here took up for long.
    fn end_gone(&self) {
        let gone: Vec<UnderWay> = {
            let mut under_way = self.under_way.lock().expect("no panic while held");
            let gone_after = self.timing.gone_after;
            under_way.extract_if(|_, it| it.since.elapsed() >= gone_after).map(|it| it.1).collect()
        };
        drop(gone);
    }

    fn done_when_dropped(self: &Arc<Self>, id: &str) -> Done {
        Done { shared: Arc::clone(self), id: id.to_owned() }
    }
}

/// Ends a ticket that is worked on here, however the work ends.
struct Done {
    shared: Arc<Shared>,
    id: String,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.shared.end(&self.id);
    }
}
