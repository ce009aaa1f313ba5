//! Help desks' own webhooks: who signed them, what they become, and what they never undo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::Request;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use sha2::Sha256;
use tidings::app::sources::{Payload, Sources, read_headers};
use tidings::domain::customer::Address;
use tidings::domain::{Channel, CustomerId, Zones};
use tidings::planning::source::Mapped;

use crate::support::binary::Installation;
use crate::support::{TestApp, at};

pub const NAMES: [&str; 5] = ["chatwoot", "salesforce", "servicenow", "shopify", "zendesk"];

/// The clock of every test here, in seconds since 1970: 2026-11-23T10:00:00Z.
pub const NOW_S: i64 = 1_795_428_000;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sources/samples")
}

/// A sample that ships: its bytes and its headers.
pub fn sample(name: &str) -> Payload {
    let body = std::fs::read(samples().join(format!("{name}.json"))).expect(name);
    let headers = std::fs::read_to_string(samples().join(format!("{name}.headers")));
    let headers = read_headers(&headers.unwrap_or_default()).expect("headers");
    Payload { body, headers }
}

pub fn all_samples() -> Vec<String> {
    let entries = std::fs::read_dir(samples()).expect("a folder");
    let names = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    names.sort_unstable();
    names
}

pub fn secrets() -> String {
    NAMES.map(|name| format!("[sources.{name}]\nsecret = \"secret-of:{name}\"\n")).concat()
}

fn mac(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Signs as the vendor's documentation says, at `at_s`.
pub fn sign(source: &str, secret: &str, payload: &mut Payload, at_s: i64) {
    let body = payload.body.clone();
    let mut set = |name: &str, value: String| drop(payload.headers.insert(name.into(), value));
    match source {
        "zendesk" => {
            let at = chrono::DateTime::from_timestamp(at_s, 0).expect("an instant").to_rfc3339();
            let signature = mac(secret, &[at.as_bytes(), &body]);
            set("x-zendesk-webhook-signature-timestamp", at);
            set("x-zendesk-webhook-signature", BASE64.encode(&signature));
        }
        "shopify" => set("x-shopify-hmac-sha256", BASE64.encode(&mac(secret, &[&body]))),
        "chatwoot" => {
            let at = at_s.to_string();
            let signature = mac(secret, &[at.as_bytes(), b".", &body]);
            set("x-chatwoot-timestamp", at);
            set("x-chatwoot-signature", format!("sha256={}", HEXLOWER.encode(&signature)));
        }
        "servicenow" => {
            set("authorization", format!("Basic {}", BASE64.encode(secret.as_bytes())));
        }
        _ => set("authorization", format!("Bearer {secret}")),
    }
}

async fn post(app: &TestApp, source: &str, payload: &Payload) -> (u16, Value) {
    let mut request = Request::post(format!("/v1/sources/{source}"));
    for (name, value) in &payload.headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(payload.body.clone())).expect("a request");
    let (status, body) = app.http(request).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status}: {body}")))
}

async fn post_signed(app: &TestApp, source: &str, mut payload: Payload) -> (u16, Value) {
    sign(source, &format!("secret-of:{source}"), &mut payload, NOW_S);
    post(app, source, &payload).await
}

fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Payload {
    let mut payload = sample(name);
    let mut value: Value = serde_json::from_slice(&payload.body).expect("JSON");
    change(&mut value);
    payload.body = value.to_string().into_bytes();
    payload
}

#[tokio::test]
async fn each_vendors_sample_becomes_the_event_it_stands_for() {
    let app = TestApp::with(&secrets()).await;
    let mut seen = BTreeMap::new();
    for name in all_samples() {
        let source = name.split('-').next().expect("a name");
        let source = app.app.sources.get(source).expect("it ships");
        let mapped = sample(&name).map(source, &Zones::bundled(), app.now());
        let view = match mapped {
            Mapped::Ignored(why) => json!({ "ignored": why }),
            Mapped::Unknown(failing) => panic!("{name}: {failing:?}"),
            Mapped::Told(told) => {
                assert!(told.iter().all(|told| told.failing.is_empty()), "{name}: {told:?}");
                json!(told.iter().map(tidings::planning::source::Told::view).collect::<Vec<_>>())
            }
        };
        seen.insert(name, view);
    }
    insta::assert_json_snapshot!("samples_of_sources", seen);
    app.end().await;
}

