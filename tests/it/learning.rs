//! Learning from outcomes, where it is switched on.

use serde_json::json;
use tidings::app::explain;
use tidings::domain::NotificationId;

use crate::support::{TestApp, ada};

/// Mails to Ada are followed by her calls, texts to Jonas are not; on the day after, Mia, of
/// whom nothing is known, is told of her ticket. Answers the channel and the explanation.
async fn mia_is_told(hold_out: &str) -> (String, String) {
    let settings = format!("[adaptive]\nenabled = true\nmin_outcomes = 3\nhold_out = {hold_out}\n");
    let app = TestApp::with(&settings).await;
    app.ada().await;
    for (id, order, number) in
        [("C-2", json!(["sms"]), "+447911123457"), ("C-3", json!(null), "+447911123458")]
    {
        let mut customer = ada();
        customer["id"] = json!(id);
        customer["preferences"]["channel_order"] = order;
        customer["contact_points"][0]["address"] = json!(format!("{id}@example.com"));
        customer["contact_points"][1]["address"] = json!(number);
        app.customer(customer).await;
    }
    for (customer, cases) in [("C-1", ["T-1", "T-2", "T-3"]), ("C-2", ["T-4", "T-5", "T-6"])] {
        for case in cases {
            let state = "take_in_charge_ticket";
            app.event_of(json!({"case": case, "customer": customer, "state": state})).await;
            app.drain().await;
            if customer == "C-1" {
                let contact = json!({"case": case, "customer": customer, "state": null,
                                     "event": "customer_contacted"});
                app.event_of(contact).await;
                app.drain().await;
            }
        }
    }
    app.advance_to("2026-11-24T10:00:00Z").await;
    app.event_of(json!({"case": "T-9", "customer": "C-3", "state": "take_in_charge_ticket"})).await;
    app.drain().await;
    let told = app.notifications().await.into_iter().find(|n| n.case_id == "T-9").expect("told");
    let id = NotificationId::parse(&told.id).expect("an id");
    let explained = explain::notification(&app.app, &id).await.expect("it is there").text;
    app.end().await;
    (told.channel.expect("handed over"), explained)
}

#[tokio::test]
async fn who_chose_no_order_is_told_where_others_had_no_need_to_ring_up_and_is_told_why() {
    let (channel, explained) = mia_is_told("0.0").await;
    assert_eq!(channel, "sms", "{explained}");
    assert!(explained.contains("Learned from earlier messages"), "{explained}");
    assert!(explained.contains("similar customers' outcomes"), "{explained}");
}

#[tokio::test]
async fn who_is_left_alone_is_told_as_before() {
    let (channel, explained) = mia_is_told("1.0").await;
    assert_eq!(channel, "email", "{explained}");
    assert!(!explained.contains("Learned"), "{explained}");
}
