//! How a provider is, and how quickly it may be spoken to: rate limits and circuit breakers.
//!
//! Two kinds behind one interface: in this process, or in a Redis that all worker processes
//! share. While that Redis is away each process goes by what it knows itself: a limit then
//! holds per process, and a breaker sees only the calls of its own process.

#[cfg(test)]
mod agreement;
mod breaker;
mod budget;
mod rate;
#[cfg(test)]
#[allow(dead_code, reason = "shared with the tests of the whole")]
#[path = "../../../tests/it/support/redis.rs"]
mod redis_server;
mod shared;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::time::Instant;
use crate::domain::{Channel, ChannelMap, Provider, Rest, Withdrawn};

use super::{SendError, Taken, Way};
use breaker::{Breaker, Tally};
use budget::Budget;
use rate::Granted;
use shared::Shared;

pub use breaker::Standing;
pub use budget::Allowance;
pub use rate::{Bucket, Rate};
pub use shared::Connect;

/// What a call says about the provider that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It gave a definite answer, be it a refusal of this one message.
    Answered,
    /// No answer, no connection, or it cannot serve anybody now.
    Fault,
    /// It was not called.
    NotMade,
}

impl Call {
    #[must_use]
    pub const fn of(result: &Result<Taken, SendError>) -> Self {
        match result {
            Ok(_)
            | Err(
                SendError::Refused { .. }
                | SendError::Deferred { .. }
                | SendError::MailboxFull { .. }
                | SendError::Unfit { .. }
                | SendError::Unwelcome { .. },
            ) => Self::Answered,
            Err(
                SendError::ProviderDown { .. }
                | SendError::Stuck { .. }
                | SendError::Unanswered { .. },
            ) => Self::Fault,
            Err(SendError::NotStarted { .. }) => Self::NotMade,
        }
    }

    const fn tally(self) -> Tally {
        match self {
            Self::Answered => Tally { answered: 1, faults: 0, unmade: 0 },
            Self::Fault => Tally { answered: 0, faults: 1, unmade: 0 },
            Self::NotMade => Tally { answered: 0, faults: 0, unmade: 1 },
        }
    }
}

/// How many messages may leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// All that were asked for.
    All,
    /// One, to see whether the provider is well again. Tell what became of it, also when it
    /// was not sent after all.
    Probe,
    /// The rate allows these; the next one after `wait`, and each after that an `interval`
    /// later.
    Some { count: usize, wait: Duration, interval: Duration },
    /// None: the provider rests for about so long.
    Rests { wait: Duration },
}

/// A provider of a channel and its limit.
#[derive(Debug, Clone)]
pub struct Line {
    pub provider: Provider,
    /// `None`: as quickly as it takes them.
    pub rate: Option<Rate>,
    /// Its share among several, as the settings have it.
    pub weight: u32,
}

/// One value for each provider of each channel.
type Ways<T> = ChannelMap<Vec<T>>;

/// The health of all providers.
#[derive(Debug)]
pub struct Health {
    lines: Arc<Ways<Line>>,
    own: Ways<Own>,
    shared: Option<Shared>,
    drained: ChannelMap<AtomicBool>,
    withdrawn: Mutex<ChannelMap<Option<Withdrawn>>>,
    retries: Allowance,
}

/// How long what waits for a stopped channel is left alone before it is looked at again; it
/// is brought forward when the channel goes on.
pub const DRAIN_LOOK: TimeDelta = TimeDelta::minutes(10);

/// What this process knows by itself.
#[derive(Debug, Default)]
struct Own {
    bucket: Mutex<Bucket>,
    breaker: Mutex<Breaker>,
    budget: Mutex<Budget>,
    shown_open: AtomicBool,
    drained: AtomicBool,
    /// Its share now.
    weight: AtomicU32,
}

/// One value of each way there is, or `None`.
fn at<T>(values: &Ways<T>, way: Way) -> Option<&T> {
    values.get(way.channel).get(way.place)
}

/// A channel, or a provider of it by its name, that an operator lets go on.
pub type Resumed = (Channel, Option<String>);

