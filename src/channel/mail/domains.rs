//! How mail to one recipient domain is paced: a rate and a number of connections of its own, a
//! pace that drops when the domain says we come too fast, and a rest after it said that we are
//! not wanted. A relay that does not let us in rests too, for every domain.
//!
//! Each process keeps its own account; only the settings are shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::channel::health::{Bucket, Rate};
use crate::channel::{Gate, Pacing};
use crate::domain::time::Instant;

use super::reply::Class;

/// What the settings say of one domain.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DomainLimit {
    /// Messages a second; 0 for no limit.
    pub rate_per_s: f64,
    /// At once; 0 for as many as the channel has.
    pub max_connections: usize,
}

/// What the settings say of domains.
#[derive(Debug, Clone, Default)]
pub struct DomainLimits {
    /// At once to a domain that is not named; 0 for as many as the channel has.
    pub max_connections: usize,
    pub named: HashMap<String, DomainLimit>,
    /// Another relay takes what one does not let in: none rests for its credentials alone.
    pub several_relays: bool,
}

/// More domains than this are not kept in mind at once.
const MAX_KNOWN: usize = 10_000;

/// The pace a domain falls to that says we come too fast and had no limit, and the slowest.
const FIRST_SLOW_PER_S: f64 = 1.0;
const SLOWEST_PER_S: f64 = 1.0 / 60.0;

/// Replies of one burst slow a domain once; a domain that is content for so long gets twice
/// the pace again.
const ONE_STEP: TimeDelta = TimeDelta::seconds(10);
const CONTENT_FOR: TimeDelta = TimeDelta::minutes(5);

/// The first rest after "not wanted", and the longest; each that follows a failed try is twice
/// as long. How long one try has before another may be made.
const FIRST_REST: TimeDelta = TimeDelta::minutes(15);
const LONGEST_REST: TimeDelta = TimeDelta::hours(4);
const TRY: TimeDelta = TimeDelta::minutes(1);

/// The name under which the relay itself rests. No domain is empty.
const RELAY: &str = "";

#[derive(Debug)]
pub struct Domains {
    limits: DomainLimits,
    known: Mutex<HashMap<String, Domain>>,
}

#[derive(Debug, Default)]
struct Domain {
    bucket: Bucket,
    slow: Option<Slow>,
    rest: Option<Resting>,
    places: Option<Arc<Semaphore>>,
}

/// A domain that said we come too fast.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slow {
    per_s: f64,
    since: Instant,
}

/// A domain that said we are not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resting {
    until: Instant,
    length: TimeDelta,
    /// One message was let through to see.
    trying: bool,
}

impl Slow {
    /// After one more word that we come too fast, when `limit` is what the settings allow.
    fn after(known: Option<Self>, limit: f64, now: Instant) -> Self {
        match known.map(|slow| slow.at(now)) {
            Some(slow) if now - slow.since < ONE_STEP => slow,
            Some(slow) => Self { per_s: (slow.per_s / 2.0).max(SLOWEST_PER_S), since: now },
            None => {
                let half = if limit > 0.0 { limit / 2.0 } else { FIRST_SLOW_PER_S };
                Self { per_s: half.clamp(SLOWEST_PER_S, FIRST_SLOW_PER_S), since: now }
            }
        }
    }

    /// The pace at `now`: doubled for every stretch without such a word.
    fn at(self, now: Instant) -> Self {
        let stretches = (now - self.since).num_seconds() / CONTENT_FOR.num_seconds();
        let doublings = i32::try_from(stretches.clamp(0, 20)).unwrap_or(20);
        Self { per_s: self.per_s * 2_f64.powi(doublings), since: self.since }
    }

    /// Beyond this a domain is as quick as the others again.
    fn is_over(self, now: Instant) -> bool {
        self.at(now).per_s > FIRST_SLOW_PER_S * 8.0
    }
}

impl Resting {
    fn after(known: Option<Self>, now: Instant) -> Self {
        let length = match known {
            // A word about a message that left before the rest began.
            Some(rest) if !rest.trying => return rest,
            Some(rest) => (rest.length * 2).min(LONGEST_REST),
            None => FIRST_REST,
        };
        Self { until: now + length, length, trying: false }
    }
}

impl Domains {
    #[must_use]
    pub fn new(limits: DomainLimits) -> Self {
        Self { limits, known: Mutex::default() }
    }

