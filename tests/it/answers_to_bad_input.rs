use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{TestApp, ada};

async fn send(app: &TestApp, method: &str, path: &str, body: String) -> (u16, String, Value) {
    let web = tidings::web::Web {
        app: std::sync::Arc::clone(&app.app),
        metrics: tidings::web::Metrics::install(),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request");
    let response = tidings::web::router(web).oneshot(request).await.expect("answered");
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, content_type, serde_json::from_slice(&bytes).expect("JSON"))
}

fn pointers(body: &Value) -> Vec<&str> {
    body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["pointer"].as_str().expect("text"))
        .collect()
}

#[tokio::test]
async fn an_event_with_faults_is_refused_with_a_pointer_each() {
    let app = TestApp::start().await;
    let body = json!({"id": "e\u{0}", "source": "desk", "case": "T-1", "customer": "C-1", "state": "wait",
                      "occurred_at": "2026-11-23T10:06:00Z"});
    let (status, content_type, body) = send(&app, "POST", "/v1/events", body.to_string()).await;
    assert_eq!((status, content_type.as_str()), (422, "application/problem+json"));
    assert_eq!(pointers(&body), ["/id", "/case_type", "/occurred_at"]);
    assert_eq!(body["results"][0]["result"], "invalid");
    app.end().await;
}

#[tokio::test]
async fn many_events_are_answered_one_by_one_and_the_good_ones_kept() {
    let app = TestApp::start().await;
    app.ada().await;
    let good = |id: &str, state: &str| json!({"id": id, "source": "desk", "case": "T-1", "case_type": "ticket", "customer": "C-1", "state": state});
    let body = json!([good("a", "wait"), {"id": "b"}, good("a", "wait"), good("a", "closed")]);
    let (status, _, body) = send(&app, "POST", "/v1/events", body.to_string()).await;
    assert_eq!(status, 207);
    let results: Vec<_> = body["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|r| r["result"].as_str().expect("text"))
        .collect();
    assert_eq!(results, ["accepted", "invalid", "duplicate", "conflict"]);
    assert_eq!(body["results"][1]["errors"][0]["pointer"], "/1/source");
    app.drain().await;
    assert_eq!(app.summary().await.balance.accepted, 1);

    let (status, _, body) = send(&app, "POST", "/v1/events", good("a", "closed").to_string()).await;
    assert_eq!((status, body["status"].as_u64()), (409, Some(409)));
    let (status, _, _) = send(&app, "POST", "/v1/events", good("a", "wait").to_string()).await;
    assert_eq!(status, 202, "the same event again has the same answer");
    let many: Vec<_> = (0..101).map(|n| good(&n.to_string(), "wait")).collect();
    let (status, _, _) = send(&app, "POST", "/v1/events", json!(many).to_string()).await;
    assert_eq!(status, 422);
    app.end().await;
}

#[tokio::test]
async fn what_is_no_json_too_large_or_of_another_type_has_its_own_answer() {
    let app = TestApp::start().await;
    let (status, content_type, _) = send(&app, "POST", "/v1/events", "{\"id\":".into()).await;
    assert_eq!((status, content_type.as_str()), (400, "application/problem+json"));
    let large = format!("\"{}\"", "a".repeat(256 * 1024));
    let (status, _, body) = send(&app, "POST", "/v1/events", large).await;
    assert_eq!(status, 413, "{body}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (status, _, _) = send(&app, "POST", "/v1/events", deep).await;
    assert_eq!(status, 400);
    let (status, _, _) = send(&app, "GET", "/v1/nothing", String::new()).await;
    assert_eq!(status, 404);
    let (status, _, _) = send(&app, "DELETE", "/v1/events", String::new()).await;
    assert_eq!(status, 405);
    app.end().await;
}

#[tokio::test]
async fn a_customer_with_faults_is_refused_with_a_pointer_each() {
    let app = TestApp::start().await;
    let mut customer = ada();
    customer["name"] = json!("A\r\nBcc: x@y.z");
    customer["time_zone"] = json!("Mars/Olympus");
    customer["contact_points"][0]["address"] = json!("a@b>\r\nRCPT TO:<x>");
    customer["contact_points"][1]["address"] = json!("07911");
    let (status, _, body) = send(&app, "PUT", "/v1/customers/C-1", customer.to_string()).await;
    assert_eq!(status, 422);
    assert_eq!(
        pointers(&body),
        ["/name", "/time_zone", "/contact_points/0/address", "/contact_points/1/address"]
    );
    let (status, _, _) = send(&app, "PUT", "/v1/customers/C-1", ada().to_string()).await;
    assert_eq!(status, 201);
    let preferences = json!({"topics": {"gossip": {"email": true}}, "quiet_hours": "late"});
    let (status, _, body) =
        send(&app, "PUT", "/v1/customers/C-1/preferences", preferences.to_string()).await;
    assert_eq!(status, 422);
    assert_eq!(pointers(&body), ["/quiet_hours", "/topics/gossip"]);
    let (status, _, _) = send(&app, "GET", "/v1/customers/C-9", String::new()).await;
    assert_eq!(status, 404);
    app.end().await;
}

#[tokio::test]
async fn a_customer_and_a_case_read_back_as_they_stand() {
    let app = TestApp::start().await;
    send(&app, "PUT", "/v1/customers/C-1", ada().to_string()).await;
    app.event("wait").await;
    app.drain().await;
    let (status, _, customer) = send(&app, "GET", "/v1/customers/C-1", String::new()).await;
    assert_eq!(
        (status, customer["contact_points"][0]["address"].as_str()),
        (200, Some("ada@example.com"))
    );
    let (_, _, case) = send(&app, "GET", "/v1/cases/T-1", String::new()).await;
    assert_eq!(case["state"], "wait");
    assert_eq!(case["told"][0]["notice"], "waiting-for-you");
    assert_eq!(case["planned"][0]["notice"], "still-waiting-for-you");
    let (_, _, timeline) = send(&app, "GET", "/v1/customers/C-1/timeline", String::new()).await;
    let kinds: Vec<_> = timeline["timeline"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|e| e["kind"].as_str().expect("text"))
        .collect();
    assert_eq!(kinds, ["event", "planned", "planned", "planned", "attempt"]);
    let id = case["planned"][0]["id"].as_str().expect("an id");
    let (status, _, explained) =
        send(&app, "GET", &format!("/v1/notifications/{id}"), String::new()).await;
    assert_eq!(
        (status, explained["explanation"][0]["reasons"][0]["code"].as_str()),
        (200, Some("after_state"))
    );
    let cancel = Request::post(format!("/v1/notifications/{id}/cancel"))
        .body(Body::empty())
        .expect("a request");
    let web = tidings::web::Web {
        app: std::sync::Arc::clone(&app.app),
        metrics: tidings::web::Metrics::install(),
    };
    let response = tidings::web::router(web).oneshot(cancel).await.expect("answered");
    assert_eq!(response.status(), 204);
    assert_eq!(app.of("still-waiting-for-you").await.reason.as_deref(), Some("by_operator"));
    let (status, _, _) =
        send(&app, "POST", &format!("/v1/notifications/{id}/cancel"), String::new()).await;
    assert_eq!(status, 409, "it is cancelled already");
    app.end().await;
}
