//! An open case is never forgotten: words after a silence and by the calendar, a promise with
//! a date, the next channel when nobody reacts.

use serde_json::json;
use tidings::domain::{CaseChoice, Channel, NotificationId};

use crate::support::{TestApp, at, damage};

const PARCEL: &str = "[journeys]\ndir = \"tests/fixtures/parcel/journeys\"\n\
                      [templates]\ndir = \"tests/fixtures/parcel/templates\"\n\
                      [quiet_hours]\nsms = \"none\"\nvoice = \"none\"\n";

async fn parcels() -> TestApp {
    let app = TestApp::with(PARCEL).await;
    app.ada().await;
    app
}

async fn parcel(app: &TestApp, state: &str) {
    app.event_of(json!({"case": "P-1", "case_type": "parcel", "state": state})).await;
    app.drain().await;
}

/// Notice, status and when it was told, in the order of the telling.
async fn told(app: &TestApp) -> Vec<(String, String, String)> {
    let mut told: Vec<_> =
        app.notifications().await.into_iter().filter(|n| n.told_at_ms.is_some()).collect();
    told.sort_by_key(|n| (n.told_at_ms, n.notice.clone()));
    told.into_iter()
        .map(|n| {
            let at = tidings::domain::time::from_ms(n.told_at_ms.expect("told"));
            (n.notice, n.channel.unwrap_or_default(), at.format("%a %d %b %H:%M").to_string())
        })
        .collect()
}

fn words(list: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    list.iter().map(|(a, b, c)| ((*a).into(), (*b).into(), (*c).into())).collect()
}

#[tokio::test]
async fn a_case_on_which_nothing_happens_gets_a_truthful_word_and_keeps_its_promise() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("assign_seriousness").await;
    app.advance_to("2026-12-20T10:00:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 2, "after nine working days each");
    let text = mails[0].text();
    assert!(
        text.contains("is still open, and nothing has changed since 23 November 2026"),
        "{text}"
    );
    assert!(text.contains("We write again by 18 December 2026 at the latest"), "{text}");
    assert!(app.tasks().await.is_empty());
    let counts = app.store().promise_counts(0..i64::MAX).await.expect("it is there");
    assert_eq!(counts, [("ticket".into(), "kept".into(), 2), ("ticket".into(), "open".into(), 1),]);
    // The event itself led to no notice; the words after it are a line of their own.
    let balance = app.summary().await.balance;
    assert_eq!((balance.accepted, balance.silent), (1, 1));
    app.event("closed").await;
    app.advance_to("2027-03-01T10:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 3, "the question after the end, and no more");
    app.end().await;
}

#[tokio::test]
async fn before_a_promise_breaks_a_person_is_asked_and_a_broken_one_is_made_again() {
    let app = parcels().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![])).await;
    parcel(&app, "late").await;
    // Promised for Monday the 30th; nothing can be said, so a person is asked on its morning.
    app.advance_to("2026-11-29T23:59:00Z").await;
    assert!(app.tasks().await.is_empty());
    app.advance_to("2026-11-30T12:00:00Z").await;
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert!(
        tasks[0].contains("case P-1: we promised another word by Mon 30 Nov 2026"),
        "{tasks:?}"
    );
    app.advance_to("2026-12-01T12:00:00Z").await;
    let states: Vec<_> = app
        .store()
        .promises_of(&"P-1".into())
        .await
        .expect("it is there")
        .into_iter()
        .map(|promise| promise.state)
        .collect();
    assert_eq!(states, ["open", "broken"]);
    app.end().await;
}

#[tokio::test]
async fn who_does_not_react_hears_it_on_the_next_channel() {
    let app = parcels().await;
    app.choose(|chosen| {
        chosen.channel_order = Some(vec![Channel::Email, Channel::Sms, Channel::Voice]);
    })
    .await;
    parcel(&app, "ready").await;
    app.advance_to("2026-11-24T10:00:00Z").await;
    assert_eq!(
        told(&app).await,
        words(&[("ready", "email", "Mon 23 Nov 10:00"), ("ready", "sms", "Mon 23 Nov 16:00"),]),
        "no number for calls is known"
    );
    let ended = app.notifications().await.into_iter().filter(|n| n.status == "failed").count();
    assert_eq!(ended, 0, "said once already: nobody need be told");
    assert!(app.tasks().await.is_empty());
    app.end().await;
}

#[tokio::test]
async fn the_first_sign_of_life_or_a_case_that_moves_ends_the_escalation() {
    for moves in [false, true] {
        let app = parcels().await;
        parcel(&app, "ready").await;
        let first = app.notifications().await.into_iter().find(|n| n.notice == "ready");
        let first = first.expect("it was told");
        if moves {
            parcel(&app, "moved").await;
        } else {
            let link = format!("/m/{}", first.code);
            let (status, _) = app.get(&link).await;
            assert_eq!(status, 200);
            let first = [NotificationId::parse(&first.id).expect("an id")];
            let seen = app.store().signs_of(&first).await.expect("it is there");
            assert!(seen.is_empty(), "a scanner's GET is no sign of life");
            let request = axum::http::Request::get(&link)
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-user", "?1");
            let body = axum::body::Body::empty();
            assert_eq!(app.http(request.body(body).expect("a request")).await.0, 200);
        }
        app.advance_to("2026-11-23T20:00:00Z").await;
        let ready: Vec<_> = app.notifications().await;
        let ended: Vec<_> = ready
            .iter()
            .filter(|n| n.notice == "ready" && n.status == "cancelled")
            .map(|n| n.reason.clone().unwrap_or_default())
            .collect();
        assert_eq!(ended, [if moves { "left_state" } else { "sign_of_life" }]);
        assert_eq!(app.twilio.taken().len(), 0);
        app.end().await;
    }
}