    /// May a message to this domain start at `now`? One that may counts against the rate.
    pub fn gate(&self, domain: &str, now: Instant) -> Gate {
        let mut known = self.lock();
        if let Some(closed) = known.get_mut(RELAY).and_then(|relay| relay.try_at(RELAY, now)) {
            return closed;
        }
        let limit = self.limit(domain);
        if !known.contains_key(domain) {
            if limit.rate_per_s <= 0.0 {
                return Gate::Open;
            }
            Self::make_room(&mut known, now);
        }
        let state = known.entry(domain.to_owned()).or_default();
        if let Some(closed) = state.try_at(domain, now) {
            return closed;
        }
        let slow = state.slow.filter(|slow| !slow.is_over(now)).map(|slow| slow.at(now).per_s);
        let per_s = match (slow, limit.rate_per_s) {
            (Some(slow), limit) if limit > 0.0 => slow.min(limit),
            (Some(slow), _) => slow,
            (None, limit) => limit,
        };
        // One at a time: a burst is what such a domain complains about.
        let Some(rate) = Rate::new(per_s, 1) else { return Gate::Open };
        let granted = state.bucket.take(rate, 1, now.timestamp_micros());
        if granted.count == 1 {
            return Gate::Open;
        }
        let (wait, interval) = (granted.wait, rate.interval());
        Gate::Paced(Pacing { by: domain.to_owned(), wait, interval })
    }

    /// Waits for one of the domain's connections; `None` within `patience` when all are busy.
    pub async fn place(&self, domain: &str, patience: Duration, now: Instant) -> Option<Place> {
        let limit = self.limit(domain).max_connections;
        if limit == 0 {
            return Some(Place { _permit: None });
        }
        let places = {
            let mut known = self.lock();
            if !known.contains_key(domain) {
                Self::make_room(&mut known, now);
            }
            let state = known.entry(domain.to_owned()).or_default();
            Arc::clone(state.places.get_or_insert_with(|| Arc::new(Semaphore::new(limit))))
        };
        let permit = tokio::time::timeout(patience, places.acquire_owned()).await.ok()?.ok()?;
        Some(Place { _permit: Some(permit) })
    }

    /// Takes note of how a hand-over to a domain ended: what the server's no meant, if it was
    /// one.
    pub fn note(&self, domain: &str, said: Option<Class>, now: Instant) {
        if said == Some(Class::Credentials) && self.limits.several_relays {
            return;
        }
        let mut known = self.lock();
        let about = if said == Some(Class::Credentials) { RELAY } else { domain };
        match said {
            Some(Class::Slow | Class::Reputation | Class::Credentials) => {
                Self::make_room(&mut known, now);
                let limit = self.limit(about).rate_per_s;
                let state = known.entry(about.to_owned()).or_default();
                if said == Some(Class::Slow) {
                    state.slow = Some(Slow::after(state.slow, limit, now));
                    metrics::counter!("tidings_mail_domain_slowed_total").increment(1);
                } else {
                    state.rest = Some(Resting::after(state.rest, now));
                    metrics::counter!("tidings_mail_domain_rests_total").increment(1);
                    tracing::warn!(about, "mail rests, refused there; an empty name is our relay");
                }
            }
            _ => {
                for name in [domain, RELAY] {
                    if let Some(state) = known.get_mut(name) {
                        state.rest = None;
                    }
                }
            }
        }
    }

