//! How a provider is, and how quickly it may be spoken to: rate limits and circuit breakers.
//!
//! Two kinds behind one interface: in this process, or in a Redis that all worker processes
//! share. While that Redis is away each process goes by what it knows itself: a limit then
//! holds per process, and a breaker sees only the calls of its own process.

#[cfg(test)]
mod agreement;
mod breaker;
mod rate;
#[cfg(test)]
#[allow(dead_code, reason = "shared with the tests of the whole")]
#[path = "../../../tests/it/support/redis.rs"]
mod redis_server;
mod shared;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::time::Instant;
use crate::domain::{Channel, ChannelMap, Rest};

use super::{SendError, Taken};
use breaker::{Breaker, Tally};
use rate::Granted;
use shared::Shared;

pub use breaker::Standing;
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
            Ok(_) | Err(SendError::Refused { .. } | SendError::Deferred { .. }) => Self::Answered,
            Err(SendError::ProviderDown { .. } | SendError::Unanswered { .. }) => Self::Fault,
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

/// The provider of a channel and its limit.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub provider: &'static str,
    /// `None`: as quickly as it takes them.
    pub rate: Option<Rate>,
}

/// The health of the providers of all channels.
#[derive(Debug)]
pub struct Health {
    lines: ChannelMap<Option<Line>>,
    own: ChannelMap<Own>,
    shared: Option<Shared>,
    drained: ChannelMap<AtomicBool>,
}

/// How long what waits for a stopped channel is left alone before it is looked at again; it
/// is brought forward when the channel goes on.
pub const DRAIN_LOOK: TimeDelta = TimeDelta::minutes(10);

/// What this process knows by itself.
#[derive(Debug, Default)]
struct Own {
    bucket: Mutex<Bucket>,
    breaker: Mutex<Breaker>,
    shown_open: AtomicBool,
}

impl Health {
    /// Health as this process sees it.
    #[must_use]
    pub fn in_process(lines: ChannelMap<Option<Line>>) -> Self {
        for channel in Channel::ALL {
            if lines.get(channel).is_some() {
                show(channel, false);
            }
        }
        let own = ChannelMap::from_fn(|_| Own::default());
        Self { lines, own, shared: None, drained: ChannelMap::default() }
    }

    /// Health that all processes share which `connect` to the same Redis. Nothing is
    /// connected yet; a task of its own reports calls until the value is dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn shared(lines: ChannelMap<Option<Line>>, connect: Connect) -> Self {
        let shared = Some(Shared::start(lines, connect));
        Self { shared, ..Self::in_process(lines) }
    }

    /// May `wanted` messages leave by this channel at `now`? What is admitted is counted as
    /// leaving.
    pub async fn admit(&self, channel: Channel, wanted: usize, now: Instant) -> Admission {
        let Some(line) = self.lines.get(channel) else { return Admission::All };
        if self.is_drained(channel) {
            return Admission::Rests { wait: Duration::ZERO };
        }
        if self.standing(channel, now).open {
            return self.admit_probe(channel, line, wanted, now).await;
        }
        let Some(rate) = line.rate else { return Admission::All };
        let Granted { count, wait } = self.take(channel, rate, wanted, now).await;
        if count == wanted {
            Admission::All
        } else {
            Admission::Some { count, wait, interval: rate.interval() }
        }
    }

    /// The door is closed, or one may try it.
    async fn admit_probe(
        &self,
        channel: Channel,
        line: &Line,
        wanted: usize,
        now: Instant,
    ) -> Admission {
        let asked = match &self.shared {
            Some(shared) => shared.ask(channel, wanted).await,
            None => None,
        };
        let (granted, standing) = asked.unwrap_or_else(|| {
            let mut breaker = self.own.get(channel).breaker.lock().expect("no panic while held");
            breaker.ask(wanted, now.timestamp_millis())
        });
        if granted == 0 {
            return Admission::Rests { wait: standing.rests };
        }
        let Some(rate) = line.rate else { return Admission::Probe };
        let taken = self.take(channel, rate, 1, now).await;
        if taken.count == 0 {
            self.record(channel, Call::NotMade, now);
            return Admission::Some { count: 0, wait: taken.wait, interval: rate.interval() };
        }
        Admission::Probe
    }

    async fn take(&self, channel: Channel, rate: Rate, wanted: usize, now: Instant) -> Granted {
        if let Some(shared) = &self.shared
            && let Some(granted) = shared.take(channel, rate, wanted).await
        {
            return granted;
        }
        let mut bucket = self.own.get(channel).bucket.lock().expect("no panic while held");
        bucket.take(rate, wanted, now.timestamp_micros())
    }

    /// Takes note of how a call ended. A channel without a provider has none.
    pub fn record(&self, channel: Channel, call: Call, now: Instant) {
        if self.lines.get(channel).is_none() {
            return;
        }
        if let Some(shared) = &self.shared {
            shared.record(channel, call);
        }
        let own = self.own.get(channel);
        let standing = {
            let mut breaker = own.breaker.lock().expect("no panic while held");
            breaker.record(call.tally(), now.timestamp_millis())
        };
        if self.shared.is_none()
            && own.shown_open.swap(standing.open, Ordering::AcqRel) != standing.open
        {
            show(channel, standing.open);
        }
    }

    /// Until when each channel's provider is left alone, and why.
    #[must_use]
    pub fn rests(&self, now: Instant) -> ChannelMap<Option<Rest>> {
        ChannelMap::from_fn(|channel| {
            if self.is_drained(channel) {
                return Some(Rest::Drained { until: now + DRAIN_LOOK });
            }
            let rests = self.standing(channel, now).rests;
            let until = now + TimeDelta::from_std(rests).unwrap_or_default();
            (!rests.is_zero()).then_some(Rest::Failing { until })
        })
    }

    /// Takes note of which channels operators have stopped. Answers those that go on now.
    pub fn set_drained(&self, stopped: ChannelMap<bool>) -> Vec<Channel> {
        let changed = |channel: &Channel| {
            let stop = *stopped.get(*channel);
            let changed = self.drained.get(*channel).swap(stop, Ordering::AcqRel) != stop;
            if changed {
                let channel = channel.as_str();
                tracing::warn!(channel, stop, "an operator stopped a channel, or let it go on");
            }
            changed && !stop
        };
        Channel::ALL.into_iter().filter(changed).collect()
    }

    /// Has an operator stopped this channel?
    #[must_use]
    pub fn is_drained(&self, channel: Channel) -> bool {
        self.drained.get(channel).load(Ordering::Acquire)
    }

    /// The provider of a channel and its limit, where the channel is offered.
    #[must_use]
    pub const fn line(&self, channel: Channel) -> Option<Line> {
        *self.lines.get(channel)
    }

    /// How it stands with a channel's provider, from memory.
    #[must_use]
    pub fn standing(&self, channel: Channel, now: Instant) -> Standing {
        let known = self.shared.as_ref().and_then(|shared| shared.standing(channel));
        known.unwrap_or_else(|| {
            let breaker = self.own.get(channel).breaker.lock().expect("no panic while held");
            breaker.standing(now.timestamp_millis())
        })
    }
}

