//! Links and codes that prove they are ours: HMAC-SHA256 under the installation's key.
//! Derived, never random: the same key and cause give the same bytes on the wire.

use data_encoding::{BASE64URL_NOPAD, Encoding, Specification};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::call::Stage;
use super::channel::Channel;
use super::id::{CaseId, CustomerId, NotificationId};
use super::time::Instant;

/// The installation's key.
#[derive(Clone)]
pub struct Keyring {
    key: [u8; 32],
    letters: Encoding,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(***)")
    }
}

/// What a link lets its bearer do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "may", rename_all = "snake_case")]
pub enum Grant {
    /// Read and set this customer's preferences until `until_s` (seconds since 1970).
    Centre { customer: CustomerId, until_s: i64 },
    /// Sign this customer in once, until `until_s`: sent to an address of theirs at `sent_ms`.
    SignIn { customer: CustomerId, sent_ms: i64, until_s: i64 },
    /// The cookie of a visit that lasts until `until_s`. Until `proven_until_s` the visitor has
    /// shown that they read what is sent to the customer.
    Visit { customer: CustomerId, until_s: i64, proven_until_s: i64 },
    /// Stop this topic on this channel. Never ends.
    Unsubscribe { customer: CustomerId, topic: String, channel: Channel },
    /// Answer the question of this notification until `until_s`.
    Answer { notification: NotificationId, until_s: i64 },
    /// Hear what this attempt, a call, says where it stands at `stage`, until `until_s`.
    Call { notification: NotificationId, no: i64, stage: Stage, until_s: i64 },
    /// Hear what a promised call is about, and be connected, until `until_s`: the try of
    /// `seq`, at `stage`.
    Promised { customer: CustomerId, seq: i64, stage: Stage, until_s: i64 },
    /// Report about this attempt: the tag in a provider's callback address.
    Receipt { notification: NotificationId, no: i64 },
}

