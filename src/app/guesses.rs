//! How many wrong links and codes one client may try: a burst, then one every other second. A
//! client that is right is never counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use crate::channel::health::{Bucket, Rate};
use crate::domain::time::Instant;

/// Wrong tries at once, and how many a second after that.
const BURST: u32 = 30;
const PER_S: f64 = 0.5;

/// Clients that are remembered; beyond them those who have long been quiet are forgotten.
const MAX_CLIENTS: usize = 20_000;

/// The tries of each of many, of late. Whoever is beyond the bound shares one place.
#[derive(Debug)]
pub struct Tries<K> {
    of: Mutex<HashMap<Option<K>, Bucket>>,
    rate: Rate,
    burst: u32,
}

/// The wrong tries of each client of late.
#[derive(Debug)]
pub struct Guesses {
    clients: Tries<IpAddr>,
}

/// Whom an address stands for: a house with IPv6 has a network of its own (RFC 6177).
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl<K: Eq + Hash> Tries<K> {
    /// So many at once, and so many a second after that.
    ///
    /// # Panics
    /// When that is no limit.
    #[must_use]
    pub fn new(per_s: f64, burst: u32) -> Self {
        let rate = Rate::new(per_s, burst).expect("a limit");
        Self { of: Mutex::default(), rate, burst }
    }

    /// How long one must wait before they may try again; `None`: not at all.
    #[must_use]
    pub fn must_wait(&self, who: K, now: Instant) -> Option<Duration> {
        let tries = self.of.lock().expect("no panic while held");
        let mut bucket = *tries.get(&Some(who))?;
        let granted = bucket.take(self.rate, 1, now.timestamp_micros());
        (granted.count == 0).then_some(granted.wait)
    }

    /// Somebody tried.
    pub fn count(&self, who: K, now: Instant) {
        let now_us = now.timestamp_micros();
        let mut tries = self.of.lock().expect("no panic while held");
        if tries.len() >= MAX_CLIENTS {
            let all = usize::try_from(self.burst).unwrap_or(usize::MAX);
            tries.retain(|_, bucket| { *bucket }.take(self.rate, all, now_us).count < all);
        }
        // So many at once: whoever is not among them shares one place.
        let room = tries.len() < MAX_CLIENTS;
        let who = Some(who);
        let place = if room || tries.contains_key(&who) { who } else { None };
        tries.entry(place).or_default().take(self.rate, 1, now_us);
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self { clients: Tries::new(PER_S, BURST) }
    }
}

impl Guesses {
    /// How long a client must wait before it may try again; `None`: not at all.
    #[must_use]
    pub fn must_wait(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        self.clients.must_wait(client(from), now)
    }

    /// A client was wrong.
    pub fn count(&self, from: IpAddr, now: Instant) {
        self.clients.count(client(from), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    #[test]
    fn a_client_may_be_wrong_so_often_and_then_waits_while_others_do_not() {
        let guesses = Guesses::default();
        let now = parse_instant("2026-11-23T10:00:00Z").expect("an instant");
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for _ in 0..BURST {
            assert_eq!(guesses.must_wait(one, now), None);
            guesses.count(one, now);
        }
        assert_eq!(guesses.must_wait(one, now), Some(Duration::from_secs(2)));
        assert_eq!(guesses.must_wait(other, now), None);
        let later = now + chrono::TimeDelta::seconds(2);
        assert_eq!(guesses.must_wait(one, later), None);
    }

    #[test]
    fn one_house_is_one_client_and_memory_has_a_bound() {
        let house: [IpAddr; 2] = ["2001:db8::1", "2001:db8::ffff"].map(|a| a.parse().expect("one"));
        assert_eq!(client(house[0]), client(house[1]));
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().expect("an address");
        assert_eq!(client(mapped), "192.0.2.1".parse::<IpAddr>().expect("an address"));
        let guesses = Guesses::default();
        let now = parse_instant("2026-11-23T10:00:00Z").expect("an instant");
        for n in 0..=u32::try_from(MAX_CLIENTS).expect("small") + 5 {
            guesses.count(IpAddr::V4(n.into()), now);
        }
        assert!(guesses.clients.of.lock().expect("lock").len() <= MAX_CLIENTS + 1);
    }
}
