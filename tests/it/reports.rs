//! `tidings report …` over a played history, whose figures are known.

use serde_json::{Value, json};

use crate::support::ada;
use crate::support::binary::Installation;

/// Two tickets of Ada: one resolved after a week, one open since; she rang up once.
fn played(more: &str) -> Installation {
    let here = Installation::new(more);
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let event = |id: u32, case: u32, state: &str, at: &str| {
        json!({"id": format!("e{id}"), "source": "desk", "case": format!("T-{case}"),
               "case_type": "ticket", "customer": "C-1", "state": state, "occurred_at": at})
        .to_string()
    };
    let contact = json!({"id": "c1", "source": "desk", "case": "T-1", "case_type": "ticket",
        "customer": "C-1", "event": "customer_contacted", "occurred_at": "2025-03-12T10:00:00Z"});
    let lines = [
        event(1, 1, "insert_ticket", "2025-03-10T08:00:00Z"),
        event(2, 1, "take_in_charge_ticket", "2025-03-10T09:00:00Z"),
        event(3, 2, "insert_ticket", "2025-03-10T08:00:00Z"),
        event(4, 2, "take_in_charge_ticket", "2025-03-11T09:00:00Z"),
        contact.to_string(),
        event(5, 1, "resolve_ticket", "2025-03-17T09:00:00Z"),
        event(6, 1, "closed", "2025-03-18T09:00:00Z"),
    ];
    here.file("story.jsonl", &lines.join("\n"));
    here.json(&["play", "story.jsonl", "--json"]);
    here
}

fn shown(here: &Installation, args: &[&str]) -> String {
    let output = here.run(args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn contacts_stand_beside_the_messages_before_them_worst_first() {
    let here = played("");
    let report = here.json(&["report", "contacts", "--json"]);
    assert_eq!((&report["contacts"], &report["after_a_message"]), (&json!(1), &json!(1)));
    let worst = &report["steps"][0];
    assert_eq!(worst["message"], "ticket/taken-in-charge");
    assert_eq!(worst["state"], "take_in_charge_ticket");
    assert_eq!((&worst["sent"], &worst["followed"]), (&json!(2), &json!(1)));
    assert_eq!(worst["rate"], json!(0.5));
    let table = shown(&here, &["report", "contacts"]);
    assert!(table.contains("50.0 %") && table.contains('█'), "{table}");
    let soon = here.json(&["report", "contacts", "--days", "1", "--json"]);
    assert_eq!(soon["steps"][0]["followed"], 0);
    assert_eq!(here.run(&["report", "contacts", "--days", "0"]).status.code(), Some(2));
}

#[test]
fn costs_name_the_keys_that_are_missing_until_there_are_prices() {
    let here = played("");
    let table = shown(&here, &["report", "cost"]);
    assert!(table.contains("[prices]") && table.contains("prices.email"), "{table}");
    let settings = std::fs::read_to_string(here.path().join("tidings.toml")).expect("settings");
    here.file("tidings.toml", &format!("{settings}\n[prices]\ncurrency = \"GBP\"\nemail = 0.01\n"));
    let report = here.json(&["report", "cost", "--by", "case", "--json"]);
    assert_eq!((&report["currency"], &report["missing_prices"]), (&json!("GBP"), &json!([])));
    let mails = |line: &Value| line["mails"].as_i64().expect("a number");
    let lines = report["lines"].as_array().expect("lines");
    assert_eq!(lines.iter().map(mails).sum::<i64>(), mails(&report["total"]));
    assert_eq!(lines[0]["key"], "T-2", "the dearest first");
    for line in lines {
        assert_eq!(line["cost_millionths"].as_i64(), Some(10_000 * mails(line)), "{line}");
    }
    for by in ["channel", "message"] {
        let other = here.json(&["report", "cost", "--by", by, "--json"]);
        assert_eq!(other["total"], report["total"], "{by}");
    }
    let table = shown(&here, &["report", "cost", "--limit", "1", "--by", "case"]);
    assert!(table.contains("GBP") && table.contains("and 1 more"), "{table}");
}

#[test]
fn load_is_counted_over_weeks_that_begin_on_monday() {
    let here = played("");
    let report = here.json(&["report", "load", "--json"]);
    let as_sent = &report["as_sent"];
    assert!(as_sent["max"].as_i64() >= Some(2), "{report}");
    let weeks: i64 =
        as_sent["histogram"].as_object().expect("a map").values().filter_map(Value::as_i64).sum();
    assert_eq!(as_sent["count"].as_i64(), Some(weeks));
    let first = here.json(&["report", "load", "--to", "2025-03-16", "--json"]);
    assert_eq!(first["as_sent"]["histogram"], json!({"2": 1}));
    assert!(shown(&here, &["report", "load"]).contains("each word alone"));
}

#[test]
fn silence_is_longest_where_nobody_said_anything() {
    let here = played("");
    let report = here.json(&["report", "silence", "--at", "2025-04-10T09:00:00Z", "--json"]);
    let [open] = &report["open"].as_array().expect("cases")[..] else { panic!("{report}") };
    assert_eq!((&open["case"], &open["words"]), (&json!("T-2"), &json!(4)));
    // The word after a silence comes after nine working days.
    assert_eq!(open["longest_hours"], json!(13 * 24));
    assert_eq!(report["histogram_days"], json!({"7": 1, "10": 1}));
    assert_eq!(report["all_hours"]["count"], 2);
    // A week between “taken in charge” and “resolved”.
    assert_eq!(report["all_hours"]["p50"], json!(7 * 24));
    let table = shown(&here, &["report", "silence", "--at", "2025-04-10T09:00:00Z"]);
    assert!(table.contains("13 d 0 h") && table.contains("7 d 0 h"), "{table}");
    assert_eq!(here.run(&["report", "silence", "--at", "later"]).status.code(), Some(2));
}

#[test]
fn one_sheet_holds_balance_load_and_silence() {
    let here = played("");
    let sheet = here.json(&["report", "all", "--at", "2025-04-10T09:00:00Z", "--json"]);
    assert_eq!(sheet["balance"]["accepted"], 7);
    for part in ["by_status", "by_reason", "by_channel", "decisions", "load", "silence"] {
        assert!(sheet[part].is_object(), "{part}: {sheet}");
    }
    let table = shown(&here, &["report", "all"]);
    assert!(table.contains("messages per customer and week"), "{table}");
    let wrong = here.run(&["report", "load", "--from", "2025-03-02", "--to", "2025-03-01"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn what_was_learned_is_shown_beside_the_customers_left_alone() {
    let here = played("[adaptive]\nmin_outcomes = 1\nhold_out = 0.0\n");
    let report = here.json(&["report", "adaptive", "--json"]);
    assert_eq!((&report["enabled"], &report["held_out"]["customers"]), (&json!(false), &json!(0)));
    let treated = &report["treated"];
    assert_eq!((&treated["customers"], &treated["contacted"]), (&json!(1), &json!(1)));
    let [group] = &report["groups"].as_array().expect("groups")[..] else { panic!("{report}") };
    assert_eq!((&group["case_type"], &group["language"]), (&json!("ticket"), &json!("en")));
    let told = group["channels"].as_object().expect("channels").values();
    let told: i64 = told.filter_map(|counts| counts["told"].as_i64()).sum();
    assert_eq!(treated["told"].as_i64(), Some(told));
    assert!(!group["words"].as_array().expect("reasons").is_empty());
    let table = shown(&here, &["report", "adaptive"]);
    assert!(table.contains("switched off") && table.contains("left alone"), "{table}");
}
