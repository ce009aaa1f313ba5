//! Appointments reach the customer's own calendar, and leave it again.

use icalendar::{Calendar, Component, EventStatus};
use mailparse::{MailHeaderMap, ParsedMail};
use serde_json::{Value, json};
use tidings::domain::Channel;

use crate::support::TestApp;

async fn appointment(state: &str, app: &TestApp, facts: Value) {
    let event = json!({"case": "A-1", "case_type": "appointment", "state": state, "facts": facts});
    app.event_of(event).await;
    app.drain().await;
}

async fn by_mail() -> TestApp {
    let app = TestApp::with("[auth]\nkey_file = \"tests/fixtures/key.hex\"\n").await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email])).await;
    let facts = json!({"what": "Repair, washing machine", "appointment_at": "2026-12-03T09:30:00Z",
        "appointment_until": "2026-12-03T11:00:00Z", "where": "12 Analytical Road, London"});
    appointment("booked", &app, facts).await;
    app
}

/// The types of a mail's parts, each with those in it.
fn shape(part: &ParsedMail<'_>) -> String {
    let inner: Vec<String> = part.subparts.iter().map(shape).collect();
    if inner.is_empty() {
        part.ctype.mimetype.clone()
    } else {
        format!("{} {{ {} }}", part.ctype.mimetype, inner.join(", "))
    }
}

/// The entry of the newest mail: its method in the header, and its text.
fn entry(app: &TestApp) -> (String, String) {
    let mail = app.smtp.taken().pop().expect("a mail").data;
    let read = mailparse::parse_mail(mail.as_bytes()).expect("a mail");
    assert_eq!(
        shape(&read),
        "multipart/mixed { multipart/alternative { text/plain, text/html, text/calendar }, text/calendar }"
    );
    let inline = &read.subparts[0].subparts[2];
    let file = &read.subparts[1];
    assert_eq!(inline.get_body().expect("text"), file.get_body().expect("text"));
    assert!(
        file.headers
            .get_first_value("Content-Disposition")
            .is_some_and(|said| said.contains("appointment.ics"))
    );
    assert_eq!(inline.ctype.params.get("method"), file.ctype.params.get("method"));
    (inline.ctype.params["method"].clone(), inline.get_body().expect("text"))
}

#[tokio::test]
async fn a_booking_carries_an_entry_and_a_change_takes_its_place() {
    let app = by_mail().await;
    let (method, first) = entry(&app);
    assert_eq!(method, "PUBLISH");
    insta::assert_snapshot!("calendar_entry", first.replace("\r\n", "\n"));
    appointment(
        "moved",
        &app,
        json!({"appointment_at": "2026-12-04T09:30:00Z", "appointment_until": null}),
    )
    .await;
    let (method, second) = entry(&app);
    assert_eq!(method, "PUBLISH");
    let read = |text: &str| text.parse::<Calendar>().expect("a calendar");
    let (first, second) = (read(&first), read(&second));
    let (before, after) =
        (first.events().next().expect("one"), second.events().next().expect("one"));
    assert_eq!(before.get_uid(), after.get_uid(), "one entry for a case");
    assert!(before.get_sequence() < after.get_sequence(), "the later one holds");
    assert_eq!(after.get_start(), Some(crate::support::at("2026-12-04T09:30:00Z").into()));
    assert_eq!(after.get_end(), Some(crate::support::at("2026-12-04T10:30:00Z").into()), "an hour");
    app.end().await;
}

#[tokio::test]
async fn a_cancelled_appointment_is_taken_back() {
    let app = by_mail().await;
    let booked: Calendar = entry(&app).1.parse().expect("a calendar");
    appointment("cancelled", &app, json!({})).await;
    let (method, text) = entry(&app);
    assert_eq!(method, "CANCEL");
    let taken_back: Calendar = text.parse().expect("a calendar");
    let of = |calendar: &Calendar| {
        let event = calendar.events().next().expect("one");
        (event.get_uid().map(str::to_owned), event.get_sequence(), event.get_status())
    };
    let ((uid, before, _), (same, after, status)) = (of(&booked), of(&taken_back));
    assert_eq!(uid, same);
    assert!(before < after);
    assert_eq!(status, Some(EventStatus::Cancelled));
    app.end().await;
}

#[tokio::test]
async fn without_an_instant_among_the_facts_there_is_no_entry() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Email])).await;
    appointment("booked", &app, json!({"what": "Repair", "appointment_at": "2026-12-03"})).await;
    let mail = app.smtp.taken().pop().expect("a mail").data;
    assert!(!mail.contains("text/calendar"), "a day is no hour to come at");
    app.end().await;
}
