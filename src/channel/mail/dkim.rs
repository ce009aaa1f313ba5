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

/// Signs mails, relaxed/relaxed: once, or with two keys (RFC 8463 section 3: one of each kind,
/// so that a receiver who knows only RSA finds a signature, too).
#[derive(Debug, Clone)]
pub struct Signer {
    first: Arc<DkimConfig>,
    second: Option<Arc<DkimConfig>>,
}

impl Signer {
    /// A signer for `domain` whose public half is published at `<selector>._domainkey.<domain>`.
    /// The key is RSA as PKCS#1 PEM, or the seed of an Ed25519 key (RFC 8463) in base64.
    ///
    /// # Errors
    /// What the key is instead, and how to make it one of the two.
    pub fn new(domain: &str, selector: &str, key: &str) -> Result<Self, String> {
        Ok(Self { first: Self::with(domain, selector, key)?, second: None })
    }

    /// The same with a second key for the same domain.
    ///
    /// # Errors
    /// Those of [`Signer::new`].
    pub fn and(self, domain: &str, selector: &str, key: &str) -> Result<Self, String> {
        Ok(Self { second: Some(Self::with(domain, selector, key)?), ..self })
    }

    fn with(domain: &str, selector: &str, key: &str) -> Result<Arc<DkimConfig>, String> {
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
        Ok(Arc::new(config))
    }

    /// The signed mail. The library keeps one signature a mail, and none covers another: the
    /// second is made on a copy and put before the mail.
    pub(super) fn signed(&self, mut message: Message) -> Vec<u8> {
        let mut mail = Vec::new();
        if let Some(second) = &self.second {
            let mut copy = message.clone();
            copy.sign(second);
            mail.extend(signature(&copy.formatted()));
        }
        message.sign(&self.first);
        mail.extend(message.formatted());
        mail
    }
}

/// The lines of the signature of a mail.
fn signature(mail: &[u8]) -> Vec<u8> {
    let lines = mail.split_inclusive(|byte| *byte == b'\n');
    let mut header = lines.skip_while(|line| !line.starts_with(b"DKIM-Signature:"));
    let first = header.next().into_iter();
    let folded = header.take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t"));
    first.chain(folded).flatten().copied().collect()
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

    #[test]
    fn a_signature_is_found_with_its_folded_lines_and_nothing_beside_it() {
        let mail = b"From: a@example.com\r\nDKIM-Signature: v=1;\r\n a=x;\r\n\tb=y\r\nTo: b\r\n c\r\n\r\nDKIM-Signature: z\r\n";
        assert_eq!(signature(mail), b"DKIM-Signature: v=1;\r\n a=x;\r\n\tb=y\r\n");
    }
}
