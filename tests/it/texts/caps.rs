use serde_json::json;
use tidings::domain::Channel;

use crate::support::TestApp;

/// Texts to numbers of one prefix, each of another customer.
async fn customers(app: &TestApp, count: u32) {
    for n in 0..count {
        let id = format!("P-{n}");
        app.customer(json!({
            "id": id, "name": "P", "locale": "en-GB", "time_zone": "Europe/London",
            "contact_points": [{"channel": "sms", "address": format!("+4479111{:05}", 20_000 + n), "verified": true}],
            "preferences": {"channel_order": ["sms"]},
        }))
        .await;
    }
}

async fn events(app: &TestApp, customer: impl Fn(u32) -> String, count: u32) {
    for n in 0..count {
        let (customer, case) = (customer(n), format!("T-{n}"));
        let state = "take_in_charge_ticket";
        app.event_of(json!({"state": state, "customer": customer, "case": case})).await;
    }
}

#[tokio::test]
async fn two_hundred_numbers_of_one_prefix_in_a_minute_stop_at_the_cap() {
    let app = TestApp::with("[limits.sms]\nper_prefix_per_hour = 40\n").await;
    customers(&app, 200).await;
    events(&app, |n| format!("P-{n}"), 200).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 40);
    let waiting = app.notifications().await;
    let waits = |n: &&tidings::store::console::NotificationView| {
        n.notice == "taken-in-charge" && n.status == "planned"
    };
    let waiting: Vec<_> = waiting.iter().filter(waits).collect();
    assert_eq!(waiting.len(), 160);
    let id = tidings::domain::NotificationId::parse(&waiting[0].id).expect("an id");
    let why = tidings::app::explain::notification(&app.app, &id).await.expect("there").text;
    assert!(
        why.contains(
            "no more text message for numbers that begin like this one before Mon 23 Nov 2026 11:00"
        ),
        "{why}"
    );
    app.advance_to("2026-11-23T10:59:59Z").await;
    assert_eq!(app.twilio.taken().len(), 40, "not before the hour is over");
    app.advance_to("2026-11-23T11:30:00Z").await;
    assert_eq!(app.twilio.taken().len(), 80, "and then as many again");
    app.end().await;
}

#[tokio::test]
async fn fifty_events_to_one_number_stop_at_the_cap() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    events(&app, |_| "C-1".into(), 50).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 5, "the cap by default");
    app.end().await;
}

/// Two processes decide at the same moment on the same counts; the store opens what is left.
#[tokio::test]
async fn the_cap_holds_across_workers() {
    let app =
        TestApp::with("[limits.sms]\nper_prefix_per_hour = 10\nper_country_per_hour = 10\n").await;
    customers(&app, 60).await;
    events(&app, |n| format!("P-{n}"), 60).await;
    let settings = (*app.app.settings).clone();
    let clock = app.app.engine.clock.clone();
    let store = tidings::store::Store::open(&settings.store.url).await.expect("the same store");
    let other = tidings::app::App::build(settings, clock, store).await.expect("built");
    let workers = other.start_driven();
    let (one, two) = tokio::join!(app.app.engine.run_until_idle(), other.engine.run_until_idle(),);
    one.expect("the store is there");
    two.expect("the store is there");
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 10);
    workers.stop().await;
    app.end().await;
}

#[tokio::test]
async fn a_text_that_was_refused_does_not_count() {
    use crate::support::twilio::Answer;
    let app = TestApp::with("[limits.sms]\nper_prefix_per_hour = 3\n").await;
    customers(&app, 6).await;
    app.twilio.will((0..3).map(|_| Answer::Refuse(400, 21_211)));
    events(&app, |n| format!("P-{n}"), 3).await;
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 0, "all three were refused");
    for n in 3..6 {
        let (customer, case) = (format!("P-{n}"), format!("U-{n}"));
        app.event_of(json!({"state": "take_in_charge_ticket", "customer": customer, "case": case}))
            .await;
    }
    app.drain().await;
    assert_eq!(app.twilio.taken().len(), 3);
    app.end().await;
}

#[tokio::test]
async fn what_a_day_may_cost_is_never_overrun_and_an_unknown_price_costs_too_much() {
    let app = TestApp::with(
        "[limits.sms]\ncost_per_day = 1.0\ncountries = []\n[prices.sms]\n\"+44\" = 0.1\n",
    )
    .await;
    customers(&app, 20).await;
    events(&app, |n| format!("P-{n}"), 20).await;
    app.drain().await;
    let texts = app.twilio.taken();
    assert!(!texts.is_empty() && texts.len() <= 10, "{}", texts.len());
    let parts: i64 = app
        .store()
        .used_of(
            [(
                Channel::Sms,
                &tidings::domain::quota::Quota {
                    cap: tidings::domain::quota::Cap::CostPerDay,
                    name: "cost".into(),
                    length_ms: tidings::domain::quota::DAY_MS,
                    most: tidings::domain::quota::Most::Millionths(1_000_000),
                },
            )],
            app.now(),
        )
        .await
        .expect("the store is there")
        .values()
        .map(|used| used.millionths)
        .sum();
    assert!(parts <= 1_000_000, "{parts}");
    app.customer(json!({"id": "C-9", "name": "Sam", "locale": "en-GB", "contact_points": [
        {"channel": "sms", "address": "+12025550123", "verified": true},
        {"channel": "email", "address": "sam@example.com", "verified": true}],
        "preferences": {"channel_order": ["sms", "email"]}}))
        .await;
    app.event_of(json!({"state": "take_in_charge_ticket", "customer": "C-9", "case": "T-99"}))
        .await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1, "by mail: nobody knows what a text there costs");
    app.end().await;
}

#[tokio::test]
async fn a_number_abroad_is_told_by_the_next_channel_and_why_is_said() {
    let app = TestApp::start().await;
    app.customer(json!({"id": "C-1", "name": "Sam", "locale": "en-GB", "contact_points": [
        {"channel": "sms", "address": "+18765550123", "verified": true},
        {"channel": "email", "address": "sam@example.com", "verified": true}],
        "preferences": {"channel_order": ["sms", "email"]}}))
        .await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!((app.twilio.taken().len(), app.smtp.taken().len()), (0, 1));
    let why = app.explained("taken-in-charge").await;
    assert!(why.contains("nothing goes to numbers of JM ([limits.sms] countries)"), "{why}");
    app.end().await;
}

#[tokio::test]
async fn premium_and_satellite_numbers_are_refused_at_the_door() {
    let app = TestApp::start().await;
    for (number, word) in [
        ("+19005550123", "premium"),
        ("+881612345678", "satellite"),
        ("+870773111632", "satellite"),
        ("+882160012345", "international network"),
        ("+979123456789", "premium"),
        ("+449098790000", "premium"),
    ] {
        for channel in ["sms", "voice"] {
            let body = json!({"name": "Sam", "contact_points": [
                {"channel": channel, "address": number, "verified": true}]});
            let request = axum::http::Request::put("/v1/customers/C-7")
                .header("content-type", "application/json")
                .body(body.to_string().into())
                .expect("a request");
            let (status, said) = app.http(request).await;
            assert_eq!(status, 422, "{number}: {said}");
            assert!(said.contains(word), "{number}: {said}");
        }
    }
    app.end().await;
}
