//! A promised call is kept or moved with a word, tried once more, and then a task for a person.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tidings::app::centre::promised_calls;
use tidings::app::phone::promised;

use crate::support::TestApp;
use crate::support::telephone::{By, Next, Telephone};
use crate::support::visitor::{Browser, value_of};

/// Somebody at the desk ends the one open task with this body.
async fn done(app: &TestApp, body: Value) -> (u16, Value) {
    let task = app.store().open_tasks(0, 10).await.expect("the store").remove(0);
    let path = format!("/v1/tasks/{}/done", task.seq);
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let (status, said) = app.http(Request::post(path).body(body).expect("a request")).await;
    (status, serde_json::from_str(&said).unwrap_or_default())
}

/// Looks for overdue promises at the clock's time.
async fn look(app: &TestApp) {
    promised_calls::run_once(&app.app, app.now()).await.expect("the store is there");
}

/// The last mail to Ada.
async fn told(app: &TestApp) -> String {
    app.drain().await;
    app.smtp.taken().last().map(crate::support::smtp::Mail::text).unwrap_or_default()
}

/// Ada, who is promised a call in the first window: 10:15 to 10:30.
async fn promised() -> TestApp {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/call").await.body;
    let first = value_of(&page, "name=\"when\" value=\"1").expect("a window");
    let form = [("do", "call"), ("when", &*format!("1{first}"))];
    assert!(browser.post("/centre/call", &form).await.body.contains("10:15"));
    app
}

#[tokio::test]
async fn a_call_that_was_made_is_said_to_be_kept() {
    let app = promised().await;
    assert_eq!(done(&app, Value::Null).await.0, 204);
    let mail = told(&app).await;
    assert!(mail.contains("We called you as promised."), "{mail}");
    assert!(app.tasks().await.is_empty());
    app.end().await;
}

#[tokio::test]
async fn a_call_that_moves_is_told_with_its_new_time() {
    let app = promised().await;
    let browser = Browser::visiting(&app).await;
    assert!(told(&app).await.is_empty(), "the page has confirmed the first time");
    browser.post("/centre/call", &[("do", "call"), ("when", "soon")]).await;
    let mail = told(&app).await;
    assert!(mail.contains("Your call has a new time. We call you as soon as possible"), "{mail}");
    browser.post("/centre/call", &[("do", "call"), ("when", "soon")]).await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1, "asked again for the same is no news");
    app.end().await;
}

#[tokio::test]
async fn who_did_not_answer_is_called_once_more_and_then_it_is_left_to_a_person() {
    let app = promised().await;
    let (status, next) = done(&app, json!({"outcome": "not_reached"})).await;
    assert_eq!((status, &next["by"]), (200, &json!("2026-11-23T11:15:00+00:00")));
    let mail = told(&app).await;
    assert!(mail.contains("We try once more. We call you on "), "{mail}");
    assert!(mail.contains("11:00") && mail.contains("11:15"), "{mail}");
    assert_eq!(
        app.tasks().await,
        [
            "Call the customer C-1 between Mon 23 Nov 11:00 GMT and Mon 23 Nov 11:15 GMT: nobody answered the first time."
        ]
    );
    let page = Browser::visiting(&app).await.get("/centre/call").await.body;
    assert!(page.contains("11:15"), "the page knows: {page}");
    let (status, next) = done(&app, json!({"outcome": "not_reached"})).await;
    assert_eq!((status, &next["by"]), (200, &Value::Null));
    let mail = told(&app).await;
    assert!(mail.contains("We called twice and did not reach you."), "{mail}");
    assert_eq!(
        app.tasks().await,
        ["Write to the customer C-1 or find another way: nobody answered twice."]
    );
    assert_eq!(done(&app, json!({"outcome": "not_reached"})).await.0, 409, "none is promised");
    assert_eq!(done(&app, json!({"outcome": "sang"})).await.0, 422);
    assert_eq!(done(&app, Value::Null).await.0, 204);
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 2, "no call was kept");
    app.end().await;
}

#[tokio::test]
async fn a_promise_that_was_not_kept_moves_with_a_word_and_fails_the_second_time() {
    let app = promised().await;
    app.advance_to("2026-11-23T10:30:00Z").await;
    look(&app).await;
    assert!(told(&app).await.is_empty(), "its time is not over yet");
    app.advance_to("2026-11-23T10:30:01Z").await;
    look(&app).await;
    let mail = told(&app).await;
    assert!(mail.contains("We did not call you in time, and are sorry."), "{mail}");
    assert!(mail.contains("10:45") && mail.contains("11:00"), "{mail}");
    look(&app).await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1, "once is enough");
    app.advance_to("2026-11-23T11:00:01Z").await;
    look(&app).await;
    let mail = told(&app).await;
    assert!(mail.contains("A person looks after it now."), "{mail}");
    assert_eq!(
        app.tasks().await,
        [
            "Write to the customer C-1 or find another way: the promised time passed without a call twice."
        ]
    );
    look(&app).await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 2);
    app.end().await;
}

