use serde_json::json;
use tidings::domain::{Channel, NotificationId};

use crate::support::TestApp;
use crate::support::twilio::Answer;

/// Text messages only, each tried again after 5 s.
async fn texts_only() -> TestApp {
    let settings = "[retry.sms]\ndelays_s = [5, 5, 5, 5]\nspread_percent = 0\n\
        [limits.sms]\nper_number_per_hour = 0\n";
    let app = TestApp::with(settings).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app
}

async fn event(app: &TestApp, n: usize) {
    app.event_of(json!({"case": format!("T-{n}"), "state": "take_in_charge_ticket"})).await;
}

#[tokio::test]
async fn a_provider_that_fails_twenty_times_is_left_alone_and_then_tried_with_one_message() {
    let app = texts_only().await;
    app.twilio.will(vec![Answer::Refuse(429, 20429); 20]);
    for n in 0..20 {
        event(&app, n).await;
    }
    app.drain().await;
    let balance = app.summary().await.balance;
    assert_eq!((balance.open, balance.told), (20, 0));
    // Now it would take everything, and is not asked.
    event(&app, 20).await;
    app.advance_to("2026-11-23T10:00:09Z").await;
    assert_eq!(app.twilio.taken().len(), 0, "it rests for 10 s");
    let all = app.notifications().await;
    let last = all.iter().find(|n| n.case_id == "T-20").expect("planned");
    assert_eq!(last.attempts, 0);
    let id = NotificationId::parse(&last.id).expect("an id");
    let explained = tidings::app::explain::notification(&app.app, &id).await.expect("there").text;
    assert!(explained.contains("The provider fails too often right now"), "{explained}");
    // Twelve retries in the first minute: ten, and a tenth of twenty-one first attempts.
    app.advance_to("2026-11-23T10:00:59Z").await;
    assert_eq!(app.twilio.taken().len(), 13);
    app.advance_to("2026-11-23T10:02:00Z").await;
    assert_eq!(app.twilio.taken().len(), 21, "each once");
    app.end().await;
}

#[tokio::test]
async fn a_probe_that_fails_costs_one_attempt_and_doubles_the_rest() {
    let app = texts_only().await;
    app.twilio.will(vec![Answer::Refuse(429, 20429); 21]);
    for n in 0..20 {
        event(&app, n).await;
    }
    app.advance_to("2026-11-23T10:00:29Z").await;
    let attempts: i64 = app.notifications().await.iter().map(|n| n.attempts).sum();
    assert_eq!(attempts, 21, "one probe, and nothing else while it rests");
    app.advance_to("2026-11-23T10:02:00Z").await;
    assert_eq!(app.twilio.taken().len(), 20);
    app.end().await;
}

#[tokio::test]
async fn refusals_of_addresses_never_make_a_provider_rest() {
    let app = texts_only().await;
    app.twilio.will(vec![Answer::Refuse(400, 21602); 40]);
    for n in 0..41 {
        event(&app, n).await;
    }
    app.drain().await;
    let summary = app.summary().await;
    assert_eq!(summary.by_status.get("failed"), Some(&40), "{summary:?}");
    assert_eq!(app.twilio.taken().len(), 1);
    app.end().await;
}
