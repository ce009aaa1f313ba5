//! Versions over HTTP: listed, read, compared, published under the same rules.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::operators::{Desk, everybody};
use crate::support::TestApp;

use super::reminding_after;

const JOURNEY: &str = "journeys/return.toml";

async fn post(app: &TestApp, body: &Value) -> (u16, Value) {
    let request = Request::post("/v1/journeys")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    let (status, body) = app.http(request).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status}: {body}")))
}

async fn get(app: &TestApp, path: &str) -> Value {
    let (status, body) = app.get(path).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test]
async fn a_version_is_posted_listed_read_and_compared() {
    let app = TestApp::start().await;
    let before = get(&app, "/v1/journeys").await;
    let base = before["in_force"].as_str().expect("published").to_owned();
    let text = reminding_after(&app, "2 days").files[JOURNEY].clone();
    let body = json!({"reason": "sooner", "base": base, "percent": 20, "files": {JOURNEY: text}});
    let (status, done) = post(&app, &body).await;
    assert_eq!(status, 200, "{done}");
    let hash = done["version"].as_str().expect("its name").to_owned();
    let now = get(&app, "/v1/journeys").await;
    assert_eq!(now["trial"], json!({"version": hash, "percent": 20}));
    assert_eq!(now["versions"][0]["reason"], "sooner");
    let read = get(&app, &format!("/v1/journeys/{hash}")).await;
    assert_eq!(read["files"][JOURNEY], text);
    let diff = get(&app, &format!("/v1/journeys/{hash}/diff?from={base}")).await;
    let lines = diff["files"][0]["lines"].as_array().expect("lines");
    let changed: Vec<&str> = lines
        .iter()
        .filter(|line| line["sign"] != " ")
        .map(|line| line["text"].as_str().expect("text"))
        .collect();
    assert_eq!(changed.len(), 2, "one line goes and one comes: {changed:?}");
    assert!(changed[1].contains("2 days"), "{changed:?}");
    assert_eq!(app.get("/v1/journeys/ffff").await.0, 404);
}

#[tokio::test]
async fn what_cannot_be_published_says_where_and_why() {
    let app = TestApp::start().await;
    let text = reminding_after(&app, "two days").files[JOURNEY].clone();
    let faulty = json!({"reason": "sooner", "files": {JOURNEY: text}});
    let (status, problem) = post(&app, &faulty).await;
    assert_eq!(status, 422, "{problem}");
    assert_eq!(problem["errors"][0]["pointer"], "/files/journeys~1return.toml");
    assert!(
        problem["errors"][0]["detail"].as_str().expect("text").starts_with("line "),
        "{problem}"
    );

    let (status, problem) = post(&app, &json!({"files": {"../x": "y"}, "percent": 0})).await;
    assert_eq!(status, 422);
    let at: Vec<&Value> = problem["errors"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| &fault["pointer"])
        .collect();
    assert_eq!(at, ["/reason", "/percent", "/files/..~1x"], "{problem}");

    let fine = reminding_after(&app, "2 days").files[JOURNEY].clone();
    let stale = json!({"reason": "x", "base": "0000", "files": {JOURNEY: fine}});
    assert_eq!(post(&app, &stale).await.0, 409);
    let same = reminding_after(&app, "5 days").files[JOURNEY].clone();
    assert_eq!(post(&app, &json!({"reason": "x", "files": {JOURNEY: same}})).await.0, 409);
}

#[tokio::test]
async fn a_key_alone_does_not_publish_what_needs_two() {
    let app = TestApp::with("[topics.reminder]\nmandatory = \"the law\"\n").await;
    let text = reminding_after(&app, "2 days").files[JOURNEY].clone();
    let alone = json!({"reason": "sooner", "files": {JOURNEY: text}});
    let (status, problem) = post(&app, &alone).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(problem["why"][0]["because"], "mandatory");
    let mut two = alone;
    two["approved_by"] = "Grace".into();
    assert_eq!(post(&app, &two).await.0, 200);
    let now = get(&app, "/v1/journeys").await;
    assert_eq!(now["versions"][0]["approved_by"], "Grace");
}

#[tokio::test]
async fn with_operators_a_key_leaves_a_draft_for_them_and_names_no_second_person() {
    let more = format!("[topics.reminder]\nmandatory = \"the law\"\n{}", everybody());
    let app = TestApp::with(&more).await;
    let text = reminding_after(&app, "2 days").files[JOURNEY].clone();
    let named = json!({"reason": "x", "approved_by": "Grace", "files": {JOURNEY: text}});
    let (status, problem) = post(&app, &named).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/approved_by")));

    let alone = json!({"reason": "sooner", "files": {JOURNEY: text}});
    let (status, waits) = post(&app, &alone).await;
    assert_eq!((status, &waits["why"][0]["because"]), (202, &json!("mandatory")), "{waits}");
    assert_eq!(app.store().publications().await.expect("the store").len(), 1, "nothing yet");
    let draft = format!("/console/drafts/{}", waits["draft"]);
    assert!(waits["url"].as_str().is_some_and(|url| url.ends_with(&draft)), "{waits}");
    let pia = Desk::signed_in(&app, "pia").await;
    for what in ["simulate", "publish"] {
        assert_eq!(
            pia.post(&draft, &[("do", what), ("revision", "1")]).await.status,
            303,
            "{what}"
        );
    }
    let last = app.store().publications().await.expect("the store").remove(0);
    assert_eq!(last.approved_by.as_deref(), Some("pia"));
}
