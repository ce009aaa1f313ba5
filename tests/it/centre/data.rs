use serde_json::Value;

use crate::support::TestApp;
use crate::support::visitor::Browser;

#[tokio::test]
async fn all_data_is_one_download_with_the_record_of_consent() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let browser = Browser::proven(&app).await;
    browser.post("/centre/choices", &[("do", "cap"), ("cap", "2")]).await;
    let answer = browser.post("/centre/data", &[("do", "export")]).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(
        answer.headers["content-disposition"].to_str().expect("text").starts_with("attachment")
    );
    let data: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(data["customer"]["contact_points"][0]["address"], "ada@example.com");
    assert_eq!(data["cases"][0]["id"], "T-1");
    assert_eq!(data["versions"][0]["profile"]["name"], "Ada Byron", "each version, whole");
    assert_eq!(data["versions"][1]["chosen"]["cap_per_day"], 2);
    let consent = &data["consent"][0];
    assert_eq!(consent["who"], "customer");
    assert_eq!(consent["source"], "centre");
    assert_eq!(consent["what"]["cap_per_day"]["after"], 2);
    assert_eq!(consent["text_version"].as_str().map(str::len), Some(16), "{consent}");
    assert!(consent["at_ms"].is_i64());
    app.drain().await;
    let receipt = app.smtp.taken().pop().expect("a receipt");
    assert!(receipt.text().contains("Your data was downloaded."), "{}", receipt.text());
    app.end().await;
}

#[tokio::test]
async fn a_customer_who_asks_is_forgotten_and_told_so_a_last_time() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.drain().await;
    let browser = Browser::proven(&app).await;
    let unsure = browser.post("/centre/data", &[("do", "erase")]).await.body;
    assert!(unsure.contains("Tick that you are sure"), "{unsure}");
    let answer = browser.post("/centre/data", &[("do", "erase"), ("sure", "yes")]).await;
    assert!(answer.body.contains("We have forgotten you."), "{}", answer.body);
    app.drain().await;
    let last = app.smtp.taken().pop().expect("a last word");
    assert!(last.text().contains("Your data was deleted"), "{}", last.text());
    assert_eq!(app.of("still-waiting-for-you").await.reason.as_deref(), Some("erased"));
    let away = browser.get("/centre").await;
    assert_eq!(away.location.as_deref(), Some("/centre/sign-in"));
    let timeline = app.store().customer_timeline(&"C-1".into(), 100).await.expect("the store");
    let text = serde_json::to_string(&timeline).expect("plain data");
    assert!(!text.contains("e***"), "not even masked: {text}");
    app.end().await;
}
