use serde_json::json;
use tidings::worker::balance;
use tidings::worker::seams::Seams;

use super::event;
use crate::in_doubt::post_receipt;
use crate::support::TestApp;
use crate::support::twilio::TOKEN;

/// Text messages first, then e-mail; nine of ten texts should arrive.
async fn app() -> TestApp {
    let uncapped = "[limits.sms]\nper_number_per_hour = 0\nurgent_per_number_per_hour = 0\n";
    let mut app = TestApp::with(uncapped).await;
    let mut settings = (*app.app.settings).clone();
    settings.channels.sms.delivery_target = Some(0.9);
    app.restart_with(settings, None, Seams::default()).await;
    app.ada().await;
    app.choose(|chosen| {
        use tidings::domain::Channel::{Email, Sms};
        chosen.channel_order = Some(vec![Sms, Email]);
    })
    .await;
    app
}

/// Says `of` things by text, of which the first `lost` do not arrive.
async fn texts(app: &TestApp, from: usize, of: usize, lost: usize) {
    let before = app.twilio.taken().len();
    for n in from..from + of {
        event(app, n).await;
    }
    app.drain().await;
    let taken = app.twilio.taken().split_off(before);
    assert_eq!(taken.len(), of, "by text");
    for (n, request) in taken.iter().enumerate() {
        let status = if n < lost { "undelivered" } else { "delivered" };
        let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", status)];
        assert_eq!(post_receipt(app, request.field("StatusCallback"), &fields, TOKEN).await, 204);
    }
    app.drain().await;
    balance::run_once(&app.app.engine, app.now()).await.expect("the store is there");
}

#[tokio::test]
async fn a_channel_below_its_target_is_left_out_says_why_and_comes_back_after_an_hour() {
    let app = app().await;
    texts(&app, 0, 50, 5).await;
    event(&app, 100).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 51, "nine of ten are enough");
    // Of what was measured, 6 of 51 are lost now.
    let request = app.twilio.taken().remove(50);
    let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", "undelivered")];
    post_receipt(&app, request.field("StatusCallback"), &fields, TOKEN).await;
    app.drain().await;
    balance::run_once(&app.app.engine, app.now()).await.expect("the store is there");
    let mails = app.smtp.taken().len();
    event(&app, 101).await;
    app.drain().await;
    assert_eq!((app.twilio.taken().len(), app.smtp.taken().len()), (51, mails + 1));
    let (_, body) = app.get("/console/providers").await;
    assert!(body.contains("Left out"), "{body}");
    assert!(body.contains("88 % were delivered"), "{body}");
    let all = app.notifications().await;
    let one = all.iter().find(|n| n.case_id == "T-101" && n.notice == "taken-in-charge");
    let id = tidings::domain::NotificationId::parse(&one.expect("there").id).expect("an id");
    let told = tidings::app::explain::notification(&app.app, &id).await.expect("there").text;
    assert!(told.contains("only 88 % of the last messages were delivered"), "{told}");

    app.advance_to("2026-11-23T10:59:59Z").await;
    event(&app, 102).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 51);
    app.advance_to("2026-11-23T11:00:01Z").await;
    texts(&app, 103, 49, 49).await;
    assert_eq!(app.twilio.taken().len(), 100, "measured anew by what it carries now");
    app.end().await;
}

#[tokio::test]
async fn a_poor_channel_is_better_than_none() {
    let app = app().await;
    texts(&app, 0, 50, 50).await;
    app.customer(json!({
        "id": "C-2", "name": "Bob Boole", "time_zone": "Europe/London",
        "contact_points": [{"channel": "sms", "address": "+447911120001", "verified": true}]
    }))
    .await;
    let more = json!({"case": "T-900", "customer": "C-2", "state": "take_in_charge_ticket"});
    app.event_of(more).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 51);
    app.end().await;
}

#[tokio::test]
async fn the_centre_does_not_offer_a_channel_that_is_left_out_and_says_why() {
    let app = app().await;
    texts(&app, 0, 50, 50).await;
    let browser = crate::support::visitor::Browser::visiting(&app).await;
    let page = browser.get("/centre/choices").await.body;
    assert!(page.contains("too few of these arrive at the moment"), "{page}");
    app.end().await;
}
