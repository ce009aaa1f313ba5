//! CALL by text: a call is noted, times are offered, a digit chooses one.

use serde_json::json;
use tidings::domain::Channel;
use tidings::render::sms::count;
use tidings::store::callbacks::Wish;

use crate::support::{TestApp, ada, at};
use crate::two_way::{ADA, text, told_by_text};

/// When the call begins that C-1 was promised: nothing for as soon as possible.
async fn promised(app: &TestApp) -> Option<String> {
    let call = app.store().open_callback(&"C-1".into()).await.expect("there").expect("a call");
    call.from().map(|from| from.to_rfc3339())
}

#[tokio::test]
async fn call_is_answered_with_times_and_a_digit_moves_the_call_there() {
    let app = told_by_text().await;
    let said = text(&app, ADA, "Call", "SM1").await;
    for part in ["One of us will call you.", "1 = ", "10:15", "2 = ", "11:15", "3 = ", "12:15"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.ends_with("4 = as soon as possible."), "somebody is there: {said}");
    assert_eq!(promised(&app).await, None, "who chooses nothing is called all the same");
    let said = text(&app, ADA, "2.", "SM2").await;
    assert!(said.contains("We call you back") && said.contains("11:15"), "{said}");
    assert_eq!(promised(&app).await.as_deref(), Some("2026-11-23T11:15:00+00:00"));
    assert_eq!(
        app.tasks().await,
        [
            "Call the customer C-1 between Mon 23 Nov 11:15 GMT and Mon 23 Nov 11:30 GMT: they chose this time by text."
        ]
    );
    assert!(app.smtp.taken().is_empty(), "one answer, and no letter besides");
    text(&app, ADA, "1", "SM3").await;
    assert_eq!(
        promised(&app).await.as_deref(),
        Some("2026-11-23T11:15:00+00:00"),
        "it was taken up"
    );
    text(&app, ADA, "call", "SM4").await;
    let said = text(&app, ADA, "4", "SM5").await;
    assert!(said.contains("as soon as possible"), "{said}");
    assert_eq!(promised(&app).await, None);
    app.end().await;
}

#[tokio::test]
async fn a_time_that_was_taken_meanwhile_leads_to_the_next_offer() {
    let app = TestApp::with("[callback]\nhours = \"09:00-17:00 MON-FRI\"\nper_window = 1").await;
    app.ada().await;
    assert!(text(&app, ADA, "call", "SM1").await.contains("10:15"));
    let wish = Wish {
        customer: "C-2".into(),
        case: None,
        from: Some(at("2026-11-23T10:15:00Z")),
        to: at("2026-11-23T10:30:00Z"),
        detail: String::new(),
        room: 1,
    };
    app.store().ask_for_callback(wish, app.now()).await.expect("there is room");
    let said = text(&app, ADA, "1", "SM2").await;
    assert!(said.starts_with("Somebody has just taken this time."), "{said}");
    assert!(said.contains("1 = ") && !said.contains("10:15"), "{said}");
    assert_eq!(promised(&app).await, None, "what was promised stands");
    let said = text(&app, ADA, "1", "SM3").await;
    assert!(said.contains("We call you back") && said.contains("10:30"), "{said}");
    app.end().await;
}

#[tokio::test]
async fn as_soon_as_possible_is_offered_only_while_somebody_is_there_and_an_offer_ends() {
    let app = told_by_text().await;
    app.advance_to("2026-11-23T20:00:00Z").await;
    let said = text(&app, ADA, "call", "SM1").await;
    assert!(said.contains("3 = ") && !said.contains("4 = "), "{said}");
    app.advance_to("2026-11-23T21:00:01Z").await;
    text(&app, ADA, "1", "SM2").await;
    assert_eq!(promised(&app).await, None, "an hour later a digit chooses nothing");
    app.end().await;
}

#[tokio::test]
async fn a_digit_that_was_not_offered_is_answered_once_an_hour_and_a_stranger_too() {
    let app = told_by_text().await;
    text(&app, ADA, "call", "SM1").await;
    let said = text(&app, ADA, "9", "SM2").await;
    assert!(said.starts_with("We did not understand that.") && said.contains("1 = "), "{said}");
    assert_eq!(text(&app, ADA, "0", "SM3").await, "", "two machines fall silent");
    assert!(text(&app, ADA, "1", "SM4").await.contains("We call you back"), "a choice is heard");
    let stranger = "+447911129999";
    assert!(text(&app, stranger, "call", "SM5").await.contains("who you are"));
    for (n, body) in ["call", "1", "call me"].into_iter().enumerate() {
        assert_eq!(text(&app, stranger, body, &format!("SM1{n}")).await, "", "{body}");
    }
    app.end().await;
}

#[tokio::test]
async fn a_question_asked_after_the_offer_has_the_digit() {
    let app = told_by_text().await;
    text(&app, ADA, "call", "SM1").await;
    app.advance_to("2026-11-23T10:05:00Z").await;
    let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
        "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
    let event = json!({"case": "R-1001", "case_type": "return", "state": "out_of_stock",
        "facts": facts});
    app.event_of(event).await;
    app.drain().await;
    let said = text(&app, ADA, "1", "SM2").await;
    assert!(said.contains("We noted your answer"), "{said}");
    assert_eq!(promised(&app).await, None);
    app.end().await;
}

#[tokio::test]
async fn the_times_fit_into_two_parts_in_every_language() {
    let app = TestApp::start().await;
    for (n, locale) in ["en", "de", "fr"].into_iter().enumerate() {
        let mut customer = ada();
        customer["locale"] = locale.into();
        app.customer(customer).await;
        app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
        let said = text(&app, ADA, "call", &format!("SM{n}")).await;
        assert!(said.contains("3 = ") && said.contains("4 = "), "{locale}: {said}");
        assert!(count(&said).parts <= 2, "{locale}: {said}");
    }
    app.end().await;
}
