use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_reminder_cancels_itself_when_the_case_has_moved_on() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.drain().await;
    app.advance_to("2026-11-25T10:00:00Z").await;
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-12-04T10:00:00Z").await;
    let reminder = app.of("still-waiting-for-you").await;
    assert_eq!(
        (reminder.status.as_str(), reminder.reason.as_deref()),
        ("cancelled", Some("left_state"))
    );
    assert_eq!(app.smtp.taken().len() + app.twilio.taken().len(), 2, "waiting, taken in charge");
    app.end().await;
}

#[tokio::test]
async fn a_reminder_repeats_until_answered_and_at_most_three_times() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.advance_to("2026-12-31T10:00:00Z").await;
    let reminders: Vec<_> = app
        .notifications()
        .await
        .into_iter()
        .filter(|n| n.notice == "still-waiting-for-you")
        .map(|n| (n.status, tidings::domain::time::from_ms(n.due_at_ms).to_rfc3339()))
        .collect();
    // Three working days after Monday, then five working days after each left.
    let sent = |at: &str| ("sent".to_owned(), at.to_owned());
    assert_eq!(
        reminders,
        [
            sent("2026-11-26T10:00:00+00:00"),
            sent("2026-12-03T10:00:00+00:00"),
            sent("2026-12-10T10:00:00+00:00")
        ]
    );
    app.end().await;
}

/// Links are signed: with a key of their own, the same in every run.
const KEY: &str = "[auth]\nkey_file = \"tests/fixtures/key.hex\"\n";

#[tokio::test]
async fn overnight_steps_become_one_message_that_lists_what_it_replaces() {
    let app = TestApp::at_with("2026-11-23T22:00:00Z", KEY).await;
    app.customer(json!({
        "id": "C-1", "name": "Ada Byron", "locale": "en-GB", "time_zone": "Europe/London",
        "contact_points": [{"channel": "email", "address": "ada@example.com", "verified": true}],
        "preferences": {"quiet_hours": "21:00-08:00"}
    }))
    .await;
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-24T01:00:00Z").await;
    app.event("wait").await;
    app.advance_to("2026-11-24T02:00:00Z").await;
    app.event("resolve_ticket").await;
    app.advance_to("2026-11-24T12:00:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 1);
    let text = mails[0].text();
    let letter = text.split("Example Shop").next().expect("the letter before its foot");
    insta::assert_snapshot!(letter);
    for replaced in ["taken-in-charge", "waiting-for-you"] {
        assert_eq!(app.of(replaced).await.status, "superseded");
    }
    app.end().await;
}

#[tokio::test]
async fn an_event_between_the_decision_and_the_hand_over_stops_the_hand_over() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tidings::worker::seams::{Seam, Seams};

    let mut app = TestApp::start().await;
    app.ada().await;
    // At the moment before the attempt opens, the case is resolved.
    let store = app.store().clone();
    let now = app.now();
    let done = Arc::new(AtomicBool::new(false));
    let seams = Seams::watched_by(Arc::new(move |seam| {
        let (store, done) = (store.clone(), Arc::clone(&done));
        Box::pin(async move {
            if seam == Seam::BeforeOpen && !done.swap(true, Ordering::SeqCst) {
                let value = json!({
                    "id": "late", "source": "desk", "case": "T-1", "case_type": "ticket",
                    "customer": "C-1", "state": "resolve_ticket", "occurred_at": now.to_rfc3339(),
                });
                let event = tidings::domain::CaseEvent::from_json(&value, "", now).expect("valid");
                let incoming = tidings::store::intake::Incoming::new(event, &value);
                store.accept_events(vec![incoming], now).await.expect("accepted");
            }
        })
    }));
    app.restart(None, seams).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "superseded");
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 1, "the newer state only");
    assert_eq!(mails[0].header("Subject").as_deref(), Some("Your request T-1 is solved"));
    assert!(mails[0].text().contains("- One of our specialists is now working on your request."));
    app.end().await;
}
