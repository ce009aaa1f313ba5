//! `tidings migrate --from … --to …`: an installation moves with everything it remembers.

use serde_json::json;
use tidings::app::moving::move_store;
use tidings::store::Store;

use crate::support::binary::Installation;
use crate::support::postgres::PostgresServer;
use crate::support::{TestApp, ada};

async fn open(url: &str) -> Store {
    Store::open(url).await.expect(url)
}

/// A store in a file that has lived: cases told, reminded and closed.
fn lived_in(here: &Installation) -> String {
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let states = ["take_in_charge_ticket", "wait", "closed"];
    let events = (0..30).map(|n| {
        let hour = 8 + n / 4;
        json!({"id": format!("e{n}"), "source": "desk", "case": format!("T-{}", n / 3),
               "case_type": "ticket", "customer": "C-1", "state": states[n % 3],
               "occurred_at": format!("2026-11-16T{hour:02}:{:02}:00Z", n % 4 * 15)})
        .to_string()
    });
    here.file("events.jsonl", &events.collect::<Vec<_>>().join("\n"));
    here.json(&["play", "events.jsonl", "--tail", "3 days", "--json"]);
    format!("sqlite:{}", here.path().join("tidings.db").display())
}

#[tokio::test]
async fn what_moved_to_postgres_and_back_is_the_same_row_by_row() {
    let here = Installation::new("");
    let file = lived_in(&here);
    let server = PostgresServer::shared().fresh_database();
    let output = here.run(&["migrate", "--from", &file, "--to", &server, "--json"]);
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown}");
    let moved: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(moved["rows"].as_u64().expect("a number") > 50, "{moved}");

    let back = format!("sqlite:{}/back.db", here.path().display());
    let (from, to) = (open(&server).await, Store::open_to_fill(&back).await.expect("empty"));
    let returned = move_store(&from, &to, |_, _, _| {}).await.expect("moved");
    assert_eq!(moved["tables"], json!(returned.tables));
    let (first, second) = (open(&file).await, open(&back).await);
    assert_eq!(first.installation_key().await.ok(), second.installation_key().await.ok());
    assert_eq!(first.summary().await.ok(), second.summary().await.ok());
}

#[tokio::test]
async fn new_events_go_on_after_the_highest_number_that_moved() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let to = PostgresServer::shared().fresh_database();
    let target = Store::open_to_fill(&to).await.expect("empty");
    move_store(app.store(), &target, |_, _, _| {}).await.expect("moved");
    let there = open(&to).await;
    let before = there.events_named("e1").await.expect("there")[0].seq;
    let event = json!({"id": "later", "source": "desk", "case": "T-2", "case_type": "ticket",
        "customer": "C-1", "state": "wait", "occurred_at": app.now().to_rfc3339()});
    let parsed = tidings::domain::CaseEvent::from_json(&event, "", app.now()).expect("valid");
    let incoming = tidings::store::intake::Incoming::new(parsed, &event);
    there.accept_events(vec![incoming], app.now()).await.expect("taken");
    assert!(there.events_named("later").await.expect("there")[0].seq > before);
    app.end().await;
}

#[tokio::test]
async fn a_store_in_use_is_not_overwritten_and_a_half_filled_one_is_not_used() {
    let here = Installation::new("");
    let file = lived_in(&here);
    let server = PostgresServer::shared().fresh_database();
    let target = Store::open_to_fill(&server).await.expect("empty");
    target.begin_move().await.expect("empty");
    let half = Store::open(&server).await.expect_err("half filled");
    assert!(half.to_string().contains("was not finished"), "{half}");
    // The same command again takes it from the start.
    let output = here.run(&["migrate", "--from", &file, "--to", &server]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("moved and compared"));
    let again = here.run(&["migrate", "--from", &file, "--to", &server]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("is not empty"), "{said}");
}