#[tokio::test]
async fn what_is_signed_by_the_vendors_rule_is_taken_once_and_told() {
    let app = TestApp::with(&secrets()).await;
    for (name, status) in [
        ("zendesk-trigger", 202),
        ("zendesk-created", 202),
        ("zendesk-priority", 200),
        ("shopify-order", 202),
        ("shopify-return-requested", 202),
        ("shopify-refund", 202),
        ("shopify-return-closed", 202),
        ("salesforce-created", 202),
        ("salesforce-working", 202),
        ("chatwoot-message", 200),
        ("chatwoot-resolved", 202),
        ("servicenow-waiting", 202),
        ("servicenow-resolved", 202),
    ] {
        let source = name.split('-').next().expect("a name");
        let (got, answer) = post_signed(&app, source, sample(name)).await;
        assert_eq!(got, status, "{name}: {answer}");
        let (again, answer) = post_signed(&app, source, sample(name)).await;
        let customer_only = matches!(name, "zendesk-trigger" | "shopify-order");
        assert_eq!(again, if customer_only { 202 } else { 200 }, "{name} again: {answer}");
    }
    assert_eq!(app.summary().await.balance.accepted, 9);
    let (status, answer) = post_signed(&app, "zendesk", sample("zendesk-solved")).await;
    assert_eq!((status, &answer["results"][0]["result"]), (202, &json!("accepted")), "{answer}");
    app.drain().await;
    let told: Vec<String> = app.notifications().await.into_iter().map(|n| n.case_id).collect();
    assert!(told.contains(&"ZD-5158".to_owned()), "{told:?}");
    assert!(told.contains(&"SHOP-R-945000954".to_owned()), "the order said whose it is: {told:?}");
    let view = app.get("/v1/customers/SHOP-115310627314723954").await.1;
    assert!(view.contains("Ada Byron") && view.contains("en-GB"), "{view}");
    app.end().await;
}

#[tokio::test]
async fn a_wrong_a_missing_and_an_old_signature_are_refused_and_nothing_is_kept() {
    let app = TestApp::with(&secrets()).await;
    for name in [
        "zendesk-solved",
        "shopify-order",
        "chatwoot-resolved",
        "salesforce-created",
        "servicenow-waiting",
    ] {
        let source = name.split('-').next().expect("a name");
        let (status, answer) = post(&app, source, &sample(name)).await;
        assert_eq!(status, 401, "{name} unsigned: {answer}");
        let mut wrong = sample(name);
        sign(source, "guess:me", &mut wrong, NOW_S);
        assert_eq!(post(&app, source, &wrong).await.0, 401, "{name} by another secret");
        let mut altered = sample(name);
        sign(source, &format!("secret-of:{source}"), &mut altered, NOW_S);
        let signed = matches!(source, "zendesk" | "shopify" | "chatwoot");
        if signed {
            altered.body.push(b' ');
            assert_eq!(post(&app, source, &altered).await.0, 401, "{name} altered");
        }
        if matches!(source, "zendesk" | "chatwoot") {
            for at_s in [NOW_S - 301, NOW_S + 301] {
                let mut old = sample(name);
                sign(source, &format!("secret-of:{source}"), &mut old, at_s);
                let (status, answer) = post(&app, source, &old).await;
                assert_eq!(status, 401, "{name} at {at_s}: {answer}");
            }
        }
    }
    assert_eq!(app.summary().await.balance.accepted, 0);
    assert_eq!(app.get("/v1/customers/SHOP-115310627314723954").await.0, 404);
    assert_eq!(app.tasks().await, [""; 0]);
    app.end().await;
}

#[tokio::test]
async fn who_guesses_secrets_must_wait_and_who_signs_rightly_does_not() {
    let app = TestApp::with(&secrets()).await;
    let statuses = async {
        let mut statuses = Vec::new();
        for _ in 0..32 {
            statuses.push(post(&app, "zendesk", &sample("zendesk-solved")).await.0);
        }
        statuses
    };
    let statuses = statuses.await;
    assert_eq!((statuses[0], statuses[31]), (401, 429), "{statuses:?}");
    assert_eq!(post_signed(&app, "zendesk", sample("zendesk-solved")).await.0, 202);
    app.end().await;
}

