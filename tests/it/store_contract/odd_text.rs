//! Text that one database keeps and the other does not. It is refused at the door with where
//! it stands, or kept and read back as it was; never does it make the store look away.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tidings::app::App;
use tidings::clock::Clock;
use tidings::domain::Channel;
use tidings::domain::customer::AddressFault;
use tidings::store::attempts::AttemptState;
use tidings::store::receipts::{Receipt, ReceiptOutcome};

use super::bed::{
    Bed, accepted, apply_receipts, ask_for_call, claimed, closing, customer, email, event, know,
    monday, on_both, opened, pending, told,
};
use crate::support::smtp::SmtpSink;
use crate::support::twilio::TwilioDouble;
use crate::support::{answered, settings};

/// The app's routes on the store of a bed.
async fn routes(bed: &Bed) -> axum::Router {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let (smtp, twilio) = (SmtpSink::start().await, TwilioDouble::start().await);
    let settings = settings(folder.path(), &smtp, &twilio, "");
    let app = App::build(settings, Clock::manual(monday()), bed.store.clone()).await;
    let app = Arc::new(app.unwrap_or_else(|error| panic!("{error:?}")));
    tidings::web::router(tidings::web::Web { app, metrics: tidings::web::Metrics::install() })
}

/// Odd, and text all the same.
const ODD: [&str; 9] = [
    "😀 👩‍👩‍👧 日本 Zoë",
    "\"quoted\" 'single' `back`",
    "back\\slash \\u0000 \\\\u0000 \\n",
    "$1 %s {{7*7}} ' OR 1=1 --",
    "{\"0\": {\"id\": \"x\"}}",
    "\u{FFFF}\u{FFFD}\u{10FFFF}",
    "e\u{301} \u{200B}",
    " leading and trailing ",
    "%00 %c0%80",
];

#[tokio::test]
async fn odd_text_in_names_ids_and_facts_is_read_back_as_it_was() {
    on_both(async |bed| {
        let store = &bed.store;
        for (n, odd) in ODD.into_iter().enumerate() {
            let deep = json!({"list": [odd, {"key": odd}], "nul": "a\u{0}b", "number": 1e300});
            let more = json!({"name": odd, "attributes": {odd: odd, "deep": deep}});
            let record = customer(odd, more);
            let records = vec![record.clone()];
            store.import_customers(records, odd, monday()).await.expect("the store is there");
            let known = store.customer(&odd.into(), monday()).await.expect("known");
            assert_eq!((&known.id, &known.profile), (&record.id, &record.profile));
            let versions = store.customer_versions(&odd.into()).await.expect("it is there");
            assert_eq!(versions[0].source, odd);

            let facts = json!({odd: odd, "deep": deep});
            let more = json!({
                "customer": odd, "source": odd, "state": odd, "event": odd, "facts": facts,
            });
            let incoming = event(odd, odd, more);
            let seq = accepted(store, incoming.clone()).await;
            let found = pending(store, seq).await;
            assert_eq!(found.events[0].event, incoming.event);
            assert_eq!(store.events_named(odd).await.expect("the store is there").len(), 1);
            ask_for_call(store, &odd.into(), monday()).await.expect("the store is there");
            let tasks = store.open_tasks(0, 100).await.expect("the store is there");
            assert_eq!(tasks[n].customer_id.as_deref(), Some(odd));
        }
    })
    .await;
}

#[tokio::test]
async fn what_others_say_with_a_nul_or_at_any_length_stops_no_record() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        let no = opened(store, &held).await.no;
        let mut refused = closing(&held, no);
        refused.attempt = AttemptState::Refused;
        refused.detail = "550 \0\"no\\u0000\0".into();
        // No two bytes alike for long, so that nothing is won by packing it.
        let long: String = (0..20_000_u32)
            .filter_map(|n| char::from_u32(0x4E00 + n.wrapping_mul(2_654_435_761) % 20_000))
            .collect();
        refused.provider_ref = Some(format!("\0{long}"));
        refused.suppress = Some((Channel::Email, email("ada@example.com"), AddressFault::Unusable));
        let other = claimed(store, "e2", "T-2").await;
        let number = opened(store, &other).await.no;
        let closings = vec![refused, closing(&other, number)];
        store.close_attempts(closings, monday()).await.expect("recorded");
        let detail = store.notification(&held.id).await.expect("it is there");
        let said = "550 \u{FFFD}\"no\\u0000\u{FFFD}";
        assert_eq!(detail.attempts[0].detail.as_deref(), Some(said));

        let told = told(store, "e3", "T-3").await;
        let receipt = Receipt {
            notification: told.id,
            no: 1,
            provider: "smtp",
            provider_ref: format!("\0{long}"),
            outcome: ReceiptOutcome::Undelivered,
            detail: "gone\0".into(),
            suppress: Some(AddressFault::Unusable),
            again_at: None,
        };
        assert!(store.keep_receipt(receipt.clone(), monday()).await.expect("kept"));
        assert!(!store.keep_receipt(receipt, monday()).await.expect("known"));
        assert!(apply_receipts(store, monday()).await.expect("applied"));
        for id in ["a\0b", "\0"] {
            assert!(store.customer(&id.into(), monday()).await.is_err());
            let done = store.choose(&id.into(), "\0", monday(), |_| {}).await;
            assert!(matches!(done, Err(tidings::store::StoreError::NotFound { .. })), "{done:?}");
        }
    })
    .await;
}

