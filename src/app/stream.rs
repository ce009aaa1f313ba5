//! The stream door: case events that any language writes with
//! `XADD tidings:events * event '<json>'`.
//!
//! An entry is acknowledged only when its event is on durable storage; until then it is
//! pending, and another process takes it up when this one is gone. What is no event goes to
//! the stream `tidings:events:rejected` with its reason. An entry that is done is deleted: the
//! store has it, and a stream that nobody trims fills its server. So the stream belongs to
//! one installation; a second group on it would miss entries.

mod entry;
mod group;
pub mod write;

use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::channel::health::Connect;
use crate::store::intake::Incoming;
use crate::worker::{Engine, Stopping, stopped};

use super::files::{Report, accept, event_of};
use entry::Entry;
use group::Group;

/// Where events are written to when the settings say nothing else.
pub const DEFAULT_STREAM: &str = "tidings:events";

/// How often entries are looked for whose reader is gone.
const RECLAIM_EVERY: Duration = Duration::from_secs(5);

/// How often readers are struck off that are gone.
const TIDY_EVERY: Duration = Duration::from_mins(1);

/// Waits before the next try when Redis or the store is away: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A door that lets events in until it is closed.
#[derive(Debug)]
pub struct StreamDoor {
    close: watch::Sender<bool>,
    reading: JoinHandle<()>,
}

struct Reader {
    engine: Arc<Engine>,
    connect: Connect,
    group: Group,
}

impl StreamDoor {
    /// Opens the door at `stream` for the readers of `group`. It waits for Redis as long as
    /// Redis is away.
    #[must_use]
    pub fn open(engine: &Arc<Engine>, connect: Connect, stream: &str, group: &str) -> Self {
        let consumer = engine.behaviour.owner.clone();
        let group = Group { stream: stream.to_owned(), name: group.to_owned(), consumer };
        let reader = Reader { engine: Arc::clone(engine), connect, group };
        let (close, closing) = watch::channel(false);
        Self { close, reading: tokio::spawn(reader.run(closing)) }
    }

    /// Finishes the entries in hand and reads no more.
    pub async fn close(self) {
        let _ = self.close.send(true);
        if let Err(error) = self.reading.await {
            tracing::error!(%error, "the stream door ended badly");
        }
    }

    /// Stops wherever it stands, as a crash would: for tests.
    pub fn abort(self) {
        self.reading.abort();
    }
}

impl Reader {
    async fn run(self, mut closing: Stopping) {
        let mut pause = FIRST_PAUSE;
        let mut away = false;
        while !*closing.borrow() {
            let error = match self.connected().await {
                Ok(mut connection) => {
                    if std::mem::take(&mut away) {
                        tracing::info!(stream = self.group.stream, "the stream door is open again");
                    }
                    pause = FIRST_PAUSE;
                    match self.read_on(&mut connection, &mut closing).await {
                        Ok(()) => {
                            let _ = self.group.leave(&mut connection).await;
                            return;
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if !std::mem::replace(&mut away, true) {
                tracing::warn!(stream = self.group.stream, %error, "the stream door waits for Redis");
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped(&mut closing) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A connection, and a group to read in: also after Redis has forgotten it.
    async fn connected(&self) -> RedisResult<MultiplexedConnection> {
        let mut connection = (self.connect)().await?;
        self.group.make(&mut connection).await?;
        Ok(connection)
    }

    /// Takes entries until the door closes: first those whose reader is gone, then new ones.
    async fn read_on(
        &self,
        connection: &mut MultiplexedConnection,
        closing: &mut Stopping,
    ) -> RedisResult<()> {
        let (mut reclaim_at, mut tidy_at) = (Monotonic::now(), Monotonic::now());
        while !*closing.borrow() {
            let now = Monotonic::now();
            if now >= tidy_at {
                self.group.tidy(connection).await?;
                tidy_at = now + TIDY_EVERY;
            }
            let mut entries = Vec::new();
            if now >= reclaim_at {
                entries = self.group.reclaim(connection).await?;
                if entries.is_empty() {
                    reclaim_at = now + RECLAIM_EVERY;
                }
            }
            if entries.is_empty() {
                entries = self.group.read(connection).await?;
            }
            if !entries.is_empty() {
                self.take(connection, &entries, closing).await?;
            }
        }
        Ok(())
    }

    /// Accepts what is an event, moves aside what is none, and only then acknowledges both.
    async fn take(
        &self,
        connection: &mut MultiplexedConnection,
        entries: &[Entry],
        closing: &mut Stopping,
    ) -> RedisResult<()> {
        let now = self.engine.clock.now();
        let mut unfit = Report::default();
        let mut events = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match entry.event().and_then(|text| event_of(text, now)) {
                Ok(incoming) => events.push((index, incoming)),
                Err(why) => unfit.refuse(index, why),
            }
        }
        let Some(report) = self.accept(&events, unfit, closing).await else { return Ok(()) };
        let rejected: Vec<(&Entry, &str)> =
            report.errors.iter().map(|e| (&entries[e.line], e.reason.as_str())).collect();
        if !rejected.is_empty() {
            let (count, first) = (rejected.len(), &rejected[0].0.id);
            tracing::warn!(
                count,
                first,
                "entries of the stream were rejected; each has its reason"
            );
        }
        for (result, count) in [
            ("accepted", report.accepted),
            ("duplicate", report.duplicate),
            ("invalid", report.invalid),
        ] {
            metrics::counter!("tidings_events_total", "result" => result).increment(count as u64);
        }
        self.group.settle(connection, entries, &rejected).await
    }

    /// Accepts events as soon as the store takes them; `None` when the door closes before.
    async fn accept(
        &self,
        events: &[(usize, Incoming)],
        unfit: Report,
        closing: &mut Stopping,
    ) -> Option<Report> {
        let mut pause = FIRST_PAUSE;
        loop {
            let now = self.engine.clock.now();
            let mut report = unfit.clone();
            match accept(&self.engine.store, events.to_vec(), now, &mut report).await {
                Ok(seqs) => {
                    self.engine.ring_plan(&seqs);
                    return Some(report);
                }
                Err(error) if pause == FIRST_PAUSE => {
                    tracing::warn!(%error, "the stream door waits for the store; nothing is acknowledged");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped(closing) => return None,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
