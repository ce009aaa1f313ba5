//! Mail that comes back, through the HTTP door.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use tidings::domain::{Channel, CustomerId};

use crate::support::TestApp;
use crate::support::smtp::Mail;
use crate::webhooks::receiver::Receiver;
use crate::webhooks::tell;

const BOUNCE_TO: &str = "email.bounce_to = \"bounces@bounce.example.com\"\n";

/// Ada's case was told by mail, text is her second channel.
async fn told(more: &str) -> (TestApp, Mail) {
    let app = TestApp::with(&format!("{BOUNCE_TO}{more}")).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email, Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let mail = app.smtp.taken().remove(0);
    (app, mail)
}

/// What a mail server says of a mail (RFC 3464); `to` is where it says so.
fn report(of: &Mail, to: &str, action: &str, status: &str, said: &str) -> String {
    let head = of.data.split("\r\n\r\n").next().expect("a head");
    format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.com\r\nTo: {to}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"r\"\r\n\r\n--r\r\nContent-Type: text/plain\r\n\r\nI'm sorry.\r\n\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\nFinal-Recipient: rfc822; {}\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {said}\r\n\r\n--r\r\nContent-Type: text/rfc822-headers\r\n\r\n{head}\r\n\r\n--r--\r\n",
        of.to
    )
}

fn bounced(of: &Mail) -> String {
    report(of, &of.from, "failed", "5.1.1", "550 5.1.1 no such user")
}

fn complaint(of: &Mail) -> String {
    format!(
        "From: fbl@mailbox.example\r\nTo: fbl@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=\"r\"\r\n\r\n--r\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Test/1.0\r\nVersion: 1\r\n\r\n--r\r\nContent-Type: message/rfc822\r\n\r\n{}\r\n--r--\r\n",
        of.data
    )
}

fn reply(of: &Mail, text: &str) -> String {
    let answered = of.header("Message-ID").expect("one");
    format!(
        "From: Ada Byron <ada@example.com>\r\nTo: service@example.com\r\nMessage-ID: <r1@example.com>\r\nIn-Reply-To: {answered}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    )
}

/// Hands a mail in and works on what follows. What it was taken for.
async fn hand_in(app: &TestApp, mail: &str) -> String {
    let request = Request::post("/v1/inbound/mail").header("content-type", "message/rfc822");
    let (status, body) = app.http(request.body(Body::from(mail.to_owned())).expect("one")).await;
    assert_eq!(status, 200, "{body}");
    app.drain().await;
    let taken: Value = serde_json::from_str(&body).expect("JSON");
    taken["result"].as_str().expect("a word").to_owned()
}

async fn suppressed(app: &TestApp) -> Option<String> {
    app.customer_now().await.contact_points[0].suppressed.clone()
}

#[tokio::test]
async fn a_bounce_ends_its_attempt_closes_the_address_and_the_next_channel_speaks() {
    let (app, mail) = told("").await;
    assert_eq!(hand_in(&app, &bounced(&mail)).await, "receipt");
    let n = app.of("taken-in-charge").await;
    assert_eq!((n.status.as_str(), n.channel.as_deref()), ("sent", Some("sms")));
    let detail = app.detail("taken-in-charge").await;
    let states: Vec<_> = detail.attempts.iter().map(|a| a.state.as_str()).collect();
    assert_eq!(states, ["undelivered", "sent"]);
    assert!(suppressed(&app).await.is_some_and(|why| why.contains("5.1.1")));
    assert!(app.explained("taken-in-charge").await.contains("5.1.1"));
    hand_in(&app, &bounced(&mail)).await;
    assert_eq!(app.detail("taken-in-charge").await.attempts.len(), 2, "said twice is said once");
    app.end().await;
}

#[tokio::test]
async fn the_original_message_id_names_the_mail_where_the_token_was_lost() {
    let (app, mail) = told("").await;
    let said = "550 5.1.1 no such user";
    let bounce = report(&mail, "service@example.com", "failed", "5.1.1", said);
    assert_eq!(hand_in(&app, &bounce).await, "receipt");
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("sms"));
    assert!(suppressed(&app).await.is_some());
    app.end().await;
}

#[tokio::test]
async fn who_names_an_address_alone_moves_nothing() {
    let (app, mail) = told("").await;
    let stranger = Mail { data: "Subject: something\r\n\r\n".into(), ..mail };
    let said = "550 5.1.1 no such user";
    let bounce = report(&stranger, "service@example.com", "failed", "5.1.1", said);
    assert_eq!(hand_in(&app, &bounce).await, "ignored");
    let told = app.of("taken-in-charge").await;
    assert_eq!((&*told.status, told.channel.as_deref()), ("sent", Some("email")), "nothing moved");
    assert_eq!(suppressed(&app).await, None, "anybody can write an address");
    app.end().await;
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_about_nothing() {
    let (app, mail) = told("").await;
    let (name, rest) = mail.from.split_once('+').expect("a token");
    let forged = rest.replacen(|c: char| c != '0', "0", 1);
    let stranger =
        Mail { data: "Subject: x\r\n\r\n".into(), to: "eve@example.net".into(), ..mail.clone() };
    let bounce = report(&stranger, &format!("{name}+{forged}"), "failed", "5.1.1", "550 5.1.1 no");
    assert_eq!(hand_in(&app, &bounce).await, "unknown");
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("email"));
    app.end().await;
}