#[tokio::test]
async fn a_source_without_a_secret_is_no_door() {
    let app = TestApp::start().await;
    let (status, answer) = post(&app, "zendesk", &sample("zendesk-solved")).await;
    assert_eq!(status, 404);
    assert!(answer["detail"].as_str().is_some_and(|why| why.contains("[sources.zendesk]")));
    let body = Payload { body: vec![b' '; 300 * 1024], headers: BTreeMap::new() };
    assert_eq!(post(&app, "zendesk", &body).await.0, 404);
    app.end().await;
    let app = TestApp::with("[sources.zendesk]\ninsecure = true\n").await;
    assert_eq!(post(&app, "zendesk", &body).await.0, 413);
    let mut forwarded = sample("zendesk-solved");
    forwarded.headers.insert("x-forwarded-for".into(), "192.0.2.1".into());
    assert_eq!(post(&app, "zendesk", &forwarded).await.0, 401, "not from this machine");
    assert_eq!(post(&app, "zendesk", &sample("zendesk-solved")).await.0, 202);
    app.end().await;
}

#[tokio::test]
async fn each_failing_key_is_listed_and_a_person_gets_a_task_for_it() {
    let app = TestApp::with(&secrets()).await;
    let broken = changed("zendesk-solved", |payload| {
        payload["event"]["current"] = json!("SNOOZED");
        let detail = payload["detail"].as_object_mut().expect("an object");
        let requester = detail.remove("requester_id").expect("it was there");
        detail.insert("requester".into(), requester);
    });
    let (status, answer) = post_signed(&app, "zendesk", broken.clone()).await;
    assert_eq!(status, 422);
    let pointers: Vec<&str> = answer["errors"]
        .as_array()
        .expect("faults")
        .iter()
        .filter_map(|f| f["pointer"].as_str())
        .collect();
    assert_eq!(pointers, ["/detail/requester_id", "/event/current"], "{answer}");
    let detail = answer["errors"][0]["detail"].as_str().expect("a sentence");
    assert!(detail.contains("`customer`") && detail.contains("zendesk.toml"), "{detail}");
    // The same day, the same keys: one task each, and none says what stands in the payload.
    post_signed(&app, "zendesk", broken).await;
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    assert!(tasks[0].contains("`customer` at /detail/requester_id"), "{tasks:?}");
    assert!(!tasks.concat().contains("Cannot sign in"), "{tasks:?}");

    for (source, payload) in [
        ("zendesk", Payload { body: b"status=open".to_vec(), headers: BTreeMap::new() }),
        ("chatwoot", changed("chatwoot-resolved", |payload| payload["event"] = json!(null))),
        ("shopify", sample("shopify-return-requested")),
    ] {
        let (status, answer) = post_signed(&app, source, payload).await;
        assert_eq!(status, 422, "{source}: {answer}");
    }
    assert_eq!(app.tasks().await.len(), 5);
    assert_eq!(app.summary().await.balance.accepted, 0);
    app.end().await;
}

#[tokio::test]
async fn an_event_is_kept_though_an_address_beside_it_is_wrong() {
    let app = TestApp::with(&secrets()).await;
    let payload = changed("servicenow-waiting", |payload| {
        payload["caller"]["mobile_phone"] = json!("ask at the desk");
    });
    let (status, answer) = post_signed(&app, "servicenow", payload).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(answer["results"][0]["failing"][0]["key"], "profile.sms");
    assert_eq!(app.tasks().await.len(), 1);
    app.drain().await;
    assert_eq!(app.of("waiting-for-you").await.status, "sent");
    app.end().await;
}

#[tokio::test]
async fn a_webhook_never_brings_back_what_the_customer_refused_removed_or_had_forgotten() {
    let app = TestApp::with(&secrets()).await;
    let id = CustomerId("ZD-8447388090495".into());
    assert_eq!(post_signed(&app, "zendesk", sample("zendesk-trigger")).await.0, 202);
    let phone = Address::parse(Channel::Sms, "+447911123456").expect("a number");
    app.store().suppress(Channel::Sms, &phone, "stop", "stop", app.now()).await.expect("written");
    let chosen = |chosen: &mut tidings::domain::Preferences| {
        chosen.channel_order = Some(vec![Channel::Email]);
    };
    app.store().choose(&id, "centre", app.now(), chosen).await.expect("known");
    let renamed = changed("zendesk-trigger", |payload| {
        payload["requester"]["name"] = json!("Ada King");
        payload["requester"]["email"] = json!(null);
    });
    assert_eq!(post_signed(&app, "zendesk", renamed).await.0, 202);
    let customer = app.store().customer(&id, app.now()).await.expect("known");
    assert_eq!(customer.profile.name, "Ada King");
    assert_eq!(customer.contact_points.len(), 2, "an address nobody spoke of stays");
    assert!(
        customer.contact_points.iter().any(|p| p.channel == Channel::Sms && p.suppressed.is_some())
    );
    assert_eq!(customer.preferences.channel_order, Some(vec![Channel::Email]));

    app.store().erase(&id, "test", app.now()).await.expect("known");
    assert_eq!(post_signed(&app, "zendesk", sample("zendesk-trigger")).await.0, 202);
    assert!(app.store().customer(&id, app.now()).await.is_err(), "who is forgotten stays so");
    app.end().await;
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{0,12}", inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// Puts `new` in the place of the n-th value below `value`.
fn replace(value: &mut Value, n: &mut usize, new: &Value) {
    if *n == 0 {
        *value = new.clone();
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, n, new)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, n, new)),
        _ => {}
    }
}

