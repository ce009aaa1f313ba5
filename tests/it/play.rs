use serde_json::{Value, json};

use crate::support::binary::Installation;

fn story() -> String {
    let event = |id: u32, case: u32, state: &str, at: &str| {
        json!({"id": format!("p{id}"), "source": "desk", "case": format!("T-{case}"), "case_type": "ticket",
               "customer": format!("C-{}", case % 3), "state": state, "version": id, "occurred_at": at})
        .to_string()
    };
    let mut lines = Vec::new();
    let mut id = 0;
    for case in 0..20 {
        for (state, at) in [
            ("insert_ticket", "2025-03-28T09:00:00Z"),
            ("take_in_charge_ticket", "2025-03-28T23:30:00Z"),
            ("wait", "2025-03-29T23:10:00Z"),
            ("resolve_ticket", "2025-04-07T14:00:00Z"),
            ("closed", "2025-04-09T09:00:00Z"),
        ] {
            id += 1;
            lines.push(event(id, case, state, at));
        }
    }
    lines.push("no event".into());
    lines.join("\n")
}

fn customers() -> String {
    let customer = |n: u32, zone: &str, preferences: Value| {
        json!({"id": format!("C-{n}"), "name": format!("Customer {n}"), "locale": "en-GB", "time_zone": zone,
               "contact_points": [
                   {"channel": "email", "address": format!("c{n}@example.com"), "verified": true},
                   {"channel": "sms", "address": format!("+44791112345{n}"), "verified": true}],
               "preferences": preferences})
        .to_string()
    };
    [
        customer(0, "Europe/Berlin", json!({"channel_order": ["sms", "email"]})),
        customer(
            1,
            "America/New_York",
            json!({"topics": {"reminder": {"email": false, "sms": false}}}),
        ),
        customer(2, "Asia/Kathmandu", json!({"channel_order": [], "quiet_hours": "20:00-09:00"})),
    ]
    .join("\n")
}

#[test]
fn a_played_file_ends_with_every_event_accounted_for_and_played_again_sends_nothing() {
    let here = Installation::new("");
    here.file("customers.jsonl", &customers());
    here.file("story.jsonl", &story());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let output = here.run(&["play", "story.jsonl", "--json"]);
    assert_eq!(output.status.code(), Some(2), "one line is no event");
    let first: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(first["events"]["accepted"], 100);
    assert_eq!(first["events"]["errors"][0]["line"], 101);
    let balance = &first["balance"];
    let sum: i64 =
        ["open", "told", "silent", "task"].iter().filter_map(|k| balance[k].as_i64()).sum();
    assert_eq!((balance["open"].as_i64(), sum), (Some(0), 100));
    let captured = || std::fs::read_dir(here.path().join("var/outbox")).expect("messages").count();
    let sent = captured();
    assert!(sent > 30, "{sent}");
    let output = here.run(&["play", "story.jsonl", "--json"]);
    let again: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (again["events"]["accepted"].as_i64(), again["events"]["duplicate"].as_i64()),
        (Some(0), Some(100))
    );
    assert_eq!(captured(), sent, "the same file again sends nothing");
    assert_eq!(again["by_status"], first["by_status"]);
    assert!(again["by_status"].get("planned").is_none(), "past the tail nothing is planned");
}

#[test]
fn the_same_file_on_another_store_gives_the_same_decisions_and_the_same_bytes() {
    let key = "[auth]\nkey_file = \"key.hex\"\n";
    let play = || {
        let here = Installation::new(key);
        here.file("key.hex", &"07".repeat(32));
        here.file("customers.jsonl", &customers());
        here.file("story.jsonl", &story());
        // Links name the server: the same for both.
        let settings = std::fs::read_to_string(here.path().join("tidings.toml")).expect("settings");
        let own = format!("public_url = \"http://127.0.0.1:{}\"", here.port);
        here.file(
            "tidings.toml",
            &settings.replace(&own, "public_url = \"https://tidings.example.com\""),
        );
        here.json(&["import", "customers", "customers.jsonl", "--json"]);
        here.run(&["play", "story.jsonl"]);
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(here.path().join("var/outbox"))
            .expect("messages")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, std::fs::read(path).expect("a file"))
            })
            .collect();
        files.sort();
        files
    };
    let (first, second) = (play(), play());
    assert_eq!(first.len(), second.len());
    for (a, b) in first.iter().zip(&second) {
        assert_eq!(a.0, b.0);
        assert_eq!(String::from_utf8_lossy(&a.1), String::from_utf8_lossy(&b.1), "{}", a.0);
    }
}
