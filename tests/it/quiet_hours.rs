use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_status_update_at_night_arrives_when_the_quiet_hours_end_also_when_the_clocks_change() {
    let app = TestApp::at_with("2026-03-28T21:30:00Z", "").await; // the clocks change that night
    app.customer(json!({
        "id": "C-1", "name": "Ada Byron", "locale": "en-GB", "time_zone": "Europe/Berlin",
        "contact_points": [{"channel": "email", "address": "ada@example.com", "verified": true}],
        "preferences": {"quiet_hours": "21:00-08:00"}
    }))
    .await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 0);

    app.advance_to("2026-03-29T05:59:59.999Z").await;
    assert_eq!(app.smtp.taken().len(), 0);
    app.advance_to("2026-03-29T06:00:00Z").await; // 08:00 in Berlin, summer time
    assert_eq!(app.smtp.taken().len(), 1);
    let mail = &app.smtp.taken()[0];
    assert_eq!(mail.header("Date").as_deref(), Some("Sun, 29 Mar 2026 06:00:00 +0000"));
    assert!(
        app.explained("taken-in-charge")
            .await
            .contains("quiet hours last until Sun 29 Mar 2026 08:00 CEST")
    );
    app.end().await;
}

#[tokio::test]
async fn a_text_waits_for_the_default_hours_of_its_channel_and_a_mail_does_not() {
    let app = TestApp::at_with("2026-11-23T22:00:00Z", "").await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![tidings::domain::Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 0);
    app.advance_to("2026-11-24T09:00:00Z").await;
    assert_eq!(app.twilio.taken()[0].field("To"), "+447911123456");

    app.customer(json!({
        "id": "C-2", "name": "Grace", "time_zone": "Europe/London",
        "contact_points": [{"channel": "email", "address": "grace@example.com", "verified": true}]
    }))
    .await;
    app.advance_to("2026-11-24T23:00:00Z").await;
    app.event_of(json!({"case": "T-2", "customer": "C-2", "state": "take_in_charge_ticket"})).await;
    app.drain().await;
    assert_eq!(app.smtp.taken()[0].to, "grace@example.com");
    app.end().await;
}

#[tokio::test]
async fn quiet_hours_changed_after_planning_hold_at_the_moment_of_sending() {
    let app = TestApp::at_with("2026-11-23T22:00:00Z", "").await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![tidings::domain::Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let hours = tidings::domain::QuietHours::from_json(&json!("21:00-11:00")).expect("hours");
    app.choose(|chosen| chosen.quiet_hours = Some(hours)).await;
    app.advance_to("2026-11-24T10:59:00Z").await;
    assert_eq!(app.twilio.taken().len(), 0);
    app.advance_to("2026-11-24T11:00:00Z").await;
    assert_eq!(app.twilio.taken().len(), 1);
    app.end().await;
}