#[test]
fn no_payload_however_strange_is_a_fault_of_the_server() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let open = NAMES.map(|name| format!("[sources.{name}]\ninsecure = true\n")).concat();
    let app = runtime.block_on(TestApp::with(&open));
    let samples = all_samples();
    let mut runner =
        TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let cases = (0..samples.len(), 0..60_usize, any_json());
    runner
        .run(&cases, |(which, n, new)| {
            let name = &samples[which];
            let mut payload = changed(name, |value| replace(value, &mut { n }, &new));
            payload.headers.retain(|_, value| n % 7 != 0 || value.len() < 20);
            let source = name.split('-').next().expect("a name");
            let (status, answer) = runtime.block_on(post(&app, source, &payload));
            prop_assert!(matches!(status, 200 | 202 | 207 | 422), "{status}: {answer}");
            Ok(())
        })
        .expect("no case fails");
    runtime.block_on(app.end());
}

#[test]
fn map_test_prints_the_event_and_points_at_each_key_that_fails() {
    let here = Installation::new("");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = samples().join("shopify-return-requested.json").display().to_string();
    let shown = here.json(&["map", "test", "--source", "shopify", "--payload", &path, "--json"]);
    assert_eq!(shown["told"][0]["event"]["case"], "SHOP-R-945000954");
    assert_eq!(shown["told"][0]["customer_of"], "order/820982911946154508");

    here.file(
        "broken.json",
        r#"{"type": "zen:event-type:ticket.created", "id": "e-1", "time": "2026-11-16T10:12:07Z",
        "detail": {"id": "5158", "requestor_id": "7", "status": "NEW"}, "event": {}}"#,
    );
    let output = here.run(&["map", "test", "--source", "zendesk", "--payload", "broken.json"]);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stderr);
    assert!(shown.contains("customer: the payload has no /detail/requester_id"), "{shown}");
    assert!(shown.contains("nearest: requestor_id"), "{shown}");
    assert!(shown.contains("customer = \"'ZD-' ~ payload.detail.requester_id\""), "{shown}");
    assert!(shown.contains("zendesk.toml:"), "{shown}");

    let output = here.run(&["map", "test", "--source", "zendsk", "--payload", "broken.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there are chatwoot"), "{}", text(&output.stderr));
}

#[test]
fn check_maps_every_sample_and_a_source_of_ones_own_takes_the_place_of_a_built_in_one() {
    let here = Installation::new("");
    let report = here.json(&["check", "--json"]);
    let about_sources = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().expect("findings").iter();
        let files = findings.filter(|f| f["file"].as_str().is_some_and(|f| f.contains("sources/")));
        files.map(|finding| finding["message"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(about_sources(&report), [""; 0]);
    here.file(
        "config/sources/chatwoot.toml",
        "[signature]\nkind = \"header\"\nheader = \"X-Desk\"\n[[map]]\ncase = \"payload.id\"\ncase_type = \"'ticket'\"\ncustomer = \"payload.who\"\nstate = \"payload.status\"\n",
    );
    here.file("config/sources/samples/chatwoot-one.json", r#"{"id": 1, "status": "lost"}"#);
    let output = here.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = about_sources(&report);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("customer") && found[0].contains("/who"), "{found:?}");
}

#[test]
fn the_names_of_the_sources_that_ship_are_known() {
    let settings = tidings::config::Settings::read(
        "f",
        "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n",
        [],
    );
    let sources = Sources::load(&settings.expect("valid")).expect("they ship");
    assert_eq!(sources.names(), NAMES);
    assert_eq!(at("2026-11-23T10:00:00Z").timestamp(), NOW_S);
}
