//! Questions are answered by a button, a text or a key; the first answer wins.

use serde_json::json;
use tidings::app::reports::answers::report;
use tidings::domain::Channel;
use tidings::store::intake::Accepted;

use crate::support::telephone::{By, Next, Telephone};
use crate::support::twilio::sign;
use crate::support::{TestApp, ada};

const TEXTS: &str = "/v1/inbound/twilio";

/// Ada's trousers are out of stock, and she has been asked by `channel`.
async fn asked(channel: Channel) -> TestApp {
    let app = TestApp::start().await;
    let mut customer = ada();
    let points = customer["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
    app.customer(customer).await;
    app.choose(move |chosen| chosen.channel_order = Some(vec![channel])).await;
    let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
        "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
    return_event(&app, json!({"state": "out_of_stock", "facts": facts})).await;
    app.drain().await;
    assert_eq!(app.of("out-of-stock").await.status, "sent");
    app
}

async fn return_event(app: &TestApp, mut more: serde_json::Value) {
    more["case"] = json!("R-1001");
    more["case_type"] = json!("return");
    assert!(matches!(app.event_of(more).await, Accepted::New { .. }));
}

/// The answers that became events, in their order.
async fn answers(app: &TestApp) -> Vec<String> {
    let timeline = app.store().case_timeline(&"R-1001".into(), 100).await.expect("the store");
    let events = timeline.into_iter().filter(|entry| entry.kind == "event");
    events
        .filter_map(|entry| entry.what.strip_prefix("customer_answered: ").map(str::to_owned))
        .collect()
}

/// The path of the answering link in the mail.
fn mailed_link(app: &TestApp) -> String {
    let mail = app.smtp.taken().remove(0).text();
    let start = mail.find("https://tidings.example.com/a/").expect("a link");
    let link = mail[start..].split(['?', '"', ' ', '\n', '\r']).next().expect("its end");
    link.trim_start_matches("https://tidings.example.com").to_owned()
}

#[tokio::test]
async fn what_was_answered_is_counted_beside_what_was_asked() {
    let app = asked(Channel::Email).await;
    let all = || 0..i64::MAX;
    let figures = async |period| {
        let live = app.app.engine.live.load();
        let report = report(app.store(), &live.rules.journeys, period).await.expect("the store");
        serde_json::to_value(report).expect("plain data")
    };
    assert_eq!(figures(all()).await[0]["answered"], 0);
    app.advance_to("2026-11-23T16:00:00Z").await;
    app.post_form(&mailed_link(&app), &[("answer", "refund")], None).await;
    let question = json!({
        "message": "return/out-of-stock", "asked": 1, "answered": 1, "rate": 1.0,
        "mean_hours": 6.0, "answers": [{"answer": "replacement", "times": 0, "share": 0.0},
                                       {"answer": "refund", "times": 1, "share": 1.0}]
    });
    assert_eq!(figures(all()).await, json!([question]));
    assert_eq!(figures(0..1).await, json!([]), "asked in the period");
}

#[tokio::test]
async fn a_button_of_the_mail_asks_first_and_the_first_answer_wins() {
    let app = asked(Channel::Email).await;
    let link = mailed_link(&app);
    let (status, page) = app.get(&format!("{link}?answer=refund")).await;
    assert_eq!(status, 200);
    assert!(page.contains("A replacement") && page.contains("My money back"), "{page}");
    assert!(answers(&app).await.is_empty(), "looking changes nothing");

    let (_, page) = app.post_form(&link, &[("answer", "refund")], None).await;
    assert!(page.contains("We noted your answer: My money back"), "{page}");
    let (_, page) = app.post_form(&link, &[("answer", "refund")], None).await;
    assert!(page.contains("We noted your answer: My money back"), "twice is like once: {page}");
    let (_, page) = app.post_form(&link, &[("answer", "replacement")], None).await;
    assert!(page.contains("You have answered already: My money back"), "{page}");
    app.drain().await;
    assert_eq!(answers(&app).await, ["refund"]);
    app.end().await;
}

#[tokio::test]
async fn the_answer_becomes_a_fact_of_the_case() {
    let app = asked(Channel::Email).await;
    app.post_form(&mailed_link(&app), &[("answer", "replacement")], None).await;
    app.drain().await;
    let case = "R-1001".into();
    let cases = app.store().cases([&case]).await.expect("the store");
    assert_eq!(cases[&case].case.facts["answer"], json!("replacement"));
    app.end().await;
}

#[tokio::test]
async fn a_reply_by_its_number_answers_and_what_is_unclear_is_asked_again() {
    let app = asked(Channel::Sms).await;
    let text = app.twilio.taken()[0].field("Body").to_owned();
    assert!(text.contains("Reply 1 = A replacement, 2 = My money back."), "{text}");
    let reply = async |body: &str, from: &str| {
        let fields = [("From", from), ("Body", body)];
        let signature = sign("https://tidings.example.com/v1/inbound/twilio", &fields);
        app.post_form(TEXTS, &fields, Some(signature)).await
    };
    let (_, said) = reply("what?", "+447911123456").await;
    assert!(said.contains("1 = A replacement, 2 = My money back."), "{said}");
    let (_, said) = reply("Yes", "+447911123456").await;
    assert!(said.contains("<Response></Response>"), "no answer, no START, and said once: {said}");
    let (_, said) = reply("1", "+447911123457").await;
    assert!(said.contains("Nobody reads replies"), "another number: {said}");
    assert!(answers(&app).await.is_empty());
    let (status, said) = reply(" 2. ", "+447911123456").await;
    assert_eq!(status, 200);
    assert!(said.contains("<Message>Thank you. We noted your answer: My money back"), "{said}");
    let (_, said) = reply("1", "+447911123456").await;
    assert!(said.contains("My money back"), "{said}");
    app.drain().await;
    assert_eq!(answers(&app).await, ["refund"]);
    app.end().await;
}

#[tokio::test]
async fn a_key_pressed_during_the_call_answers_and_key_one_reaches_a_person() {
    let app = asked(Channel::Voice).await;
    let phone = Telephone::rings(&app, By::Twilio);
    let first = phone.picked_up("human").await;
    let asked = phone.press(&first, '2').await;
    assert!(asked.said.contains("My money back: press 5."), "{asked:?}");
    let Next::Listen { url } = &asked.then else { panic!("{asked:?}") };
    let path = url.strip_prefix("https://tidings.example.com").expect("our address");
    let forged = app.post_form(path, &[("Digits", "5")], Some("bm90IGl0".into())).await;
    assert_eq!((forged.0, answers(&app).await.len()), (401, 0));
    let connecting = phone.press(&asked, '1').await;
    assert!(matches!(connecting.then, Next::Connect { to, .. } if to == "+442079460000"));
    let said = phone.press(&asked, '7').await.said;
    assert!(said.contains("did not understand") && answers(&app).await.is_empty(), "{said}");
    let said = phone.press(&asked, '5').await.said;
    assert!(said.contains("We noted your answer: My money back"), "{said}");
    phone.press(&asked, '4').await;
    app.drain().await;
    assert_eq!(answers(&app).await, ["refund"]);
    app.end().await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_case_moved_on_is_late() {
    let app = asked(Channel::Email).await;
    let link = mailed_link(&app);
    return_event(&app, json!({"state": "refund_chosen"})).await;
    app.drain().await;
    let (_, page) = app.get(&link).await;
    assert!(page.contains("This question is closed") && !page.contains("<form"), "{page}");
    let (_, page) = app.post_form(&link, &[("answer", "replacement")], None).await;
    assert!(page.contains("This question is closed"), "{page}");
    assert!(answers(&app).await.is_empty());
    app.end().await;
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_late() {
    let app = asked(Channel::Email).await;
    let link = mailed_link(&app);
    app.advance_to("2026-12-05T10:00:00Z").await;
    let (_, page) = app.post_form(&link, &[("answer", "replacement")], None).await;
    assert!(page.contains("This question is closed"), "{page}");
    app.end().await;
}

#[tokio::test]
async fn forged_answers_change_nothing() {
    let app = asked(Channel::Email).await;
    let mut link = mailed_link(&app);
    assert_eq!(app.post_form(&link, &[("answer", "gold")], None).await.0, 200, "no such answer");
    let last = if link.ends_with('A') { 'B' } else { 'A' };
    link.replace_range(link.len() - 1.., &last.to_string());
    assert_eq!(app.post_form(&link, &[("answer", "refund")], None).await.0, 404);
    let fields = [("From", "+447911123456"), ("Body", "1")];
    assert_eq!(app.post_form(TEXTS, &fields, Some("bm90IGl0".into())).await.0, 401);
    assert_eq!(app.post_form(TEXTS, &fields, None).await.0, 401);
    // Nobody else may write events in our name.
    let event = json!({"id": "answer-1", "source": "tidings", "case": "R-1001", "customer": "C-1",
        "case_type": "return", "event": "customer_answered", "facts": {"answer": "refund"}});
    let request = axum::http::Request::post("/v1/events").body(event.to_string().into());
    let (status, problem) = app.http(request.expect("a request")).await;
    assert!(status >= 400, "{problem}");
    assert!(answers(&app).await.is_empty());
    app.end().await;
}

#[tokio::test]
async fn two_answers_at_once_are_one() {
    let app = asked(Channel::Email).await;
    let link = mailed_link(&app);
    let (one, other) = tokio::join!(
        app.post_form(&link, &[("answer", "refund")], None),
        app.post_form(&link, &[("answer", "replacement")], None)
    );
    app.drain().await;
    let given = answers(&app).await;
    assert_eq!(given.len(), 1, "{given:?}");
    let label = if given[0] == "refund" { "My money back" } else { "A replacement" };
    assert!(one.1.contains(label) && other.1.contains(label), "both see the one that won");
    app.end().await;
}

#[tokio::test]
async fn stop_stops_texts_to_this_number_until_start() {
    let app = asked(Channel::Sms).await;
    let send = async |body: &str| {
        let fields = [("From", "+447911123456"), ("Body", body)];
        let signature = sign("https://tidings.example.com/v1/inbound/twilio", &fields);
        app.post_form(TEXTS, &fields, Some(signature)).await.1
    };
    assert!(send("STOP").await.contains("no more texts"));
    let stopped =
        |customer: tidings::domain::Customer| customer.contact_points[1].suppressed.clone();
    assert!(stopped(app.customer_now().await).is_some());
    return_event(&app, json!({"state": "refund_chosen"})).await;
    app.drain().await;
    assert_eq!(app.of("refund-chosen").await.status, "suppressed");
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::seconds(1));
    assert!(send("Start").await.contains("again"));
    assert!(stopped(app.customer_now().await).is_none());
    app.end().await;
}
