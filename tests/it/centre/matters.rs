use crate::support::TestApp;
use crate::support::visitor::{Browser, value_of};

/// Ada's ticket waits for her: she was told, and a reminder is planned.
async fn waiting() -> TestApp {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.drain().await;
    app
}

#[tokio::test]
async fn what_is_planned_is_shown_and_can_be_moved_muted_or_had_now() {
    let app = waiting().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre").await.body;
    assert!(page.contains("T-1") && page.contains("Send now"), "{page}");
    let id = value_of(&page, "name=\"id\" value=\"").expect("a planned message");
    let act = async |what: &str, to: &str| {
        let form = [("do", what), ("id", id.as_str()), ("to", to)];
        browser.post("/centre", &form).await.body
    };
    let moved = act("move", "2026-11-26T11:30").await;
    assert!(moved.contains("Moved.") && moved.contains("2026-11-26T11:30:00+00:00"), "{moved}");
    for wrong in ["2026-11-22T11:30", "soon", ""] {
        assert!(act("move", wrong).await.contains("Choose a time ahead."), "{wrong}");
    }
    assert!(act("move", "2029-01-01T10:00").await.contains("no use any more"));
    let before = app.smtp.taken().len();
    assert!(act("now", "").await.contains("It leaves as soon as the hour allows."));
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), before + 1, "it left");
    assert!(act("mute", "").await.contains("That is no longer there"), "too late for that");
    app.end().await;
}

#[tokio::test]
async fn a_muted_message_is_not_sent_and_the_history_says_why() {
    let app = waiting().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre").await.body;
    let id = value_of(&page, "name=\"id\" value=\"").expect("a planned message");
    let form = [("do", "mute"), ("id", id.as_str())];
    let page = browser.post("/centre", &form).await.body;
    assert!(page.contains("This message will not be sent."), "{page}");
    app.advance_to("2026-12-20T10:00:00Z").await;
    assert_eq!(app.of("still-waiting-for-you").await.status, "suppressed");
    let history = Browser::visiting(&app).await.get("/centre/history").await.body;
    assert!(history.contains("You or one of us decided it."), "{history}");
    assert!(history.contains("Why I got nothing"), "{history}");
    app.end().await;
}

#[tokio::test]
async fn another_customers_message_and_case_cannot_be_touched() {
    let app = waiting().await;
    let mut bob = crate::support::ada();
    bob["id"] = "C-2".into();
    app.customer(bob).await;
    let until = app.now().timestamp() + 60;
    let link = app.app.engine.centre_link(&"C-2".into(), until);
    let browser = Browser::new(&app);
    browser.get(&crate::support::visitor::path(&link)).await;
    let id = app.of("still-waiting-for-you").await.id;
    for form in [
        [("do", "mute"), ("id", id.as_str()), ("choice", "")],
        [("do", "case"), ("case", "T-1"), ("choice", "muted")],
    ] {
        let page = browser.post("/centre", &form).await.body;
        assert!(page.contains("That is no longer there"), "{page}");
    }
    assert_eq!(app.of("still-waiting-for-you").await.status, "planned");
    app.end().await;
}

#[tokio::test]
async fn one_case_may_have_a_channel_of_its_own_or_silence() {
    let app = waiting().await;
    let browser = Browser::visiting(&app).await;
    let choose = async |choice: &str| {
        let form = [("do", "case"), ("case", "T-1"), ("choice", choice)];
        browser.post("/centre", &form).await.body
    };
    let page = choose("sms").await;
    assert!(page.contains("Saved.") && page.contains(r#"<option value="sms" selected>"#), "{page}");
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("sms"));
    app.advance_to("2026-11-23T10:10:00Z").await;
    let page = choose("muted").await;
    assert!(page.contains(r#"<option value="muted" selected>"#), "{page}");
    app.event("resolve_ticket").await;
    app.drain().await;
    assert_eq!(app.of("resolved").await.reason.as_deref(), Some("case_muted"));
    app.end().await;
}

#[tokio::test]
async fn the_history_says_what_came_when_where_to_and_why() {
    let app = waiting().await;
    let page = Browser::visiting(&app).await.get("/centre/history").await.body;
    assert!(page.contains("a***@e***.com"), "{page}");
    assert!(!page.contains("ada@example.com"), "{page}");
    assert!(page.contains("By e-mail, as is usual for this topic."), "{page}");
    assert!(page.contains(r#"<time datetime="2026-11-23T10:00:00+00:00">"#), "{page}");
    app.advance_to("2027-03-01T10:00:00Z").await;
    let page = Browser::visiting(&app).await.get("/centre/history").await.body;
    assert!(!page.contains("2026-11-23"), "more than 90 days ago: {page}");
    app.end().await;
}

#[tokio::test]
async fn everything_done_on_the_pages_is_on_the_timeline() {
    let app = waiting().await;
    let browser = Browser::visiting(&app).await;
    browser.get("/centre/history").await;
    browser.post("/centre/choices", &[("do", "cap"), ("cap", "2")]).await;
    browser.post("/centre/choices", &[("do", "cap"), ("cap", "none")]).await;
    let timeline = app.store().customer_timeline(&"C-1".into(), 100).await.expect("the store");
    let own: Vec<String> = timeline
        .iter()
        .filter(|entry| ["customer", "consent"].contains(&entry.kind))
        .map(|entry| format!("{} {}", entry.what, entry.detail.clone().unwrap_or_default()))
        .collect();
    assert_eq!(
        own,
        [
            "page_seen history",
            "chose cap",
            "failed cap",
            r#"centre by customer {"cap_per_day":{"after":2,"before":null}}"#,
        ]
    );
    app.end().await;
}

#[tokio::test]
async fn an_empty_history_says_so() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre").await.body;
    assert!(page.contains("Nothing is planned.") && page.contains("No case is open."), "{page}");
    assert!(browser.get("/centre/history").await.body.contains("Nothing yet."));
    app.end().await;
}
