//! A channel that an operator stops hands nothing over, on any process, until they let it go on;
//! then everything that waited goes, once.

use tidings::store::Store;

use super::{noted, page, post};
use crate::support::TestApp;

async fn switch(app: &TestApp, what: &str, why: &str) -> String {
    let form = [("do", what), ("channel", "email"), ("why", why)];
    post(app, "/console/providers", &form).await
}

#[tokio::test]
async fn a_stopped_channel_hands_nothing_over_says_why_and_goes_on_with_what_waited() {
    let app = TestApp::start().await;
    app.ada().await;
    assert!(switch(&app, "drain", "").await.contains("Say why"));
    let body = switch(&app, "drain", "the provider moves house").await;
    assert!(body.contains("Stopped:") && body.contains("the provider moves house"), "{body}");
    assert!(switch(&app, "drain", "again").await.contains("stopped before"));
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T12:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 0, "nothing is handed over");
    assert_eq!(app.of("taken-in-charge").await.status, "planned");
    let explained = app.explained("taken-in-charge").await;
    assert!(explained.contains("An operator has stopped the channel"), "{explained}");
    assert!(page(&app, "/console").await.contains("<strong>stopped</strong>"));
    let body = switch(&app, "undrain", "").await;
    assert!(body.contains("It goes on; 1 waited"), "{body}");
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1, "at once, and once");
    assert_eq!((noted(&app, "drain").await, noted(&app, "undrain").await), (1, 1));
    assert!(switch(&app, "undrain", "").await.contains("was not stopped"));
    app.end().await;
}

#[tokio::test]
async fn another_process_learns_of_it_and_other_channels_go_on() {
    let app = TestApp::start().await;
    app.ada().await;
    let elsewhere = Store::open(&app.app.settings.store.url).await.expect("the same store");
    let email = tidings::domain::Channel::Email;
    assert!(elsewhere.drain(email, "Grace", "a test", app.now()).await.expect("there"));
    // Every process asks the store within a second.
    app.drain().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(
        (app.smtp.taken().len(), app.twilio.taken().len()),
        (0, 0),
        "it waits for its channel"
    );
    app.choose(|chosen| chosen.channel_order = Some(vec![tidings::domain::Channel::Sms])).await;
    app.event_of(serde_json::json!({"case": "T-2", "state": "wait"})).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 2, "by text all goes on, also what waited");
    assert_eq!(app.smtp.taken().len(), 0);
    app.end().await;
}
