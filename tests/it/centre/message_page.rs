use serde_json::{Value, json};
use tidings::domain::Channel;

use crate::support::visitor::Browser;
use crate::support::{TestApp, ada};

/// Ada was told by e-mail; and the page of that message.
async fn told() -> (TestApp, String) {
    told_to(ada()).await
}

async fn told_to(customer: Value) -> (TestApp, String) {
    let app = TestApp::start().await;
    app.customer(customer).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let code = app.of("taken-in-charge").await.code;
    (app, format!("/m/{code}"))
}

#[tokio::test]
async fn a_message_of_ours_is_confirmed_without_personal_data_in_the_language_of_its_owner() {
    for (own, browsers, says) in [
        (Some("en-GB"), "de", "Yes, this e-mail is from us."),
        (Some("de-DE"), "en", "Ja, das ist von uns"),
        // Who never said gets what the browser asks for.
        (None, "fr-CA,fr;q=0.8", "Oui, c’est bien nous"),
        (None, "de", "Ja, das ist von uns"),
    ] {
        let mut customer = ada();
        customer["locale"] = json!(own);
        if own.is_none() {
            customer.as_object_mut().expect("an object").remove("locale");
        }
        let (app, path) = told_to(customer).await;
        let mut browser = Browser::new(&app);
        browser.language = browsers;
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(says), "{own:?} {browsers}: {}", page.body);
        for personal in ["Ada", "ada@", "T-1", "C-1"] {
            assert!(!page.body.contains(personal), "{personal}");
        }
        app.end().await;
    }
    let app = TestApp::start().await;
    let forged = Browser::new(&app).get("/m/0000000000").await;
    assert_eq!(forged.status, 404);
    assert!(forged.body.contains("This message is not ours"), "{}", forged.body);
    app.end().await;
}

#[tokio::test]
async fn whoever_holds_the_message_may_have_the_link_sent_where_it_went_be_called_or_stop_it() {
    let (app, path) = told().await;
    let browser = Browser::new(&app);
    let page = browser.post(&path, &[("do", "link")]).await.body;
    assert!(page.contains("A link is on its way to where this message went."), "{page}");
    app.drain().await;
    let mail = app.smtp.taken().pop().expect("a mail");
    assert_eq!(mail.to, "ada@example.com");
    assert!(mail.text().contains("https://tidings.example.com/c/"), "{}", mail.text());
    browser.post(&path, &[("do", "call")]).await;
    assert_eq!(app.tasks().await.len(), 1);
    let page = browser.post(&path, &[("do", "stop")]).await.body;
    assert!(page.contains("We no longer send you"), "{page}");
    assert!(!app.customer_now().await.chosen.topics["status"][&Channel::Email]);
    let record = app.store().consents(&"C-1".into()).await.expect("the store is there");
    assert_eq!(record[0].source, "message page");
    app.end().await;
}

#[tokio::test]
async fn a_discreet_customer_reads_no_detail_where_others_may_look() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.discreet = Some(true)).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let mail = app.smtp.taken().pop().expect("a mail");
    assert_eq!(mail.header("Subject").as_deref(), Some("News for you"));
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms])).await;
    app.event("resolve_ticket").await;
    app.drain().await;
    let text = app.twilio.taken().pop().expect("a text").fields["Body"].clone();
    assert!(text.contains("News for you"), "{text}");
    assert!(!text.contains("T-1"), "{text}");
    app.end().await;
}
