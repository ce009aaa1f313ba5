use tidings::domain::NotificationId;

use crate::support::TestApp;

#[tokio::test]
async fn a_mail_leaves_with_an_envelope_sender_that_names_its_attempt() {
    let app = TestApp::with("email.bounce_to = \"bounces@bounce.example.com\"\n").await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![tidings::domain::Channel::Email])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let mail = app.smtp.taken().remove(0);
    let token = mail.from.strip_prefix("bounces+").and_then(|rest| rest.split('@').next());
    let token = token.unwrap_or_else(|| panic!("{}", mail.from));
    assert!(mail.from.ends_with("@bounce.example.com"));
    assert_eq!(token, token.to_lowercase());
    let id = NotificationId::parse(&app.of("taken-in-charge").await.id).expect("an id");
    assert_eq!(app.app.engine.keys.read_bounce_token(token), Some((id, 1)));
    let message_id = mail.header("Message-ID").expect("one");
    assert_eq!(app.app.engine.keys.read_message_id(&message_id), Some(id));
    app.end().await;
}

#[tokio::test]
async fn without_an_address_for_bounces_they_go_to_the_sender() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.smtp.taken()[0].from, "service@example.com");
    app.end().await;
}
