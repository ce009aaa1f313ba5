//! `tidings simulate`: what a change would have done, seen before it is published.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::binary::Installation;

const CHANNELS: &str = "[channels.sms]\nprovider = \"outbox\"\n[prices]\ncurrency = \"GBP\"\nemail = 0.001\nsms = { default = 0.05 }\n";

/// Two customers wait; one of them for so long that a reminder comes.
fn story() -> String {
    let event = |id: u32, case: u32, state: &str, at: &str| {
        json!({"id": format!("p{id}"), "source": "desk", "case": format!("T-{case}"),
               "case_type": "ticket", "customer": format!("C-{case}"), "state": state,
               "version": id, "occurred_at": at})
        .to_string()
    };
    [
        event(1, 0, "insert_ticket", "2025-03-24T09:00:00Z"),
        event(2, 1, "insert_ticket", "2025-03-24T09:00:00Z"),
        event(3, 0, "wait", "2025-03-24T10:00:00Z"),
        event(4, 1, "wait", "2025-03-24T10:00:00Z"),
        event(5, 1, "resolve_ticket", "2025-03-26T15:00:00Z"),
        event(6, 0, "closed", "2025-04-20T10:00:00Z"),
        event(7, 1, "closed", "2025-04-20T10:00:00Z"),
    ]
    .join("\n")
}

fn customers() -> String {
    let customer = |n: u32, order: &[&str]| {
        json!({"id": format!("C-{n}"), "name": format!("Customer {n}"), "locale": "en-GB",
               "time_zone": "Europe/London",
               "contact_points": [
                   {"channel": "email", "address": format!("c{n}@example.com"), "verified": true},
                   {"channel": "sms", "address": format!("+44791112345{n}"), "verified": true}],
               "preferences": {"channel_order": order}})
        .to_string()
    };
    [customer(0, &["sms", "email"]), customer(1, &["email"])].join("\n")
}

fn installation() -> Installation {
    let here = Installation::new(CHANNELS);
    here.file("customers.jsonl", &customers());
    here.file("story.jsonl", &story());
    let shipped = include_str!("../../config/journeys/ticket.toml");
    let sooner = shipped.replace("after = \"3 working days\"", "after = \"2 working days\"");
    assert_ne!(shipped, sooner);
    here.file("sooner/ticket.toml", &sooner);
    here
}

const FROM_FILES: [&str; 5] =
    ["simulate", "--events", "story.jsonl", "--customers", "customers.jsonl"];

