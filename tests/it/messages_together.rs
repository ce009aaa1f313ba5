//! Fewer messages, and no fact lost: digests, caps, and what is said together.

use serde_json::json;
use tidings::domain::{Channel, Preferences};

use crate::support::TestApp;
use crate::support::smtp::Reply;

async fn ticket(app: &TestApp, case: &str, state: &str) {
    app.event_of(json!({"case": case, "state": state})).await;
    app.drain().await;
}

fn daily(chosen: &mut Preferences) {
    for topic in ["status", "reminder"] {
        chosen.digest.insert(topic.into(), "daily 18:00".parse().expect("a rhythm"));
    }
}

async fn with_status(app: &TestApp, status: &str) -> Vec<String> {
    let mut cases: Vec<String> = app
        .notifications()
        .await
        .into_iter()
        .filter(|n| n.status == status)
        .map(|n| format!("{} {}", n.case_id, n.notice))
        .collect();
    cases.sort_unstable();
    cases
}

/// Links are signed: with a key of their own, the same in every run.
const KEY: &str = "[auth]\nkey_file = \"tests/fixtures/key.hex\"\n";

#[tokio::test]
async fn a_digest_says_at_its_hour_what_is_still_true_in_one_message() {
    let app = TestApp::with(KEY).await;
    app.ada().await;
    app.choose(daily).await;
    ticket(&app, "T-1", "take_in_charge_ticket").await;
    ticket(&app, "T-2", "wait").await;
    ticket(&app, "T-3", "wait").await;
    app.advance_to("2026-11-23T15:00:00Z").await;
    // Answered meanwhile: what T-3 waited for is no longer true.
    ticket(&app, "T-3", "verified").await;
    app.advance_to("2026-11-23T17:59:00Z").await;
    assert_eq!(app.smtp.taken().len(), 0);
    app.advance_to("2026-11-23T18:30:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("Subject").as_deref(), Some("2 pieces of news for you"));
    let text = mails[0].text();
    let letter = text.split("Example Shop").next().expect("the letter before its foot");
    insta::assert_snapshot!(letter);
    assert_eq!(with_status(&app, "sent").await, ["T-2 waiting-for-you"], "the more urgent carries");
    assert_eq!(with_status(&app, "folded").await, ["T-1 taken-in-charge"]);
    assert_eq!(with_status(&app, "cancelled").await, ["T-3 waiting-for-you"]);
    let balance = app.summary().await.balance;
    // The reminders that follow "wait" are still to come.
    assert_eq!((balance.told, balance.open), (1, 2));
    app.end().await;
}

#[tokio::test]
async fn words_after_a_silence_that_were_put_off_past_their_first_hours_go_together() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(daily).await;
    for case in ["T-1", "T-2"] {
        ticket(&app, case, "assign_seriousness").await;
    }
    // A day before the word that nothing has changed, something has.
    app.advance_to("2026-12-03T10:00:00Z").await;
    for case in ["T-1", "T-2"] {
        ticket(&app, case, "take_in_charge_ticket").await;
    }
    app.advance_to("2026-12-16T17:59:00Z").await;
    assert_eq!(app.smtp.taken().len(), 1, "both taken in charge");
    app.advance_to("2026-12-16T18:30:00Z").await;
    assert_eq!(app.smtp.taken().len(), 2, "both still open");
    assert_eq!(with_status(&app, "expired").await, [""; 0]);
    let folded = ["T-1 still-working-on-it", "T-1 taken-in-charge"];
    assert_eq!(with_status(&app, "folded").await, folded);
    app.end().await;
}

#[tokio::test]
async fn an_empty_digest_is_never_sent_and_a_digest_of_one_is_a_plain_message() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(daily).await;
    ticket(&app, "T-1", "wait").await;
    ticket(&app, "T-2", "wait").await;
    ticket(&app, "T-1", "verified").await;
    app.advance_to("2026-11-23T19:00:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].header("Subject").expect("one").contains("T-2"));
    ticket(&app, "T-2", "verified").await;
    app.advance_to("2026-11-25T19:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 1);
    app.end().await;
}

#[tokio::test]
async fn a_digest_that_does_not_leave_loses_nothing() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| {
        daily(chosen);
        chosen.channel_order = Some(vec![Channel::Email]);
    })
    .await;
    app.smtp.will([Reply::AtDot("451 4.3.0 try again later")]);
    ticket(&app, "T-1", "wait").await;
    ticket(&app, "T-2", "wait").await;
    app.advance_to("2026-11-23T18:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 0);
    app.advance_to("2026-11-23T19:00:00Z").await;
    let told: String = app.smtp.taken().iter().map(crate::support::smtp::Mail::text).collect();
    assert!(told.contains("T-1") && told.contains("T-2"), "{told}");
    assert!(with_status(&app, "planned").await.iter().all(|n| !n.ends_with(" waiting-for-you")));
    app.end().await;
}

