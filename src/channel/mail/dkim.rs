//! DKIM (RFC 6376): mail signed under the sender's own domain, for installations whose relay
//! does not sign.

use std::sync::Arc;

use lettre::message::Message;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm,
    DkimSigningKey,
};
use lettre::message::header::HeaderName;

use crate::domain::dkim::{KeyKind, kind_of};

/// What is signed. From and Subject stand twice, so that a second one added on the way breaks
/// the signature (RFC 6376 section 8.15); both list headers are covered, as one-click asks for
/// (RFC 8058 section 4). The Content-Type of a multipart is no header of the message for the
/// library and must not be named.
const SIGNED: [&str; 16] = [
    "From",
    "From",
    "To",
    "Subject",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Reply-To",
    "MIME-Version",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
    "Auto-Submitted",
    "Feedback-ID",
];

/// Signs mails with one key, relaxed/relaxed. The library keeps one signature a mail: signing
/// again replaces the first, so a mail cannot carry an RSA and an Ed25519 signature.
#[derive(Debug, Clone)]
pub struct Signer(Arc<DkimConfig>);

impl Signer {
    /// A signer for `domain` whose public half is published at `<selector>._domainkey.<domain>`.
    /// The key is RSA as PKCS#1 PEM, or the seed of an Ed25519 key (RFC 8463) in base64.
    ///
    /// # Errors
    /// What the key is instead, and how to make it one of the two.
    pub fn new(domain: &str, selector: &str, key: &str) -> Result<Self, String> {
        let algorithm = match kind_of(key)? {
            KeyKind::Rsa => DkimSigningAlgorithm::Rsa,
            KeyKind::Ed25519 => DkimSigningAlgorithm::Ed25519,
        };
        let key = DkimSigningKey::new(key.trim(), algorithm)
            .map_err(|error| format!("holds no usable key: {error}"))?;
        let relaxed = DkimCanonicalization {
            header: DkimCanonicalizationType::Relaxed,
            body: DkimCanonicalizationType::Relaxed,
        };
        let headers = SIGNED.map(HeaderName::new_from_ascii_str).to_vec();
        let config = DkimConfig::new(selector.into(), domain.into(), key, headers, relaxed);
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn sign(&self, message: &mut Message) {
        message.sign(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_damaged_is_refused() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----";
        let why = Signer::new("example.com", "t1", key).expect_err(key);
        assert!(why.contains("no usable key"), "{why}");
    }

    #[test]
    fn a_seed_of_32_bytes_is_an_ed25519_key() {
        let seed = data_encoding::BASE64.encode(&[7; 32]);
        assert!(Signer::new("example.com", "t1", &format!("{seed}\n")).is_ok());
    }
}
