use serde_json::json;
use tidings::domain::Channel;

use crate::support::smtp::Reply;
use crate::support::{TestApp, ada, at};

/// Ada with e-mail before text.
async fn email_first() -> TestApp {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email, Channel::Sms])).await;
    app
}

async fn suppressed(app: &TestApp) -> Option<String> {
    app.customer_now().await.contact_points[0].suppressed.clone()
}

/// One message about a case of its own, whose mail is answered so.
async fn answered(app: &TestApp, case: &str, reply: &'static str) {
    app.smtp.will([Reply::AtRcpt(reply)]);
    app.event_of(json!({"case": case, "state": "take_in_charge_ticket"})).await;
    app.drain().await;
}

#[tokio::test]
async fn a_bare_550_closes_an_address_only_when_it_is_said_again_on_another_day() {
    let app = email_first().await;
    answered(&app, "T-1", "550 not here").await;
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("sms"), "at once");
    answered(&app, "T-2", "550 not here").await;
    assert_eq!(suppressed(&app).await, None, "twice on one day is one word");
    app.advance_to("2026-11-24T10:00:00Z").await;
    answered(&app, "T-3", "550 not here").await;
    assert!(suppressed(&app).await.is_some());
    app.end().await;
}

#[tokio::test]
async fn a_full_mailbox_is_waited_for_and_closed_on_its_third_day_within_seven() {
    let app = email_first().await;
    for (day, case) in ["T-1", "T-2", "T-3"].into_iter().enumerate() {
        assert_eq!(suppressed(&app).await, None, "before day {}", day + 1);
        app.advance_to(&format!("2026-11-{}T10:00:00Z", 23 + day)).await;
        let taken = app.smtp.taken().len();
        answered(&app, case, "552 5.2.2 mailbox full").await;
        assert_eq!(app.smtp.taken().len(), taken, "tried again later, by mail");
    }
    let why = suppressed(&app).await.expect("three days");
    assert!(why.contains("5.2.2"), "{why}");
    app.end().await;
}

#[tokio::test]
async fn a_mail_that_is_too_big_is_work_for_its_author_and_says_nothing_of_the_address() {
    let app = email_first().await;
    answered(&app, "T-1", "552 5.3.4 message too big").await;
    let n = app.of("taken-in-charge").await;
    assert_eq!(n.channel.as_deref(), Some("sms"), "told by text instead");
    assert_eq!(suppressed(&app).await, None);
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert!(tasks[0].contains("\"ticket/taken-in-charge\"") && tasks[0].contains("5.3.4"));
    assert_eq!(app.summary().await.balance.task, 0, "the customer was told");
    app.end().await;
}

#[tokio::test]
async fn a_relay_that_does_not_let_us_in_is_one_task_and_holds_everybody_up() {
    let app = email_first().await;
    answered(&app, "T-1", "530 5.7.0 authentication required").await;
    answered(&app, "T-2", "250 ok").await;
    assert_eq!(app.smtp.taken().len(), 0);
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert!(tasks[0].contains("[channels.email] url"), "{tasks:?}");
    app.advance_to("2026-11-23T11:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 2, "both go once it lets us in");
    app.end().await;
}

#[tokio::test]
async fn mail_to_a_domain_that_does_not_want_ours_waits_and_the_others_go_on() {
    let app = email_first().await;
    let mut bob = ada();
    bob["id"] = json!("C-2");
    bob["contact_points"] =
        json!([{"channel": "email", "address": "bob@example.com", "verified": true}]);
    app.customer(bob.clone()).await;
    bob["id"] = json!("C-3");
    bob["contact_points"][0]["address"] = json!("bob@example.net");
    app.customer(bob).await;
    answered(&app, "T-1", "550 5.7.26 unauthenticated").await;
    assert_eq!(suppressed(&app).await, None, "never the recipient's fault");
    for (case, customer) in [("T-2", "C-2"), ("T-3", "C-3")] {
        let event = json!({"case": case, "customer": customer, "state": "take_in_charge_ticket"});
        app.event_of(event).await;
    }
    app.drain().await;
    let to: Vec<String> = app.smtp.taken().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["bob@example.net"], "another domain is not concerned");
    let all = app.notifications().await;
    let waits = all.iter().find(|n| n.customer_id == "C-2").expect("planned");
    assert_eq!((waits.status.as_str(), waits.attempts), ("planned", 0), "no attempt is spent");
    assert_eq!(waits.next_at_ms, at("2026-11-23T10:15:00Z").timestamp_millis());
    let id = tidings::domain::NotificationId::parse(&waits.id).expect("an id");
    let said = tidings::app::explain::notification(&app.app, &id).await.expect("it is there").text;
    assert!(said.contains("Mail to example.com rests"), "{said}");
    assert_eq!(app.tasks().await.len(), 1, "a person looks into it");
    app.advance_to("2026-11-23T10:20:00Z").await;
    assert_eq!(app.smtp.taken().len(), 2);
    app.end().await;
}
