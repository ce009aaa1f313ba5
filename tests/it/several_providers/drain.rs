use super::{event, two};
use crate::support::TestApp;

async fn switch(app: &TestApp, what: &str, provider: &str) -> String {
    let form = [("do", what), ("channel", "sms"), ("provider", provider), ("why", "a test")];
    let (status, body) = app.post_form("/console/providers", &form, None).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn a_stopped_provider_gets_nothing_and_the_others_go_on() {
    let (app, second) = two((100, 0), "").await;
    assert!(switch(&app, "drain", "third").await.contains("no such provider"));
    let body = switch(&app, "drain", "main").await;
    assert!(body.contains("handed over by main any more"), "{body}");
    for n in 0..5 {
        event(&app, n).await;
    }
    app.drain().await;
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (0, 5));
    assert!(switch(&app, "undrain", "main").await.contains("It goes on"));
    event(&app, 9).await;
    app.drain().await;
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (1, 5));
    app.end().await;
}

#[tokio::test]
async fn when_all_are_stopped_messages_wait_and_the_first_that_goes_on_takes_them() {
    let (app, second) = two((50, 50), "").await;
    switch(&app, "drain", "main").await;
    switch(&app, "drain", "second").await;
    event(&app, 1).await;
    app.advance_to("2026-11-23T10:05:00Z").await;
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (0, 0));
    let body = switch(&app, "undrain", "second").await;
    assert!(body.contains("1 waited"), "{body}");
    app.drain().await;
    assert_eq!((app.twilio.taken().len(), second.taken().len()), (0, 1));
    app.end().await;
}
