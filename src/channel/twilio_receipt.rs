//! Twilio's callbacks: is it Twilio, and what does it say? (Twilio, "Security" and "Status callbacks")

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::customer::AddressFault;

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

/// What a callback says became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Taken; nothing more is known yet.
    Taken,
    Delivered,
    Undelivered {
        detail: String,
        address: Option<AddressFault>,
    },
    /// A status that changes nothing.
    Nothing,
}

/// Reads a status callback of a message or a call.
#[must_use]
pub fn read(field: impl Fn(&str) -> Option<String>) -> Word {
    let detail = || {
        let code = field("ErrorCode").unwrap_or_default();
        if code.is_empty() { String::new() } else { format!("code {code}") }
    };
    let code: u32 = field("ErrorCode").and_then(|code| code.parse().ok()).unwrap_or(0);
    if let Some(status) = field("MessageStatus") {
        return match status.as_str() {
            "accepted" | "scheduled" | "queued" | "sending" | "sent" => Word::Taken,
            "delivered" | "read" | "partially_delivered" => Word::Delivered,
            "failed" | "undelivered" | "canceled" => Word::Undelivered {
                detail: detail(),
                address: match code {
                    21610 => Some(AddressFault::OptedOut),
                    21614 | 21635 | 30005 | 30006 => Some(AddressFault::Unusable),
                    _ => None,
                },
            },
            _ => Word::Nothing,
        };
    }
    match field("CallStatus").as_deref() {
        Some("completed") => match field("AnsweredBy").as_deref() {
            Some("fax") => undelivered("answered by a fax machine"),
            _ => Word::Delivered,
        },
        Some("busy") => undelivered("busy"),
        Some("no-answer") => undelivered("nobody answered"),
        Some("canceled") => undelivered("canceled"),
        Some("failed") => Word::Undelivered { detail: detail(), address: None },
        Some("queued" | "ringing" | "in-progress") => Word::Taken,
        _ => Word::Nothing,
    }
}

fn undelivered(detail: &str) -> Word {
    Word::Undelivered { detail: detail.to_owned(), address: None }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                detail: "code 30005".into(),
                address: Some(AddressFault::Unusable)
            }
        );
        assert_eq!(word(&[("CallStatus", "no-answer")]), undelivered("nobody answered"));
        assert_eq!(word(&[("CallStatus", "completed"), ("AnsweredBy", "human")]), Word::Delivered);
        assert_eq!(word(&[("Other", "x")]), Word::Nothing);
    }
}
