//! Case events and `CloudEvents`: structured, in headers, and in our own shape.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde_json::{Value, json};
use tidings::domain::time::Instant;
use tidings::web::cloud_events::{Item, Mode};

use super::{Damage, MANY, bytes};
use crate::support::{TestApp, answered, at};

/// How many knock at the door in each mode.
const KNOCKS: u32 = 150;

fn now() -> Instant {
    at("2026-11-23T10:00:00Z")
}

fn plain() -> Vec<Vec<u8>> {
    bytes(&[
        json!({"id": "e1", "source": "desk", "case": "T-1", "case_type": "ticket",
            "customer": "C-1", "state": "wait", "version": 7,
            "occurred_at": "2026-11-23T09:59:00Z", "facts": {"item": "Trousers", "n": [1, {"a": 2}]}}),
        json!({"id": "e2", "source": "desk", "case": "T-1", "case_type": "ticket",
            "customer": "C-1", "event": "note"}),
    ])
}

fn structured() -> Vec<Vec<u8>> {
    let data =
        json!({"case_type": "ticket", "customer": "C-1", "state": "wait", "facts": {"a": 1}});
    let encoded = data_encoding::BASE64.encode(data.to_string().as_bytes());
    let event = json!({"specversion": "1.0", "type": "case.changed", "source": "/desk", "id": "e1",
        "subject": "T-1", "time": "2026-11-23T09:59:00Z", "data": data});
    let mut based = event.clone();
    let fields = based.as_object_mut().expect("an object");
    fields.remove("data");
    fields.insert("datacontenttype".into(), json!("application/json"));
    fields.insert("data_base64".into(), json!(encoded));
    bytes(&[event, based])
}

/// Whatever is read is as the rules say; whatever is not, is told where and why.
fn judge(item: &Item, counts: &mut [u32; 2]) {
    match item.read(now()) {
        Ok(event) => {
            counts[0] += 1;
            assert!(event.occurred_at <= now() + chrono::TimeDelta::minutes(5), "{event:?}");
            for id in [&event.id, &event.source, &event.case.0, &event.customer.0] {
                assert!(!id.is_empty() && id.chars().count() <= 200, "{event:?}");
                assert!(!id.chars().any(char::is_control), "{event:?}");
            }
        }
        Err(faults) => {
            counts[1] += 1;
            assert!(!faults.is_empty());
            for fault in faults {
                let place = fault.pointer.is_empty() || fault.pointer.starts_with('/');
                assert!(place && !fault.detail.is_empty(), "{fault:?}");
            }
        }
    }
}

/// Makes an event of a document.
type Reader = fn(&Value) -> Item;

#[test]
fn damaged_events_are_read_or_refused_with_a_reason() {
    let modes: [(&str, Vec<Vec<u8>>, Reader); 2] = [
        ("plain", plain(), |value| Item::plain(value.clone())),
        ("structured", structured(), Item::structured),
    ];
    for (mode, samples, item) in modes {
        let mut damage = Damage::new(mode);
        let mut counts = [0; 2];
        for _ in 0..MANY {
            let damaged = damage.of(&samples);
            if let Ok(value) = serde_json::from_slice::<Value>(&damaged) {
                judge(&item(&value), &mut counts);
            }
        }
        assert!(counts.iter().all(|count| *count > 200), "{mode}: {counts:?} read and refused");
    }
}

const HEAD: [(&str, &str); 7] = [
    ("content-type", "application/json"),
    ("ce-specversion", "1.0"),
    ("ce-type", "case.changed"),
    ("ce-source", "/desk"),
    ("ce-id", "e1"),
    ("ce-subject", "T%2D1"),
    ("ce-time", "2026-11-23T09:59:00Z"),
];

/// A head with one or two headers damaged, as far as HTTP lets them through.
fn damaged_head(damage: &mut Damage) -> HeaderMap {
    let values: Vec<Vec<u8>> = HEAD.iter().map(|(_, value)| value.as_bytes().to_vec()).collect();
    let wounded = [damage.below(HEAD.len() * 2), damage.below(HEAD.len() * 2)];
    let mut head = HeaderMap::new();
    for (place, (name, value)) in HEAD.iter().enumerate() {
        let mut value = value.as_bytes().to_vec();
        if wounded.contains(&place) {
            damage.wound(&mut value, &values);
        }
        let value = HeaderValue::from_bytes(&value);
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            head.append(name, value);
        }
    }
    head
}

#[test]
fn damaged_headers_of_binary_events_are_read_or_refused_with_a_reason() {
    let body = bytes(&[json!({"case_type": "ticket", "customer": "C-1", "state": "wait"})]);
    let mut damage = Damage::new("binary");
    let mut counts = [0; 2];
    for round in 0..MANY {
        let head = damaged_head(&mut damage);
        let body = if round % 2 == 0 { body[0].clone() } else { damage.of(&body) };
        let _ = Mode::of(&head);
        judge(&Item::binary(&head, &body), &mut counts);
    }
    assert!(counts.iter().all(|count| *count > 200), "{counts:?} read and refused");
}

#[tokio::test]
async fn damaged_events_at_the_door_are_answered_as_the_api_says() {
    let hash = tidings::web::auth::hash("tdk_desk_1");
    let keys = format!(
        "[auth]\napi_keys = [{{ name = \"desk\", hash = \"{hash}\", scopes = [\"ingest\"] }}]\n"
    );
    let app = TestApp::with(&keys).await;
    app.ada().await;
    let router = app.router();
    let mut damage = Damage::new("door of events");
    let batch = |samples: Vec<Vec<u8>>| {
        let each = samples.iter().map(|one| serde_json::from_slice(one).expect("JSON"));
        bytes(&[Value::Array(each.collect())])
    };
    let modes = [
        ("application/json", plain()),
        ("application/json", batch(plain())),
        ("application/cloudevents+json", structured()),
        ("application/cloudevents-batch+json", batch(structured())),
        ("", structured()),
    ];
    let mut taken = 0;
    for (n, (media_type, samples)) in modes.into_iter().enumerate() {
        for round in 0..KNOCKS {
            let mut request = Request::post("/v1/events");
            let headers = request.headers_mut().expect("headers");
            if media_type.is_empty() {
                *headers = damaged_head(&mut damage);
            } else {
                headers.insert("content-type", HeaderValue::from_static(media_type));
            }
            let known = round % 4 > 0;
            let key = if known { "Bearer tdk_desk_1" } else { "Bearer tdk_desk_2" };
            headers.insert("authorization", HeaderValue::from_static(key));
            let body = damage.of(&samples);
            let request = request.body(Body::from(body.clone())).expect("a request");
            let (status, answer) = answered(router.clone(), request).await;
            let what = || format!("{n} {round}: {status} {answer} to {}", body.escape_ascii());
            if known {
                let documented = [202, 207, 400, 409, 413, 415, 422].contains(&status);
                assert!(documented, "{}", what());
                taken += u32::from([202, 207, 409].contains(&status));
            } else {
                assert_eq!(status, 401, "{}", what());
            }
        }
    }
    assert!(taken > 60, "{taken} were taken, or known already");
    app.end().await;
}
