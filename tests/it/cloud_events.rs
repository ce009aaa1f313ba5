//! CloudEvents 1.0 through the door: structured, batched and binary.

use serde_json::{Value, json};

use crate::support::TestApp;

async fn post(app: &TestApp, head: &[(&str, &str)], body: &str) -> (u16, Value) {
    let mut request = axum::http::Request::post("/v1/events");
    for (name, value) in head {
        request = request.header(*name, *value);
    }
    let (status, body) = app.http(request.body(body.to_owned().into()).expect("a request")).await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

fn event(id: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "type": "case.changed", "source": "/desk", "id": id,
        "subject": "T-1", "time": "2026-11-23T09:59:00Z", "data": data})
}

fn data() -> Value {
    json!({"case_type": "ticket", "customer": "C-1", "state": "take_in_charge_ticket"})
}

#[tokio::test]
async fn the_same_event_is_the_same_in_all_three_modes() {
    let app = TestApp::start().await;
    app.ada().await;
    let structured = [("content-type", "application/cloudevents+json; charset=UTF-8")];
    let (status, answer) = post(&app, &structured, &event("e1", &data()).to_string()).await;
    assert_eq!((status, &answer["results"][0]["result"]), (202, &json!("accepted")), "{answer}");

    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "case.changed"),
        ("ce-source", "/desk"),
        ("ce-id", "e1"),
        ("ce-subject", "T%2D1"),
        ("ce-time", "2026-11-23T09:59:00Z"),
    ];
    let (status, answer) = post(&app, &binary, &data().to_string()).await;
    assert_eq!((status, &answer["results"][0]["result"]), (202, &json!("duplicate")), "{answer}");

    let batched = [("content-type", "application/cloudevents-batch+json")];
    let batch = json!([event("e1", &data()), event("e2", &json!({"customer": "C-1"}))]);
    let (status, answer) = post(&app, &batched, &batch.to_string()).await;
    assert_eq!(status, 207);
    assert_eq!(answer["results"][0]["result"], "duplicate");
    assert_eq!(answer["results"][1]["errors"][0]["pointer"], "/1/data/case_type", "{answer}");
    let (status, answer) = post(&app, &batched, "[]").await;
    assert_eq!((status, answer), (202, json!({"results": []})));

    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    app.end().await;
}

#[tokio::test]
async fn a_broken_envelope_is_refused_with_what_is_wrong_where() {
    let app = TestApp::start().await;
    let structured = [("content-type", "application/cloudevents+json")];
    let mut old = event("e1", &data());
    old["specversion"] = json!("0.3");
    let (status, problem) = post(&app, &structured, &old.to_string()).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/specversion")));
    let binary = [("content-type", "application/json"), ("ce-specversion", "1.0"), ("ce-id", "e1")];
    let (status, problem) = post(&app, &binary, &data().to_string()).await;
    assert_eq!(status, 422);
    assert_eq!(problem["errors"][0]["detail"], "the header ce-source is required in a CloudEvent");
    app.end().await;
}
