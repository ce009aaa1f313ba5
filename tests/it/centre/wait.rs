//! How long a call back takes is said where a message offers one: in texts and on calls.

use serde_json::json;
use tidings::domain::Channel;

use crate::support::telephone::{By, Next, Telephone};
use crate::support::{TestApp, ada};

/// The switchboard says how long callers wait, in seconds.
async fn wait(app: &TestApp, shortest_s: i64, longest_s: i64) {
    let body = json!({"voice": {"shortest_s": shortest_s, "longest_s": longest_s}});
    let request = axum::http::Request::put("/v1/wait-times")
        .header("content-type", "application/json")
        .body(axum::body::Body::from(body.to_string()));
    assert_eq!(app.http(request.expect("a request")).await.0, 204);
}

/// What a return has to say where a call is worth it.
fn out_of_stock() -> serde_json::Value {
    let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
        "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
    json!({"case": "R-1001", "case_type": "return", "state": "out_of_stock", "facts": facts})
}

/// Ada in this language, who hears by this channel.
async fn hears_by(app: &TestApp, channel: Channel, locale: &str) {
    let mut customer = ada();
    customer["locale"] = locale.into();
    let points = customer["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
    app.customer(customer).await;
    app.choose(move |chosen| chosen.channel_order = Some(vec![channel])).await;
}

#[tokio::test]
async fn a_text_and_a_call_say_the_wait_as_a_range_in_the_customers_language() {
    for (channel, field, locale, says) in [
        (Channel::Sms, "Body", "en-GB", "A call back now takes about 5 to 10 minutes."),
        (Channel::Sms, "Body", "de", "Rückruf derzeit in etwa 5 bis 10 Minuten."),
        (Channel::Sms, "Body", "fr", "Rappel sous environ 5 à 10 minutes."),
        (Channel::Voice, "", "en-GB", "The wait is now about 5 to 10 minutes."),
        (Channel::Voice, "", "de", "Die Wartezeit beträgt jetzt etwa 5 bis 10 Minuten."),
    ] {
        let app = TestApp::start().await;
        hears_by(&app, channel, locale).await;
        wait(&app, 241, 600).await;
        if channel == Channel::Voice {
            app.event_of(out_of_stock()).await;
        } else {
            app.event("take_in_charge_ticket").await;
        }
        app.drain().await;
        let said = if channel == Channel::Voice {
            let phone = Telephone::rings(&app, By::Twilio);
            let first = phone.picked_up("human").await;
            phone.press(&first, '1').await.said
        } else {
            app.twilio.taken()[0].field(field).to_owned()
        };
        assert!(said.contains(says), "{channel} {locale}: {said}");
        app.end().await;
    }
}

#[tokio::test]
async fn what_the_switchboard_does_not_say_or_said_hours_ago_no_message_says() {
    let app = TestApp::start().await;
    hears_by(&app, Channel::Sms, "en-GB").await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    wait(&app, 600, 600).await;
    app.advance_to("2026-11-23T14:00:01Z").await;
    app.event("resolve_ticket").await;
    app.drain().await;
    wait(&app, 600, 600).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let texts = app.twilio.taken();
    let said: Vec<bool> =
        texts.iter().map(|text| text.field("Body").contains("takes about 10 minutes")).collect();
    assert_eq!(said, [false, false, true], "{texts:?}");
    app.end().await;
}

#[tokio::test]
async fn a_text_leaves_the_wait_out_before_it_costs_another_part() {
    let app = TestApp::start().await;
    hears_by(&app, Channel::Sms, "en-GB").await;
    wait(&app, 600, 1_200).await;
    app.event_of(out_of_stock()).await;
    app.drain().await;
    let text = app.twilio.taken()[0].field("Body").to_owned();
    assert!(!text.contains("10 to 20 minutes") && text.contains("Reply 1 ="), "{text}");
    assert_eq!(tidings::render::sms::count(&text).parts, 2, "{text}");
    app.end().await;
}

#[tokio::test]
async fn who_presses_1_hears_the_wait_before_it_rings() {
    let app = TestApp::start().await;
    hears_by(&app, Channel::Voice, "en-GB").await;
    wait(&app, 300, 600).await;
    app.event_of(out_of_stock()).await;
    app.drain().await;
    let phone = Telephone::rings(&app, By::Twilio);
    let first = phone.picked_up("human").await;
    let connecting = phone.press(&first, '1').await;
    assert!(connecting.said.contains("about 5 to 10 minutes."), "{connecting:?}");
    assert!(matches!(connecting.then, Next::Connect { to, .. } if to == "+442079460000"));
    app.end().await;
}