#[test]
fn a_reminder_moved_forward_comes_earlier_and_reaches_who_was_spared_it() {
    let here = installation();
    let mut args = FROM_FILES.to_vec();
    args.extend(["--journeys", "sooner", "--json", "--html", "what-if.html"]);
    let seen = here.json(&args);
    let words = &seen["comparison"]["by_notice"]["ticket/still-waiting-for-you"];
    // T-0 was reminded on the third working day and now is on the second; T-1 was resolved
    // on the second, after its reminder would have come.
    assert!(words["earlier"].as_i64() >= Some(1), "{words}");
    assert_eq!(words["new"], 1, "{words}");
    assert_eq!(seen["comparison"]["customers"]["more"], 1);
    let figures = |n: usize| seen["versions"][n]["figures"].clone();
    let parts = figures(0)["cost"]["sms_parts"].as_i64().expect("a number");
    assert!(parts >= figures(0)["cost"]["texts"].as_i64().expect("a number"));
    assert!(figures(1)["messages"].as_i64() > figures(0)["messages"].as_i64());
    let page = std::fs::read_to_string(here.path().join("what-if.html")).expect("the page");
    for part in ["<svg", "<title id=", "<desc id=", "prefers-color-scheme: dark", "T-1"] {
        assert!(page.contains(part), "{part}");
    }
    for foreign in ["<script", "http://", "https://", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(!here.path().join("tidings.db").exists(), "no store is touched");
    assert!(!here.path().join("var/outbox").exists(), "nothing is handed over");
}

#[test]
fn unchanged_rules_reproduce_a_played_store_exactly_and_change_nothing_in_it() {
    let here = installation();
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let played = here.json(&["play", "story.jsonl", "--json"]);
    let before = here.json(&["balance", "--json"]);
    let seen = here.json(&["simulate", "--json"]);
    let same = &seen["reproduced"];
    assert_eq!(same["differences"], json!([]), "{same}");
    assert_eq!(same["same"], same["recorded"]);
    assert_eq!(seen["versions"].as_array().map(Vec::len), Some(1), "the files are published");
    assert_eq!(seen["versions"][0]["figures"]["messages"], played["sent"]);
    let changed = here.json(&["simulate", "--journeys", "sooner", "--json"]);
    let told = |seen: &Value, n: usize| seen["versions"][n]["figures"]["messages"].as_i64();
    assert!(told(&changed, 1) > told(&changed, 0), "{changed}");
    assert_eq!(here.json(&["balance", "--json"]), before);
}

#[test]
fn what_cannot_be_simulated_is_said_with_what_to_do() {
    let here = installation();
    for (args, said) in [
        (vec!["simulate"], "journeys publish"),
        (vec!["simulate", "--from", "2025-02-01", "--to", "2025-01-01"], "comes after"),
        (vec!["simulate", "--events", "story.jsonl"], "--customers"),
        (
            vec!["simulate", "--events", "nowhere.jsonl", "--customers", "customers.jsonl"],
            "nowhere.jsonl",
        ),
    ] {
        let output = here.run(&args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

async fn simulated(app: &TestApp, body: Value) -> (u16, Value) {
    let request = axum::http::Request::post("/v1/simulations")
        .header("content-type", "application/json")
        .body(body.to_string().into());
    let (status, answer) = app.http(request.expect("a request")).await;
    (status, serde_json::from_str(&answer).expect("JSON"))
}

#[tokio::test]
async fn the_api_answers_what_the_command_prints_and_changes_nothing() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event_of(json!({"id": "w1", "case": "T-1", "case_type": "ticket", "state": "wait"})).await;
    app.drain().await;
    app.advance_to("2026-11-27T10:00:00Z").await;
    let before = app.summary().await;
    let (status, alone) = simulated(&app, json!({})).await;
    assert_eq!(status, 200, "{alone}");
    assert_eq!(alone["reproduced"]["differences"], json!([]), "{alone}");
    assert_eq!(alone["comparison"], Value::Null);
    let shipped = include_str!("../../config/journeys/ticket.toml");
    let later = shipped.replace("after = \"3 working days\"", "after = \"8 working days\"");
    let change = json!({"journeys": {"files": {"journeys/ticket.toml": later}}});
    let (status, changed) = simulated(&app, change).await;
    assert_eq!(status, 200, "{changed}");
    let words = &changed["comparison"]["by_notice"]["ticket/still-waiting-for-you"];
    assert_eq!((&words["gone"], &words["new"]), (&json!(1), &json!(0)), "{words}");
    let fewer = json!([{"customer": "C-1", "before": 2, "after": 1}]);
    assert_eq!(changed["comparison"]["customers_changed"], fewer);
    let quiet = json!({"settings": {"quiet_hours": {"email": "06:00-23:00"}}});
    let (status, quieter) = simulated(&app, quiet).await;
    assert_eq!(status, 200, "{quieter}");
    assert!(quieter["comparison"]["words"]["later"].as_i64() >= Some(1), "{quieter}");
    let after = app.summary().await;
    assert_eq!((before.by_status, before.by_reason), (after.by_status, after.by_reason));
    app.end().await;
}

#[tokio::test]
async fn a_what_if_that_cannot_be_played_says_where_and_one_is_played_at_a_time() {
    let app = TestApp::start().await;
    app.ada().await;
    for (body, pointer) in [
        (
            json!({"journeys": {"files": {"journeys/ticket.toml": "case_type = 7"}}}),
            "/journeys/files/journeys~1ticket.toml",
        ),
        (json!({"journeys": {"version": "none"}}), "/journeys/version"),
        (json!({"settings": {"store": {"url": "sqlite:other.db"}}}), "/settings/store"),
        (json!({"settings": {"limits": {"cap": 3}}}), "/settings/limits"),
        (json!({"from": "soon"}), "/from"),
    ] {
        let (status, problem) = simulated(&app, body).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{problem}");
    }
    let playing = app.app.what_if.lock().await;
    let (status, problem) = simulated(&app, json!({})).await;
    assert_eq!((status, &problem["title"]), (429, &json!("Busy")), "{problem}");
    drop(playing);
    assert_eq!(simulated(&app, json!({})).await.0, 200);
    app.end().await;
}

#[test]
fn the_map_of_a_journey_shows_its_states_its_words_and_where_nothing_is_said() {
    let here = installation();
    let rules = here.run(&["journeys", "map", "ticket"]);
    let text = String::from_utf8_lossy(&rules.stdout).into_owned();
    for line in [
        "  promised: another word every 10 working days",
        "  closed (the end)",
        "    waiting-for-you: at once; by email, sms, voice",
        "    still-working-on-it: after 9 working days of silence; 09:00-18:00 working days; by email, sms",
        "    nothing is said",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    here.json(&["play", "story.jsonl", "--json"]);
    let maps = here.json(&["journeys", "map", "ticket", "--json", "--html", "map.html"]);
    let arrow = |from: &str, to: &str| {
        let arrows = maps[0]["arrows"].as_array().expect("arrows");
        let found = arrows.iter().find(|arrow| arrow["from"] == from && arrow["to"] == to);
        found.and_then(|arrow| arrow["count"].as_i64())
    };
    assert_eq!(arrow("insert_ticket", "wait"), Some(2));
    assert_eq!(arrow("wait", "resolve_ticket"), Some(1));
    let page = std::fs::read_to_string(here.path().join("map.html")).expect("the page");
    assert!(page.contains("<svg") && page.contains("<desc id="), "{page}");
    let unknown = here.run(&["journeys", "map", "parcel"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are appointment"));
}
