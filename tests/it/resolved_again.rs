//! A new version of the rules, or a new zone database, moves what is not yet sent, and says so.

use std::sync::Arc;

use serde_json::json;
use tidings::app::{content, publish};

use crate::support::TestApp;

/// Publishes the shipped journeys with the reminder of returns after `span`.
async fn remind_after(app: &TestApp, span: &str) {
    let mut files = content::version_files(&app.app.settings).expect("the shipped files");
    let journey = files.files.get_mut("journeys/return.toml").expect("shipped");
    let rule = "on = { state = \"label_sent\", after = \"5 days\" }";
    assert!(journey.contains(rule), "{journey}");
    *journey = journey.replace(rule, &rule.replace("5 days", span));
    publish(&app.app, &files, "ops", "sooner").await.expect("published");
}

#[tokio::test]
async fn what_is_not_yet_sent_moves_with_its_rule_and_back_with_a_roll_back() {
    let app = TestApp::start().await;
    app.ada().await;
    let facts = json!({"item": "Blue trousers", "return_by": "2026-12-20"});
    app.event_of(
        json!({"case": "R-1", "case_type": "return", "state": "requested", "facts": facts}),
    )
    .await;
    app.event_of(json!({"case": "R-1", "case_type": "return", "state": "label_sent"})).await;
    app.drain().await;
    let due = async || app.of("post-it").await.due_at_ms;
    let before = due().await;
    remind_after(&app, "4 days").await;
    app.drain().await;
    assert_eq!(before - due().await, 86_400_000);
    let explained = app.explained("post-it").await;
    assert!(explained.contains("Rules, calendars or time zones changed"), "{explained}");
    remind_after(&app, "5 days").await;
    app.drain().await;
    assert_eq!(due().await, before);
    app.advance_to("2026-11-29T12:00:00Z").await;
    let said = app.notifications().await.into_iter().filter(|n| n.notice == "post-it");
    let said: Vec<_> = said.map(|n| n.status).collect();
    assert_eq!(said, ["sent", "planned"], "once now, once more in four days");
}

#[tokio::test]
async fn the_same_rules_are_not_resolved_twice_by_whoever_starts_next() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event_of(json!({"case": "T-1", "state": "wait"})).await;
    app.drain().await;
    let with = app.store().resolved_with().await.expect("the store").expect("noted");
    let mut live = (*app.app.engine.live.load_full()).clone();
    live.rules.zones.version = "2099z (test)".into();
    app.app.engine.live.store(Arc::new(live));
    app.drain().await;
    let again = app.store().resolved_with().await.expect("the store").expect("noted");
    assert!(again.contains("2099z") && again != with, "{again}");
    assert!(!app.explained("waiting-for-you").await.contains("changed"));
}
