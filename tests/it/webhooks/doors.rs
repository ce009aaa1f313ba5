use serde_json::{Value, json};

use super::receiver::{Receiver, SECRET, Say};
use super::{deliveries, tell, tell_until_nothing_waits};
use crate::support::TestApp;
use crate::support::binary::Installation;

/// Three messages: two given up, one delivered.
async fn given_up() -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    let hook = receiver.hook("desk", "[\"notification.*\"]", "max_attempts = 1\n");
    let app = TestApp::with(&hook).await;
    app.ada().await;
    for n in 0..3 {
        let case = format!("T-{n}");
        app.event_of(json!({"case": case, "state": "take_in_charge_ticket"})).await;
    }
    app.drain().await;
    receiver.will([Say::Status(500), Say::Status(500)]);
    tell_until_nothing_waits(&app).await;
    (app, receiver)
}

async fn read(app: &TestApp, path: &str) -> Value {
    let (status, body) = app.get(path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

async fn post(app: &TestApp, path: &str) -> (u16, Value) {
    let request = axum::http::Request::post(path).body(axum::body::Body::empty());
    let (status, body) = app.http(request.expect("a request")).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_api_lists_counts_first_and_tells_again() {
    let (app, receiver) = given_up().await;
    let hooks = read(&app, "/v1/webhooks").await;
    let desk = &hooks["webhooks"][0];
    assert_eq!((&desk["delivered"], &desk["failed"]), (&json!(1), &json!(2)));
    assert!((desk["rate"].as_f64().expect("a rate") - 1.0 / 3.0).abs() < 1e-9);

    let first = read(&app, "/v1/webhooks/deliveries?limit=2").await;
    let next = first["next"].as_i64().expect("another page");
    let rest = read(&app, &format!("/v1/webhooks/deliveries?before={next}")).await;
    assert_eq!(first["deliveries"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (rest["deliveries"].as_array().map(Vec::len), &rest["next"]),
        (Some(1), &Value::Null)
    );
    let failed =
        read(&app, "/v1/webhooks/deliveries?status=failed&hook=desk&type=notification.sent");
    let failed = failed.await;
    let one = failed["deliveries"][0]["id"].as_i64().expect("an id");
    assert_eq!(failed["deliveries"][0]["said"], "as it was asked");

    let all = "/v1/webhooks/deliveries/replay?since=2026-11-23T00:00:00Z";
    assert_eq!(post(&app, all).await, (200, json!({"count": 2, "replayed": 0})));
    assert_eq!(post(&app, &format!("{all}&expect=3")).await.0, 409);
    let (status, _) = post(&app, &format!("/v1/webhooks/deliveries/{one}/replay")).await;
    assert_eq!(status, 204);
    let told = post(&app, &format!("{all}&expect=1")).await;
    assert_eq!(told, (200, json!({"count": 1, "replayed": 1})));
    tell(&app).await;
    assert!(deliveries(&app).await.iter().all(|row| row.status == "delivered"));
    assert_eq!(receiver.told().len(), 5);

    for (path, expected) in [
        ("/v1/webhooks/deliveries/999/replay", 404),
        ("/v1/webhooks/deliveries/none/replay", 404),
        ("/v1/webhooks/deliveries/replay", 400),
        ("/v1/webhooks/deliveries/replay?since=yesterday", 400),
        ("/v1/webhooks/deliveries/replay?since=2026-11-23T00:00:00Z&status=lost", 400),
        ("/v1/webhooks/nobody/enable", 404),
        ("/v1/webhooks/desk/enable", 204),
    ] {
        assert_eq!(post(&app, path).await.0, expected, "{path}");
    }
    assert_eq!(app.get("/v1/webhooks/deliveries?status=lost").await.0, 400);
    app.end().await;
}

#[tokio::test]
async fn the_console_shows_what_was_not_taken_and_tells_it_again() {
    let (app, receiver) = given_up().await;
    let (status, page) = app.get("/console/webhooks").await;
    assert_eq!(status, 200);
    assert!(page.contains("33.3 %") && page.contains("Tell desk the 2 given up again"), "{page}");
    let (_, page) = app.post_form("/console/webhooks/desk/replay", &[("expect", "9")], None).await;
    assert!(page.contains("2 deliveries are meant by now, not 9"), "{page}");
    let (_, page) = app.post_form("/console/webhooks/desk/replay", &[("expect", "2")], None).await;
    assert!(page.contains("2 deliveries to desk are told again"), "{page}");
    tell(&app).await;
    let (_, page) = app.get("/console/webhooks").await;
    assert!(page.contains("Nothing was given up.") && page.contains("100.0 %"), "{page}");
    let one = deliveries(&app).await.remove(0).seq;
    let path = format!("/console/webhooks/deliveries/{one}/replay");
    let (_, page) = app.post_form(&path, &[], None).await;
    assert!(page.contains(&format!("Delivery {one} is told again.")), "{page}");
    let (_, page) = app.post_form("/console/webhooks/desk/enable", &[], None).await;
    assert!(page.contains("was not stopped"), "{page}");
    assert_eq!(receiver.told().len(), 5);
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lists_tests_and_tells_again() {
    let receiver = Receiver::start().await;
    let here = Installation::new(&receiver.hook("desk", "[\"*\"]", ""));
    let secret = String::from_utf8(here.run(&["webhooks", "secret"]).stdout).expect("text");
    assert!(secret.starts_with("whsec_") && secret.trim().len() == 50, "{secret}");

    let answer = here.json(&["webhooks", "test", "desk", "--json"]);
    assert_eq!((&answer["taken"], &answer["answer"]), (&json!(true), &json!(204)));
    let told = receiver.told().remove(0);
    assert!(told.kind() == "tidings.test" && told.is_signed_with(SECRET));
    receiver.will([Say::Status(401)]);
    let refused = here.run(&["webhooks", "test", "desk"]);
    assert_eq!(refused.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(shown.contains("401 as it was asked"), "{shown}");
    assert_eq!(here.run(&["webhooks", "test", "nobody"]).status.code(), Some(2));

    here.file("customers.jsonl", &crate::support::ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let event = json!({"id": "1", "source": "desk", "case": "T-1", "case_type": "ticket",
        "customer": "C-1", "state": "take_in_charge_ticket"});
    here.file("events.jsonl", &event.to_string());
    here.json(&["send-events", "events.jsonl", "--json"]);
    here.json(&["work", "--until-idle", "--json"]);
    assert_eq!(receiver.kinds().last().map(String::as_str), Some("notification.sent"));
    let listed = here.json(&["webhooks", "deliveries", "--hook", "desk", "--json"]);
    assert_eq!(listed["deliveries"][0]["status"], "delivered");
    let hooks = here.json(&["webhooks", "list", "--json"]);
    assert_eq!(hooks["webhooks"][0]["delivered"], 1);

    let counted = here.json(&["webhooks", "replay", "--status", "all", "--json"]);
    assert_eq!(counted, json!({"count": 1, "replayed": 0}));
    let replayed = here.json(&["webhooks", "replay", "--status", "all", "--yes", "--json"]);
    assert_eq!(replayed, json!({"count": 1, "replayed": 1}));
    here.json(&["work", "--until-idle", "--json"]);
    let told = receiver.told();
    assert_eq!(told[told.len() - 1].id(), told[told.len() - 2].id());
}

#[test]
fn the_document_of_the_api_names_every_event() {
    let document = serde_json::to_value(tidings::web::openapi()).expect("plain data");
    for kind in tidings::domain::webhook::types() {
        let body = &document["webhooks"][&kind]["post"]["requestBody"]["content"];
        assert_eq!(body["application/json"]["example"]["type"], json!(kind), "{kind}");
    }
}