#[tokio::test]
async fn delayed_changes_nothing_and_delivered_is_a_receipt() {
    let (app, mail) = told("").await;
    let delayed = report(&mail, &mail.from, "delayed", "4.4.1", "451 later");
    assert_eq!(hand_in(&app, &delayed).await, "ignored");
    assert_eq!(app.of("taken-in-charge").await.status, "sent");
    let delivered = report(&mail, &mail.from, "delivered", "2.0.0", "250 ok");
    assert_eq!(hand_in(&app, &delivered).await, "receipt");
    assert_eq!(app.of("taken-in-charge").await.status, "delivered");
    hand_in(&app, &bounced(&mail)).await;
    assert_eq!(app.of("taken-in-charge").await.status, "delivered", "never back");
    app.end().await;
}

#[tokio::test]
async fn a_mail_that_came_back_for_our_standing_is_work_for_people() {
    let (app, mail) = told("").await;
    let said = "550 5.7.26 unauthenticated mail";
    hand_in(&app, &report(&mail, &mail.from, "failed", "5.7.26", said)).await;
    assert_eq!(suppressed(&app).await, None);
    let tasks = app.tasks().await;
    assert!(tasks.iter().any(|task| task.contains("example.com does not want")), "{tasks:?}");
    app.end().await;
}

#[tokio::test]
async fn a_complaint_switches_the_topic_off_by_mail_and_the_record_says_why() {
    let (app, mail) = told("").await;
    assert_eq!(hand_in(&app, &complaint(&mail)).await, "complaint");
    let now = app.customer_now().await;
    assert_eq!(now.chosen.topics["status"].get(&Channel::Email), Some(&false));
    let consents = app.store().consents(&CustomerId("C-1".into())).await.expect("the store");
    assert_eq!(consents.last().expect("a line").source, "complaint");
    app.event("resolve_ticket").await;
    app.drain().await;
    assert_eq!(app.of("resolved").await.channel.as_deref(), Some("sms"));
    assert_eq!(app.smtp.taken().len(), 1);
    let not_spam = complaint(&mail).replace("Feedback-Type: abuse", "Feedback-Type: not-spam");
    assert_eq!(hand_in(&app, &not_spam).await, "ignored");
    app.end().await;
}

#[tokio::test]
async fn a_complaint_about_what_must_be_said_is_work_for_a_person() {
    let mandatory = "[topics.status]\ntitle = { en = \"Status\" }\ndefault = { email = true }\nmandatory = \"we must\"\n";
    let (app, mail) = told(mandatory).await;
    assert_eq!(hand_in(&app, &complaint(&mail)).await, "complaint");
    assert!(!app.customer_now().await.chosen.topics.contains_key("status"));
    assert_eq!(app.tasks().await.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn a_reply_is_part_of_its_case_and_told_to_other_systems_once() {
    let receiver = Receiver::start().await;
    let (app, mail) = told(&receiver.hook("desk", "[\"customer.replied\"]", "")).await;
    for _ in 0..2 {
        assert_eq!(hand_in(&app, &reply(&mail, "Please call my neighbour.")).await, "reply");
    }
    tell(&app).await;
    let told: Vec<Value> = receiver.told().iter().map(|told| told.json()["data"].clone()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["text"], "Please call my neighbour.");
    assert_eq!(told[0]["message"], "ticket/taken-in-charge");
    assert_eq!(told[0]["case"], "T-1");
    let (_, case) = app.get("/v1/cases/T-1").await;
    assert!(case.contains("customer_replied") && case.contains("Please call"), "{case}");
    app.end().await;
}

#[tokio::test]
async fn an_automatic_answer_is_dropped_and_nobody_is_answered() {
    let (app, mail) = told("").await;
    let away = format!("Auto-Submitted: auto-replied\r\n{}", reply(&mail, "I am away."));
    assert_eq!(hand_in(&app, &away).await, "ignored");
    assert_eq!(hand_in(&app, "what is this").await, "ignored");
    assert_eq!(app.smtp.taken().len(), 1, "no word goes back");
    let (_, case) = app.get("/v1/cases/T-1").await;
    assert!(!case.contains("customer_replied"));
    app.end().await;
}

#[tokio::test]
async fn only_who_may_send_events_hands_mail_in_and_only_so_much_of_it() {
    let hash = tidings::web::auth::hash("tdk_pipe_1");
    let keys = format!(
        "[auth]\napi_keys = [{{ name = \"pipe\", hash = \"{hash}\", scopes = [\"ingest\"] }}, {{ name = \"desk\", hash = \"{}\", scopes = [\"read\"] }}]\n",
        tidings::web::auth::hash("tdk_desk_1")
    );
    let app = TestApp::with(&keys).await;
    let ask = async |key: &str, size: usize| {
        let request = Request::post("/v1/inbound/mail").header("authorization", key);
        app.http(request.body(Body::from(vec![b'x'; size])).expect("one")).await.0
    };
    assert_eq!(ask("", 10).await, 401);
    assert_eq!(ask("Bearer tdk_desk_1", 10).await, 403);
    assert_eq!(ask("Bearer tdk_pipe_1", 300 * 1024).await, 200, "bounces may be long");
    assert_eq!(ask("Bearer tdk_pipe_1", 6 * 1024 * 1024).await, 413);
    app.end().await;
}
