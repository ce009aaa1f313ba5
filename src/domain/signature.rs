//! Who sent this? Webhooks that are signed with a shared secret, or that carry one, checked over
//! the raw body, in constant time and in a window of time where the scheme has one.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::Secret;
use super::time::{self, Instant};

/// How a sender shows that it is who it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 over the body and what stands beside it.
    HmacSha256(Signed),
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617); the secret is `user:password`.
    Basic,
    /// The secret itself in a header.
    Header(String),
}

/// What is signed, and where the signature stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub header: String,
    pub encoding: Encoding,
    /// What stands before the signature in its header, such as `sha256=`.
    pub prefix: String,
    /// What is signed, in its order.
    pub parts: Vec<Part>,
    /// The header of the moment it was sent: RFC 3339, or seconds or milliseconds since 1970.
    pub timestamp_header: Option<String>,
    /// The header of a word that is signed too.
    pub nonce_header: Option<String>,
    /// How far the moment may lie from our clock, in seconds.
    pub tolerance_s: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Base64,
    Hex,
}

/// A piece of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Body,
    Timestamp,
    Nonce,
    Text(String),
}

/// Reads `{timestamp}.{body}`.
///
/// # Errors
/// A sentence for the author.
pub fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map(|at| open + at);
        let close = close.ok_or_else(|| "has a { without its }".to_owned())?;
        if open > 0 {
            parts.push(Part::Text(rest[..open].to_owned()));
        }
        parts.push(match &rest[open + 1..close] {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            "nonce" => Part::Nonce,
            other => {
                let known = "{body}, {timestamp} and {nonce} can be signed";
                return Err(format!("names {{{other}}}; {known}"));
            }
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    if !parts.contains(&Part::Body) {
        return Err("does not sign {body}; anybody could change it".into());
    }
    Ok(parts)
}

impl Scheme {
    /// Checks a request. `secret` may hold several, one a line: while one takes the place of
    /// another both are right.
    ///
    /// # Errors
    /// What is missing or wrong, without saying what would be right.
    pub fn verify<'a>(
        &self,
        secret: &Secret,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Instant,
    ) -> Result<(), String> {
        let secrets: Vec<&str> =
            secret.expose().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let missing = |name: &str| format!("the header {name} is missing");
        let fits = |given: &str, expected: &dyn Fn(&str) -> String| {
            let mut fits = Choice::from(0);
            for secret in &secrets {
                fits |= expected(secret).as_bytes().ct_eq(given.as_bytes());
            }
            bool::from(fits)
        };
        let wrong = |what: &str| Err(format!("{what} does not fit"));
        match self {
            Self::HmacSha256(signed) => signed.verify(&secrets, header, body, now),
            Self::Header(name) => {
                let given = header(name).ok_or_else(|| missing(name))?;
                if fits(given, &str::to_owned) {
                    Ok(())
                } else {
                    wrong(&format!("the header {name}"))
                }
            }
            Self::Bearer | Self::Basic => {
                let given = header("authorization").ok_or_else(|| missing("Authorization"))?;
                let (scheme, given) = given.split_once(' ').unwrap_or(("", given));
                let (name, right) = match self {
                    Self::Basic => {
                        ("Basic", fits(given.trim(), &|secret| BASE64.encode(secret.as_bytes())))
                    }
                    _ => ("Bearer", fits(given.trim(), &str::to_owned)),
                };
                // The name of the scheme is compared without case (RFC 9110, section 11.1).
                if right && scheme.eq_ignore_ascii_case(name) {
                    Ok(())
                } else {
                    wrong("the header Authorization")
                }
            }
        }
    }
}

impl Signed {
    fn verify<'a>(
        &self,
        secrets: &[&str],
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now: Instant,
    ) -> Result<(), String> {
        let beside = |name: &Option<String>| match name {
            None => Ok(""),
            Some(name) => header(name).ok_or_else(|| format!("the header {name} is missing")),
        };
        let (timestamp, nonce) = (beside(&self.timestamp_header)?, beside(&self.nonce_header)?);
        let given = beside(&Some(self.header.clone()))?;
        let wrong = || format!("the signature in {} does not fit", self.header);
        let given = given.trim().strip_prefix(&self.prefix).ok_or_else(wrong)?;
        let given = match self.encoding {
            Encoding::Base64 => BASE64.decode(given.as_bytes()),
            Encoding::Hex => HEXLOWER_PERMISSIVE.decode(given.as_bytes()),
        };
        let given = given.map_err(|_| wrong())?;
        let mut right = Choice::from(0);
        for secret in secrets {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
            for part in &self.parts {
                mac.update(match part {
                    Part::Body => body,
                    Part::Timestamp => timestamp.as_bytes(),
                    Part::Nonce => nonce.as_bytes(),
                    Part::Text(text) => text.as_bytes(),
                });
            }
            right |= mac.finalize().into_bytes().as_slice().ct_eq(&given);
        }
        if !bool::from(right) {
            return Err(wrong());
        }
        if let Some(name) = &self.timestamp_header {
            let sent = instant_of(timestamp)
                .ok_or_else(|| format!("the header {name} holds no moment"))?;
            if (now - sent).num_seconds().abs() > self.tolerance_s {
                let s = self.tolerance_s;
                return Err(format!(
                    "the moment in {name} lies more than {s} s from the clock here"
                ));
            }
        }
        Ok(())
    }
}

/// Numbers above this count milliseconds: as seconds they would lie in the year 5138.
const FIRST_MS: u64 = 100_000_000_000;

/// A moment as senders write it: RFC 3339, or seconds or milliseconds since 1970.
#[must_use]
pub fn instant_of(text: &str) -> Option<Instant> {
    match text.trim().parse::<i64>() {
        Ok(number) => since_1970(number),
        Err(_) => time::parse_instant(text.trim()).ok(),
    }
}

