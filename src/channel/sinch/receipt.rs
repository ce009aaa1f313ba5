//! Sinch's callbacks: is it Sinch, and what does it say? (Sinch, "SMS: webhooks")
//!
//! They are signed only where the account manager was asked to switch that on; without a secret
//! the door stays shut.

use serde_json::Value;

use crate::channel::codes::{Stage, look_up, word};
use crate::channel::receipt::{InboundText, Word, with_plus};
use crate::domain::signature::{Encoding, Part, Scheme, Signed};

use super::{NAME, class_of};

/// How far the time of a callback may lie from ours.
const WINDOW_S: i64 = 300;

/// Statuses (Sinch, "Delivery report statuses"). `Unknown` says nothing.
const STATUSES: [(&str, Stage); 9] = [
    ("Queued", Stage::Queued),
    ("Dispatched", Stage::Sent),
    ("Delivered", Stage::Delivered),
    ("Aborted", Stage::Failed),
    ("Cancelled", Stage::Failed),
    ("Rejected", Stage::Failed),
    ("Deleted", Stage::Failed),
    ("Failed", Stage::Failed),
    ("Expired", Stage::Failed),
];

/// `X-Sinch-Webhook-Signature`: HMAC-SHA256 over body, nonce and timestamp.
#[must_use]
pub fn scheme() -> Scheme {
    let dot = || Part::Text(".".into());
    Scheme::HmacSha256(Signed {
        header: "x-sinch-webhook-signature".into(),
        encoding: Encoding::Base64,
        prefix: String::new(),
        parts: vec![Part::Body, dot(), Part::Nonce, dot(), Part::Timestamp],
        timestamp_header: Some("x-sinch-webhook-signature-timestamp".into()),
        nonce_header: Some("x-sinch-webhook-signature-nonce".into()),
        tolerance_s: WINDOW_S,
    })
}

/// Reads a delivery report about one recipient.
#[must_use]
pub fn read(said: &Value) -> Word {
    let status = said["status"].as_str().unwrap_or_default();
    let stage = look_up(NAME, &STATUSES, status);
    // 0 is "no error", as in SMPP; 400 and 401 are stages of the way.
    let code = said["code"].as_u64().filter(|code| !matches!(code, 0 | 400 | 401));
    let code = code.map(|code| code.to_string()).unwrap_or_default();
    let failed = stage == Some(Stage::Failed) && !code.is_empty();
    let class = if failed { class_of(&code) } else { None };
    word(stage, &code, class)
}

/// Reads a text that came in (`mo_text`).
#[must_use]
pub fn inbound(said: &Value) -> Option<InboundText> {
    let text = |name: &str| said[name].as_str();
    if text("type") != Some("mo_text") {
        return None;
    }
    Some(InboundText {
        from: with_plus(text("from")?),
        to: with_plus(text("to").unwrap_or_default()),
        text: text("body").unwrap_or_default().to_owned(),
        id: text("id").unwrap_or_default().to_owned(),
        at_carrier: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use crate::domain::time::{Instant, from_ms};
    use serde_json::json;

    const BODY: &[u8] = br#"{"id":1}"#;
    const GOOD: &str = "revMgt1imyTvChq9r48UVtzOAs20tvCDT+t6Y7gQglU=";

    fn check(secret: &str, headers: [&str; 3], body: &[u8], now: Instant) -> bool {
        let [signature, nonce, timestamp] = headers;
        let header = |name: &str| match name {
            "x-sinch-webhook-signature" => Some(signature),
            "x-sinch-webhook-signature-nonce" => Some(nonce),
            "x-sinch-webhook-signature-timestamp" => Some(timestamp),
            _ => None,
        };
        scheme().verify(&Secret::from(secret), header, body, now).is_ok()
    }

    #[test]
    fn the_vector_of_the_official_sdk_holds_and_anything_else_is_refused() {
        let now = from_ms(1_795_300_000_000);
        let good = [GOOD, "nonce1", "1795300000"];
        assert!(check("sec", good, BODY, now));
        assert!(!check("other", good, BODY, now), "another secret");
        assert!(!check("sec", good, b"{}", now), "another body");
        assert!(!check("sec", [GOOD, "nonce2", "1795300000"], BODY, now), "another nonce");
        assert!(!check("sec", [GOOD, "nonce1", "1795300001"], BODY, now), "another time");
        assert!(!check("sec", [&GOOD[..20], "nonce1", "1795300000"], BODY, now), "cut");
        let later = from_ms(1_795_300_301_000);
        assert!(!check("sec", good, BODY, later), "replayed");
    }

    #[test]
    fn a_report_is_read_by_what_it_means() {
        let said = |status: &str, code: u64| read(&json!({"status": status, "code": code}));
        assert_eq!(said("Queued", 400), Word::Taken);
        assert_eq!(said("Dispatched", 401), Word::Taken);
        assert_eq!(said("Delivered", 0), Word::Delivered);
        assert_eq!(said("Unknown", 0), Word::Nothing);
        let undelivered = |detail: &str| Word::Undelivered { detail: detail.into(), address: None };
        assert_eq!(said("Aborted", 412), undelivered("code 412: the account may not send there"));
        assert_eq!(said("Failed", 2_001), undelivered("code 2001"));
    }

    #[test]
    fn only_a_text_is_a_text() {
        let text = json!({"type": "mo_text", "id": "b1", "from": "447700900123", "to": "12345", "body": "STOP"});
        assert_eq!(inbound(&text).expect("read").from, "+447700900123");
        assert_eq!(inbound(&json!({"type": "mo_binary", "from": "447700900123"})), None);
    }
}