impl Keyring {
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        // Crockford's alphabet in lower case: no i, l, o or u to be misread.
        let mut letters = Specification::new();
        letters.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
        Self { key, letters: letters.encoding().expect("32 distinct symbols") }
    }

    fn mac(&self, purpose: &str, text: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length will do");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Ten characters by which a customer verifies a message.
    #[must_use]
    pub fn code(&self, notification: NotificationId) -> String {
        let mac = self.mac("code", &notification.to_string());
        self.letters.encode(&mac[..7])[..10].to_owned()
    }

    /// Six digits for an address of a customer, sent at `sent_ms`. Another purpose, address or
    /// moment gives others (an event-based one-time password cut as RFC 4226 section 5.3 does).
    #[must_use]
    pub fn digits(
        &self,
        purpose: &str,
        customer: &CustomerId,
        address: &str,
        sent_ms: i64,
    ) -> String {
        let mac = self.mac(
            "digits",
            &[purpose, customer.as_str(), address, &sent_ms.to_string()].join("\u{1f}"),
        );
        let number = u32::from_be_bytes([mac[0], mac[1], mac[2], mac[3]]) % 1_000_000;
        format!("{number:06}")
    }

    /// A text of 43 letters, digits, `-` and `_` that only we can derive from another.
    #[must_use]
    pub fn derived(&self, purpose: &str, from: &str) -> String {
        BASE64URL_NOPAD.encode(&self.mac(purpose, from))
    }

    /// The fingerprint of a link that is used once.
    #[must_use]
    pub fn fingerprint(&self, link: &str) -> String {
        data_encoding::HEXLOWER.encode(&self.mac("link", link)[..16])
    }

    /// The Message-ID of every copy of one notification's mail, without angle brackets. It
    /// names the notification, so that a bounce or a reply finds back.
    #[must_use]
    pub fn message_id(&self, notification: NotificationId, domain: &str) -> String {
        format!("n.{}@{domain}", self.seal("message-id", notification.0.as_bytes()))
    }

    /// The notification a Message-ID of ours names, whichever domain it was made under.
    #[must_use]
    pub fn read_message_id(&self, id: &str) -> Option<NotificationId> {
        let local = id.trim().trim_start_matches('<').split('@').next()?;
        let bytes = self.open("message-id", local.strip_prefix("n.")?)?;
        Some(notification_of(&bytes))
    }

    /// What a bounce of one attempt brings back, in letters and digits that survive hops which
    /// fold case: notification, attempt and 10 bytes of proof.
    #[must_use]
    pub fn bounce_token(&self, notification: NotificationId, no: i64) -> String {
        let mut bytes = notification.0.as_bytes().to_vec();
        bytes.extend(u16::try_from(no).unwrap_or(u16::MAX).to_be_bytes());
        self.seal("bounce", &bytes)
    }

    /// The attempt a bounce token names.
    #[must_use]
    pub fn read_bounce_token(&self, token: &str) -> Option<(NotificationId, i64)> {
        let bytes = self.open("bounce", token)?;
        let no = u16::from_be_bytes([*bytes.get(16)?, *bytes.get(17)?]);
        Some((notification_of(&bytes), i64::from(no)))
    }

    /// Bytes in letters, with 10 bytes of proof that they are ours.
    fn seal(&self, purpose: &str, bytes: &[u8]) -> String {
        let mac = self.mac(purpose, &data_encoding::HEXLOWER.encode(bytes));
        self.letters.encode(&[bytes, &mac[..PROOF]].concat())
    }

    /// The bytes under such letters, in whatever case; `None` when they are not ours.
    fn open(&self, purpose: &str, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = self.letters.decode(sealed.to_ascii_lowercase().as_bytes()).ok()?;
        let proof = bytes.split_off(bytes.len().checked_sub(PROOF)?);
        let mac = self.mac(purpose, &data_encoding::HEXLOWER.encode(&bytes));
        (bytes.len() >= 16 && bool::from(mac[..PROOF].ct_eq(&proof))).then_some(bytes)
    }

    /// What all mails of one case refer to, so that mail programs show them together.
    #[must_use]
    pub fn thread_id(&self, case: &CaseId, customer: &CustomerId, domain: &str) -> String {
        let mac = self.mac("thread", &format!("{case}\u{1f}{customer}"));
        format!("c.{}@{domain}", self.letters.encode(&mac[..15]))
    }

    /// The secret part of a link: `v1.payload.signature`.
    #[must_use]
    pub fn token(&self, grant: &Grant) -> String {
        let payload = serde_json::to_vec(grant).expect("plain data");
        let payload = BASE64URL_NOPAD.encode(&payload);
        let mac = self.mac("v1", &payload);
        format!("v1.{payload}.{}", BASE64URL_NOPAD.encode(&mac[..18]))
    }

    /// What a token grants at `now`; `None` when it is forged, damaged or over.
    #[must_use]
    pub fn read(&self, token: &str, now: Instant) -> Option<Grant> {
        let (payload, signature) = token.strip_prefix("v1.")?.split_once('.')?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        let mac = self.mac("v1", payload);
        if !bool::from(mac[..18].ct_eq(signature.as_slice())) {
            return None;
        }
        let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let grant: Grant = serde_json::from_slice(&payload).ok()?;
        let over = match &grant {
            Grant::Centre { until_s, .. }
            | Grant::SignIn { until_s, .. }
            | Grant::Visit { until_s, .. }
            | Grant::Call { until_s, .. }
            | Grant::Promised { until_s, .. }
            | Grant::Answer { until_s, .. } => now.timestamp() >= *until_s,
            Grant::Unsubscribe { .. } | Grant::Receipt { .. } => false,
        };
        (!over).then_some(grant)
    }
}

/// How many bytes prove that sealed letters are ours.
const PROOF: usize = 10;

