use serde_json::json;
use tidings::domain::Channel;

use crate::support::{TestApp, ada};

#[tokio::test]
async fn a_mail_carries_the_headers_of_the_table_and_threads_with_its_case() {
    let app = TestApp::with("[auth]\nkey_file = \"tests/fixtures/key.hex\"\n").await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email])).await;
    app.event_of(json!({"state": "take_in_charge_ticket", "facts": {"product": "Stock Manager"}}))
        .await;
    app.drain().await;
    app.advance_to("2026-11-24T10:00:00Z").await;
    app.event("resolve_ticket").await;
    app.drain().await;
    let mails = app.smtp.taken();
    insta::assert_snapshot!("first_mail", mails[0].data.replace("\r\n", "\n"));
    let header = |name: &str| (mails[0].header(name), mails[1].header(name));
    let (first, second) = header("Message-ID");
    assert_ne!(first, second);
    let (first, second) = header("References");
    assert!(first.is_some());
    assert_eq!(first, second, "mails of one case are shown together");
    assert_eq!(header("Auto-Submitted").0.as_deref(), Some("auto-generated"));
    app.end().await;
}

#[tokio::test]
async fn what_customers_write_stays_text() {
    let app = TestApp::start().await;
    let mut customer = ada();
    customer["name"] = json!("{{7*7}} <img src=x onerror=alert(1)>");
    app.customer(customer).await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email])).await;
    let product = "hi\n.\nMAIL FROM:<a@b>\r.\r\n.\r\nQUIT <script>{{ facts }}</script>";
    app.event_of(json!({"state": "take_in_charge_ticket", "facts": {"product": product}})).await;
    app.drain().await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 1, "one message, whatever its text");
    let html = mails[0].html();
    assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{html}");
    assert!(html.contains("{{7*7}}"), "data is never template");
    let lines = mails[0].data.replace("\r\n", "");
    assert!(!lines.contains(['\r', '\n']), "no bare carriage return or line feed");
    assert_eq!(mails[0].to, "ada@example.com");
    app.end().await;
}
