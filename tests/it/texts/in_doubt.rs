//! A text nobody answered for: who can be asked for it by our reference is, and nobody else.

use serde_json::json;

use super::accounts::{ALL, Kind, start};
use crate::support::TestApp;
use crate::support::gateway::GatewayDouble;

/// A text that Sinch did not answer for, and the name we gave it.
async fn unanswered() -> (TestApp, GatewayDouble, String) {
    let (app, double) = start(Kind::Sinch).await;
    double.will(500, "");
    app.event("take_in_charge_ticket").await;
    app.advance_to("2026-11-23T10:02:29Z").await;
    assert_eq!(app.of("taken-in-charge").await.status, "in_doubt");
    let seen = double.seen();
    assert_eq!(seen.len(), 1, "nobody is asked before it must be there");
    let reference = seen[0].json()["client_reference"].as_str().expect("a name").to_owned();
    (app, double, reference)
}

#[tokio::test]
async fn sinch_is_asked_by_our_reference_and_what_it_has_is_not_sent_again() {
    let (app, double, reference) = unanswered().await;
    let other = json!({"id": "b-0", "client_reference": "another"});
    let ours = json!({"id": "b-1", "client_reference": reference, "canceled": false});
    let page = json!({"count": 2, "page": 0, "page_size": 30, "batches": [other, ours]});
    double.will(200, &page.to_string());
    app.advance_to("2026-11-23T12:00:00Z").await;
    let seen = double.seen();
    assert_eq!(seen.len(), 2, "asked once, sent once");
    assert_eq!(
        seen[1].path,
        format!(
            "/xms/v1/acc1/batches?client_reference={reference}&start_date=2026-11-23T09%3A00%3A00.000Z"
        )
    );
    assert_eq!(seen[1].header("authorization"), "Bearer t0ken");
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    assert_eq!((app.tasks().await.len(), app.smtp.taken().len()), (0, 0));
    app.end().await;
}

#[tokio::test]
async fn what_sinch_has_under_no_such_reference_is_sent_again() {
    let (app, double, reference) = unanswered().await;
    double.will(200, r#"{"count":0,"page":0,"page_size":0,"batches":[]}"#);
    app.advance_to("2026-11-23T10:02:40Z").await;
    let seen = double.seen();
    assert_eq!(seen.len(), 3);
    assert_ne!(seen[2].json()["client_reference"], reference.as_str(), "an attempt of its own");
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    app.end().await;
}

#[tokio::test]
async fn a_list_that_is_not_the_one_asked_for_proves_nothing() {
    let (app, double, _) = unanswered().await;
    for _ in 0..20 {
        double.will(200, r#"{"batches":[{"id":"b-0","client_reference":"another"},{"id":"b-2"}]}"#);
    }
    app.advance_to("2026-11-23T10:20:00Z").await;
    assert_eq!(app.of("taken-in-charge").await.status, "unknown");
    assert_eq!(app.tasks().await.len(), 1);
    let texts = double.seen().iter().filter(|seen| !seen.body.is_empty()).count();
    assert_eq!(texts, 1, "never twice in silence");
    app.end().await;
}

#[tokio::test]
async fn who_knows_no_name_of_ours_is_asked_for_nothing_and_the_rule_decides() {
    for kind in ALL.into_iter().filter(|kind| *kind != Kind::Sinch) {
        let (app, double) = start(kind).await;
        double.will(500, "");
        app.event("take_in_charge_ticket").await;
        app.advance_to("2026-11-23T10:20:00Z").await;
        assert_eq!(app.of("taken-in-charge").await.status, "unknown", "{kind:?}");
        assert_eq!((double.seen().len(), app.tasks().await.len()), (1, 1), "{kind:?}");
        app.end().await;
    }
}
