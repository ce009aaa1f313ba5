//! A doubt ends, or what was thought told comes back: nothing that follows is lost, and nothing
//! is said twice.

use serde_json::json;
use tidings::channel::receipt::Word;
use tidings::domain::time::from_ms;
use tidings::domain::{Channel, NotificationId, Preferences};
use tidings::store::console::NotificationView;

use crate::in_doubt::post_receipt;
use crate::support::TestApp;
use crate::support::smtp::Reply;
use crate::support::twilio::{Answer, TOKEN};

const TWICE: &str = "[topics.status]\nin_doubt = \"at_least_once\"\n";

const PARCEL: &str = "[journeys]\ndir = \"tests/fixtures/parcel/journeys\"\n\
                      [templates]\ndir = \"tests/fixtures/parcel/templates\"\n\
                      [quiet_hours]\nsms = \"none\"\nvoice = \"none\"\n";

async fn parcel(app: &TestApp, state: &str) {
    app.event_of(json!({"case": "P-1", "case_type": "parcel", "state": state})).await;
    app.drain().await;
}

fn by_text(chosen: &mut Preferences) {
    chosen.channel_order = Some(vec![Channel::Sms]);
}

fn daily(chosen: &mut Preferences) {
    for topic in ["status", "reminder"] {
        chosen.digest.insert(topic.into(), "daily 18:00".parse().expect("a rhythm"));
    }
}

/// What stands at a status of a notice, in the order of the plan.
async fn at(app: &TestApp, notice: &str, status: &str) -> Vec<NotificationView> {
    let all = app.notifications().await;
    all.into_iter().filter(|n| n.notice == notice && n.status == status).collect()
}

/// When a notice was told.
async fn told(app: &TestApp, notice: &str) -> Vec<String> {
    let all = app.notifications().await;
    let told = all.iter().filter(|n| n.notice == notice).filter_map(|n| n.told_at_ms);
    let mut told: Vec<i64> = told.collect();
    told.sort_unstable();
    told.into_iter().map(|ms| from_ms(ms).format("%a %d %b %H:%M").to_string()).collect()
}

/// The provider's word about its last text.
async fn said_of_the_text(app: &TestApp, status: &str) {
    let request = app.twilio.taken().pop().expect("a text");
    let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", status)];
    assert_eq!(post_receipt(app, request.field("StatusCallback"), &fields, TOKEN).await, 204);
    app.drain().await;
}

#[tokio::test]
async fn what_turns_out_to_be_delivered_is_not_sent_again_in_the_morning() {
    for word in ["delivered", "sent"] {
        let app = TestApp::at_with("2026-11-23T19:50:00Z", TWICE).await;
        app.ada().await;
        app.choose(|chosen| {
            by_text(chosen);
            chosen.quiet_hours = serde_json::from_value(json!("20:00-09:00")).ok();
        })
        .await;
        app.twilio.hide_lists();
        app.twilio.will([Answer::TakeAndVanish]);
        app.event("take_in_charge_ticket").await;
        app.advance_to("2026-11-23T20:10:00Z").await;
        assert_eq!(app.of("taken-in-charge").await.status, "planned", "again, for nine o'clock");
        app.advance_to("2026-11-23T20:30:00Z").await;
        said_of_the_text(&app, word).await;
        assert_eq!(app.of("taken-in-charge").await.status, word);
        app.advance_to("2026-11-24T10:00:00Z").await;
        assert_eq!(app.twilio.taken().len(), 1, "{word}: nobody hears it twice");
        let explained = app.explained("taken-in-charge").await;
        assert!(explained.contains("The provider reported"), "{explained}");
        app.end().await;
    }
}

/// Nine working days of silence; the word about it gets no answer.
async fn silence_in_doubt() -> TestApp {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(by_text).await;
    app.event("assign_seriousness").await;
    app.advance_to("2026-12-04T09:59:00Z").await;
    app.twilio.hide_lists();
    app.twilio.will([Answer::TakeAndVanish]);
    app.advance_to("2026-12-04T10:05:00Z").await;
    assert_eq!(app.of("still-working-on-it").await.status, "in_doubt");
    app
}

#[tokio::test]
async fn the_watch_goes_on_when_a_word_in_doubt_turns_out_to_be_sent() {
    let app = silence_in_doubt().await;
    said_of_the_text(&app, "sent").await;
    assert_eq!(at(&app, "still-working-on-it", "sent").await.len(), 1);
    assert_eq!(at(&app, "still-working-on-it", "planned").await.len(), 1, "the next one");
    app.advance_to("2026-12-20T10:00:00Z").await;
    assert_eq!(told(&app, "still-working-on-it").await, ["Fri 04 Dec 10:05", "Thu 17 Dec 10:05"]);
    app.end().await;
}

#[tokio::test]
async fn the_watch_goes_on_once_when_nobody_knows_and_then_somebody_does() {
    let app = silence_in_doubt().await;
    app.advance_to("2026-12-04T11:00:00Z").await;
    assert_eq!(at(&app, "still-working-on-it", "unknown").await.len(), 1);
    assert_eq!(at(&app, "still-working-on-it", "planned").await.len(), 1, "the next one");
    said_of_the_text(&app, "delivered").await;
    assert_eq!(at(&app, "still-working-on-it", "delivered").await.len(), 1);
    assert_eq!(at(&app, "still-working-on-it", "planned").await.len(), 1, "and no second");
    app.advance_to("2026-12-20T10:00:00Z").await;
    assert_eq!(app.twilio.taken().len(), 2);
    app.end().await;
}