/// The same of a number: milliseconds where it is as large as those are.
#[must_use]
pub fn since_1970(number: i64) -> Option<Instant> {
    let ms = if number.unsigned_abs() < FIRST_MS { number.checked_mul(1_000)? } else { number };
    chrono::DateTime::from_timestamp_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(header: &str, encoding: Encoding, prefix: &str, text: &str) -> Signed {
        Signed {
            header: header.into(),
            encoding,
            prefix: prefix.into(),
            parts: parts(text).expect("parts"),
            timestamp_header: text.contains("{timestamp}").then(|| "x-time".into()),
            nonce_header: text.contains("{nonce}").then(|| "x-nonce".into()),
            tolerance_s: 300,
        }
    }

    fn check(
        scheme: &Scheme,
        secret: &str,
        headers: &[(&'static str, &'static str)],
        now: &str,
    ) -> Result<(), String> {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let now = instant_of(now).expect("an instant");
        scheme.verify(&Secret::from(secret), header, br#"{"id":1}"#, now)
    }

    /// Each vector is the vendor's rule applied to `{"id":1}` by another program.
    #[test]
    fn the_vectors_of_each_vendors_rule_hold_and_nothing_near_them() {
        let now = "2026-11-22T00:00:00Z";
        for (what, scheme, secret, headers, now) in [
            (
                "Shopify",
                signed("x-sig", Encoding::Base64, "", "{body}"),
                "hush",
                vec![("x-sig", "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY=")],
                now,
            ),
            (
                "Zendesk",
                signed("x-sig", Encoding::Base64, "", "{timestamp}{body}"),
                "dGhpc19zZWNyZXQ=",
                vec![
                    ("x-sig", "Fc4H/Y7mi1NAgdJZZr6ZRUJD8dJ/RdNOeCHz0lz6FGY="),
                    ("x-time", "2026-11-22T00:00:00Z"),
                ],
                now,
            ),
            (
                "Chatwoot",
                signed("x-sig", Encoding::Hex, "sha256=", "{timestamp}.{body}"),
                "sec",
                vec![
                    (
                        "x-sig",
                        "sha256=62e8e23d3ec6c04518ecbe456b5b6219a8fb24b92d743a37664499c78f7085f3",
                    ),
                    ("x-time", "1795300000"),
                ],
                "1795300200",
            ),
            (
                "Sinch",
                signed("x-sig", Encoding::Base64, "", "{body}.{nonce}.{timestamp}"),
                "sec",
                vec![
                    ("x-sig", "revMgt1imyTvChq9r48UVtzOAs20tvCDT+t6Y7gQglU="),
                    ("x-nonce", "nonce1"),
                    ("x-time", "1795300000"),
                ],
                "1795299800",
            ),
        ] {
            let timed = scheme.timestamp_header.is_some();
            let scheme = Scheme::HmacSha256(scheme);
            assert_eq!(check(&scheme, secret, &headers, now), Ok(()), "{what}");
            let both = format!("old-one\n{secret}\n");
            assert_eq!(check(&scheme, &both, &headers, now), Ok(()), "{what}: a second secret");
            assert!(check(&scheme, "guess", &headers, now).is_err(), "{what}: another secret");
            assert!(check(&scheme, "", &headers, now).is_err(), "{what}: no secret");
            for n in 0..headers.len() {
                let mut less = headers.clone();
                less.remove(n);
                let why = check(&scheme, secret, &less, now).expect_err(what);
                assert!(why.contains("is missing"), "{what}: {why}");
            }
            if timed {
                let why = check(&scheme, secret, &headers, "2027-01-01T00:00:00Z");
                assert!(why.expect_err(what).contains("from the clock"), "{what}");
            }
        }
    }

    #[test]
    fn a_moment_is_read_in_every_unit_and_none_lies_beyond_time() {
        let noon = instant_of("2026-11-23T12:00:00Z");
        assert!(noon.is_some());
        assert_eq!(instant_of(" 1795435200 "), noon);
        assert_eq!(instant_of("1795435200000"), noon);
        for beyond in [i64::MIN, i64::MIN + 1, i64::MAX] {
            assert_eq!(since_1970(beyond), None, "{beyond}");
        }
    }

    #[test]
    fn a_secret_in_a_header_is_compared_whole() {
        for (scheme, right) in [
            (Scheme::Bearer, ("authorization", "Bearer desk:s3cret")),
            (Scheme::Basic, ("authorization", "basic ZGVzazpzM2NyZXQ=")),
            (Scheme::Header("x-token".into()), ("x-token", "desk:s3cret")),
        ] {
            let now = "2026-11-22T00:00:00Z";
            assert_eq!(check(&scheme, "desk:s3cret", &[right], now), Ok(()), "{scheme:?}");
            assert!(check(&scheme, "desk:s3cre", &[right], now).is_err(), "{scheme:?}");
            assert!(check(&scheme, "", &[right], now).is_err(), "{scheme:?}");
            assert!(check(&scheme, "desk:s3cret", &[], now).is_err(), "{scheme:?}");
            assert!(check(&scheme, "desk:s3cret", &[(right.0, "")], now).is_err(), "{scheme:?}");
        }
    }

    #[test]
    fn what_is_signed_is_read_and_the_body_is_always_part_of_it() {
        assert_eq!(
            parts("v1:{timestamp}.{body}"),
            Ok(vec![Part::Text("v1:".into()), Part::Timestamp, Part::Text(".".into()), Part::Body])
        );
        for wrong in ["{timestamp}", "{url}{body}", "{body", ""] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }
}
