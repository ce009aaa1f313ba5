//! A copy of the store and the way back: after a restore nothing that was due leaves before a
//! person says so.

use serde_json::{Value, json};

use crate::support::binary::Installation;

const CUSTOMER: &str = r#"{"id": "C-1", "name": "Ada Byron", "locale": "en-GB", "time_zone": "Europe/London", "contact_points": [{"channel": "email", "address": "ada@example.com", "verified": true}], "preferences": {"channel_order": ["email"]}}"#;

/// A case that was taken up two minutes ago: its customer is told at once.
fn taken_up(case: &str) -> String {
    let at = chrono::TimeDelta::minutes(2);
    let at = tidings::clock::Clock::System.now() - at;
    json!({"id": case, "source": "desk", "case": case, "case_type": "ticket", "customer": "C-1",
           "state": "take_in_charge_ticket", "occurred_at": at.to_rfc3339()})
    .to_string()
}

fn installation() -> Installation {
    let here = Installation::new("");
    here.file("customers.jsonl", CUSTOMER);
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    here
}

fn send(here: &Installation, case: &str) {
    here.file("events.jsonl", &taken_up(case));
    here.json(&["send-events", "events.jsonl", "--json"]);
}

fn work(here: &Installation) -> Value {
    here.json(&["work", "--until-idle", "--json"])
}

/// Messages that left, whatever the store knows of them.
fn left(here: &Installation) -> usize {
    std::fs::read_dir(here.path().join("var/outbox")).map_or(0, Iterator::count)
}

#[test]
fn after_a_restore_nothing_leaves_a_second_time_before_a_person_says_so() {
    let here = installation();
    send(&here, "T-1");
    work(&here);
    send(&here, "T-2");
    assert_eq!(left(&here), 1);
    let copy = here.json(&["backup", "copy.db", "--json"]);
    assert_eq!(copy["copy"]["events"], 2);
    assert_eq!(here.run(&["backup", "copy.db"]).status.code(), Some(2), "it is there already");
    // The message about T-2 leaves after the copy was made, and the store is lost.
    work(&here);
    assert_eq!(left(&here), 2);
    let refused = here.run(&["restore", "copy.db"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--replace"));
    here.json(&["restore", "copy.db", "--replace", "--json"]);
    work(&here);
    assert_eq!(left(&here), 2, "T-2 was told before the restore");
    let waiting = here.json(&["restore", "--json"]);
    assert_eq!(waiting["waiting"]["messages"], 1, "{waiting}");
    assert_eq!(waiting["waiting"]["by_message"][0]["notice"], "taken-in-charge");
    let explained = here.run(&["explain", "--event", "T-2"]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(text.contains("restore --confirm"), "{text}");
    let dry = here.json(&["restore", "--confirm", "--dry-run", "--json"]);
    assert_eq!(dry["confirmed"], Value::Null);
    let done = here.json(&["restore", "--confirm", "--json"]);
    assert_eq!(done["confirmed"], json!({"cancelled": 0, "released": 1}));
    work(&here);
    assert_eq!(left(&here), 3, "a person said so");
    assert_eq!(here.json(&["restore", "--json"])["waiting"], Value::Null);
    let aside = std::fs::read_dir(here.path()).expect("a folder").flatten();
    let kept = |name: &str| name.starts_with("tidings.db.before-restore-");
    assert!(aside.into_iter().any(|file| kept(&file.file_name().to_string_lossy())));
}

#[test]
fn a_copy_that_was_put_back_by_hand_is_known_too_and_what_is_old_can_be_cancelled() {
    let here = installation();
    send(&here, "T-1");
    here.json(&["backup", "copy.db", "--json"]);
    let file = |name: &str| here.path().join(name);
    for rest in ["tidings.db-wal", "tidings.db-shm"] {
        let _ = std::fs::remove_file(file(rest));
    }
    std::fs::copy(file("copy.db"), file("tidings.db")).expect("copied");
    work(&here);
    assert_eq!(left(&here), 0);
    let args = ["restore", "--confirm", "--cancel-older-than", "1 minute", "--json"];
    assert_eq!(here.json(&args)["confirmed"], json!({"cancelled": 1, "released": 0}));
    let sums = work(&here);
    assert_eq!((left(&here), &sums["by_reason"]["not_since_restore"]), (0, &json!(1)));
}

#[test]
fn a_store_in_use_or_a_file_that_is_no_copy_is_refused_and_nothing_changes() {
    let here = installation();
    here.json(&["backup", "copy.db", "--json"]);
    here.file("broken.db", "this is no store");
    let refused = |args: &[&str], said: &str| {
        let output = here.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    };
    refused(&["restore", "nowhere.db"], "no such file");
    refused(&["restore", "broken.db", "--replace"], "broken.db");
    let server = here.serve(&[]);
    refused(&["restore", "copy.db", "--replace"], "stop it first");
    here.json(&["backup", "while-served.db", "--json"]);
    drop(server);
    assert_eq!(here.json(&["restore", "--json"])["waiting"], Value::Null);
}

#[test]
fn on_postgresql_its_own_tools_are_named() {
    let here = Installation::new("");
    let text = std::fs::read_to_string(here.path().join("tidings.toml")).expect("settings");
    let url = "postgres://tidings@127.0.0.1:9/tidings";
    here.file("tidings.toml", &text.replace("sqlite:tidings.db", url));
    for args in [vec!["backup", "copy.db"], vec!["restore", "tidings.toml"]] {
        let output = here.run(&args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains("pg_dump") && text.contains("restore --mark"), "{text}");
    }
}
