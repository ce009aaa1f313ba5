use serde_json::json;
use tidings::domain::Channel;

use crate::support::TestApp;
use crate::support::smtp::Reply;
use crate::support::twilio::{Answer, TOKEN, sign};

async fn by(app: &TestApp, channel: Channel) {
    app.ada().await;
    app.choose(move |chosen| chosen.channel_order = Some(vec![channel])).await;
}

#[tokio::test]
async fn a_mail_without_an_answer_is_in_doubt_and_ends_unknown_with_a_task_rather_than_twice() {
    let app = TestApp::start().await;
    by(&app, Channel::Email).await;
    app.smtp.will([Reply::TakeAndVanish]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "in_doubt");
    assert_eq!(app.summary().await.balance.open, 1);
    app.advance_to("2026-11-23T10:20:00Z").await;
    assert_eq!(app.of("taken-in-charge").await.status, "unknown");
    assert_eq!(app.smtp.taken().len(), 1, "never twice in silence");
    assert_eq!(app.tasks().await.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn a_topic_that_prefers_twice_to_never_is_sent_once_more_and_says_so() {
    let app = TestApp::with("[topics.status]\nin_doubt = \"at_least_once\"\n").await;
    by(&app, Channel::Email).await;
    app.smtp.will([Reply::TakeAndVanish]);
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T10:20:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 2);
    assert_eq!(
        mails[0].header("Message-ID"),
        mails[1].header("Message-ID"),
        "mailboxes may fold them"
    );
    let what: Vec<_> =
        app.detail("taken-in-charge").await.decisions.into_iter().map(|d| d.what).collect();
    assert_eq!(what, ["in_doubt", "planned"], "marked before the second");
    app.end().await;
}

#[tokio::test]
async fn a_step_in_doubt_is_not_said_once_more_after_a_newer_one_was_told() {
    let app = TestApp::with("[topics.return]\nin_doubt = \"at_least_once\"\n").await;
    by(&app, Channel::Email).await;
    app.smtp.will([Reply::TakeAndVanish]);
    let facts = json!({"item": "Blue trousers", "amount": "49.90", "currency": "EUR"});
    let case =
        |state: &str| json!({"case": "R-1", "case_type": "return", "state": state, "facts": facts});
    app.event_of(case("received")).await;
    app.drain().await;
    assert_eq!(app.of("received").await.status, "in_doubt");
    app.advance_to("2026-11-23T10:01:00Z").await;
    app.event_of(case("inspected")).await;
    app.drain().await;
    assert_eq!(app.of("inspected").await.status, "sent");
    app.advance_to("2026-11-23T10:30:00Z").await;
    assert_eq!(app.of("received").await.status, "superseded");
    assert_eq!(app.smtp.taken().len(), 2, "one of each, and none out of order");
    app.end().await;
}

#[tokio::test]
async fn a_text_without_an_answer_is_settled_by_its_receipt() {
    for answer in [Answer::TakeAndFail(500), Answer::TakeAndVanish] {
        let app = TestApp::start().await;
        by(&app, Channel::Sms).await;
        app.twilio.will([answer]);
        app.event("take_in_charge_ticket").await;
        app.drain().await;
        assert_eq!(app.of("taken-in-charge").await.status, "in_doubt");
        let request = &app.twilio.taken()[0];
        let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", "delivered")];
        let status = post_receipt(&app, request.field("StatusCallback"), &fields, TOKEN).await;
        assert_eq!(status, 204);
        app.drain().await;
        assert_eq!(app.of("taken-in-charge").await.status, "delivered");
        app.advance_to("2026-11-23T12:00:00Z").await;
        assert_eq!(app.twilio.taken().len(), 1);
        app.end().await;
    }
}

#[tokio::test]
async fn a_text_without_an_answer_or_a_receipt_is_looked_up_and_found() {
    let app = TestApp::start().await;
    by(&app, Channel::Sms).await;
    app.twilio.will([Answer::TakeAndVanish]);
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T10:02:29Z").await;
    assert_eq!(app.of("taken-in-charge").await.status, "in_doubt", "it may still arrive there");
    app.advance_to("2026-11-23T10:02:31Z").await;
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    app.advance_to("2026-11-23T12:00:00Z").await;
    assert_eq!(app.twilio.taken().len(), 1, "once");
    assert_eq!(app.tasks().await.len(), 0, "nobody is asked");
    app.end().await;
}

#[tokio::test]
async fn texts_that_are_asked_for_and_mails_that_cannot_be_end_at_the_same_instant() {
    let app = TestApp::start().await;
    // More are asked for at once than the store has connections to read by.
    let (texts, all) = (7, 15);
    app.twilio.will((0..texts).map(|_| Answer::TakeAndVanish));
    app.twilio.hide_lists();
    app.smtp.will((texts..all).map(|_| Reply::TakeAndVanish));
    for n in 0..all {
        let (channel, address) = if n < texts {
            ("sms", format!("+4479111230{n:02}"))
        } else {
            ("email", format!("d{n}@example.com"))
        };
        let point = json!({"channel": channel, "address": address, "verified": true});
        let id = format!("D-{n}");
        let dora = json!({"id": id, "name": "Dora Day", "contact_points": [point]});
        app.customer(dora).await;
        let facts = json!({"item": "Blue trousers"});
        app.event_of(json!({"case": format!("R-{n}"), "case_type": "return", "state": "received",
            "customer": id, "facts": facts}))
            .await;
    }
    app.drain().await;
    let count = async |wanted: &str| {
        app.notifications().await.iter().filter(|n| n.status == wanted).count()
    };
    assert_eq!(count("in_doubt").await, all);
    app.advance_to("2026-11-23T10:16:00Z").await;
    assert_eq!(count("unknown").await, all);
    app.end().await;
}

#[tokio::test]
async fn what_the_provider_never_heard_of_is_sent_again_at_once() {
    let app = TestApp::start().await;
    by(&app, Channel::Sms).await;
    app.twilio.will([Answer::Vanish]);
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T10:02:29Z").await;
    assert_eq!(app.twilio.taken().len(), 0);
    app.advance_to("2026-11-23T10:02:31Z").await;
    assert_eq!((app.twilio.taken().len(), app.smtp.taken().len()), (1, 0));
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    let explained = app.explained("taken-in-charge").await;
    assert!(explained.contains("twilio was asked and never heard of the message"), "{explained}");
    app.end().await;
}

#[tokio::test]
async fn a_doubt_nobody_answers_is_asked_for_until_its_time_is_up_and_then_named() {
    let app = TestApp::start().await;
    by(&app, Channel::Sms).await;
    app.twilio.hide_lists();
    app.twilio.will([Answer::TakeAndVanish]);
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T10:14:00Z").await;
    assert_eq!(app.of("taken-in-charge").await.status, "in_doubt");
    app.advance_to("2026-11-23T10:16:00Z").await;
    assert_eq!(app.of("taken-in-charge").await.status, "unknown");
    assert_eq!((app.tasks().await.len(), app.twilio.taken().len()), (1, 1));
    app.end().await;
}

/// Posts a callback to the app's own router, signed under `token`.
pub async fn post_receipt(
    app: &TestApp,
    callback: &str,
    fields: &[(&str, &str)],
    token: &str,
) -> u16 {
    let signature = if token == TOKEN { sign(callback, fields) } else { "bm90IGl0".into() };
    let path = callback.strip_prefix("https://tidings.example.com").expect("our address");
    app.post_form(path, fields, Some(signature)).await.0
}
