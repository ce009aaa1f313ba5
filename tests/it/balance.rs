//! `tidings balance`: accepted = open + told + silent + task, per day and case type.

use serde_json::{Value, json};

use crate::support::ada;
use crate::support::binary::Installation;

async fn damage(here: &Installation, statement: &'static str) {
    let file = format!("sqlite:{}", here.path().join("tidings.db").display());
    let pool = sqlx::SqlitePool::connect(&file).await.expect("the store's file");
    sqlx::query(statement).execute(&pool).await.expect("written");
    pool.close().await;
}

fn played() -> Installation {
    let here = Installation::new("");
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let event = |id: u32, case_type: &str, state: &str, at: &str| {
        json!({"id": format!("e{id}"), "source": "desk", "case": format!("{case_type}-1"),
               "case_type": case_type, "customer": "C-1", "state": state, "occurred_at": at})
        .to_string()
    };
    let lines = [
        event(1, "ticket", "insert_ticket", "2025-03-28T09:00:00Z"),
        event(2, "ticket", "take_in_charge_ticket", "2025-03-28T10:00:00Z"),
        event(3, "ticket", "resolve_ticket", "2025-03-29T10:00:00Z"),
        event(4, "repair", "ready", "2025-03-29T11:00:00Z"),
    ];
    here.file("story.jsonl", &lines.join("\n"));
    here.json(&["play", "story.jsonl", "--json"]);
    here
}

#[test]
fn the_sheet_adds_up_per_day_and_case_type() {
    let here = played();
    let sheet = here.json(&["balance", "--json"]);
    assert_eq!((&sheet["adds_up"], &sheet["total"]["accepted"]), (&json!(true), &json!(4)));
    let sum = |balance: &Value| {
        ["open", "told", "silent", "task"].iter().filter_map(|k| balance[k].as_i64()).sum::<i64>()
    };
    let rows = sheet["by_day"].as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!(row["accepted"].as_i64(), Some(sum(row)), "{row}");
    }
    assert_eq!(rows[1]["case_type"], "repair");
    assert_eq!((&rows[1]["day"], &rows[1]["silent"]), (&json!("2025-03-29"), &json!(1)));
    let first = here.json(&["balance", "--to", "2025-03-28", "--json"]);
    assert_eq!(first["total"]["accepted"], 2);
    let rest = here.json(&["balance", "--from", "2025-03-29", "--json"]);
    assert_eq!(rest["total"]["accepted"], 2);
    let wrong = here.run(&["balance", "--from", "2025-03-29", "--to", "2025-03-28"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(here.run(&["balance", "--from", "yesterday"]).status.code(), Some(2));
    let shown = String::from_utf8(here.run(&["balance"]).stdout).expect("text");
    assert!(shown.contains("It adds up") && shown.contains("2025-03-28"), "{shown}");
}

#[tokio::test]
async fn an_event_that_got_lost_is_named_and_the_exit_code_says_so() {
    let here = played();
    damage(&here, "DELETE FROM notification WHERE event_seq IS NOT NULL").await;
    let output = here.run(&["balance"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).expect("text");
    assert!(shown.contains("does not add up"), "{shown}");
    assert!(shown.contains("nothing came of event e2 from desk (case ticket-1)"), "{shown}");
    let output = here.run(&["balance", "--json"]);
    let sheet: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &sheet["adds_up"]), (Some(1), &json!(false)));
    assert_eq!(sheet["lost"][0]["id"], "e2");
}
