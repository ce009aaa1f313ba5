//! The same history makes the same decisions, byte for byte, on one file with one worker and on
//! PostgreSQL and Redis with three.

use serde_json::{Value, json};
use tidings::app::App;
use tidings::app::play::{Script, play};
use tidings::clock::Clock;
use tidings::config::Settings;
use tidings::domain::customer::CustomerRecord;
use tidings::domain::{CaseEvent, NotificationId, Zones};
use tidings::store::Store;
use tidings::store::console::Filter;
use tidings::store::intake::Incoming;

use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::smtp::SmtpSink;
use crate::support::twilio::TwilioDouble;
use crate::support::{ada, at, settings};

const STATES: [&str; 5] = ["take_in_charge_ticket", "wait", "resolve_ticket", "wait", "closed"];

/// Three customers with choices of their own, twelve cases that run beside each other.
fn customers() -> Vec<CustomerRecord> {
    [json!({}), json!({"channel_order": ["sms"]}), json!({"quiet_hours": "00:00-23:00"})]
        .into_iter()
        .enumerate()
        .map(|(n, preferences)| {
            let mut value = ada();
            value["id"] = json!(format!("C-{n}"));
            value["preferences"] = preferences;
            CustomerRecord::from_json(&value, None, &Zones::bundled()).expect("valid")
        })
        .collect()
}

fn history() -> Vec<Incoming> {
    let event = |n: usize| {
        let (case, step) = (n % 12, n / 12);
        let value = json!({
            "id": format!("e{n}"), "source": "desk", "case": format!("T-{case}"),
            "case_type": "ticket", "customer": format!("C-{}", case % 3), "state": STATES[step],
            "occurred_at": format!("2026-11-{:02}T{:02}:{:02}:00Z", 16 + step, 7 + case, case / 2),
            "facts": {"product": format!("Product {case}")},
        });
        let event = CaseEvent::from_json(&value, "", at("2026-12-01T00:00:00Z")).expect("valid");
        Incoming::new(event, &value)
    };
    (0..STATES.len() * 12).map(event).collect()
}

async fn decisions(settings: Settings, workers: usize) -> String {
    let store = Store::open(&settings.store.url).await.expect("a store");
    let clock = Clock::manual(at("2026-11-16T06:00:00Z"));
    let now = clock.now();
    let app = App::build(settings, clock, store).await.expect("built").with_workers(workers);
    let store = &app.engine.store;
    store.import_customers(customers(), "test", now).await.expect("the store is there");
    let running = app.start_driven();
    let tail = "12 days".parse().expect("a span");
    play(&app, Script::of(history()), tail, |_| {}).await.expect("played");
    running.stop().await;
    let filter = Filter { limit: 1_000, ..Filter::default() };
    let mut all = Vec::new();
    for view in store.notifications(&filter).await.expect("the store is there") {
        let id = NotificationId::parse(&view.id).expect("an id");
        let detail = store.notification(&id).await.expect("it is there");
        let mut view = serde_json::to_value(&view).expect("JSON");
        // Its number among all events: PostgreSQL leaves gaps.
        view["event_seq"] = Value::Null;
        let mut attempts = serde_json::to_value(&detail.attempts).expect("JSON");
        for attempt in attempts.as_array_mut().expect("an array") {
            // The provider's own name for it, in the order in which the messages came.
            attempt["provider_ref"] = Value::Null;
        }
        all.push(json!([view, detail.decisions, attempts, detail.receipts]));
    }
    assert!(all.len() > 50, "{}", all.len());
    let summary = store.summary().await.expect("the store is there");
    serde_json::to_string_pretty(&json!([summary, all])).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_and_one_worker_decide_as_two_servers_and_three_workers_do() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (smtp, twilio) = (SmtpSink::start().await, TwilioDouble::start().await);
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/key.hex");
    let mut on_a_file =
        settings(folder.path(), &smtp, &twilio, &format!("[auth]\nkey_file = {key:?}"));
    on_a_file.store.url = format!("sqlite:{}/one.db", folder.path().display());
    let redis = RedisServer::start();
    let mut on_servers = on_a_file.clone();
    on_servers.store.url = PostgresServer::shared().fresh_database();
    on_servers.queue.url = redis.url();
    let one = Box::pin(decisions(on_a_file, 1)).await;
    let other = Box::pin(decisions(on_servers, 3)).await;
    for (n, (one, other)) in one.lines().zip(other.lines()).enumerate() {
        assert_eq!(one, other, "line {n}");
    }
    assert_eq!(one.len(), other.len());
}
