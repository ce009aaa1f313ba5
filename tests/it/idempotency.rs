//! One request under one key is answered once, and the document of the API is there.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{TestApp, answered};

fn event(id: &str) -> String {
    json!({"id": id, "source": "desk", "case": "T-1", "case_type": "ticket", "customer": "C-1",
        "state": "take_in_charge_ticket"})
    .to_string()
}

fn request(key: &str, body: String) -> Request<Body> {
    let request = Request::post("/v1/events")
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(body.into());
    request.expect("a request")
}

async fn post(app: &TestApp, key: &str, body: String) -> (u16, Value) {
    let (status, body) = app.http(request(key, body)).await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn the_same_request_is_answered_as_the_first_time_and_another_is_refused() {
    let app = TestApp::start().await;
    app.ada().await;
    let (status, first) = post(&app, "\"k-1\"", event("e1")).await;
    assert_eq!((status, &first["results"][0]["result"]), (202, &json!("accepted")));
    // Quoted as the draft has it, or bare as most send it: the same key.
    assert_eq!(post(&app, "k-1", event("e1")).await, (202, first), "not even a duplicate");
    let (status, problem) = post(&app, "k-1", event("e2")).await;
    assert_eq!((status, &problem["title"]), (422, &json!("Key used for another request")));
    let (_, other) = post(&app, "k-2", event("e1")).await;
    assert_eq!(other["results"][0]["result"], "duplicate", "a new key is a new request");
    let (status, refused) = post(&app, "k-3", "{}".into()).await;
    assert_eq!((status, post(&app, "k-3", "{}".into()).await), (422, (422, refused)));
    assert_eq!(post(&app, "\"\"", event("e3")).await.0, 400);
    assert_eq!(post(&app, &"k".repeat(256), event("e3")).await.0, 400);
    app.end().await;
}

#[tokio::test]
async fn a_day_later_the_key_is_free_again() {
    let app = TestApp::start().await;
    app.ada().await;
    post(&app, "k-1", event("e1")).await;
    app.advance_to("2026-11-24T10:00:01Z").await;
    assert_eq!(post(&app, "k-1", event("e2")).await.0, 202);
    app.end().await;
}

#[tokio::test]
async fn two_at_once_are_one() {
    let app = TestApp::start().await;
    app.ada().await;
    let router = app.router();
    let five = (0..5).map(|_| answered(router.clone(), request("k-1", event("e1"))));
    for (status, answer) in futures::future::join_all(five).await {
        assert!(status == 409 || answer.contains("accepted"), "{status} {answer}");
    }
    assert_eq!(app.summary().await.balance.accepted, 1);
    app.end().await;
}

#[tokio::test]
async fn the_document_names_every_path_and_the_page_loads_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let (status, document) = app.get("/openapi.json").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
    insta::assert_json_snapshot!("paths_of_the_api", paths);
    let (status, page) = app.get("/docs/").await;
    assert_eq!(status, 200);
    for elsewhere in ["http://", "https://", "//cdn", "//unpkg"] {
        assert!(!page.contains(elsewhere), "{page}");
    }
    app.end().await;
}
