//! Twilio as Twilio itself would judge it: its SDK on signatures, its OpenAPI document on what
//! we send.

use serde_json::json;
use tidings::channel::account::{Account, Senders};
use tidings::channel::twilio::receipt::verify;
use tidings::channel::{HandOverWindow, MailParts, Outgoing, SendError, Twilio, Wire};
use tidings::domain::customer::Address;
use tidings::domain::message::{Script, Shaped, SmsText};
use tidings::domain::{CaseId, Channel, NotificationId, Secret};
use tidings::render::sms::count;

use crate::support::node::{Prism, asked};
use crate::support::twilio::{TOKEN, sign};

type Case = (&'static str, &'static [(&'static str, &'static str)]);

const CASES: [Case; 5] = [
    (
        "https://tidings.example.com/v1/receipts/twilio?a=v1.abc",
        &[("MessageSid", "SM1"), ("MessageStatus", "delivered")],
    ),
    (
        "https://tidings.example.com/v1/inbound/twilio",
        &[("From", "+447911123456"), ("Body", "Größe & ö 日本 😀"), ("To", "+442079460001")],
    ),
    ("https://tidings.example.com:8443/v1/inbound/twilio", &[("Body", "")]),
    (
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        &[("CallSid", "CA1"), ("Digits", "1234"), ("b", "2"), ("a", "1"), ("B", "3")],
    ),
    ("http://127.0.0.1/x", &[]),
];

fn fields(pairs: &[(&str, &str)]) -> serde_json::Value {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn twilios_sdk_takes_what_our_double_signs_and_nothing_else() {
    let mut lines = Vec::new();
    let mut wanted = Vec::new();
    for (url, pairs) in CASES {
        let good = sign(url, pairs);
        for (token, signature, right) in
            [(TOKEN, good.as_str(), true), ("other", &good, false), (TOKEN, "AAAA", false)]
        {
            let line = json!({"token": token, "url": url, "fields": fields(pairs), "signature": signature});
            lines.push(line.to_string());
            wanted.push(right.to_string());
        }
    }
    assert_eq!(asked("twilio", "twilio.cjs", &lines), wanted);
}

#[test]
fn we_take_what_twilios_sdk_signs_and_nothing_else() {
    let line = |(url, pairs): &Case| {
        json!({"token": TOKEN, "url": url, "fields": fields(pairs)}).to_string()
    };
    let lines: Vec<String> = CASES.iter().map(line).collect();
    let signatures = asked("twilio", "twilio.cjs", &lines);
    assert_eq!(signatures.len(), CASES.len());
    for ((url, pairs), signature) in CASES.iter().zip(signatures) {
        let fields: Vec<(String, String)> =
            pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert!(verify(TOKEN, url, &fields, &signature, None), "{url}");
        assert!(!verify("other", url, &fields, &signature, None), "{url}");
        assert!(!verify(TOKEN, &format!("{url}x"), &fields, &signature, None), "{url}");
    }
}

fn account(url: &str, name: &str, token: &str) -> Account {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Account {
        base_url: Some(url.to_owned()),
        name: name.into(),
        token: Some(Secret::from(token)),
        application: None,
        private_key: None,
        senders: Senders { from: "+442079460001".into(), by_country: [].into() },
        connections: 1,
        door: None,
    }
}

fn outgoing(shaped: Shaped) -> Outgoing {
    Outgoing {
        notification: NotificationId::derive("T-1", "n", "desk/e1", 0),
        no: 1,
        case: CaseId("T-1".into()),
        to: Address::parse(Channel::Sms, "+447911123456").expect("a number"),
        to_name: "Ada".into(),
        shaped,
        message_id: String::new(),
        thread_id: String::new(),
        unsubscribe: None,
        topic: "status".into(),
        receipt_url: "https://tidings.example.com/v1/receipts/twilio?a=v1.abc".into(),
        call_url: None,
        at: crate::support::at("2026-11-23T10:00:00Z"),
        mail: MailParts::default(),
    }
}

#[tokio::test]
async fn what_we_send_is_what_twilios_own_document_asks_for() {
    let prism = Prism::start("tests/fixtures/twilio/api_v2010_messages_calls.json");
    let name = "AC00000000000000000000000000000001";
    let wire = Twilio::new(account(&prism.url(), name, "t0ken")).expect("a client");
    let window = || HandOverWindow::open(std::time::Duration::from_secs(30));
    let text = "Größe: 5 € – 日本";
    let sms = Shaped::Sms(SmsText { text: text.into(), counted: count(text) });
    let script =
        Script { paragraphs: vec!["Hello.".into()], locale: "en-GB".into(), ..Script::default() };
    for shaped in [sms.clone(), Shaped::Voice(script)] {
        let taken = wire.send(&outgoing(shaped), window()).await;
        assert!(taken.as_ref().is_ok_and(|taken| taken.provider_ref.is_some()), "{taken:?}");
    }
    // An account name of another shape is refused: the mock does look.
    let wrong = Twilio::new(account(&prism.url(), "nobody", "t0ken")).expect("a client");
    let refused = wrong.send(&outgoing(sms), window()).await;
    assert!(matches!(refused, Err(SendError::Refused { .. })), "{refused:?}");
}