#[tokio::test]
async fn by_text_a_digest_names_its_subjects_and_fits_its_parts() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| {
        daily(chosen);
        chosen.channel_order = Some(vec![Channel::Sms]);
    })
    .await;
    for n in 1..=9 {
        ticket(&app, &format!("T-{n}"), "wait").await;
    }
    app.advance_to("2026-11-23T18:30:00Z").await;
    let texts = app.twilio.taken();
    assert_eq!(texts.len(), 1);
    let text = texts[0].field("Body");
    assert!(text.contains("9 pieces of news for you") && text.contains("(+"), "{text}");
    assert!(text.len() <= 306, "{} characters: {text}", text.len());
    assert_eq!(with_status(&app, "folded").await.len(), 8);
    app.end().await;
}

#[tokio::test]
async fn a_customer_who_no_longer_wants_a_digest_gets_what_waits_at_once() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(daily).await;
    ticket(&app, "T-1", "wait").await;
    app.choose(|chosen| chosen.digest.clear()).await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1);
    app.end().await;
}

#[tokio::test]
async fn what_is_over_the_cap_rides_in_the_next_message_by_priority() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.cap_per_day = Some(1)).await;
    ticket(&app, "T-1", "take_in_charge_ticket").await;
    ticket(&app, "T-2", "take_in_charge_ticket").await;
    ticket(&app, "T-3", "wait").await;
    assert_eq!(app.smtp.taken().len(), 1, "one a day");
    assert_eq!(
        with_status(&app, "planned").await.iter().filter(|n| !n.contains("still")).count(),
        2
    );
    app.advance_to("2026-11-24T07:59:00Z").await;
    assert_eq!(app.smtp.taken().len(), 1);
    app.advance_to("2026-11-24T08:30:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 2, "the other two in one");
    let text = mails[1].text();
    assert!(mails[1].header("Subject").expect("one").contains("T-3"), "urgent first: {text}");
    assert!(text.contains("Also new:") && text.contains("T-2"), "{text}");
    assert_eq!(with_status(&app, "folded").await, ["T-2 taken-in-charge"]);
    app.end().await;
}

#[tokio::test]
async fn a_mandatory_message_passes_the_cap_and_carries_what_waits() {
    let app = TestApp::with("[topics.reminder]\nmandatory = \"it is your money\"\ndefault = { email = true, sms = true, voice = false }\n").await;
    app.ada().await;
    app.choose(|chosen| chosen.cap_per_day = Some(1)).await;
    ticket(&app, "T-1", "wait").await;
    // The reminder about T-1 is mandatory and comes on Thursday at ten.
    app.advance_to("2026-11-26T09:00:00Z").await;
    ticket(&app, "T-2", "take_in_charge_ticket").await;
    ticket(&app, "T-3", "take_in_charge_ticket").await;
    assert_eq!(app.smtp.taken().len(), 2, "T-3 is over the cap");
    app.advance_to("2026-11-26T10:30:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 3);
    assert!(mails[2].text().contains("T-3"), "{}", mails[2].text());
    assert_eq!(with_status(&app, "folded").await, ["T-3 taken-in-charge"]);
    app.end().await;
}

#[tokio::test]
async fn steps_that_do_not_replace_each_other_are_said_together() {
    let app = TestApp::at_with("2026-11-23T22:00:00Z", "").await;
    app.ada().await;
    app.choose(|chosen| {
        chosen.quiet_hours = serde_json::from_value(json!("21:00-08:00")).ok();
    })
    .await;
    let step = async |state: &str| {
        app.event_of(json!({
            "case": "R-1", "case_type": "return", "state": state,
            "facts": {"item": "Blue trousers", "expected_on": "2026-12-10", "amount": "49.90",
                      "currency": "EUR"}
        }))
        .await;
        app.drain().await;
    };
    step("replacement_chosen").await;
    step("refund_chosen").await;
    app.advance_to("2026-11-24T09:00:00Z").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 1);
    assert_eq!(with_status(&app, "folded").await.len(), 1);
    assert!(mails[0].text().contains("Also new:"), "{}", mails[0].text());
    app.end().await;
}
