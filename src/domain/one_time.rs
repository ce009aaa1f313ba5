//! One-time codes from an operator's authenticator app (RFC 6238): six digits, SHA-1, a step of
//! 30 seconds, and one step of clock drift either way.

use std::fmt;

use serde::{Deserialize, Deserializer};
use totp_rs::{Builder, Totp};

use super::time::Instant;

/// The fewest bytes of a secret (RFC 4226, section 4, R6).
const MIN_BYTES: usize = 16;

/// What an authenticator app and Tidings share. It is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeSecret(Vec<u8>);

impl OneTimeSecret {
    #[must_use]
    pub fn new(bytes: [u8; 20]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads a secret in Base32 (RFC 4648), as apps show it: spaces and case do not matter.
    ///
    /// # Errors
    /// What it is not. The secret itself is not repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        const MEND: &str = "`tidings operator new` prints one";
        let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
        let bytes = data_encoding::BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes());
        let bytes = bytes.map_err(|_| format!("is no secret in Base32 (A-Z and 2-7); {MEND}"))?;
        if bytes.len() < MIN_BYTES {
            return Err(format!("is shorter than {MIN_BYTES} bytes; {MEND}"));
        }
        Ok(Self(bytes))
    }

    /// The step whose code this is, when it is a code of now; one step earlier or later will do.
    #[must_use]
    pub fn step_of(&self, code: &str, now: Instant) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let now_s = u64::try_from(now.timestamp()).ok()?;
        let step = self.totp("", "").check(&code, now_s)?;
        i64::try_from(step).ok()
    }

    /// The code of this moment.
    #[must_use]
    pub fn code(&self, now: Instant) -> String {
        let now_s = u64::try_from(now.timestamp()).unwrap_or(0);
        self.totp("", "").generate(now_s).to_string()
    }

    /// In Base32, for the settings.
    #[must_use]
    pub fn base32(&self) -> String {
        data_encoding::BASE32_NOPAD.encode(&self.0)
    }

    /// The address an authenticator app reads: `otpauth://totp/…`.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        // A colon parts the two (Key Uri Format).
        let plain = |text: &str| text.replace(':', " ");
        self.totp(&plain(issuer), &plain(account)).to_url().expect("an account without a colon")
    }

    fn totp(&self, issuer: &str, account: &str) -> Totp {
        let issuer = (!issuer.is_empty()).then_some(issuer);
        let builder = Builder::new().with_secret(self.0.clone()).with_issuer(issuer);
        builder.with_account_name(account).build_noncompliant()
    }
}

impl fmt::Debug for OneTimeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for OneTimeSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    #[test]
    fn codes_are_those_of_the_standard_and_good_one_step_either_way() {
        let secret = OneTimeSecret::new(*b"12345678901234567890");
        // RFC 6238, appendix B, the last six of its eight digits.
        for (at, code, step) in [
            ("1970-01-01T00:00:59Z", "287082", 1),
            ("2005-03-18T01:58:29Z", "081804", 37_037_036),
            ("2009-02-13T23:31:30Z", "005924", 41_152_263),
        ] {
            let now = parse_instant(at).expect(at);
            assert_eq!(secret.code(now), code);
            for (drift_s, seen) in [(0, true), (-30, true), (30, true), (-60, false), (60, false)] {
                let there = now + chrono::TimeDelta::seconds(drift_s);
                let found = (there.timestamp() >= 0).then(|| secret.step_of(code, there)).flatten();
                let expected = (seen && there.timestamp() >= 0).then_some(step);
                assert_eq!(found, expected, "{at} {drift_s}");
            }
        }
        let now = parse_instant("2005-03-18T01:58:29Z").expect("an instant");
        assert_eq!(secret.step_of(" 081 804", now), Some(37_037_036), "as apps group it");
        for wrong in ["", "81804", "0818040", "08180a", "000000"] {
            assert_eq!(secret.step_of(wrong, now), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_reads_back_as_it_was_printed_and_short_ones_are_refused() {
        let secret = OneTimeSecret::new(*b"12345678901234567890");
        assert_eq!(OneTimeSecret::parse(&secret.base32().to_lowercase()), Ok(secret.clone()));
        let uri = secret.uri("Example: Shop", "ada");
        assert!(uri.starts_with("otpauth://totp/Example%20%20Shop:ada?secret="), "{uri}");
        assert!(OneTimeSecret::parse("MFRGG").expect_err("short").contains("16 bytes"));
        assert!(OneTimeSecret::parse("not base 32!").expect_err("none").contains("Base32"));
        assert_eq!(format!("{secret:?}"), "***");
    }
}
