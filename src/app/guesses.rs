//! How many wrong links and codes one client may try: a burst, then one every other second. A
//! client that is right is never counted.

use std::collections::HashMap;
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

/// The wrong tries of each client of late.
#[derive(Debug, Default)]
pub struct Guesses {
    clients: Mutex<HashMap<IpAddr, Bucket>>,
}

fn rate() -> Rate {
    Rate::new(PER_S, BURST).expect("a limit")
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

impl Guesses {
    /// How long a client must wait before it may try again; `None`: not at all.
    #[must_use]
    pub fn must_wait(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let clients = self.clients.lock().expect("no panic while held");
        let mut bucket = *clients.get(&client(from))?;
        let granted = bucket.take(rate(), 1, now.timestamp_micros());
        (granted.count == 0).then_some(granted.wait)
    }

    /// A client was wrong.
    pub fn count(&self, from: IpAddr, now: Instant) {
        let (rate, now_us) = (rate(), now.timestamp_micros());
        let mut clients = self.clients.lock().expect("no panic while held");
        if clients.len() >= MAX_CLIENTS {
            let all = usize::try_from(BURST).unwrap_or(usize::MAX);
            clients.retain(|_, bucket| { *bucket }.take(rate, all, now_us).count < all);
        }
        // So many at once: whoever is not among them shares one place.
        let room = clients.len() < MAX_CLIENTS;
        let from = client(from);
        let place = if room || clients.contains_key(&from) { from } else { NOBODY };
        clients.entry(place).or_default().take(rate, 1, now_us);
    }
}

/// The place of those there is no room for.
const NOBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

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
        assert!(guesses.clients.lock().expect("lock").len() <= MAX_CLIENTS + 1);
    }
}
