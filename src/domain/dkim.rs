//! The private key that mail is signed with (RFC 6376, RFC 8463): which kind it is, or what has
//! to be done with it first.

/// The kinds of keys that can be used as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// PKCS#1 as PEM.
    Rsa,
    /// The seed of 32 bytes, in base64.
    Ed25519,
}

/// Tells what a file with a key holds.
///
/// # Errors
/// What it holds instead, and how to make a key of it that can be used.
pub fn kind_of(key: &str) -> Result<KeyKind, String> {
    let key = key.trim();
    let has = |mark: &str| key.contains(mark);
    if has("ENCRYPTED") {
        return Err("holds a key under a pass phrase; write it out without one: openssl rsa -in key.pem -traditional -out dkim.pem".into());
    }
    if has("BEGIN RSA PRIVATE KEY") {
        return Ok(KeyKind::Rsa);
    }
    if has("BEGIN PRIVATE KEY") {
        return Err("holds a PKCS#8 key (BEGIN PRIVATE KEY), which is not read. For RSA write it as PKCS#1: openssl rsa -in key.pem -traditional -out dkim.pem; for Ed25519 write its seed: openssl pkey -in key.pem -outform DER | tail -c 32 | base64 > dkim.key".into());
    }
    if has("PUBLIC KEY") {
        return Err(
            "holds the public half of a key; that belongs into DNS, the private half here".into()
        );
    }
    let seed = data_encoding::BASE64.decode(key.as_bytes());
    match seed.map(|seed| seed.len()) {
        Ok(32) => Ok(KeyKind::Ed25519),
        Ok(length) => {
            Err(format!("holds {length} bytes in base64; the seed of an Ed25519 key has 32"))
        }
        Err(_) => Err("holds neither an RSA key (BEGIN RSA PRIVATE KEY) nor the seed of an Ed25519 key in base64; make one: openssl genrsa -traditional -out dkim.pem 2048".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_kind_is_refused_with_what_to_do_about_it() {
        for (key, says) in [
            ("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----", "PKCS#8"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMC4=\n-----END", "pass phrase"),
            ("-----BEGIN PUBLIC KEY-----\nMC4=\n-----END PUBLIC KEY-----", "public half"),
            ("AAAA", "3 bytes"),
            ("what?", "neither"),
        ] {
            let why = kind_of(key).expect_err(key);
            assert!(why.contains(says), "{key}: {why}");
        }
        assert_eq!(kind_of("-----BEGIN RSA PRIVATE KEY-----\n"), Ok(KeyKind::Rsa));
        assert_eq!(kind_of(&data_encoding::BASE64.encode(&[7; 32])), Ok(KeyKind::Ed25519));
    }
}
