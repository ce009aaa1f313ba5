//! Passwords of operators: kept as Argon2id hashes (RFC 9106) in the PHC string format.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Deserializer};

/// The fewest characters a new password has (NIST SP 800-63B asks for 8 beside a second factor).
pub const MIN_PASSWORD_CHARS: usize = 12;

/// The longest password that is looked at, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

/// Memory in KiB times passes, and memory in KiB, below which a hash is too quick to guess
/// from: the least of the settings in OWASP's Password Storage Cheat Sheet.
const MIN_WORK_KIB: u64 = 35_840;
const MIN_MEMORY_KIB: u32 = 7_168;

/// Above this one sign-in would take the whole machine: a GiB, and ten passes.
const MAX_MEMORY_KIB: u32 = 1_048_576;
const MAX_PASSES: u32 = 10;

/// The hash of a password. It is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a new password: 19 MiB, two passes, one lane (OWASP, the first of its settings).
    #[must_use]
    pub fn of(password: &str, salt: [u8; 16]) -> Self {
        let hashed: phc::PasswordHash = Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .expect("a salt of 16 bytes and the default parameters");
        Self(hashed.to_string())
    }

    /// Reads a hash such as `$argon2id$v=19$m=19456,t=2,p=1$…`.
    ///
    /// # Errors
    /// What it is not, or why it is too weak.
    pub fn parse(text: &str) -> Result<Self, String> {
        const MEND: &str = "`tidings operator new` prints one";
        let hash = phc::PasswordHash::new(text).map_err(|error| {
            format!(
                "is no Argon2id hash such as $argon2id$v=19$m=19456,t=2,p=1$… ({error}); {MEND}"
            )
        })?;
        if hash.algorithm.as_str() != "argon2id" || hash.version != Some(19) {
            return Err(format!("is no hash of Argon2id, version 19; {MEND}"));
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(format!("lacks its salt or the hash itself: was it cut off? {MEND}"));
        }
        let params = Params::try_from(&hash).map_err(|error| format!("{error}; {MEND}"))?;
        let (memory, passes) = (params.m_cost(), params.t_cost());
        if memory < MIN_MEMORY_KIB || u64::from(memory) * u64::from(passes) < MIN_WORK_KIB {
            return Err(format!(
                "is too quick to compute (m={memory},t={passes}; at least m=19456,t=2): whoever reads it can guess the password; {MEND}"
            ));
        }
        if memory > MAX_MEMORY_KIB || passes > MAX_PASSES || params.p_cost() > 16 {
            return Err(format!(
                "takes too much for one sign-in (at most m={MAX_MEMORY_KIB},t={MAX_PASSES},p=16); {MEND}"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Is this the password? Takes tens of milliseconds and the memory the hash names: not for
    /// a thread that serves others.
    #[must_use]
    pub fn matches(&self, password: &str) -> bool {
        let parsed = phc::PasswordHash::new(&self.0);
        password.len() <= MAX_PASSWORD_BYTES
            && parsed.is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            })
    }

    /// As it is written in the settings.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hash = PasswordHash::of("a long walk in the rain", [7; 16]);
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let hash = PasswordHash::parse(hash.as_str()).expect("as it was printed");
        assert!(hash.matches("a long walk in the rain"));
        for wrong in ["", "a long walk in the rai", "A long walk in the rain"] {
            assert!(!hash.matches(wrong), "{wrong:?}");
        }
        assert!(!hash.matches(&"a".repeat(MAX_PASSWORD_BYTES + 1)));
        assert_eq!(format!("{hash:?}"), "***");
    }

    #[test]
    fn hashes_that_are_weak_ruinous_or_of_another_kind_are_refused() {
        let tail = "$BwcHBwcHBwcHBwcHBwcHBw$Gp1WgZzCmCN2xM7hpWV9VQBDLGhDr3vQrH4aWJhXjSY";
        for (head, word) in [
            ("$argon2id$v=19$m=4096,t=2,p=1", "too quick"),
            ("$argon2id$v=19$m=19456,t=1,p=1", "too quick"),
            ("$argon2id$v=19$m=19456,t=200,p=1", "too much"),
            ("$argon2i$v=19$m=19456,t=2,p=1", "Argon2id"),
            ("$argon2id$v=16$m=19456,t=2,p=1", "version 19"),
        ] {
            let why = PasswordHash::parse(&format!("{head}{tail}")).expect_err(head);
            assert!(why.contains(word), "{head}: {why}");
        }
        for text in
            ["", "secret", "$argon2id$v=19$m=19456,t=2,p=1", "$2b$12$abcdefghijklmnopqrstuv"]
        {
            assert!(PasswordHash::parse(text).is_err(), "{text}");
        }
        let fine = format!("$argon2id$v=19$m=7168,t=5,p=1{tail}");
        assert!(PasswordHash::parse(&fine).is_ok(), "the last of OWASP's settings");
    }
}
