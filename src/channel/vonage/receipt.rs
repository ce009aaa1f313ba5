//! Vonage's callbacks: is it Vonage, and what does it say? (Vonage, "Webhooks: decoding signed
//! webhooks" and "Messages API: webhooks")

use data_encoding::HEXLOWER;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::channel::codes::{Stage, look_up, word};
use crate::channel::receipt::{InboundText, Word, with_plus};
use crate::domain::time::Instant;

use super::{NAME, class_of};

/// How old a callback may be. Vonage names no window.
const WINDOW_S: u64 = 300;

/// Statuses (Vonage, "Message status webhook"; `accepted`, `buffered`, `failed` and `expired`
/// are those of the older API).
const STATUSES: [(&str, Stage); 9] = [
    ("submitted", Stage::Queued),
    ("accepted", Stage::Sent),
    ("buffered", Stage::Sent),
    ("delivered", Stage::Delivered),
    ("read", Stage::Delivered),
    ("rejected", Stage::Failed),
    ("undeliverable", Stage::Failed),
    ("failed", Stage::Failed),
    ("expired", Stage::Failed),
];

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    iat: i64,
    payload_hash: Option<String>,
}

/// Checks `Authorization: Bearer <JWT>`: HS256 with the account's signature secret, no older
/// than five minutes, and over this very body where it says so.
#[must_use]
pub fn verify(secret: &str, authorization: Option<&str>, body: &[u8], now: Instant) -> bool {
    let token = authorization.and_then(|value| value.split_once(' '));
    let Some(("Bearer" | "bearer", token)) = token else { return false };
    // The time is ours to compare: the clock of a test, or one that was corrected.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(secret.as_bytes());
    let Ok(token) = jsonwebtoken::decode::<Claims>(token.trim(), &key, &validation) else {
        return false;
    };
    let claims = token.claims;
    if now.timestamp().abs_diff(claims.iat) > WINDOW_S {
        return false;
    }
    let hash = HEXLOWER.encode(&Sha256::digest(body));
    claims.payload_hash.is_none_or(|given| {
        bool::from(given.to_ascii_lowercase().as_bytes().ct_eq(hash.as_bytes()))
    })
}

/// Reads a status callback.
#[must_use]
pub fn read(said: &Value) -> Word {
    let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let stage = look_up(NAME, &STATUSES, text("/status"));
    let kind = text("/error/type");
    let code = kind.rsplit_once('#').map_or_else(|| text("/error/title"), |(_, code)| code);
    let class = if code.is_empty() { None } else { class_of(code) };
    word(stage, code, class)
}

/// Reads a text that came in.
#[must_use]
pub fn inbound(said: &Value) -> Option<InboundText> {
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    Some(InboundText {
        from: with_plus(text("from")?),
        to: with_plus(text("to").unwrap_or_default()),
        text: text("text").unwrap_or_default().to_owned(),
        id: text("message_uuid").unwrap_or_default().to_owned(),
        at_carrier: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::AddressFault;
    use crate::domain::time::parse_instant;
    use serde_json::json;

    const BODY: &[u8] = br#"{"status":"delivered"}"#;

    fn now() -> Instant {
        parse_instant("2026-11-23T10:00:00Z").expect("an instant")
    }

    fn signed(secret: &str, claims: &Value, algorithm: Algorithm) -> String {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let header = jsonwebtoken::Header::new(algorithm);
        format!("Bearer {}", jsonwebtoken::encode(&header, claims, &key).expect("signed"))
    }

    fn of_body(body: &[u8], age_s: i64) -> Value {
        json!({ "iat": now().timestamp() - age_s, "iss": "Vonage",
                "payload_hash": HEXLOWER.encode(&Sha256::digest(body)) })
    }

    #[test]
    fn a_token_over_this_body_and_of_this_moment_is_vonages() {
        let good = signed("sec", &of_body(BODY, 299), Algorithm::HS256);
        assert!(verify("sec", Some(&good), BODY, now()));
        let unhashed = signed("sec", &json!({"iat": now().timestamp()}), Algorithm::HS256);
        assert!(verify("sec", Some(&unhashed), BODY, now()), "the hash is optional");
    }

    /// Put together by hand as RFC 7519 says, not by the crate that reads it.
    #[test]
    fn a_token_written_by_hand_holds() {
        use data_encoding::BASE64URL_NOPAD;
        use hmac::{Hmac, KeyInit, Mac};
        let part = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
        let head = part(r#"{"typ":"JWT","alg":"HS256"}"#.into());
        let claims = part(format!(r#"{{"iat":{}}}"#, now().timestamp()));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"sec").expect("any length");
        mac.update(format!("{head}.{claims}").as_bytes());
        let mac = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
        assert!(verify("sec", Some(&format!("Bearer {head}.{claims}.{mac}")), BODY, now()));
        let none = part(r#"{"typ":"JWT","alg":"none"}"#.into());
        assert!(!verify("sec", Some(&format!("Bearer {none}.{claims}.")), BODY, now()), "alg none");
    }

    #[test]
    fn anything_else_is_refused() {
        let good = signed("sec", &of_body(BODY, 0), Algorithm::HS256);
        assert!(!verify("other", Some(&good), BODY, now()), "another secret");
        assert!(!verify("sec", Some(&good), b"{}", now()), "another body");
        assert!(!verify("sec", Some(&good[..good.len() - 2]), BODY, now()), "cut");
        assert!(!verify("sec", None, BODY, now()), "none");
        assert!(!verify("sec", Some("Basic x"), BODY, now()));
        let old = signed("sec", &of_body(BODY, 301), Algorithm::HS256);
        assert!(!verify("sec", Some(&old), BODY, now()), "replayed");
        let timeless = signed("sec", &json!({"iss": "Vonage"}), Algorithm::HS256);
        assert!(!verify("sec", Some(&timeless), BODY, now()), "without a time");
        let other = signed("sec", &of_body(BODY, 0), Algorithm::HS512);
        assert!(!verify("sec", Some(&other), BODY, now()), "the algorithm is fixed");
    }

    #[test]
    fn a_callback_is_read_by_what_it_means() {
        assert_eq!(read(&json!({"status": "submitted"})), Word::Taken);
        assert_eq!(read(&json!({"status": "delivered"})), Word::Delivered);
        assert_eq!(read(&json!({"status": "new"})), Word::Nothing);
        let barred = json!({"status": "rejected", "error": {
            "type": "https://developer.vonage.com/api-errors/messages#1050", "title": "1050"}});
        let opted_out = Some(AddressFault::OptedOut);
        assert_eq!(
            read(&barred),
            Word::Undelivered {
                detail: "code 1050: stopped at the carrier".into(),
                address: opted_out
            }
        );
        let unknown = json!({"status": "undeliverable", "error": {"title": "9999"}});
        assert_eq!(read(&unknown), Word::Undelivered { detail: "code 9999".into(), address: None });
    }

    #[test]
    fn a_text_that_came_in_has_its_number_in_full() {
        let text = inbound(&json!({"channel": "sms", "message_uuid": "aa-1", "to": "442079460001",
            "from": "447700900123", "text": "STOP"}));
        let text = text.expect("read");
        assert_eq!((text.from.as_str(), text.id.as_str()), ("+447700900123", "aa-1"));
        assert_eq!(inbound(&json!({"text": "STOP"})), None);
    }
}
