use serde_json::json;
use tidings::domain::Channel;
use tidings::domain::customer::Address;
use tidings::store::callbacks::Wish;
use tidings::store::intake::Accepted;

use super::receiver::{Receiver, SECRET};
use super::{deliveries, tell};
use crate::in_doubt::post_receipt;
use crate::support::TestApp;
use crate::support::twilio::{TOKEN, sign};

async fn told_everything() -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    let app = TestApp::with(&receiver.hook("desk", "[\"*\"]", "")).await;
    app.ada().await;
    (app, receiver)
}

#[tokio::test]
async fn what_becomes_of_a_message_is_told_once_with_ids_and_no_address() {
    let (app, receiver) = told_everything().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    for _ in 0..3 {
        tell(&app).await;
    }
    let told = receiver.told();
    assert_eq!(receiver.kinds(), ["notification.sent"], "{told:?}");
    assert!(told[0].is_signed_with(SECRET));
    assert!(told[0].id().starts_with("msg_") && !told[0].id().contains('.'));
    let payload = told[0].json();
    let notification = app.of("taken-in-charge").await.id;
    let expected = json!({
        "type": "notification.sent", "timestamp": "2026-11-23T10:00:00.000Z",
        "data": {
            "sequence": 1, "case": "T-1", "case_type": "ticket", "customer": "C-1",
            "notification": notification, "message": "ticket/taken-in-charge",
            "topic": "status", "channel": "email", "status": "sent", "reason": "handed_over",
            "attempts": 1, "rides_in": null,
            "explain": format!("https://tidings.example.com/v1/notifications/{notification}"),
        }
    });
    assert_eq!(payload, expected);
    assert!(!told[0].body.contains("ada@") && !told[0].body.contains("+44"));
    app.end().await;
}

#[tokio::test]
async fn a_text_that_comes_back_and_the_mail_in_its_place_are_each_told() {
    let (app, receiver) = told_everything().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms, Channel::Email])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let request = app.twilio.taken().remove(0);
    let callback = request.field("StatusCallback").to_owned();
    let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", "undelivered")];
    for _ in 0..3 {
        post_receipt(&app, &callback, &fields, TOKEN).await;
        app.drain().await;
    }
    tell(&app).await;
    let mut told: Vec<_> = receiver.told().iter().map(super::receiver::Told::json).collect();
    // No order is promised, and the numbers give it.
    told.sort_by_key(|payload| payload["data"]["sequence"].as_i64());
    let told: Vec<_> = told
        .iter()
        .map(|payload| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&payload["type"]), text(&payload["data"]["channel"]))
        })
        .collect();
    let expected = [
        ("customer.preference_changed", ""),
        ("notification.sent", "sms"),
        ("notification.undelivered", "sms"),
        ("notification.sent", "email"),
    ];
    assert_eq!(told, expected.map(|(kind, channel)| (kind.to_owned(), channel.to_owned())));
    app.end().await;
}

#[tokio::test]
async fn a_receipt_of_delivery_and_a_message_nobody_wants_are_told() {
    let (app, receiver) = told_everything().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let request = app.twilio.taken().remove(0);
    let callback = request.field("StatusCallback").to_owned();
    let fields = [("MessageSid", request.sid.as_str()), ("MessageStatus", "delivered")];
    post_receipt(&app, &callback, &fields, TOKEN).await;
    app.drain().await;
    let stop = Address::parse(Channel::Sms, "+447911123456").expect("a number");
    app.store().suppress(Channel::Sms, &stop, "STOP", "stop", app.now()).await.expect("kept");
    app.event_of(json!({"case": "T-2", "state": "take_in_charge_ticket"})).await;
    app.drain().await;
    tell(&app).await;
    let mut kinds = receiver.kinds();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "customer.preference_changed",
            "customer.preference_changed",
            "notification.delivered",
            "notification.sent",
            "notification.suppressed",
        ]
    );
    app.end().await;
}

#[tokio::test]
async fn a_choice_is_told_with_what_it_was_before_and_an_import_is_not_told_back() {
    let (app, receiver) = told_everything().await;
    let mut record = crate::support::ada();
    record["preferences"] = json!({"cap_per_day": 4});
    app.customer(record).await;
    app.choose(|chosen| chosen.cap_per_day = Some(2)).await;
    app.choose(|chosen| chosen.cap_per_day = Some(2)).await;
    tell(&app).await;
    assert_eq!(receiver.kinds(), ["customer.preference_changed"]);
    let data = &receiver.told()[0].json()["data"];
    assert_eq!(data["changed"], json!({"cap_per_day": {"before": null, "after": 2}}));
    assert_eq!(data["customer"], "C-1");
    app.end().await;
}

