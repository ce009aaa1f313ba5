//! Shadow mode: everything is decided and recorded, nothing leaves, and what another system sent
//! is set beside it.

use serde_json::{Value, json};

use crate::support::binary::Installation;

const SHADOW: &str = "[channels.sms]\nprovider = \"outbox\"\n[dispatch]\nmode = \"shadow\"\n";

fn customers() -> String {
    let customer = |n: u32| {
        json!({"id": format!("C-{n}"), "name": format!("Customer {n}"), "locale": "en-GB",
               "time_zone": "Europe/London",
               "contact_points": [
                   {"channel": "email", "address": format!("c{n}@example.com"), "verified": true}],
               "preferences": {"channel_order": ["email"]}})
        .to_string()
    };
    [customer(0), customer(1)].join("\n")
}

/// Both are told at once that somebody took their case up.
fn story() -> String {
    let event = |id: u32, case: u32, at: &str| {
        json!({"id": format!("s{id}"), "source": "desk", "case": format!("T-{case}"),
               "case_type": "ticket", "customer": format!("C-{case}"),
               "state": "take_in_charge_ticket", "version": id, "occurred_at": at})
        .to_string()
    };
    [event(1, 0, "2025-03-24T10:00:00Z"), event(2, 1, "2025-03-24T10:05:00Z")].join("\n")
}

fn played() -> (Installation, Value) {
    let here = Installation::new(SHADOW);
    here.file("customers.jsonl", &customers());
    here.file("story.jsonl", &story());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let played = here.json(&["play", "story.jsonl", "--tail", "1 day", "--json"]);
    (here, played)
}

#[test]
fn in_shadow_mode_everything_is_decided_and_nothing_leaves() {
    let (here, played) = played();
    assert!(!here.path().join("var/outbox").exists(), "something left");
    assert_eq!(played["balance"]["told"], 0, "{played}");
    assert_eq!(played["balance"]["silent"], 2, "{played}");
    assert_eq!(played["by_reason"]["shadow"], 2, "{played}");
    let explained = here.run(&["explain", "--event", "s1"]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(text.contains("not handed over: this installation runs in shadow mode"), "{text}");
    assert!(!text.contains("We handed this message over"), "{text}");
    let balance = here.run(&["balance"]);
    assert_eq!(balance.status.code(), Some(0), "nothing is lost");
    let cost = here.json(&["report", "cost", "--json"]);
    assert_eq!(cost["total"]["mails"], 0, "{cost}");
    // It was decided as in life: a simulation decides the same.
    let seen = here.json(&["simulate", "--tail", "1 day", "--json"]);
    assert_eq!(seen["reproduced"]["differences"], json!([]), "{seen}");
}

#[test]
fn what_another_system_sent_is_set_beside_what_would_have_left() {
    let (here, _) = played();
    let sent = "at,customer,channel,case,message\n\
        2025-03-24T10:10:00Z,C-0,email,T-0,Taken in charge\n\
        2025-03-24T11:00:00Z,C-7,sms,,Welcome\n\
        at some time,C-1,email,T-1,\n";
    here.file("sent.csv", sent);
    let output = here.run(&["report", "shadow", "--sent", "sent.csv", "--json"]);
    assert_eq!(output.status.code(), Some(2), "a line was bad");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(report["lines"]["errors"][0]["line"], 4);
    let compared = &report["comparison"];
    let total = json!({"both": 1, "other_channel": 0, "only_we": 0, "only_they": 1});
    assert_eq!(compared["total"], total, "T-1 lies before the first of theirs: {compared}");
    assert_eq!(compared["by_case_type"]["ticket"]["both"], 1);
    assert_eq!(compared["apart_min"]["max"], 10);
    assert_eq!(compared["farthest"][0]["later_min"], -10);
    assert_eq!(compared["only_they"][0]["message"], "Welcome");
    here.file("wrong.csv", "when,who\n");
    let wrong = here.run(&["report", "shadow", "--sent", "wrong.csv"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("/when"));
}

#[tokio::test]
async fn a_server_in_shadow_mode_says_so() {
    let here = Installation::new(SHADOW);
    let server = here.serve(&[]);
    assert!(server.log().contains("shadow mode"), "{}", server.log());
    let ready = reqwest::get(format!("{}/readyz", server.url)).await.expect("an answer");
    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.expect("text").contains("shadow mode"));
}
