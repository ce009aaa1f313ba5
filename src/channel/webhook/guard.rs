//! Where webhooks may go. The address that is connected to is the one that was looked at: names
//! are resolved here and nowhere else, so that a name that means something else a moment later
//! gains nothing.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How an address is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anybody's.
    Public,
    /// This machine, or a network of our own.
    Private,
    /// Nothing that answers webhooks: link-local (where clouds keep their credentials), groups,
    /// and what is reserved.
    Never,
}

/// Where one hook may go.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// A private address will do.
    pub allow_private: bool,
    /// Nothing hides what is said: only a private address will do.
    pub plain: bool,
}

impl Guard {
    /// # Errors
    /// Why nothing may go there.
    pub fn allows(self, address: IpAddr) -> Result<(), String> {
        match reach(address) {
            Reach::Public if self.plain => {
                Err(format!("{address} is public, and http:// hides nothing: use https://"))
            }
            Reach::Public => Ok(()),
            Reach::Private if self.allow_private => Ok(()),
            Reach::Private => {
                Err(format!("{address} is a private address; allow_private = true allows it"))
            }
            Reach::Never => Err(format!("{address} is no address a webhook may go to")),
        }
    }
}

/// How an address is reached (IANA special-purpose address registries for IPv4 and IPv6,
/// RFC 6890). An IPv6 address that carries an IPv4 one is as that is.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // RFC 1918; shared by carriers' customers, RFC 6598; this machine.
        [10 | 127, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => {
            Reach::Private
        }
        // "This network", link-local, protocol assignments, documentation, 6to4 relays,
        // benchmarks, groups and what is reserved.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Reach::Private,
        // Mapped (RFC 4291), compatible with IPv4 (the same, given up; `::` among them), translated (RFC 2765),
        // NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4 (RFC 3056).
        | [0x2002, high, low, ..] => carried(high, low),
        // Protocol assignments with Teredo, and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        // What is given out to be reached by anybody (RFC 4291, section 2.4).
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

/// Looks a name up.
pub type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;

type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// As this machine does.
#[must_use]
pub fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Resolves a name to the addresses a hook may go to.
#[derive(Clone)]
pub(super) struct GuardedNames {
    pub guard: Guard,
    pub lookup: Lookup,
}

/// Why a name led nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub String);

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, name) = (self.guard, name.as_str().to_owned());
        let looking = (self.lookup)(name.clone());
        Box::pin(async move {
            let found = looking.await?;
            let mut refused = None;
            let mut allowed = Vec::new();
            for address in found {
                match guard.allows(address) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(why) => refused = refused.or(Some(why)),
                }
            }
            if allowed.is_empty() {
                let why = refused.unwrap_or_else(|| "the name has no address".to_owned());
                return Err(Refused(format!("{name}: {why}")).into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_inner_address_is_known() {
        use Reach::{Never, Private, Public};
        for (text, expected) in [
            ("127.0.0.1", Private),
            ("127.255.255.254", Private),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("100.128.0.1", Public),
            ("0.0.0.0", Never),
            ("0.1.2.3", Never),
            ("169.254.169.254", Never),
            ("192.0.0.8", Never),
            ("192.0.2.1", Never),
            ("192.88.99.1", Never),
            ("198.18.0.1", Never),
            ("198.51.100.1", Never),
            ("203.0.113.9", Never),
            ("224.0.0.1", Never),
            ("240.0.0.1", Never),
            ("255.255.255.255", Never),
            ("1.1.1.1", Public),
            ("93.184.216.34", Public),
            ("::", Never),
            ("::1", Private),
            ("::ffff:127.0.0.1", Private),
            ("::ffff:169.254.169.254", Never),
            ("::ffff:1.1.1.1", Public),
            ("::127.0.0.1", Private),
            ("::ffff:0:10.0.0.1", Private),
            ("64:ff9b::a00:1", Private),
            ("64:ff9b::a9fe:a9fe", Never),
            ("64:ff9b:1::1", Never),
            ("2002:a00:1::1", Private),
            ("2002:7f00:1::", Private),
            ("2001::1", Never),
            ("2001:db8::1", Never),
            ("3fff::1", Never),
            ("fc00::1", Private),
            ("fd12:3456::1", Private),
            ("fe80::1", Never),
            ("fec0::1", Never),
            ("ff02::1", Never),
            ("100::1", Never),
            ("5f00::1", Never),
            ("2606:4700:4700::1111", Public),
            ("2a00:1450:4001::1", Public),
        ] {
            let address = text.parse().expect(text);
            assert_eq!(reach(address), expected, "{text}");
        }
    }

    #[test]
    fn what_is_plain_goes_to_a_private_address_only() {
        let allows = |allow_private, plain, address: &str| {
            Guard { allow_private, plain }.allows(address.parse().expect("an address")).is_ok()
        };
        assert!(allows(false, false, "1.1.1.1") && !allows(false, false, "10.0.0.1"));
        assert!(allows(true, false, "1.1.1.1") && allows(true, false, "10.0.0.1"));
        assert!(!allows(true, true, "1.1.1.1") && allows(true, true, "10.0.0.1"));
        assert!(!allows(true, true, "169.254.169.254"), "never, whatever is allowed");
    }
}
