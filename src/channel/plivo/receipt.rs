//! Plivo's callbacks: is it Plivo, and what does it say? (Plivo, "Signature validation V3" and
//! "Message status callbacks")

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::channel::codes::{Stage, look_up, word};
use crate::channel::receipt::{InboundText, Word, with_plus};

use super::{NAME, class_of};

const STATUSES: [(&str, Stage); 7] = [
    ("queued", Stage::Queued),
    ("sent", Stage::Sent),
    ("delivered", Stage::Delivered),
    ("read", Stage::Delivered),
    ("undelivered", Stage::Failed),
    ("failed", Stage::Failed),
    ("rejected", Stage::Failed),
];

/// Checks `X-Plivo-Signature-V3`, one or several of them, over the public address of a POST,
/// its form and `X-Plivo-Signature-V3-Nonce`.
#[must_use]
pub fn verify(
    token: &str,
    public_url: &str,
    fields: &[(String, String)],
    nonce: &str,
    signatures: &str,
) -> bool {
    if nonce.is_empty() {
        return false;
    }
    let Some(base) = signed_text(public_url, fields) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("any length will do");
    mac.update(format!("{base}.{nonce}").as_bytes());
    let expected = mac.finalize().into_bytes();
    let mut fits = Choice::from(0);
    for given in signatures.split(',') {
        if let Ok(given) = BASE64.decode(given.trim().as_bytes()) {
            fits |= expected.as_slice().ct_eq(&given);
        }
    }
    bool::from(fits)
}

/// The address with its query sorted, a dot, and the form's names and values sorted.
fn signed_text(url: &str, fields: &[(String, String)]) -> Option<String> {
    let parsed = reqwest::Url::parse(url).ok()?;
    let mut text = url.split(['?', '#']).next()?.to_owned();
    let mut query: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
    query.sort();
    if !query.is_empty() {
        let query: Vec<String> =
            query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        text = format!("{text}?{}", query.join("&"));
    }
    if !fields.is_empty() {
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort();
        text.push('.');
        for (name, value) in fields {
            text.push_str(name);
            text.push_str(value);
        }
    }
    Some(text)
}

/// Reads a status callback.
#[must_use]
pub fn read(field: impl Fn(&str) -> Option<String>) -> Word {
    let stage = look_up(NAME, &STATUSES, field("Status").unwrap_or_default().as_str());
    // "000" and nothing mean no error.
    let code =
        field("ErrorCode").filter(|code| !code.trim_matches('0').is_empty()).unwrap_or_default();
    let class = if code.is_empty() { None } else { class_of(&code) };
    word(stage, &code, class)
}

/// Reads a text that came in.
#[must_use]
pub fn inbound(field: impl Fn(&str) -> Option<String>) -> Option<InboundText> {
    Some(InboundText {
        from: with_plus(&field("From")?),
        to: with_plus(&field("To").unwrap_or_default()),
        text: field("Text").unwrap_or_default(),
        id: field("MessageUUID").unwrap_or_default(),
        at_carrier: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::AddressFault;

    const URL: &str = "https://cb.example.org/plivo?x=1&a=2";
    const GOOD: &str = "YplLsFL2sqlYsxw42eNiSpAVxH8Y6py0l9IDTlAYhrQ=";

    fn fields() -> Vec<(String, String)> {
        [("Status", "delivered"), ("MessageUUID", "u1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    #[test]
    fn the_vector_of_the_official_sdk_holds() {
        assert_eq!(
            signed_text(URL, &fields()).as_deref(),
            Some("https://cb.example.org/plivo?a=2&x=1.MessageUUIDu1Statusdelivered")
        );
        assert!(verify("tok", URL, &fields(), "n0", GOOD));
        assert!(verify("tok", URL, &fields(), "n0", &format!("AAAA,{GOOD}")), "one of several");
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(!verify("tik", URL, &fields(), "n0", GOOD), "another token");
        assert!(!verify("tok", URL, &fields(), "n1", GOOD), "another nonce");
        assert!(!verify("tok", URL, &fields(), "", GOOD), "no nonce");
        assert!(!verify("tok", URL, &fields()[1..], "n0", GOOD), "a field less");
        let elsewhere = "https://evil.example.org/plivo?x=1&a=2";
        assert!(!verify("tok", elsewhere, &fields(), "n0", GOOD), "another address");
        assert!(!verify("tok", URL, &fields(), "n0", &GOOD[..20]), "cut");
        assert!(!verify("tok", URL, &fields(), "n0", ""), "none");
    }

    #[test]
    fn a_callback_is_read_by_what_it_means() {
        let said = |pairs: &[(&str, &str)]| {
            read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(said(&[("Status", "queued")]), Word::Taken);
        assert_eq!(said(&[("Status", "delivered"), ("ErrorCode", "000")]), Word::Delivered);
        assert_eq!(
            said(&[("Status", "undelivered"), ("ErrorCode", "200")]),
            Word::Undelivered {
                detail: "code 200: stopped at the carrier".into(),
                address: Some(AddressFault::OptedOut)
            }
        );
        assert_eq!(said(&[("Status", "scheduled")]), Word::Nothing);
    }
}
