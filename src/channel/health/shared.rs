//! The kind of health that lives in Redis: each question is one Lua script on one key, by
//! Redis' own clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Monotonic};

use futures::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, Script, ScriptInvocation};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};

use super::breaker::{Standing, Tally, millis};
use super::budget::Allowance;
use super::rate::{Granted, Rate, micros};
use super::{Call, Line, Way, Ways, all_ways, at, show};
use crate::domain::ChannelMap;

/// How a connection to the shared Redis is made.
pub type Connect =
    Arc<dyn Fn() -> BoxFuture<'static, RedisResult<MultiplexedConnection>> + Send + Sync>;

/// The first line of a script: microseconds since 1970 on the server's clock.
const SERVER_CLOCK: &str =
    "local time = redis.call('TIME'); local now_us = time[1] * 1000000 + time[2]\n";

/// Longer than this a message does not wait for an answer about its leaving.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// For how long a Redis that did not answer is not asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often the standing of providers is read that this process does not call.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ended calls that wait to be reported; more are known to this process only.
const MAX_REPORTS: usize = 4_000;

#[derive(Debug)]
pub(super) struct Shared {
    inner: Arc<Inner>,
    ended: mpsc::Sender<(Way, Ended)>,
}

struct Inner {
    lines: Arc<Ways<Line>>,
    connect: Connect,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
    /// Until when Redis is not asked; `None` while it answers.
    away_until: Mutex<Option<Monotonic>>,
    /// Does what is known come from Redis?
    answers: AtomicBool,
    known: Ways<Known>,
    scripts: Scripts,
}

/// The standing of one provider as Redis last told it.
#[derive(Debug)]
struct Known {
    open: AtomicBool,
    /// When its rest ends, in milliseconds since `since`.
    rests_until_ms: AtomicI64,
    since: Monotonic,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inner({:?}, answers: {:?})", self.lines, self.answers)
    }
}

/// What is reported of a way.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Call(Call),
    /// A first attempt was made.
    First,
}

/// The questions.
#[derive(Debug)]
pub(super) struct Scripts {
    rate: Script,
    breaker: Script,
    budget: Script,
}

impl Scripts {
    /// `clock` sets `now_us`.
    pub fn new(clock: &str) -> Self {
        let script = |body: &str| Script::new(&format!("{clock}{body}"));
        Self {
            rate: script(include_str!("rate.lua")),
            breaker: script(include_str!("breaker.lua")),
            budget: script(include_str!("budget.lua")),
        }
    }

    pub fn rate(&self, key: &str, rate: Rate, wanted: usize) -> ScriptInvocation<'_> {
        let mut asked = self.rate.key(key);
        asked.arg(rate.interval_us).arg(rate.burst).arg(wanted);
        asked
    }

    pub fn budget(
        &self,
        key: &str,
        allowed: Allowance,
        firsts: u32,
        wanted: u32,
    ) -> ScriptInvocation<'_> {
        let mut asked = self.budget.key(key);
        asked.arg(allowed.percent).arg(allowed.floor).arg(firsts).arg(wanted);
        asked
    }

    pub fn breaker(&self, key: &str, ended: Tally, wanted: usize) -> ScriptInvocation<'_> {
        let mut asked = self.breaker.key(key);
        asked.arg(ended.answered).arg(ended.faults).arg(ended.unmade).arg(wanted);
        asked
    }
}

pub(super) fn granted((count, wait_us): (usize, i64)) -> Granted {
    Granted { count, wait: micros(wait_us) }
}

pub(super) fn standing((count, open, rests_ms): (usize, u8, i64)) -> (usize, Standing) {
    (count, Standing { open: open == 1, rests: millis(rests_ms) })
}

impl Shared {
    pub fn start(lines: Arc<Ways<Line>>, connect: Connect) -> Self {
        let known = |_: &Line| Known {
            open: AtomicBool::new(false),
            rests_until_ms: AtomicI64::new(0),
            since: Monotonic::now(),
        };
        let known = ChannelMap::from_fn(|channel| lines.get(channel).iter().map(known).collect());
        let inner = Arc::new(Inner {
            lines,
            connect,
            connection: tokio::sync::Mutex::new(None),
            away_until: Mutex::new(None),
            answers: AtomicBool::new(false),
            known,
            scripts: Scripts::new(SERVER_CLOCK),
        });
        let (ended, reports) = mpsc::channel(MAX_REPORTS);
        tokio::spawn(report(Arc::clone(&inner), reports));
        Self { inner, ended }
    }

    /// Grants messages by the shared rate; `None` while Redis is away.
    pub async fn take(&self, way: Way, rate: Rate, wanted: usize) -> Option<Granted> {
        let inner = &self.inner;
        let key = inner.key("rate", way)?;
        inner.ask(inner.scripts.rate(&key, rate, wanted)).await.map(granted)
    }

    /// Asks the shared breaker for calls; `None` while Redis is away.
    pub async fn ask(&self, way: Way, wanted: usize) -> Option<(usize, Standing)> {
        self.inner.breaker(way, Tally::default(), wanted).await
    }