#[tokio::test]
async fn a_broken_promise_counts_against_what_the_page_says_of_the_last_ones() {
    let app = TestApp::start().await;
    app.ada().await;
    let put = Request::put("/v1/wait-times")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"voice": {"shortest_s": 60, "longest_s": 120}}"#));
    app.http(put.expect("a request")).await;
    let browser = Browser::visiting(&app).await;
    browser.post("/centre/call", &[("do", "call"), ("when", "soon")]).await;
    app.advance_to("2026-11-23T10:05:00Z").await;
    look(&app).await;
    let kept = app.store().kept_callbacks().await.expect("the store is there");
    assert_eq!((kept.kept, kept.ended), (0, 1));
    app.end().await;
}

#[tokio::test]
async fn who_holds_a_message_moves_no_time_that_was_chosen() {
    let app = promised().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let code = app.of("taken-in-charge").await.code;
    Browser::new(&app).post(&format!("/m/{code}"), &[("do", "call")]).await;
    let call = app.store().open_callback(&"C-1".into()).await.expect("the store").expect("one");
    assert_eq!(call.from().map(|at| at.to_rfc3339()).as_deref(), Some("2026-11-23T10:15:00+00:00"));
    app.end().await;
}

/// Ada, who is promised a call at 10:15 that the house makes itself; the clock shows 10:15.
async fn rung(by: By) -> TestApp {
    let voice = if by == By::Vonage { "{vonage}\n" } else { "" };
    let dial = "[callback]\ndial = true\n[contact_centre]\nphone = \"+442079460099\"";
    let app = TestApp::with(&format!("{voice}{dial}")).await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/call").await.body;
    let first = value_of(&page, "name=\"when\" value=\"1").expect("a window");
    browser.post("/centre/call", &[("do", "call"), ("when", &*format!("1{first}"))]).await;
    promised::run_once(&app.app, app.now()).await.expect("the store is there");
    assert!(app.twilio.taken().is_empty() && app.vonage.taken().is_empty(), "not yet");
    app.advance_to("2026-11-23T10:15:00Z").await;
    for _ in 0..2 {
        promised::run_once(&app.app, app.now()).await.expect("the store is there");
    }
    app
}

#[tokio::test]
async fn the_house_rings_the_contact_centre_first_and_connects_it_with_the_customer() {
    for by in [By::Twilio, By::Vonage] {
        let app = rung(by).await;
        let rung = app.twilio.taken().len() + app.vonage.taken().len();
        assert_eq!(rung, 1, "once, however often it is looked at");
        let phone = Telephone::rings(&app, by);
        let desk = phone.picked_up("unknown").await;
        assert!(desk.said.contains("Call back for Ada Byron, who asked for it."), "{desk:?}");
        // Vonage does not say what picked up: a key shows that it is a person.
        let desk = if by == By::Vonage { phone.press(&desk, '1').await } else { desk };
        let Next::Connect { to, .. } = &desk.then else { panic!("{desk:?}") };
        assert_eq!(to, "+447911123456");
        for _ in 0..2 {
            let over = phone.desk_call_ended(&desk, "completed").await;
            assert_eq!((over.said.as_str(), over.then), ("", Next::End));
        }
        assert!(told(&app).await.contains("We called you as promised."));
        assert_eq!(app.smtp.taken().len(), 1, "said once");
        assert!(app.tasks().await.is_empty());
        app.end().await;
    }
}

#[tokio::test]
async fn a_customer_who_does_not_answer_is_rung_for_once_more_and_then_it_is_a_task() {
    let app = rung(By::Twilio).await;
    let missed = async || {
        let phone = Telephone::rings(&app, By::Twilio);
        let desk = phone.picked_up("human").await;
        phone.desk_call_ended(&desk, "no-answer").await;
    };
    missed().await;
    assert!(told(&app).await.contains("We try once more."));
    app.advance_to("2026-11-23T11:15:00Z").await;
    promised::run_once(&app.app, app.now()).await.expect("the store is there");
    assert_eq!(app.twilio.taken().len(), 2);
    missed().await;
    assert!(told(&app).await.contains("We called twice and did not reach you."));
    assert_eq!(
        app.tasks().await,
        ["Write to the customer C-1 or find another way: nobody answered twice."]
    );
    app.end().await;
}

#[tokio::test]
async fn a_contact_centre_that_does_not_answer_breaks_no_promise_silently() {
    let app = rung(By::Twilio).await;
    let phone = Telephone::rings(&app, By::Twilio);
    assert_eq!(phone.picked_up("machine").await.then, Next::End, "a machine is nobody");
    phone.reports("no-answer", None).await;
    app.advance_to("2026-11-23T10:30:01Z").await;
    look(&app).await;
    assert!(told(&app).await.contains("We did not call you in time, and are sorry."));
    app.end().await;
}