/// A request and the answer it must get on either store.
struct Case {
    method: &'static str,
    path: &'static str,
    body: Option<String>,
    status: u16,
    pointer: Option<&'static str>,
}

fn case(method: &'static str, path: &'static str, status: u16) -> Case {
    Case { method, path, body: None, status, pointer: None }
}

impl Case {
    fn with(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    fn text(self, body: String) -> Self {
        Self { body: Some(body), ..self }
    }

    fn at(self, pointer: &'static str) -> Self {
        Self { pointer: Some(pointer), ..self }
    }
}

fn told_as(field: &str, value: &Value) -> Value {
    let mut event = json!({
        "id": "e1", "source": "desk", "case": "T-1", "case_type": "ticket", "customer": "C-1",
        "state": "open",
    });
    event[field] = value.clone();
    event
}

fn cases() -> Vec<Case> {
    let nul = json!("a\u{0}b");
    let mut cases: Vec<Case> = [
        ("id", "/id"),
        ("source", "/source"),
        ("case", "/case"),
        ("case_type", "/case_type"),
        ("customer", "/customer"),
        ("state", "/state"),
        ("event", "/event"),
        ("occurred_at", "/occurred_at"),
    ]
    .into_iter()
    .map(|(field, pointer)| case("POST", "/v1/events", 422).with(&told_as(field, &nul)).at(pointer))
    .collect();
    let facts = |facts| told_as("facts", &facts);
    let large = "é".repeat(100_000);
    cases.extend([
        case("POST", "/v1/events", 422).with(&facts(json!({"a\u{0}b": 1}))).at("/facts"),
        case("POST", "/v1/events", 202).with(&facts(json!({"a": "\u{0}", "large": large}))),
        case("POST", "/v1/events", 413).text(format!("\"{}\"", "x".repeat(1 << 20))),
        case("POST", "/v1/events", 400).text(r#"{"id": "\ud800"}"#.into()),
        case("POST", "/v1/events", 400).text("{\"id\": \"\u{0}\"}".into()),
        case("PUT", "/v1/customers/a%00b", 422).with(&json!({"name": "Ada"})).at("/id"),
        case("PUT", "/v1/customers/C-1", 422).with(&json!({"name": nul})).at("/name"),
        case("PUT", "/v1/customers/C-1", 422)
            .with(&json!({"name": "Ada", "attributes": {"a\u{0}": 1}}))
            .at("/attributes"),
        case("PUT", "/v1/customers/C-1", 422)
            .with(&json!({"name": "Ada", "contact_points":
                [{"channel": "email", "address": "a\u{0}@example.com"}]}))
            .at("/contact_points/0/address"),
        case("PUT", "/v1/customers/C-1", 422)
            .with(&json!({"name": "Ada", "preferences": {"digest": {"a\u{0}": "at once"}}}))
            .at("/preferences/digest"),
        case("GET", "/v1/customers/a%00b", 404),
        case("DELETE", "/v1/customers/a%00b", 404),
        case("GET", "/v1/customers/a%00b/preferences", 404),
        case("PUT", "/v1/customers/a%00b/preferences", 404).with(&json!({"discreet": true})),
        case("GET", "/v1/customers/a%00b/timeline", 404),
        case("GET", "/v1/customers/a%00b/export", 404),
        case("POST", "/v1/customers/a%00b/centre-link", 404),
        case("GET", "/v1/cases/a%00b", 404),
        case("PUT", "/v1/cases/a%00b/choice", 404).with(&json!({"muted": true})),
        case("DELETE", "/v1/cases/a%00b/choice", 404),
        case("GET", "/v1/notifications?customer=a%00b&case=%00", 200),
        case("GET", "/v1/notifications/%00", 404),
        case("GET", "/m/a%00b", 404),
    ]);
    cases
}

#[tokio::test]
async fn a_request_with_odd_text_gets_the_same_answer_on_both_and_never_a_503() {
    on_both(async |bed| {
        let routes = routes(&bed).await;
        for case in cases() {
            let request = Request::builder()
                .method(case.method)
                .uri(case.path)
                .header("content-type", "application/json")
                .body(case.body.clone().map_or_else(Body::empty, Body::from))
                .expect("a request");
            let (status, body) = answered(routes.clone(), request).await;
            let what =
                format!("{} {} {:.80}", case.method, case.path, case.body.unwrap_or_default());
            assert_eq!(status, case.status, "{what}: {body}");
            if let Some(pointer) = case.pointer {
                let body: Value = serde_json::from_str(&body).expect("a problem");
                let found = body["errors"].as_array().expect("errors");
                assert!(found.iter().any(|e| e["pointer"] == pointer), "{what}: {body}");
            }
        }
        let kept = bed.store.events_named("e1").await.expect("the store is there");
        let kept: Value = serde_json::from_str(&kept[0].body).expect("as it was written");
        assert_eq!(kept["facts"]["a"], "\u{0}");
        assert_eq!(kept["facts"]["large"], "é".repeat(100_000));
    })
    .await;
}