/// The notification at the beginning of sealed bytes, which are 16 or more.
fn notification_of(bytes: &[u8]) -> NotificationId {
    let mut id = [0; 16];
    id.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    NotificationId(uuid::Uuid::from_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    fn at(text: &str) -> Instant {
        parse_instant(text).expect(text)
    }

    #[test]
    fn a_token_reads_back_until_it_ends_and_any_change_makes_it_worthless() {
        let keys = Keyring::new([7; 32]);
        let until = at("2026-12-22T00:00:00Z");
        let grant = Grant::Centre { customer: "C-1".into(), until_s: until.timestamp() };
        let token = keys.token(&grant);
        assert_eq!(keys.read(&token, at("2026-12-21T23:59:59Z")), Some(grant.clone()));
        assert_eq!(keys.read(&token, until), None, "over");
        assert_eq!(Keyring::new([8; 32]).read(&token, at("2026-11-22T00:00:00Z")), None);
        for position in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[position] ^= 1;
            let forged = String::from_utf8_lossy(&forged).into_owned();
            assert_eq!(keys.read(&forged, at("2026-11-22T00:00:00Z")), None, "byte {position}");
        }
    }

    #[test]
    fn digits_are_six_and_others_for_another_purpose_person_address_or_moment() {
        let keys = Keyring::new([7; 32]);
        let digits = |purpose, id: &str, address, at| keys.digits(purpose, &id.into(), address, at);
        let first = digits("prove", "C-1", "ada@example.com", 1);
        assert!(first.len() == 6 && first.bytes().all(|b| b.is_ascii_digit()), "{first}");
        for other in [
            digits("add", "C-1", "ada@example.com", 1),
            digits("prove", "C-2", "ada@example.com", 1),
            digits("prove", "C-1", "bob@example.com", 1),
            digits("prove", "C-1", "ada@example.com", 2),
        ] {
            assert_ne!(first, other);
        }
        assert_eq!(first, digits("prove", "C-1", "ada@example.com", 1));
    }

    #[test]
    fn what_a_bounce_brings_back_names_its_attempt_in_any_case_and_cannot_be_made_up() {
        let keys = Keyring::new([7; 32]);
        let id = NotificationId::derive("R-1", "received", "e1", 0);
        let token = keys.bounce_token(id, 3);
        assert!(token.len() + "bounces+".len() <= 64, "fits before an @ (RFC 5321): {token}");
        assert_eq!(keys.read_bounce_token(&token), Some((id, 3)));
        assert_eq!(keys.read_bounce_token(&token.to_uppercase()), Some((id, 3)));
        assert_eq!(Keyring::new([8; 32]).read_bounce_token(&token), None);
        for position in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[position] = if forged[position] == b'0' { b'1' } else { b'0' };
            let forged = String::from_utf8(forged).expect("letters");
            assert_eq!(keys.read_bounce_token(&forged), None, "letter {position}");
        }
        for nothing in ["", "0", "ä", "0000000000000000"] {
            assert_eq!(keys.read_bounce_token(nothing), None);
        }
    }

    #[test]
    fn a_message_id_of_ours_names_its_notification_and_is_no_bounce_token() {
        let keys = Keyring::new([7; 32]);
        let id = NotificationId::derive("R-1", "received", "e1", 0);
        let message_id = keys.message_id(id, "example.com");
        assert_eq!(keys.read_message_id(&format!("<{message_id}>")), Some(id));
        assert_eq!(keys.read_message_id("<n.abc@example.com>"), None);
        assert_eq!(keys.read_message_id("<c.abc@example.com>"), None);
        let local = message_id.trim_start_matches("n.").split('@').next().expect("a token");
        assert_eq!(keys.read_bounce_token(local), None);
    }

    #[test]
    fn codes_are_ten_letters_that_are_not_misread() {
        let keys = Keyring::new([7; 32]);
        let code = keys.code(NotificationId::derive("R-1", "received", "e1", 0));
        assert_eq!(code.len(), 10);
        assert!(!code.contains(['i', 'l', 'o', 'u']));
        assert_ne!(code, keys.code(NotificationId::derive("R-1", "received", "e2", 0)));
    }
}
