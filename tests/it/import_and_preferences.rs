use serde_json::json;

use crate::support::{TestApp, ada};

#[tokio::test]
async fn the_same_record_again_changes_nothing_and_another_bumps_the_revision() {
    let app = TestApp::start().await;
    app.ada().await;
    let first = app.customer_now().await;
    app.ada().await;
    assert_eq!(app.customer_now().await, first);
    let mut moved = ada();
    moved["time_zone"] = json!("Europe/Paris");
    app.customer(moved).await;
    let second = app.customer_now().await;
    assert_eq!(second.revision, first.revision + 1);
    let versions = app.store().customer_versions(&"C-1".into()).await.expect("the store is there");
    assert_eq!(versions.len(), 2, "nothing a decision reads is overwritten without trace");
    app.end().await;
}

#[tokio::test]
async fn a_new_set_of_addresses_takes_the_place_of_the_old() {
    let app = TestApp::start().await;
    app.ada().await;
    let mut moved = ada();
    moved["contact_points"] =
        json!([{"channel": "email", "address": "byron@example.com", "verified": true}]);
    app.customer(moved).await;
    let points = app.customer_now().await.contact_points;
    let addresses: Vec<&str> = points.iter().map(|point| point.address.expose()).collect();
    assert_eq!(addresses, ["byron@example.com"]);
    app.end().await;
}

#[tokio::test]
async fn many_cases_of_one_customer_planned_together_each_reach_them() {
    let app = TestApp::start().await;
    app.ada().await;
    for case in 0..40 {
        app.event_of(json!({"case": format!("T-{case}"), "state": "take_in_charge_ticket"})).await;
    }
    app.drain().await;
    assert_eq!(app.summary().await.by_status["sent"], 40);
    app.end().await;
}
