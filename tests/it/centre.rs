//! The customer's own page, as the links in messages open it.

use serde_json::json;
use tidings::domain::Channel;

use crate::support::{TestApp, ada};

/// The page of Ada, who has been told by e-mail that her ticket was taken in charge.
async fn opened() -> (TestApp, String) {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let mail = app.smtp.taken().remove(0).text();
    let start = mail.find("https://tidings.example.com/c/").expect("a link");
    let link = mail[start..].split(['#', '\n', '\r', ' ']).next().expect("its end");
    let path = link.trim_start_matches("https://tidings.example.com").to_owned();
    (app, path)
}

#[tokio::test]
async fn the_page_shows_what_was_told_and_what_is_chosen() {
    let (app, path) = opened().await;
    let (status, page) = app.get(&path).await;
    assert_eq!(status, 200);
    assert!(page.contains("2026-11-23 10:00</time> · E-mail · Status updates (T-1)"), "{page}");
    assert!(page.contains(r#"value="status:email" checked"#), "{page}");
    assert!(!page.contains("voice"), "no way is offered to which there is no address: {page}");
    assert_eq!(app.get(&format!("{path}x")).await.0, 404, "forged");
    app.end().await;
}

#[tokio::test]
async fn what_is_chosen_there_holds_from_then_on() {
    let (app, path) = opened().await;
    let wanted =
        [("save", "1"), ("want", "status:sms"), ("want", "survey:email"), ("want", "nonsense:fax")];
    let (_, page) = app.post_form(&path, &wanted, None).await;
    assert!(page.contains("Saved."), "{page}");
    assert!(page.contains(r#"value="status:sms" checked"#), "{page}");
    assert!(!page.contains(r#"value="status:email" checked"#), "{page}");
    let chosen = app.customer_now().await.preferences.topics;
    assert_eq!(chosen["status"], [(Channel::Email, false), (Channel::Sms, true)].into());
    assert!(!chosen.contains_key("nonsense"));
    app.event("resolve_ticket").await;
    app.drain().await;
    assert_eq!(app.of("resolved").await.channel.as_deref(), Some("sms"));
    app.end().await;
}

#[tokio::test]
async fn asking_for_a_call_makes_one_task_however_often() {
    let (app, path) = opened().await;
    for _ in 0..3 {
        let (_, page) = app.post_form(&path, &[("call", "1")], None).await;
        assert!(page.contains("One of us will call you."), "{page}");
    }
    assert_eq!(app.tasks().await, ["Call the customer C-1: they asked for it on their page."]);
    app.end().await;
}

#[tokio::test]
async fn the_page_speaks_the_customers_language() {
    let app = TestApp::start().await;
    let mut customer = ada();
    customer["locale"] = json!("fr-FR");
    app.customer(customer).await;
    let link = app.app.engine.centre_link(&"C-1".into(), app.now().timestamp() + 60);
    let path = link.trim_start_matches("https://tidings.example.com");
    let (_, page) = app.get(path).await;
    assert!(page.contains(r#"<html lang="fr-FR">"#) && page.contains("Vos demandes"), "{page}");
    assert!(page.contains("Retours et remplacements"), "{page}");
    app.end().await;
}