    fn limit(&self, domain: &str) -> DomainLimit {
        let others = DomainLimit { rate_per_s: 0.0, max_connections: self.limits.max_connections };
        let Some(named) = self.limits.named.get(domain) else { return others };
        let max_connections =
            if named.max_connections == 0 { others.max_connections } else { named.max_connections };
        DomainLimit { max_connections, ..*named }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Domain>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets domains of which there is nothing to be known.
    fn make_room(known: &mut HashMap<String, Domain>, now: Instant) {
        if known.len() >= MAX_KNOWN {
            known.retain(|_, state| {
                let busy =
                    state.places.as_ref().is_some_and(|places| Arc::strong_count(places) > 1);
                busy || state.rest.is_some() || state.slow.is_some_and(|slow| !slow.is_over(now))
            });
        }
    }
}

impl Domain {
    /// Closed while it rests; at the end of a rest one message may try.
    fn try_at(&mut self, name: &str, now: Instant) -> Option<Gate> {
        let rest = self.rest.as_mut()?;
        if now < rest.until {
            return Some(Gate::Closed { until: rest.until, of: name.to_owned() });
        }
        rest.until = now + TRY;
        rest.trying = true;
        None
    }
}

/// One of a domain's connections, while it is used.
#[derive(Debug)]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    fn t0() -> Instant {
        parse_instant("2026-11-23T10:00:00Z").expect("an instant")
    }

    fn limited(rate_per_s: f64, max_connections: usize) -> Domains {
        let limit = DomainLimit { rate_per_s, max_connections };
        let named = HashMap::from([("slow.example".to_owned(), limit)]);
        Domains::new(DomainLimits { named, ..DomainLimits::default() })
    }

    #[test]
    fn a_named_domain_keeps_to_its_rate_and_the_others_are_free() {
        let domains = limited(2.0, 0);
        assert_eq!(domains.gate("slow.example", t0()), Gate::Open);
        let Gate::Paced(pacing) = domains.gate("slow.example", t0()) else { panic!("too fast") };
        assert_eq!(pacing.wait, Duration::from_millis(500));
        assert_eq!(domains.gate("other.example", t0()), Gate::Open);
        let later = t0() + TimeDelta::milliseconds(500);
        assert_eq!(domains.gate("slow.example", later), Gate::Open);
    }

    #[test]
    fn a_domain_that_says_too_fast_is_slowed_alone_and_recovers() {
        let domains = limited(0.0, 0);
        domains.note("busy.example", Some(Class::Slow), t0());
        domains.note("busy.example", Some(Class::Slow), t0());
        assert_eq!(domains.gate("busy.example", t0()), Gate::Open);
        let Gate::Paced(pacing) = domains.gate("busy.example", t0()) else { panic!("too fast") };
        assert_eq!(pacing.interval, Duration::from_secs(1), "one burst is one word");
        assert_eq!(domains.gate("other.example", t0()), Gate::Open);
        let again = t0() + TimeDelta::seconds(11);
        domains.note("busy.example", Some(Class::Slow), again);
        domains.gate("busy.example", again);
        let Gate::Paced(pacing) = domains.gate("busy.example", again) else { panic!("too fast") };
        assert_eq!(pacing.interval, Duration::from_secs(2));
        let hour = t0() + TimeDelta::hours(1);
        assert_eq!(domains.gate("busy.example", hour), Gate::Open);
        assert_eq!(domains.gate("busy.example", hour), Gate::Open, "as quick as before");
    }

    #[test]
    fn a_domain_that_does_not_want_us_rests_and_one_try_decides() {
        let domains = limited(0.0, 0);
        domains.note("gmail.example", Some(Class::Reputation), t0());
        let until = t0() + FIRST_REST;
        let closed = |until| Gate::Closed { until, of: "gmail.example".into() };
        assert_eq!(domains.gate("gmail.example", t0()), closed(until));
        assert_eq!(domains.gate("other.example", t0()), Gate::Open, "the others go on");
        assert_eq!(domains.gate("gmail.example", until), Gate::Open, "one may try");
        assert_eq!(domains.gate("gmail.example", until), closed(until + TRY));
        // The message that tries was decided a moment before it was let through.
        let tried = until - TimeDelta::milliseconds(5);
        domains.note("gmail.example", Some(Class::Reputation), tried);
        let longer = tried + FIRST_REST * 2;
        assert_eq!(domains.gate("gmail.example", until + TRY), closed(longer), "twice as long");
        assert_eq!(domains.gate("gmail.example", longer), Gate::Open);
        domains.note("gmail.example", Some(Class::BadAddress), longer);
        assert_eq!(domains.gate("gmail.example", longer), Gate::Open, "it speaks to us again");
        assert_eq!(domains.gate("gmail.example", longer), Gate::Open);
    }

    #[test]
    fn a_relay_that_does_not_let_us_in_rests_for_everybody() {
        let domains = limited(0.0, 0);
        domains.note("a.example", Some(Class::Credentials), t0());
        assert!(matches!(domains.gate("b.example", t0()), Gate::Closed { .. }));
        domains.note("b.example", None, t0() + FIRST_REST);
        assert_eq!(domains.gate("a.example", t0() + FIRST_REST), Gate::Open);
    }

    #[test]
    fn a_word_about_what_left_before_a_rest_began_makes_it_no_longer() {
        let domains = limited(0.0, 0);
        domains.note("gmail.example", Some(Class::Reputation), t0());
        domains.note("gmail.example", Some(Class::Reputation), t0() + TimeDelta::minutes(5));
        let closed = Gate::Closed { until: t0() + FIRST_REST, of: "gmail.example".into() };
        assert_eq!(domains.gate("gmail.example", t0() + TimeDelta::minutes(6)), closed);
    }

    #[test]
    fn one_of_several_relays_that_does_not_let_us_in_holds_nothing_back() {
        let limits = DomainLimits { several_relays: true, ..DomainLimits::default() };
        let domains = Domains::new(limits);
        domains.note("a.example", Some(Class::Credentials), t0());
        assert_eq!(domains.gate("a.example", t0()), Gate::Open, "the next relay takes it");
    }

    #[tokio::test]
    async fn a_domain_has_so_many_connections_and_no_more() {
        let domains = limited(0.0, 2);
        let soon = Duration::from_millis(1);
        let first = domains.place("slow.example", soon, t0()).await.expect("free");
        let _second = domains.place("slow.example", soon, t0()).await.expect("free");
        assert!(domains.place("slow.example", soon, t0()).await.is_none(), "both are busy");
        assert!(domains.place("other.example", soon, t0()).await.is_some());
        drop(first);
        assert!(domains.place("slow.example", soon, t0()).await.is_some());
    }
}
