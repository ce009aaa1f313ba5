use tidings::domain::Channel;

use crate::support::{TestApp, ada};

#[tokio::test]
async fn a_text_from_a_word_of_letters_says_that_nobody_can_reply() {
    let app = TestApp::with(
        "[channels.sms.senders]\nGB = \"EXAMPLE\"\nUS = \"+12025550143\"\n\
        [limits.sms]\ncountries = []\n",
    )
    .await;
    app.ada().await;
    let mut sam = ada();
    sam["id"] = "C-2".into();
    sam["contact_points"][0]["address"] = "sam@example.com".into();
    sam["contact_points"][1]["address"] = "+12025550123".into();
    app.customer(sam).await;
    for customer in ["C-1", "C-2"] {
        let wants = |chosen: &mut tidings::domain::Preferences| {
            chosen.channel_order = Some(vec![Channel::Sms]);
        };
        app.store().choose(&customer.into(), "test", app.now(), wants).await.expect("known");
        app.event_of(serde_json::json!({"state": "take_in_charge_ticket", "customer": customer,
            "case": format!("T-{customer}")}))
            .await;
    }
    app.advance_to("2026-11-23T15:00:00Z").await;
    let texts = app.twilio.taken();
    let to = |number: &str| {
        texts.iter().find(|text| text.field("To") == number).unwrap_or_else(|| panic!("{number}"))
    };
    let (british, american) = (to("+447911123456"), to("+12025550123"));
    assert_eq!(british.field("From"), "EXAMPLE");
    assert!(british.field("Body").contains("No replies"), "{}", british.field("Body"));
    assert!(!british.field("Body").contains("STOP"), "{}", british.field("Body"));
    assert_eq!(american.field("From"), "+12025550143");
    assert!(american.field("Body").contains("Reply STOP"), "{}", american.field("Body"));
    app.end().await;
}
