//! Twilio's callbacks: is it Twilio, and what does it say? (Twilio, "Security" and "Status callbacks")

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::channel::codes::{Stage, look_up, word};
use crate::channel::receipt::Word;
use crate::domain::call::PickedUp;

use super::{NAME, class_of};

/// Statuses of messages (Twilio, "Message status values"). Others say nothing.
const STATUSES: [(&str, Stage); 11] = [
    ("accepted", Stage::Queued),
    ("scheduled", Stage::Queued),
    ("queued", Stage::Queued),
    ("sending", Stage::Queued),
    ("sent", Stage::Sent),
    ("delivered", Stage::Delivered),
    ("read", Stage::Delivered),
    ("partially_delivered", Stage::Delivered),
    ("failed", Stage::Failed),
    ("undelivered", Stage::Failed),
    ("canceled", Stage::Failed),
];

/// Checks `X-Twilio-Signature` over the public address and the form's fields.
///
/// `settings` is `X-Twilio-Webhooks-Signature-Settings`, which may name HMAC-SHA256. The
/// address is tried with and without an explicit default port, as Twilio's own SDK does.
#[must_use]
pub fn verify(
    token: &str,
    public_url: &str,
    fields: &[(String, String)],
    signature: &str,
    settings: Option<&str>,
) -> bool {
    let Ok(given) = BASE64.decode(signature.as_bytes()) else { return false };
    let sha256 = settings.is_some_and(|settings| {
        settings.split(',').any(|part| part.trim().eq_ignore_ascii_case("algorithm=HMAC_SHA256"))
    });
    with_and_without_port(public_url).iter().any(|url| {
        let text = signed_text(url, fields);
        let expected = if sha256 {
            mac::<Hmac<Sha256>>(token, &text)
        } else {
            mac::<Hmac<Sha1>>(token, &text)
        };
        bool::from(expected.ct_eq(&given))
    })
}

fn mac<M: Mac + KeyInit>(token: &str, text: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(token.as_bytes()).expect("any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The address, then each name and value, names sorted, equal values of a name once.
fn signed_text(url: &str, fields: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort();
    sorted.dedup();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(name);
        text.push_str(value);
    }
    text
}

fn with_and_without_port(url: &str) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    let Ok(parsed) = reqwest::Url::parse(url) else { return urls };
    let Some(host) = parsed.host_str() else { return urls };
    let default = if parsed.scheme() == "https" { 443 } else { 80 };
    let with_port = format!("{host}:{default}");
    if url.contains(&with_port) {
        urls.push(url.replacen(&with_port, host, 1));
    } else if parsed.port().is_none() {
        urls.push(url.replacen(host, &with_port, 1));
    }
    urls
}

/// Reads a status callback of a message or a call.
#[must_use]
pub fn read(field: impl Fn(&str) -> Option<String>) -> Word {
    let code = field("ErrorCode").unwrap_or_default();
    if let Some(status) = field("MessageStatus") {
        let stage = look_up(NAME, &STATUSES, status.as_str());
        let failed = stage == Some(Stage::Failed);
        let class = if failed { class_of(&code) } else { None };
        return word(stage, &code, class);
    }
    match field("CallStatus").as_deref() {
        Some("completed") => Word::CallOver { by: picked_up(&field) },
        Some("busy") => Word::NotReached { detail: "busy".into() },
        Some("no-answer") => Word::NotReached { detail: "nobody answered".into() },
        Some("canceled") => Word::Undelivered { detail: "canceled".into(), address: None },
        // Of a call it says nothing about texts to the number.
        Some("failed") => word(Some(Stage::Failed), &code, None),
        Some("queued" | "initiated" | "ringing" | "in-progress") => Word::Taken,
        _ => Word::Nothing,
    }
}

/// Who picked up (Twilio, "Answering Machine Detection"). What it does not know is a person:
/// they hear nothing of the case before they press a key.
#[must_use]
pub fn picked_up(field: &impl Fn(&str) -> Option<String>) -> Option<PickedUp> {
    match field("AnsweredBy").as_deref() {
        Some("human") => Some(PickedUp::Person),
        Some("fax") => Some(PickedUp::Fax),
        Some(machine) if machine.starts_with("machine") => Some(PickedUp::Machine),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::AddressFault;

    fn fields() -> Vec<(String, String)> {
        [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+12349013030"),
            ("From", "+12349013030"),
            ("Digits", "1234"),
            ("To", "+18005551212"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

    #[test]
    fn the_vectors_of_the_official_sdk_hold() {
        assert!(verify("12345", URL, &fields(), "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", None));
        let sha256 = Some("key=k1,algorithm=HMAC_SHA256");
        let signature = "Rmm4Vzj+Ky7JGoWXMCsZDZuHDszLr9xvdbvitrDr4/M=";
        assert!(verify("12345", URL, &fields(), signature, sha256));
    }

    #[test]
    fn anything_else_is_refused() {
        let good = "0/KCTR6DLpKmkAf8muzZqo1nDgQ=";
        assert!(!verify("12346", URL, &fields(), good, None), "another token");
        assert!(!verify("12345", "https://mycompany.com/other", &fields(), good, None));
        assert!(!verify("12345", URL, &fields()[1..], good, None), "a field less");
        assert!(!verify("12345", URL, &fields(), good, Some("algorithm=HMAC_SHA256")));
        assert!(!verify("12345", URL, &fields(), "nonsense", None));
    }

    #[test]
    fn an_explicit_default_port_makes_no_difference() {
        let with_port = "https://mycompany.com:443/myapp.php?foo=1&bar=2";
        assert!(verify("12345", with_port, &fields(), "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", None));
    }

    #[test]
    fn a_callback_is_read_by_what_it_means() {
        let word = |pairs: &[(&str, &str)]| {
            read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(word(&[("MessageStatus", "sent")]), Word::Taken);
        assert_eq!(word(&[("MessageStatus", "delivered")]), Word::Delivered);
        assert_eq!(
            word(&[("MessageStatus", "undelivered"), ("ErrorCode", "30005")]),
            Word::Undelivered {
                detail: "code 30005: no such number".into(),
                address: Some(AddressFault::Unusable)
            }
        );
        let not_reached = |detail: &str| Word::NotReached { detail: detail.into() };
        assert_eq!(word(&[("CallStatus", "no-answer")]), not_reached("nobody answered"));
        assert_eq!(word(&[("CallStatus", "busy")]), not_reached("busy"));
        for (answered_by, by) in [
            ("human", Some(PickedUp::Person)),
            ("machine_end_beep", Some(PickedUp::Machine)),
            ("machine_start", Some(PickedUp::Machine)),
            ("fax", Some(PickedUp::Fax)),
            ("unknown", None),
        ] {
            let fields = [("CallStatus", "completed"), ("AnsweredBy", answered_by)];
            assert_eq!(word(&fields), Word::CallOver { by }, "{answered_by}");
        }
        assert_eq!(word(&[("Other", "x")]), Word::Nothing);
    }
}