#[tokio::test]
async fn a_wish_for_a_call_is_told_and_so_is_its_task_but_a_task_only_once() {
    let (app, receiver) = told_everything().await;
    for hours in [1, 2] {
        let wish = Wish {
            customer: "C-1".into(),
            case: Some("T-1".into()),
            from: None,
            to: app.now() + chrono::TimeDelta::hours(4),
            detail: "Call the customer C-1.".into(),
            room: 0,
        };
        let now = app.now() + chrono::TimeDelta::hours(hours);
        app.store().ask_for_callback(wish, now).await.expect("kept");
    }
    app.advance_to("2026-11-23T13:00:00Z").await;
    tell(&app).await;
    let mut kinds = receiver.kinds();
    kinds.sort_unstable();
    assert_eq!(kinds, ["callback.requested", "callback.requested", "task.created"]);
    let told = receiver.told();
    let calls = told.iter().filter(|told| told.kind() == "callback.requested");
    let mut moved: Vec<_> = calls.map(|told| told.json()["data"]["moved"].clone()).collect();
    moved.sort_by_key(serde_json::Value::as_bool);
    assert_eq!(moved, [json!(false), json!(true)]);
    let task = told.iter().find(|told| told.kind() == "task.created").expect("one").json();
    assert_eq!(task["data"]["kind"], "call_back");
    app.end().await;
}

#[tokio::test]
async fn an_answer_is_told_and_a_rating_by_its_own_name() {
    let (app, receiver) = told_everything().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
        "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
    let event =
        json!({"case": "R-1", "case_type": "return", "state": "out_of_stock", "facts": facts});
    assert!(matches!(app.event_of(event).await, Accepted::New { .. }));
    app.drain().await;
    let reply = async |text: &str, sid: &str| {
        let fields = [("From", "+447911123456"), ("Body", text), ("MessageSid", sid)];
        let signature = sign("https://tidings.example.com/v1/inbound/twilio", &fields);
        app.post_form("/v1/inbound/twilio", &fields, Some(signature)).await
    };
    for sid in ["SM1", "SM1", "SM2"] {
        assert_eq!(reply("2", sid).await.0, 200);
    }
    app.drain().await;
    tell(&app).await;
    let replied: Vec<_> =
        receiver.told().into_iter().filter(|told| told.kind() == "customer.replied").collect();
    assert_eq!(replied.len(), 1, "the first answer wins: {:?}", receiver.kinds());
    let data = replied[0].json()["data"].clone();
    assert_eq!(
        (&data["answer"], &data["message"], &data["case"]),
        (&json!("refund"), &json!("return/out-of-stock"), &json!("R-1"))
    );

    app.event_of(json!({"case": "R-1", "case_type": "return", "state": "closed"})).await;
    app.advance_to("2026-11-30T12:00:00Z").await;
    assert_eq!(app.of("how-did-we-do").await.status, "sent");
    assert_eq!(reply("1", "SM3").await.0, 200);
    app.drain().await;
    tell(&app).await;
    let rated = receiver.told().into_iter().filter(|told| told.kind() == "csat.answered");
    let rated: Vec<_> = rated.collect();
    assert_eq!(rated.len(), 1, "{:?}", receiver.kinds());
    assert_eq!(rated[0].json()["data"]["message"], "return/how-did-we-do");
    app.end().await;
}

#[tokio::test]
async fn a_hook_is_told_what_it_asked_for_and_nothing_else() {
    let (tasks, sent) = (Receiver::start().await, Receiver::start().await);
    let hooks = format!(
        "{}{}",
        tasks.hook("tasks", "[\"task.*\"]", ""),
        sent.hook("sent", "[\"notification.sent\"]", "")
    );
    let app = TestApp::with(&hooks).await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.event_of(json!({"case": "T-3", "state": "no such state"})).await;
    app.drain().await;
    tell(&app).await;
    assert_eq!(tasks.kinds(), ["task.created"]);
    assert_eq!(sent.kinds(), ["notification.sent"]);
    assert_eq!(deliveries(&app).await.len(), 2);
    app.end().await;
}

#[tokio::test]
async fn without_a_hook_nothing_is_noted() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert!(deliveries(&app).await.is_empty());
    let table = |tables: Vec<tidings::store::moving::Table>| {
        tables.into_iter().find(|table| table.name == "webhook_event").expect("there")
    };
    let events = table(app.store().tables().await.expect("the store"));
    assert_eq!(app.store().count_rows(&events).await.expect("the store"), 0);
    app.end().await;
}