    /// Has a call reported that ended.
    pub fn record(&self, way: Way, call: Call) {
        let _ = self.ended.try_send((way, Ended::Call(call)));
    }

    /// Has a first attempt reported.
    pub fn note_first(&self, way: Way) {
        let _ = self.ended.try_send((way, Ended::First));
    }

    /// Asks for retries; `None` while Redis is away.
    pub async fn retries(&self, way: Way, allowed: Allowance, wanted: u32) -> Option<u32> {
        self.inner.budget(way, allowed, 0, wanted).await
    }

    /// How it stood when Redis was last asked; `None` while it is away.
    pub fn standing(&self, way: Way) -> Option<Standing> {
        if !self.inner.answers.load(Ordering::Acquire) {
            return None;
        }
        at(&self.inner.known, way).map(Known::standing)
    }
}

impl Known {
    fn standing(&self) -> Standing {
        let rests_ms = self.rests_until_ms.load(Ordering::Acquire) - self.since_ms();
        Standing { open: self.open.load(Ordering::Acquire), rests: millis(rests_ms) }
    }

    fn learn(&self, standing: Standing) {
        let rests_ms = i64::try_from(standing.rests.as_millis()).unwrap_or(i64::MAX);
        self.rests_until_ms.store(self.since_ms() + rests_ms, Ordering::Release);
        self.open.store(standing.open, Ordering::Release);
    }

    fn since_ms(&self) -> i64 {
        i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl Inner {
    fn key(&self, what: &str, way: Way) -> Option<String> {
        let line = at(&self.lines, way)?;
        Some(format!("tidings:{what}:{}:{}", way.channel, line.provider))
    }

    async fn budget(&self, way: Way, allowed: Allowance, firsts: u32, wanted: u32) -> Option<u32> {
        let key = self.key("budget", way)?;
        self.ask(self.scripts.budget(&key, allowed, firsts, wanted)).await
    }

    async fn breaker(&self, way: Way, ended: Tally, wanted: usize) -> Option<(usize, Standing)> {
        let key = self.key("breaker", way)?;
        let answer = self.ask(self.scripts.breaker(&key, ended, wanted)).await;
        let (granted, told) = answer.map(standing)?;
        let (known, line) = (at(&self.known, way)?, at(&self.lines, way)?);
        if known.open.load(Ordering::Acquire) != told.open {
            show(way, line, told.open);
        }
        known.learn(told);
        self.answers.store(true, Ordering::Release);
        Some((granted, told))
    }

    /// One script, once; `None` when Redis does not answer it.
    async fn ask<T: FromRedisValue>(&self, asked: ScriptInvocation<'_>) -> Option<T> {
        if self
            .away_until
            .lock()
            .expect("no panic while held")
            .is_some_and(|until| Monotonic::now() < until)
        {
            return None;
        }
        let answer = timeout(ANSWER_WITHIN, async {
            let mut connection = self.connection().await?;
            asked.invoke_async(&mut connection).await
        });
        let failed = match answer.await {
            Ok(Ok(answer)) => {
                let away = self.away_until.lock().expect("no panic while held").take();
                if away.is_some() {
                    tracing::info!("rate limits and breakers are shared again");
                }
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", ANSWER_WITHIN.as_millis()),
        };
        self.connection.lock().await.take();
        self.answers.store(false, Ordering::Release);
        let again_at = Monotonic::now() + ASK_AGAIN_AFTER;
        let before = self.away_until.lock().expect("no panic while held").replace(again_at);
        if before.is_none() {
            tracing::warn!(
                error = failed,
                "Redis does not answer: until it does, rate limits hold per process and breakers see this process only"
            );
        }
        None
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let new = (self.connect)().await?;
        *connection = Some(new.clone());
        Ok(new)
    }
}

/// Reports calls that ended, all that gathered during the last report at once, and looks at
/// what others reported. Ends when nobody is left to report.
async fn report(inner: Arc<Inner>, mut ended: mpsc::Receiver<(Way, Ended)>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let first = tokio::select! {
            call = ended.recv() => match call {
                Some(call) => Some(call),
                None => return,
            },
            _ = look.tick() => None,
        };
        let mut tallies: BTreeMap<Way, Tally> = BTreeMap::new();
        let mut next = first;
        let mut firsts: BTreeMap<Way, u32> = BTreeMap::new();
        while let Some((way, ended_so)) = next {
            match ended_so {
                Ended::Call(call) => tallies.entry(way).or_default().add(call.tally()),
                Ended::First => *firsts.entry(way).or_default() += 1,
            }
            next = ended.try_recv().ok();
        }
        if first.is_none() {
            for (way, _) in all_ways(&inner.lines) {
                tallies.entry(way).or_default();
            }
        }
        for (way, count) in firsts {
            inner.budget(way, Allowance::default(), count, 0).await;
        }
        for (way, tally) in tallies {
            inner.breaker(way, tally, 0).await;
        }
    }
}