#[tokio::test]
async fn a_calendar_rule_speaks_at_its_hour_on_the_customers_clock_while_the_case_is_open() {
    let app = parcels().await;
    parcel(&app, "moved").await;
    app.advance_to("2026-12-08T10:00:00Z").await;
    parcel(&app, "fetched").await;
    app.advance_to("2026-12-30T10:00:00Z").await;
    let weekly: Vec<_> =
        told(&app).await.into_iter().filter(|word| word.0 == "weekly").map(|w| w.2).collect();
    assert_eq!(weekly, ["Mon 30 Nov 09:00", "Mon 07 Dec 09:00"]);
    app.end().await;
}

#[tokio::test]
async fn after_a_pause_only_what_is_still_true_is_said() {
    let app = parcels().await;
    app.choose(|chosen| chosen.paused_until = Some(at("2026-11-26T08:00:00Z"))).await;
    parcel(&app, "ready").await;
    parcel(&app, "late").await;
    app.advance_to("2026-11-25T12:00:00Z").await;
    assert_eq!(told(&app).await, []);
    app.advance_to("2026-11-26T09:00:00Z").await;
    assert_eq!(told(&app).await, words(&[("late", "email", "Thu 26 Nov 08:00")]));
    app.end().await;
}

#[tokio::test]
async fn a_pause_that_is_lifted_frees_what_waits_for_it() {
    let app = parcels().await;
    app.choose(|chosen| chosen.paused_until = Some(at("2026-11-27T08:00:00Z"))).await;
    parcel(&app, "late").await;
    app.advance_to("2026-11-23T12:00:00Z").await;
    app.choose(|chosen| chosen.paused_until = None).await;
    app.drain().await;
    assert_eq!(told(&app).await, words(&[("late", "email", "Mon 23 Nov 12:00")]));
    app.end().await;
}

#[tokio::test]
async fn a_choice_for_one_case_ends_with_the_case() {
    let app = parcels().await;
    parcel(&app, "moved").await;
    let by_text = CaseChoice { channel: Some(Channel::Sms), muted: false };
    let chosen = app.store().choose_for_case(&"P-1".into(), by_text, "centre", app.now()).await;
    chosen.expect("the case is known");
    parcel(&app, "late").await;
    parcel(&app, "fetched").await;
    app.advance_to("2026-11-24T10:00:00Z").await;
    parcel(&app, "late").await;
    let by: Vec<_> = told(&app).await.into_iter().map(|(notice, by, _)| (notice, by)).collect();
    let by: Vec<_> = by.iter().map(|(notice, by)| (notice.as_str(), by.as_str())).collect();
    assert_eq!(by, [("how-was-it", "sms"), ("late", "sms"), ("late", "email")]);
    app.end().await;
}

#[tokio::test]
async fn a_private_notice_prefers_the_private_channel_and_tells_nothing_on_another() {
    let app = parcels().await;
    parcel(&app, "moved").await;
    app.event_of(json!({"case": "P-1", "case_type": "parcel", "event": "letter"})).await;
    app.drain().await;
    assert_eq!(app.of("private").await.channel.as_deref(), Some("email"));
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app.event_of(json!({"case": "P-1", "case_type": "parcel", "event": "letter"})).await;
    app.drain().await;
    let texts = app.twilio.taken();
    let text = texts.last().expect("a text").field("Body");
    assert!(text.contains("News for you") && !text.contains("private"), "{text}");
    app.end().await;
}

#[tokio::test]
async fn a_private_notice_rides_in_no_text_that_others_may_read() {
    let app = parcels().await;
    app.choose(|chosen| {
        chosen.channel_order = Some(vec![Channel::Sms]);
        chosen.digest.insert("status".into(), "daily 18:00".parse().expect("a rhythm"));
    })
    .await;
    parcel(&app, "late").await;
    app.event_of(json!({"case": "P-1", "case_type": "parcel", "event": "letter"})).await;
    app.advance_to("2026-11-25T19:00:00Z").await;
    let texts = app.twilio.taken();
    assert_eq!(texts.len(), 2, "each for itself");
    for text in texts {
        assert!(!text.field("Body").contains("private"), "{}", text.field("Body"));
    }
    app.end().await;
}

#[tokio::test]
async fn the_first_message_says_why_it_comes_this_way_and_how_to_change_it() {
    let app = parcels().await;
    parcel(&app, "late").await;
    parcel(&app, "ready").await;
    let mails = app.smtp.taken();
    let says = "This is how we begin with everybody. Change it here: https://";
    assert!(mails[0].text().contains(says), "{}", mails[0].text());
    assert!(!mails[1].text().contains(says), "only the first");
    app.end().await;
}

#[tokio::test]
async fn an_event_of_which_nothing_came_is_found_by_the_daily_audit_and_made_a_task() {
    let app = parcels().await;
    parcel(&app, "late").await;
    let audit = async || {
        let found = tidings::worker::audit::run_once(&app.app.engine, app.now()).await;
        found.expect("the store is there")
    };
    app.advance_to("2026-11-24T03:00:00Z").await;
    assert_eq!(audit().await, 0);
    damage(
        &app.app.settings.store.url,
        "UPDATE notification SET status = 'failed' WHERE notice = 'late'",
    )
    .await;
    assert_eq!(audit().await, 1);
    assert_eq!(audit().await, 1, "found again");
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 1, "and asked for once: {tasks:?}");
    assert!(tasks[0].contains("event e1 of desk"), "{tasks:?}");
}