/// All providers of all channels.
fn all_ways<T>(values: &Ways<T>) -> impl Iterator<Item = (Way, &T)> {
    Channel::ALL.into_iter().flat_map(|channel| {
        let each = values.get(channel).iter().enumerate();
        each.map(move |(place, value)| (Way { channel, place }, value))
    })
}

impl Health {
    /// Health as this process sees it.
    #[must_use]
    pub fn in_process(lines: ChannelMap<Vec<Line>>) -> Self {
        Self::with(Arc::new(lines), None)
    }

    /// Health that all processes share which `connect` to the same Redis. Nothing is
    /// connected yet; a task of its own reports calls until the value is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn shared(lines: ChannelMap<Vec<Line>>, connect: Connect) -> Self {
        let lines = Arc::new(lines);
        let shared = Shared::start(Arc::clone(&lines), connect);
        Self::with(lines, Some(shared))
    }

    fn with(lines: Arc<Ways<Line>>, shared: Option<Shared>) -> Self {
        for (way, line) in all_ways(&lines) {
            show(way, line, false);
        }
        let own = |line: &Line| Own { weight: AtomicU32::new(line.weight), ..Own::default() };
        let own = ChannelMap::from_fn(|channel| lines.get(channel).iter().map(own).collect());
        Self {
            lines,
            own,
            shared,
            drained: ChannelMap::default(),
            withdrawn: Mutex::default(),
            retries: Allowance::default(),
        }
    }

    /// The same, with this many retries allowed.
    #[must_use]
    pub fn allowing(self, retries: Allowance) -> Self {
        Self { retries, ..self }
    }

    /// Takes note that a first attempt was made, which allows for some retries.
    pub fn note_first(&self, way: Way, now: Instant) {
        if let Some(shared) = &self.shared {
            shared.note_first(way);
        }
        if let Some(own) = at(&self.own, way) {
            let mut budget = own.budget.lock().expect("no panic while held");
            budget.take(self.retries, 1, 0, now.timestamp_millis());
        }
    }

    /// How many of `wanted` retries this provider gets now.
    pub async fn may_retry(&self, way: Way, wanted: usize, now: Instant) -> usize {
        let asked = u32::try_from(wanted).unwrap_or(u32::MAX);
        let shared = match &self.shared {
            Some(shared) => shared.retries(way, self.retries, asked).await,
            None => None,
        };
        let granted = shared.unwrap_or_else(|| {
            at(&self.own, way).map_or(asked, |own| {
                let mut budget = own.budget.lock().expect("no panic while held");
                budget.take(self.retries, 0, asked, now.timestamp_millis())
            })
        });
        usize::try_from(granted).unwrap_or(wanted)
    }

    /// Channels that deliver too little now.
    #[must_use]
    pub fn withdrawn(&self) -> ChannelMap<Option<Withdrawn>> {
        *self.withdrawn.lock().expect("no panic while held")
    }

    /// Takes note of the channels that deliver too little.
    pub fn set_withdrawn(&self, withdrawn: ChannelMap<Option<Withdrawn>>) {
        for channel in Channel::ALL {
            if !self.lines.get(channel).is_empty() {
                let is = withdrawn.get(channel).is_some();
                metrics::gauge!("tidings_channel_withdrawn", "channel" => channel.as_str())
                    .set(if is { 1.0 } else { 0.0 });
            }
        }
        *self.withdrawn.lock().expect("no panic while held") = withdrawn;
    }

    /// May `wanted` messages leave by this provider at `now`? What is admitted is counted as
    /// leaving.
    pub async fn admit(&self, way: Way, wanted: usize, now: Instant) -> Admission {
        let (Some(line), Some(own)) = (self.line(way), at(&self.own, way)) else {
            return Admission::All;
        };
        if self.is_drained(way) {
            return Admission::Rests { wait: Duration::ZERO };
        }
        if self.standing(way, now).open {
            return self.admit_probe(way, (line, own), wanted, now).await;
        }
        let Some(rate) = line.rate else { return Admission::All };
        let Granted { count, wait } = self.take((way, own), rate, wanted, now).await;
        if count == wanted {
            Admission::All
        } else {
            Admission::Some { count, wait, interval: rate.interval() }
        }
    }

    /// The door is closed, or one may try it.
    async fn admit_probe(
        &self,
        way: Way,
        (line, own): (&Line, &Own),
        wanted: usize,
        now: Instant,
    ) -> Admission {
        let asked = match &self.shared {
            Some(shared) => shared.ask(way, wanted).await,
            None => None,
        };
        let (granted, standing) = asked.unwrap_or_else(|| {
            let mut breaker = own.breaker.lock().expect("no panic while held");
            breaker.ask(wanted, now.timestamp_millis())
        });
        if granted == 0 {
            return Admission::Rests { wait: standing.rests };
        }
        let Some(rate) = line.rate else { return Admission::Probe };
        let taken = self.take((way, own), rate, 1, now).await;
        if taken.count == 0 {
            self.record(way, Call::NotMade, now);
            return Admission::Some { count: 0, wait: taken.wait, interval: rate.interval() };
        }
        Admission::Probe
    }

    async fn take(
        &self,
        (way, own): (Way, &Own),
        rate: Rate,
        wanted: usize,
        now: Instant,
    ) -> Granted {
        if let Some(shared) = &self.shared
            && let Some(granted) = shared.take(way, rate, wanted).await
        {
            return granted;
        }
        let mut bucket = own.bucket.lock().expect("no panic while held");
        bucket.take(rate, wanted, now.timestamp_micros())
    }

    /// Takes note of how a call ended. A way that nobody offers has nothing to note.
    pub fn record(&self, way: Way, call: Call, now: Instant) {
        let (Some(line), Some(own)) = (self.line(way), at(&self.own, way)) else { return };
        if let Some(shared) = &self.shared {
            shared.record(way, call);
        }
        let standing = {
            let mut breaker = own.breaker.lock().expect("no panic while held");
            breaker.record(call.tally(), now.timestamp_millis())
        };
        if self.shared.is_none()
            && own.shown_open.swap(standing.open, Ordering::AcqRel) != standing.open
        {
            show(way, line, standing.open);
        }
    }

    /// Until when each provider is left alone, and why.
    #[must_use]
    pub fn rests(&self, now: Instant) -> ChannelMap<Vec<Option<Rest>>> {
        let rest = |way: Way| {
            if self.is_drained(way) {
                return Some(Rest::Drained { until: now + DRAIN_LOOK });
            }
            let rests = self.standing(way, now).rests;
            let until = now + TimeDelta::from_std(rests).unwrap_or_default();
            (!rests.is_zero()).then_some(Rest::Failing { until })
        };
        ChannelMap::from_fn(|channel| {
            let places = 0..self.lines.get(channel).len();
            places.map(|place| rest(Way { channel, place })).collect()
        })
    }

    /// Takes note of what operators have stopped: a whole channel (`None`), or one provider of
    /// it by its name. Answers those that go on now.
    pub fn set_drained(&self, is_stopped: impl Fn(Channel, Option<&str>) -> bool) -> Vec<Resumed> {
        let mut going_on = Vec::new();
        let mut set = |channel: Channel, provider: Option<&str>, known: &AtomicBool| {
            let stop = is_stopped(channel, provider);
            if known.swap(stop, Ordering::AcqRel) != stop {
                let (name, channel_name) = (provider.unwrap_or("all"), channel.as_str());
                tracing::warn!(
                    channel = channel_name,
                    provider = name,
                    stop,
                    "an operator stopped a channel or a provider, or let it go on"
                );
                if !stop {
                    going_on.push((channel, provider.map(str::to_owned)));
                }
            }
        };
        for channel in Channel::ALL {
            set(channel, None, self.drained.get(channel));
        }
        for (way, line) in all_ways(&self.lines) {
            if let Some(own) = at(&self.own, way) {
                set(way.channel, Some(line.provider.name()), &own.drained);
            }
        }
        going_on
    }

    /// Has an operator stopped this provider, or its whole channel?
    #[must_use]
    pub fn is_drained(&self, way: Way) -> bool {
        let own = at(&self.own, way);
        self.drained.get(way.channel).load(Ordering::Acquire)
            || own.is_some_and(|own| own.drained.load(Ordering::Acquire))
    }

    /// The providers of a channel with their limits; none where it is not offered.
    #[must_use]
    pub fn lines(&self, channel: Channel) -> &[Line] {
        self.lines.get(channel)
    }

    fn line(&self, way: Way) -> Option<&Line> {
        at(&self.lines, way)
    }

    /// The shares of a channel's providers now.
    #[must_use]
    pub fn weights(&self, channel: Channel) -> Vec<u32> {
        self.own.get(channel).iter().map(|own| own.weight.load(Ordering::Acquire)).collect()
    }

    /// Takes note of the shares of a channel's providers, as far as they are as many.
    pub fn set_weights(&self, channel: Channel, weights: &[u32]) {
        let own = self.own.get(channel);
        if own.len() != weights.len() {
            return;
        }
        for ((own, line), weight) in own.iter().zip(self.lines.get(channel)).zip(weights) {
            own.weight.store(*weight, Ordering::Release);
            show_weight(channel, line, *weight);
        }
    }

    /// How it stands with a provider, from memory.
    #[must_use]
    pub fn standing(&self, way: Way, now: Instant) -> Standing {
        let known = self.shared.as_ref().and_then(|shared| shared.standing(way));
        known.unwrap_or_else(|| {
            at(&self.own, way).map_or_else(Standing::default, |own| {
                let breaker = own.breaker.lock().expect("no panic while held");
                breaker.standing(now.timestamp_millis())
            })
        })
    }
}

