//! What customers say to our numbers: STOP, START and HELP by text, key 9 on a call, and what
//! the carrier tells of it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tidings::domain::Channel;
use tidings::worker::seams::{Seam, Seams};
use tokio::sync::Notify;

use crate::support::telephone::{By, Telephone};
use crate::support::twilio::{Answer, sign};
use crate::support::visitor::{Browser, value_of};
use crate::support::{TestApp, ada};

const NUMBER: &str = "+447911123456";

/// Somebody texts us from a number; what they are answered.
async fn text(app: &TestApp, body: &str, more: &[(&str, &str)]) -> String {
    let fields = [&[("From", NUMBER), ("Body", body)][..], more].concat();
    let signature = sign("https://tidings.example.com/v1/inbound/twilio", &fields);
    let (status, said) = app.post_form("/v1/inbound/twilio", &fields, Some(signature)).await;
    assert_eq!(status, 200, "{said}");
    said
}

/// Ada with a phone that is called, who hears by `channel`.
async fn hears_by(app: &TestApp, channel: Channel) {
    let mut customer = ada();
    let points = customer["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
    app.customer(customer).await;
    app.choose(move |chosen| chosen.channel_order = Some(vec![channel])).await;
}

/// Each line of the record of consent that is about an address: who, source, what.
async fn record(app: &TestApp) -> Vec<String> {
    let lines = app.store().consents(&"C-1".into()).await.expect("the store is there");
    let lines = lines.into_iter().filter(|line| line.source != "test");
    lines.map(|line| format!("{} {} {}", line.who, line.source, line.what)).collect()
}

async fn is_stopped(app: &TestApp, channel: Channel) -> bool {
    let customer = app.customer_now().await;
    let mut points = customer.contact_points.iter().filter(|point| point.channel == channel);
    points.any(|point| point.suppressed.is_some())
}

/// Opened attempts wait here until they are told to go on.
fn held_before_the_wire() -> (Seams, Arc<Notify>, Arc<Notify>) {
    let (opened, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let both = (Arc::clone(&opened), Arc::clone(&go_on));
    let seams = Seams::watched_by(Arc::new(move |seam| {
        let (opened, go_on) = (Arc::clone(&both.0), Arc::clone(&both.1));
        Box::pin(async move {
            if seam == Seam::BeforeWire {
                opened.notify_one();
                go_on.notified().await;
            }
        })
    }));
    (seams, opened, go_on)
}

#[tokio::test]
async fn help_says_who_we_are_how_to_stop_and_where_the_choices_are() {
    let app = TestApp::start().await;
    app.ada().await;
    for word in ["HELP", "aide", "Hilfe!", "info"] {
        let said = text(&app, word, &[]).await;
        for part in [
            "Example Shop: We send you news",
            "Reply STOP",
            "https://tidings.example.com/centre/sign-in",
            "+442079460000",
        ] {
            assert!(said.contains(part), "{word}: {said}");
        }
    }
    let mut customer = ada();
    customer["locale"] = "de".into();
    app.customer(customer).await;
    let said = text(&app, "hilfe", &[]).await;
    assert!(said.contains("Mit STOP bekommen Sie keine SMS mehr."), "{said}");
    assert!(record(&app).await.is_empty(), "asking changes nothing");
    app.end().await;
}

#[tokio::test]
async fn a_stop_by_text_is_confirmed_when_nothing_new_can_start_and_says_what_is_on_the_wire() {
    let mut app = TestApp::with("[dispatch]\nhand_over_window_s = 0.5").await;
    hears_by(&app, Channel::Sms).await;
    let (seams, opened, go_on) = held_before_the_wire();
    app.restart(None, seams).await;
    app.event("take_in_charge_ticket").await;
    let engine = Arc::clone(&app.app.engine);
    let working = tokio::spawn(async move { engine.run_until_idle().await });
    opened.notified().await;
    let began = Instant::now();
    let said = text(&app, "STOP", &[]).await;
    let waited = began.elapsed().as_secs_f64();
    assert!(waited >= 0.6, "confirmed after {waited} s");
    assert!(said.contains("no more texts") && said.contains("already on its way"), "{said}");
    go_on.notify_one();
    working.await.expect("no panic").expect("the store is there");
    assert!(app.twilio.taken().is_empty(), "nothing began after it");
    assert_eq!(record(&app).await, [r#"customer stop {"stopped":"sms"}"#]);
    app.end().await;
}

#[tokio::test]
async fn key_9_stops_calls_to_the_number_which_its_owner_may_allow_again() {
    let app = TestApp::start().await;
    hears_by(&app, Channel::Voice).await;
    let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
        "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
    let event = json!({"case": "R-1001", "case_type": "return", "state": "out_of_stock"});
    let again = json!({"case": "R-1002", "case_type": "return", "state": "out_of_stock"});
    let with_facts = |mut event: serde_json::Value| {
        event["facts"] = facts.clone();
        event
    };
    app.event_of(with_facts(event)).await;
    app.drain().await;
    let phone = Telephone::rings(&app, By::Twilio);
    let first = phone.picked_up("human").await;
    assert!(first.said.contains("To get no more calls from us, press 9."), "{first:?}");
    let said = phone.press(&first, '9').await.said;
    assert!(said.contains("We no longer call this number."), "{said}");
    assert_eq!(record(&app).await, [r#"customer stop {"stopped":"voice"}"#]);
    assert!(is_stopped(&app, Channel::Voice).await);
    app.event_of(with_facts(again)).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 1, "called no more");
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::seconds(1));
    // Whoever reads the digits at the number may allow it again.
    let browser = Browser::proven(&app).await;
    let add = [("do", "add"), ("channel", "voice"), ("address", "+44 20 7946 0123")];
    let page = browser.post("/centre/addresses", &add).await.body;
    assert!(page.contains("on its way to the new address"), "{page}");
    app.drain().await;
    let spoken = app.twilio.taken().pop().expect("a call").field("Twiml").to_owned();
    let digits: String = spoken
        .split(", ")
        .collect::<String>()
        .split(|c: char| !c.is_ascii_digit())
        .find(|part| part.len() == 6)
        .unwrap_or_else(|| panic!("no digits in {spoken}"))
        .to_owned();
    let form = [("do", "confirm"), ("digits", digits.as_str())];
    let page = browser.post("/centre/addresses", &form).await.body;
    assert!(page.contains("Added."), "{page}");
    assert!(!is_stopped(&app, Channel::Voice).await);
    app.end().await;
}

#[tokio::test]
async fn a_stop_that_the_carrier_answers_is_kept_with_its_source_and_answered_once() {
    let app = TestApp::start().await;
    app.ada().await;
    let said = text(&app, "STOP", &[("OptOutType", "STOP")]).await;
    assert!(!said.contains("<Message>"), "{said}");
    assert!(is_stopped(&app, Channel::Sms).await);
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::seconds(1));
    // A word only the carrier knows counts as what it says.
    let said = text(&app, "allez", &[("OptOutType", "START")]).await;
    assert!(!said.contains("<Message>") && !is_stopped(&app, Channel::Sms).await, "{said}");
    let said = text(&app, "HELP", &[("OptOutType", "HELP")]).await;
    assert!(!said.contains("<Message>"), "{said}");
    assert_eq!(
        record(&app).await,
        [r#"customer carrier {"stopped":"sms"}"#, r#"customer stop {"started":"sms"}"#]
    );
    app.end().await;
}

#[tokio::test]
async fn what_the_carrier_lets_through_no_more_is_a_refusal_of_the_customer() {
    let app = TestApp::start().await;
    hears_by(&app, Channel::Sms).await;
    app.twilio.will([Answer::Refuse(400, 21610)]);
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert!(is_stopped(&app, Channel::Sms).await);
    assert_eq!(record(&app).await, [r#"customer carrier {"stopped":"sms"}"#]);
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::seconds(1));
    let said = text(&app, "START", &[]).await;
    assert!(said.contains("again") && !is_stopped(&app, Channel::Sms).await, "{said}");
    app.end().await;
}

#[tokio::test]
async fn a_receipt_that_tells_of_a_carriers_opt_out_is_one() {
    let app = TestApp::start().await;
    hears_by(&app, Channel::Sms).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let taken = app.twilio.taken().remove(0);
    let url = taken.field("StatusCallback").to_owned();
    let fields = [
        ("MessageSid", taken.sid.as_str()),
        ("MessageStatus", "undelivered"),
        ("ErrorCode", "21610"),
    ];
    let path = url.strip_prefix("https://tidings.example.com").expect("our address");
    let (status, _) = app.post_form(path, &fields, Some(sign(&url, &fields))).await;
    assert_eq!(status, 204);
    assert_eq!(record(&app).await, [r#"customer carrier {"stopped":"sms"}"#]);
    app.end().await;
}

#[tokio::test]
async fn a_text_from_a_number_nobody_has_is_answered_in_the_language_of_the_house() {
    let app = TestApp::start().await;
    let said = text(&app, "STOP", &[]).await;
    assert!(said.contains("You get no more texts from us."), "{said}");
    app.ada().await;
    assert!(is_stopped(&app, Channel::Sms).await, "it holds for whoever has the number later");
    app.end().await;
}

#[tokio::test]
async fn what_stands_on_the_page_of_a_stopped_number_says_how_to_allow_it_again() {
    let app = TestApp::start().await;
    hears_by(&app, Channel::Voice).await;
    let number = tidings::domain::customer::Address::parse(Channel::Voice, "+442079460123");
    let number = number.expect("valid");
    app.store().suppress(Channel::Voice, &number, "9", "stop", app.now()).await.expect("kept");
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/addresses").await.body;
    assert!(value_of(&page, "<option value=\"").is_some());
    assert!(page.contains("Add it again to allow it again."), "{page}");
    app.end().await;
}