#[tokio::test]
async fn an_escalation_follows_from_a_doubt_that_was_delivered_after_all() {
    let app = TestApp::with(PARCEL).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms, Channel::Email])).await;
    app.twilio.hide_lists();
    app.twilio.will([Answer::TakeAndVanish]);
    parcel(&app, "ready").await;
    app.advance_to("2026-11-23T10:02:30Z").await;
    said_of_the_text(&app, "delivered").await;
    app.advance_to("2026-11-23T20:00:00Z").await;
    assert_eq!(told(&app, "ready").await, ["Mon 23 Nov 10:02", "Mon 23 Nov 16:02"]);
    assert_eq!((app.twilio.taken().len(), app.smtp.taken().len()), (1, 1), "by mail then");
    app.end().await;
}

#[tokio::test]
async fn what_came_back_and_went_another_way_is_not_said_there_again() {
    let app = TestApp::with(PARCEL).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms, Channel::Email])).await;
    parcel(&app, "ready").await;
    app.advance_to("2026-11-23T10:02:00Z").await;
    said_of_the_text(&app, "undelivered").await;
    assert_eq!(app.smtp.taken().len(), 1, "by mail instead");
    app.advance_to("2026-11-24T10:00:00Z").await;
    assert_eq!((app.smtp.taken().len(), app.twilio.taken().len()), (1, 1));
    let ended = at(&app, "ready", "cancelled").await;
    let why: Vec<_> = ended.iter().filter_map(|n| n.reason.as_deref()).collect();
    assert_eq!(why, ["came_back", "no_channel"], "and after the mail no channel is left");
    app.end().await;
}

#[tokio::test]
async fn a_late_bounce_does_not_begin_a_second_row_of_words_by_the_calendar() {
    let app = TestApp::with(PARCEL).await;
    app.ada().await;
    parcel(&app, "moved").await;
    app.advance_to("2026-12-08T14:00:00Z").await;
    let first = at(&app, "weekly", "sent").await.remove(0);
    let of = (NotificationId::parse(&first.id).expect("an id"), 1);
    let word = Word::Undelivered { detail: "550 5.1.1".into(), address: None };
    app.app.engine.take_receipt(of, "smtp", "dsn".into(), word).await.expect("kept");
    app.advance_to("2026-12-23T10:00:00Z").await;
    let weekly = ["Mon 07 Dec 09:00", "Mon 14 Dec 09:00", "Mon 21 Dec 09:00"];
    assert_eq!(told(&app, "weekly").await, weekly);
    assert_eq!(at(&app, "weekly", "planned").await.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn what_rides_in_a_message_in_doubt_is_told_when_the_doubt_ends_well() {
    for word in ["sent", "delivered"] {
        let app = TestApp::start().await;
        app.ada().await;
        app.choose(|chosen| {
            by_text(chosen);
            daily(chosen);
        })
        .await;
        app.event_of(json!({"case": "T-1", "state": "take_in_charge_ticket"})).await;
        app.event_of(json!({"case": "T-2", "state": "wait"})).await;
        app.twilio.hide_lists();
        app.twilio.will([Answer::TakeAndVanish]);
        app.advance_to("2026-11-23T18:05:00Z").await;
        assert_eq!(app.of("waiting-for-you").await.status, "in_doubt");
        assert_eq!(app.of("taken-in-charge").await.told_at_ms, None);
        said_of_the_text(&app, word).await;
        let rider = app.of("taken-in-charge").await;
        assert_eq!((rider.status.as_str(), rider.told_at_ms.is_some()), ("folded", true), "{word}");
        assert_eq!(app.twilio.taken().len(), 1);
        app.end().await;
    }
}

#[tokio::test]
async fn a_doubt_is_sent_again_only_where_all_that_rides_in_it_may_be_heard_twice() {
    let app = TestApp::with(TWICE).await;
    app.ada().await;
    app.choose(|chosen| {
        chosen.channel_order = Some(vec![Channel::Email]);
        daily(chosen);
    })
    .await;
    app.event_of(json!({"case": "T-1", "state": "wait"})).await;
    app.advance_to("2026-11-26T12:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 1);
    // A reminder of the first rides in the news of the second.
    app.event_of(json!({"case": "T-2", "state": "wait"})).await;
    app.smtp.will([Reply::TakeAndVanish]);
    app.advance_to("2026-11-26T19:00:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 2, "a reminder is never said twice in silence");
    assert!(mails[1].text().contains("T-1") && mails[1].text().contains("T-2"));
    assert_eq!(at(&app, "waiting-for-you", "unknown").await.len(), 1);
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert!(tasks[0].contains("T-2") && tasks[0].contains("T-1"), "both: {tasks:?}");
    app.end().await;
}

#[tokio::test]
async fn a_carrier_planned_again_that_was_delivered_takes_its_riders_along() {
    let app = TestApp::with(TWICE).await;
    app.ada().await;
    app.choose(|chosen| {
        by_text(chosen);
        daily(chosen);
        chosen.quiet_hours = serde_json::from_value(json!("18:10-09:00")).ok();
    })
    .await;
    app.event_of(json!({"case": "T-1", "state": "take_in_charge_ticket"})).await;
    app.event_of(json!({"case": "T-2", "state": "wait"})).await;
    app.twilio.hide_lists();
    app.twilio.will([Answer::TakeAndVanish]);
    app.advance_to("2026-11-23T18:30:00Z").await;
    assert_eq!(app.of("waiting-for-you").await.status, "planned");
    assert_eq!(app.of("taken-in-charge").await.status, "planned");
    said_of_the_text(&app, "delivered").await;
    assert_eq!(app.of("waiting-for-you").await.status, "delivered");
    let rider = app.of("taken-in-charge").await;
    assert_eq!((rider.status.as_str(), rider.told_at_ms.is_some()), ("folded", true));
    app.advance_to("2026-11-24T20:00:00Z").await;
    assert_eq!(app.twilio.taken().len(), 1);
    app.end().await;
}
