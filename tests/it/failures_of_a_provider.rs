use tidings::domain::Channel;

use crate::support::TestApp;
use crate::support::smtp::Reply;
use crate::support::twilio::Answer;

async fn email_only(app: &TestApp) {
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email])).await;
}

#[tokio::test]
async fn a_mail_that_is_put_off_is_tried_again_later_with_the_same_message_id() {
    let app = TestApp::start().await;
    email_only(&app).await;
    app.smtp
        .will([Reply::AtDot("451 4.3.0 try again later"), Reply::AtRcpt("450 4.7.1 greylisted")]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 0);
    let n = app.of("taken-in-charge").await;
    assert_eq!((n.status.as_str(), n.reason.as_deref()), ("planned", Some("deferred")));
    let wait_ms = n.next_at_ms - n.planned_at_ms;
    assert!((300_000..=360_000).contains(&wait_ms), "5 minutes and at most 20 % more: {wait_ms}");
    app.advance_to("2026-11-23T12:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 1);
    let detail = app.detail("taken-in-charge").await;
    let states: Vec<_> = detail.attempts.iter().map(|a| a.state.as_str()).collect();
    assert_eq!(states, ["deferred", "deferred", "sent"]);
    let id = app.smtp.taken()[0].header("Message-ID").expect("a message id");
    assert!(id.starts_with("<n.") && id.ends_with("@example.com>"), "{id}");
    app.end().await;
}

#[tokio::test]
async fn a_refused_address_is_suppressed_for_everybody_and_the_next_channel_is_tried() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email, Channel::Sms])).await;
    app.smtp.will([Reply::AtRcpt("550 5.1.1 no such user")]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("sms"));
    let suppressed = app.customer_now().await.contact_points[0].suppressed.clone();
    assert!(suppressed.is_some_and(|why| why.contains("5.1.1")));
    // The next message does not even try.
    app.event("resolve_ticket").await;
    app.drain().await;
    assert_eq!(app.of("resolved").await.channel.as_deref(), Some("sms"));
    assert_eq!(app.detail("resolved").await.attempts.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn a_policy_refusal_never_suppresses_the_customer() {
    let app = TestApp::start().await;
    email_only(&app).await;
    app.smtp.will([Reply::AtDot("554 5.7.1 message rejected as spam")]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.customer_now().await.contact_points[0].suppressed, None);
    let n = app.of("taken-in-charge").await;
    assert_eq!(n.status, "failed", "no other channel is allowed");
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 2, "a person tells the customer, another asks why: {tasks:?}");
    assert_eq!(app.summary().await.balance.task, 1);
    app.end().await;
}

#[tokio::test]
async fn a_carrier_that_says_stop_suppresses_the_number() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app.twilio.will([Answer::Refuse(400, 21610)]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "failed");
    assert!(app.customer_now().await.contact_points[1].suppressed.is_some());
    app.end().await;
}

#[tokio::test]
async fn a_busy_provider_is_tried_again_and_given_up_after_its_delays() {
    let app = TestApp::with("[retry.sms]\ndelays_s = [5, 30]\nspread_percent = 0\n").await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms, Channel::Email])).await;
    app.twilio.will([
        Answer::Refuse(429, 20429),
        Answer::Refuse(429, 20429),
        Answer::Refuse(429, 20429),
    ]);
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T10:00:34Z").await;
    assert_eq!(app.detail("taken-in-charge").await.attempts.len(), 2);
    app.advance_to("2026-11-23T10:00:36Z").await;
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("email"));
    app.end().await;
}

#[tokio::test]
async fn a_server_that_closes_before_the_final_dot_took_nothing() {
    let app = TestApp::start().await;
    email_only(&app).await;
    app.smtp.will([Reply::VanishAtData]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let n = app.of("taken-in-charge").await;
    assert_eq!((n.status.as_str(), n.reason.as_deref()), ("planned", Some("deferred")));
    app.advance_to("2026-11-23T11:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 1);
    app.end().await;
}