/// Shows an operator whether a provider's breaker is open.
fn show(way: Way, line: &Line, open: bool) {
    let channel = way.channel.as_str();
    if open {
        let provider = line.provider.name();
        tracing::warn!(channel, provider, "the provider rests after too many failures");
    }
    metrics::gauge!("tidings_breaker_open", "channel" => channel, "provider" => line.provider.label())
        .set(if open { 1.0 } else { 0.0 });
}

/// Shows an operator what share a provider has.
fn show_weight(channel: Channel, line: &Line, weight: u32) {
    metrics::gauge!("tidings_provider_weight", "channel" => channel.as_str(), "provider" => line.provider.label())
        .set(f64::from(weight));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::AddressFault;
    use crate::domain::time::parse_instant;

    const SMS: Way = Way::first(Channel::Sms);
    const SECOND: Way = Way { channel: Channel::Sms, place: 1 };
    const EMAIL: Way = Way::first(Channel::Email);

    fn line(rate: Option<Rate>) -> ChannelMap<Vec<Line>> {
        let line = Line { provider: "carrier".into(), rate, weight: 100 };
        ChannelMap { sms: vec![line], ..ChannelMap::default() }
    }

    /// Two providers for text messages.
    fn two() -> ChannelMap<Vec<Line>> {
        let line = |name| Line { provider: Provider::new(Some(name), "k"), rate: None, weight: 50 };
        ChannelMap { sms: vec![line("a"), line("b")], ..ChannelMap::default() }
    }

    fn t0() -> Instant {
        parse_instant("2026-11-23T10:00:00Z").expect("an instant")
    }

    #[tokio::test]
    async fn a_channel_without_a_limit_admits_everything_while_its_provider_is_well() {
        let health = Health::in_process(line(None));
        assert_eq!(health.admit(SMS, 5_000, t0()).await, Admission::All);
        assert_eq!(health.admit(EMAIL, 5_000, t0()).await, Admission::All);
    }

    #[tokio::test]
    async fn a_limit_admits_a_burst_and_says_when_the_next_may_leave() {
        let health = Health::in_process(line(Rate::new(10.0, 4)));
        let hundred_ms = Duration::from_millis(100);
        let some = Admission::Some { count: 4, wait: hundred_ms, interval: hundred_ms };
        assert_eq!(health.admit(SMS, 6, t0()).await, some);
    }

    #[tokio::test]
    async fn a_provider_that_fails_rests_and_one_probe_decides() {
        let health = Health::in_process(line(Rate::new(0.1, 1)));
        for _ in 0..20 {
            health.record(SMS, Call::Fault, t0());
        }
        let until = t0() + TimeDelta::seconds(10);
        assert_eq!(health.rests(t0()).sms[0], Some(Rest::Failing { until }));
        assert!(health.rests(t0()).email.is_empty());
        let wait = Duration::from_secs(10);
        assert_eq!(health.admit(SMS, 9, t0()).await, Admission::Rests { wait });
        assert_eq!(health.admit(SMS, 9, until).await, Admission::Probe);
        assert!(matches!(health.admit(SMS, 9, until).await, Admission::Rests { .. }));
        health.record(SMS, Call::NotMade, until);
        let held = health.admit(SMS, 9, until).await;
        assert!(matches!(held, Admission::Some { count: 0, .. }), "a probe keeps to the rate");
        let later = until + TimeDelta::seconds(10);
        assert_eq!(health.admit(SMS, 9, later).await, Admission::Probe, "not lost by it");
        health.record(SMS, Call::Answered, later);
        assert_eq!(health.rests(later).sms[0], None);
    }

    #[tokio::test]
    async fn a_channel_that_is_stopped_admits_nothing_and_goes_on_as_it_was() {
        let health = Health::in_process(line(None));
        assert_eq!(health.set_drained(|channel, name| (channel, name) == (Channel::Sms, None)), []);
        let wait = Duration::ZERO;
        assert_eq!(health.admit(SMS, 9, t0()).await, Admission::Rests { wait });
        let until = t0() + DRAIN_LOOK;
        assert_eq!(health.rests(t0()).sms[0], Some(Rest::Drained { until }));
        assert_eq!(health.set_drained(|_, _| false), [(Channel::Sms, None)]);
        assert_eq!(health.admit(SMS, 9, t0()).await, Admission::All);
        assert_eq!(health.rests(t0()).sms[0], None);
    }

    #[tokio::test]
    async fn one_provider_that_fails_or_is_stopped_keeps_no_other_from_sending() {
        let health = Health::in_process(two());
        for _ in 0..20 {
            health.record(SMS, Call::Fault, t0());
        }
        assert!(matches!(health.admit(SMS, 9, t0()).await, Admission::Rests { .. }));
        assert_eq!(health.admit(SECOND, 9, t0()).await, Admission::All);
        health.set_drained(|channel, name| (channel, name) == (Channel::Sms, Some("b")));
        assert!(matches!(health.admit(SECOND, 9, t0()).await, Admission::Rests { .. }));
        let rests = health.rests(t0()).sms;
        assert!(matches!(rests[..], [Some(Rest::Failing { .. }), Some(Rest::Drained { .. })]));
        assert_eq!(health.set_drained(|_, _| false), [(Channel::Sms, Some("b".into()))]);
        assert_eq!(health.admit(SECOND, 9, t0()).await, Admission::All);
    }

    #[test]
    fn a_refusal_of_one_address_says_nothing_against_the_provider() {
        let reason = String::new;
        let refused =
            Err(SendError::Refused { reason: reason(), address: Some(AddressFault::Unusable) });
        assert_eq!(Call::of(&refused), Call::Answered);
        let greylisted = Err(SendError::Deferred { reason: reason(), retry_after: None });
        assert_eq!(Call::of(&greylisted), Call::Answered);
        let down = Err(SendError::ProviderDown { reason: reason(), retry_after: None });
        assert_eq!(Call::of(&down), Call::Fault);
        assert_eq!(Call::of(&Err(SendError::Unanswered { reason: reason() })), Call::Fault);
        assert_eq!(Call::of(&Err(SendError::NotStarted { reason: reason() })), Call::NotMade);
    }
}
