use tidings::domain::Channel;
use tidings::worker::balance;

use super::{event, two};
use crate::in_doubt::post_receipt;
use crate::support::twilio::{TOKEN, TwilioDouble};
use crate::support::{TestApp, at};

fn weights(app: &TestApp) -> Vec<u32> {
    app.app.engine.health.weights(Channel::Sms)
}

async fn look(app: &TestApp, now: &str) {
    app.advance_to(now).await;
    balance::run_once(&app.app.engine, at(now)).await.expect("the store is there");
}

/// Every text of this provider arrives now.
async fn all_arrive(app: &TestApp, of: &TwilioDouble) {
    for request in of.taken() {
        let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", "delivered")];
        assert_eq!(post_receipt(app, request.field("StatusCallback"), &fields, TOKEN).await, 204);
    }
}

#[tokio::test]
async fn a_provider_whose_receipts_are_late_loses_ten_points_a_minute_and_gets_them_back() {
    let (app, second) = two((50, 50), "").await;
    for n in 0..70 {
        event(&app, n).await;
    }
    app.drain().await;
    assert!(app.twilio.taken().len() >= 20 && second.taken().len() >= 20);
    app.advance_to("2026-11-23T10:00:30Z").await;
    all_arrive(&app, &second).await;
    look(&app, "2026-11-23T10:04:59Z").await;
    assert_eq!(weights(&app), [50, 50], "nothing is late yet");
    look(&app, "2026-11-23T10:05:00Z").await;
    assert_eq!(weights(&app), [40, 60]);
    look(&app, "2026-11-23T10:05:59Z").await;
    assert_eq!(weights(&app), [40, 60], "once a minute");
    look(&app, "2026-11-23T10:06:00Z").await;
    assert_eq!(weights(&app), [30, 70]);
    let (_, body) = app.get("/console/providers").await;
    assert!(body.contains("100 % of receipts came later than 5 minutes"), "{body}");
    assert!(body.contains("30 % (settings: 50 %)"), "{body}");
    // Another process reads the same from the store.
    app.app.engine.health.set_weights(Channel::Sms, &[50, 50]);
    app.drain().await;
    assert_eq!(weights(&app), [30, 70]);
    all_arrive(&app, &app.twilio).await;
    look(&app, "2026-11-23T10:20:59Z").await;
    assert_eq!(weights(&app), [30, 70]);
    look(&app, "2026-11-23T10:21:00Z").await;
    assert_eq!(weights(&app), [40, 60], "fifteen quiet minutes");
    look(&app, "2026-11-23T10:36:00Z").await;
    assert_eq!(weights(&app), [50, 50]);
    look(&app, "2026-11-23T11:36:00Z").await;
    assert_eq!(weights(&app), [50, 50]);
    app.end().await;
}

#[tokio::test]
async fn nothing_moves_when_neither_has_receipts() {
    let (app, second) = two((50, 50), "").await;
    for n in 0..70 {
        event(&app, n).await;
    }
    app.drain().await;
    assert!(app.twilio.taken().len() >= 20 && second.taken().len() >= 20);
    look(&app, "2026-11-23T10:06:00Z").await;
    assert_eq!(weights(&app), [50, 50]);
    app.end().await;
}
