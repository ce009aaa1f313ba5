use serde_json::json;
use tidings::domain::Channel;

use crate::support::TestApp;
use crate::support::visitor::{Browser, value_of};

#[tokio::test]
async fn a_call_is_one_task_however_often_it_is_asked_for_and_can_be_moved_or_taken_back() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let ask = async |when: &str| {
        browser.post("/centre/call", &[("do", "call"), ("when", when)]).await.body
    };
    for _ in 0..3 {
        let page = ask("soon").await;
        assert!(page.contains("One of us will call you."), "{page}");
    }
    assert_eq!(
        app.tasks().await,
        [
            "Call the customer C-1 as soon as possible, by Tue 24 Nov 10:00 GMT: they asked for it on their page."
        ]
    );
    let page = browser.get("/centre/call").await.body;
    let window = value_of(&page, "name=\"when\" value=\"1").map(|rest| format!("1{rest}"));
    let page = ask(&window.expect("a window")).await;
    assert!(page.contains("10:15") && page.contains("10:30"), "{page}");
    assert_eq!(
        app.tasks().await,
        [
            "Call the customer C-1 between Mon 23 Nov 10:15 GMT and Mon 23 Nov 10:30 GMT: they chose this time on their page."
        ]
    );
    assert!(ask("17").await.contains("This time is taken."), "no window of ours");
    let page = browser.post("/centre/call", &[("do", "cancel")]).await.body;
    assert!(page.contains("We do not call."), "{page}");
    assert!(app.tasks().await.is_empty());
    app.end().await;
}

#[tokio::test]
async fn a_window_that_is_full_is_offered_to_nobody_else() {
    let app = TestApp::with("[callback]\nhours = \"09:00-17:00 MON-FRI\"\nper_window = 1").await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/call").await.body;
    let first = value_of(&page, "name=\"when\" value=\"1").expect("a window");
    let first = format!("1{first}");
    browser.post("/centre/call", &[("do", "call"), ("when", &first)]).await;
    let page = browser.get("/centre/call").await.body;
    assert!(!page.contains(&first), "{page}");
    app.end().await;
}

#[tokio::test]
async fn the_wait_is_what_the_switchboard_said_last_with_how_often_it_was_kept() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    assert!(browser.get("/centre/call").await.body.contains("within a working day"));
    let put = |body: serde_json::Value| {
        axum::http::Request::put("/v1/wait-times")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()))
            .expect("a request")
    };
    let told = json!({"voice": {"shortest_s": 120, "longest_s": 600}});
    assert_eq!(app.http(put(told)).await.0, 204);
    let page = browser.get("/centre/call").await.body;
    assert!(page.contains("The wait is about 2 to 10 minutes now."), "{page}");
    for wrong in [
        json!({"voice": {"shortest_s": 600, "longest_s": 120}}),
        json!({"pigeon": {"shortest_s": 1, "longest_s": 2}}),
        json!({"voice": {"shortest_s": -1, "longest_s": 2}}),
    ] {
        assert_eq!(app.http(put(wrong.clone())).await.0, 422, "{wrong}");
    }
    // Five calls, four of them in time.
    let starts = ["10:00", "11:00", "12:00", "13:00", "14:00"];
    for (index, start) in starts.into_iter().enumerate() {
        app.advance_to(&format!("2026-11-23T{start}:00Z")).await;
        let told = json!({"voice": {"shortest_s": 120, "longest_s": 600}});
        app.http(put(told)).await;
        let browser = Browser::visiting(&app).await;
        browser.post("/centre/call", &[("do", "call"), ("when", "soon")]).await;
        let minutes = if index == 0 { "11" } else { "10" };
        app.advance_to(&format!("2026-11-23T{}:{minutes}:00Z", &start[..2])).await;
        let task = app.store().open_tasks(0, 10).await.expect("the store").remove(0);
        app.store().finish_task(task.seq, "an agent", app.now()).await.expect("open");
    }
    let page = Browser::visiting(&app).await.get("/centre/call").await.body;
    assert!(page.contains("80 % came in time"), "{page}");
    app.advance_to("2026-11-23T20:00:00Z").await;
    let page = Browser::visiting(&app).await.get("/centre/call").await.body;
    assert!(page.contains("within a working day"), "what was said hours ago is worth nothing");
    let wait = app.store().wait_time(Channel::Voice, app.now()).await.expect("the store");
    assert_eq!(wait, None);
    app.end().await;
}

#[tokio::test]
async fn a_system_may_ask_for_a_call_for_a_customer() {
    let app = TestApp::start().await;
    app.ada().await;
    let post = |body: serde_json::Value| {
        axum::http::Request::post("/v1/callbacks")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()))
            .expect("a request")
    };
    let (status, body) = app.http(post(json!({"customer": "C-1"}))).await;
    assert_eq!(status, 202, "{body}");
    assert!(body.contains("2026-11-24T10:00:00"), "{body}");
    assert_eq!(app.tasks().await.len(), 1);
    assert_eq!(app.http(post(json!({"customer": "C-9"}))).await.0, 404);
    assert_eq!(app.http(post(json!({}))).await.0, 422);
    app.end().await;
}
