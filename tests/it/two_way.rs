//! What people write to our number: STATUS, CALL, START from elsewhere, free words, and machines
//! that answer each other.

use serde_json::json;
use tidings::domain::Channel;

use crate::support::TestApp;
use crate::support::twilio::sign;

pub const ADA: &str = "+447911123456";

/// What our number answers to a text; empty for nothing.
pub async fn text(app: &TestApp, from: &str, body: &str, sid: &str) -> String {
    let fields = [("From", from), ("Body", body), ("MessageSid", sid)];
    let signature = sign("https://tidings.example.com/v1/inbound/twilio", &fields);
    let (status, said) = app.post_form("/v1/inbound/twilio", &fields, Some(signature)).await;
    assert_eq!(status, 200, "{said}");
    said.split_once("<Message>")
        .and_then(|(_, rest)| rest.split_once("</Message>"))
        .map_or_else(String::new, |(words, _)| words.to_owned())
}

pub async fn told_by_text() -> TestApp {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    app
}

#[tokio::test]
async fn status_says_where_open_matters_stand_and_no_more_than_their_number_to_the_discreet() {
    let app = told_by_text().await;
    let said = text(&app, ADA, "Status", "SM1").await;
    assert!(said.contains("open matters with us: 1. T-1:"), "{said}");
    app.choose(|chosen| chosen.discreet = Some(true)).await;
    let said = text(&app, ADA, "STATUS", "SM2").await;
    assert!(said.contains("open matters with us: 1.") && !said.contains("T-1"), "{said}");
    let said = text(&app, "+447911129999", "status", "SM3").await;
    assert!(said.contains("cannot tell by this number who you are"), "{said}");
    app.end().await;
}

#[tokio::test]
async fn call_asks_for_a_call_once_and_start_from_another_number_is_ignored() {
    let app = told_by_text().await;
    for sid in ["SM1", "SM2"] {
        let said = text(&app, ADA, "call", sid).await;
        assert!(said.contains("One of us will call you"), "{said}");
    }
    let asked = app.store().open_callback(&"C-1".into()).await.expect("there");
    assert!(asked.is_some());
    assert_eq!(text(&app, "+447911129999", "START", "SM3").await, "");
    app.end().await;
}

#[tokio::test]
async fn free_words_stand_in_the_timeline_of_the_case_once_however_often_the_provider_tells() {
    let app = told_by_text().await;
    for _ in 0..3 {
        text(&app, ADA, "The parcel is at my neighbour's", "SM7").await;
        app.drain().await;
    }
    let entries = app.store().case_timeline(&"T-1".into(), 100).await.expect("there");
    let wrote: Vec<_> = entries.iter().filter(|e| e.what.contains("customer_wrote")).collect();
    assert_eq!(wrote.len(), 1, "{entries:?}");
    app.end().await;
}

#[tokio::test]
async fn two_installations_that_answer_each_other_are_silent_after_one_word_each() {
    let (ours, theirs) = (TestApp::start().await, TestApp::start().await);
    for app in [&ours, &theirs] {
        app.customer(json!({
            "id": "C-9", "name": "A machine", "time_zone": "Europe/London",
            "contact_points": [{"channel": "sms", "address": "+447911120009", "verified": true}]
        }))
        .await;
    }
    let (mut words, mut said) = ("Hello there".to_owned(), Vec::new());
    for n in 0..20 {
        let app = if n % 2 == 0 { &ours } else { &theirs };
        words = text(app, "+447911120009", &words, &format!("SM{n}")).await;
        if words.is_empty() {
            break;
        }
        said.push(words.clone());
    }
    assert!(words.is_empty() && said.len() <= 2, "{said:?}");
    let later = "2026-11-23T11:00:00Z";
    ours.advance_to(later).await;
    assert!(!text(&ours, "+447911120009", "Hello again", "SM99").await.is_empty(), "an hour later");
    ours.end().await;
    theirs.end().await;
}

#[tokio::test]
async fn who_says_that_an_address_is_not_theirs_gets_no_more_there_and_a_person_looks_after_it() {
    let app = told_by_text().await;
    let code = app.detail("taken-in-charge").await.notification.code;
    let (status, page) = app.post_form(&format!("/m/{code}"), &[("do", "not_mine")], None).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("We write to this address no more"), "{page}");
    assert!(app.customer_now().await.contact_points[1].suppressed.is_some());
    assert!(app.tasks().await.iter().any(|task| task.contains("says it is not theirs")));
    app.end().await;
}