/// Shows an operator whether a channel's breaker is open.
fn show(channel: Channel, open: bool) {
    if open {
        tracing::warn!(channel = channel.as_str(), "the provider rests after too many failures");
    }
    metrics::gauge!("tidings_breaker_open", "channel" => channel.as_str()).set(if open {
        1.0
    } else {
        0.0
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::AddressFault;
    use crate::domain::time::parse_instant;

    fn line(rate: Option<Rate>) -> ChannelMap<Option<Line>> {
        let line = Line { provider: "carrier", rate };
        ChannelMap { sms: Some(line), ..ChannelMap::default() }
    }

    fn t0() -> Instant {
        parse_instant("2026-11-23T10:00:00Z").expect("an instant")
    }

    #[tokio::test]
    async fn a_channel_without_a_limit_admits_everything_while_its_provider_is_well() {
        let health = Health::in_process(line(None));
        assert_eq!(health.admit(Channel::Sms, 5_000, t0()).await, Admission::All);
        assert_eq!(health.admit(Channel::Email, 5_000, t0()).await, Admission::All);
    }

    #[tokio::test]
    async fn a_limit_admits_a_burst_and_says_when_the_next_may_leave() {
        let health = Health::in_process(line(Rate::new(10.0, 4)));
        let hundred_ms = Duration::from_millis(100);
        let some = Admission::Some { count: 4, wait: hundred_ms, interval: hundred_ms };
        assert_eq!(health.admit(Channel::Sms, 6, t0()).await, some);
    }

    #[tokio::test]
    async fn a_provider_that_fails_rests_and_one_probe_decides() {
        let health = Health::in_process(line(Rate::new(0.1, 1)));
        for _ in 0..20 {
            health.record(Channel::Sms, Call::Fault, t0());
        }
        let until = t0() + TimeDelta::seconds(10);
        assert_eq!(health.rests(t0()).sms, Some(Rest::Failing { until }));
        assert_eq!(health.rests(t0()).email, None, "the others are well");
        let wait = Duration::from_secs(10);
        assert_eq!(health.admit(Channel::Sms, 9, t0()).await, Admission::Rests { wait });
        assert_eq!(health.admit(Channel::Sms, 9, until).await, Admission::Probe);
        assert!(matches!(health.admit(Channel::Sms, 9, until).await, Admission::Rests { .. }));
        health.record(Channel::Sms, Call::NotMade, until);
        let held = health.admit(Channel::Sms, 9, until).await;
        assert!(matches!(held, Admission::Some { count: 0, .. }), "a probe keeps to the rate");
        let later = until + TimeDelta::seconds(10);
        assert_eq!(health.admit(Channel::Sms, 9, later).await, Admission::Probe, "not lost by it");
        health.record(Channel::Sms, Call::Answered, later);
        assert_eq!(health.rests(later).sms, None);
    }

    #[tokio::test]
    async fn a_channel_that_is_stopped_admits_nothing_and_goes_on_as_it_was() {
        let health = Health::in_process(line(None));
        let stopped = ChannelMap { sms: true, ..ChannelMap::default() };
        assert_eq!(health.set_drained(stopped), []);
        let wait = Duration::ZERO;
        assert_eq!(health.admit(Channel::Sms, 9, t0()).await, Admission::Rests { wait });
        let until = t0() + DRAIN_LOOK;
        assert_eq!(health.rests(t0()).sms, Some(Rest::Drained { until }));
        assert_eq!(health.set_drained(ChannelMap::default()), [Channel::Sms]);
        assert_eq!(health.admit(Channel::Sms, 9, t0()).await, Admission::All);
        assert_eq!(health.rests(t0()).sms, None);
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
