//! Content says for whom it is, how private it is, and how long it is true.

use serde_json::{Value, json};
use tidings::app::content as files_of;
use tidings::app::publishing::{compile, publish};
use tidings::domain::message::Shaped;
use tidings::domain::{CaseId, Channel};
use tidings::planning::fit::ChannelNeed;
use tidings::store::journeys::VersionFiles;

use crate::support::{TestApp, at};

const SECRET: &str = "Zebra-4711: offer a voucher";

/// The shipped files, with words for agents in every message.
fn with_staff(app: &TestApp) -> VersionFiles {
    let mut files = files_of::version_files(&app.app.settings).expect("the shipped files");
    for (name, text) in &mut files.files {
        if name.rsplit('.').next() == Some("j2") && !text.contains("block staff") {
            text.push_str("{% block staff %}");
            text.push_str(SECRET);
            text.push_str(" to {{ customer.name }}{% endblock %}\n");
        }
    }
    files
}

#[tokio::test]
async fn words_for_agents_are_on_no_channel_in_no_language() {
    let app = TestApp::start().await;
    let compiled = compile(&app.app, &with_staff(&app)).expect("compiled");
    let faults: Vec<_> = compiled.findings.iter().filter(|f| f.is_error()).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let mut seen = std::collections::BTreeSet::new();
    for reading in &compiled.readings {
        let html = match &reading.shaped {
            Shaped::Email(mail) => mail.html.as_str(),
            _ => "",
        };
        let all = format!("{}{html}", reading.shaped.words());
        assert!(
            !all.contains("Zebra"),
            "{} {} {}",
            reading.message,
            reading.locale,
            reading.channel
        );
        seen.insert((reading.locale.clone(), reading.channel.as_str()));
    }
    assert_eq!(seen.len(), 9, "three languages on three channels: {seen:?}");
}

#[tokio::test]
async fn agents_read_their_words_beside_what_the_customer_saw() {
    let app = TestApp::start().await;
    app.ada().await;
    publish(&app.app, &with_staff(&app), "Ada", "words for agents").await.expect("published");
    super::label_sent(&app, "R-1").await;
    let mails = app.smtp.taken();
    assert!(!mails.is_empty() && mails.iter().all(|mail| !mail.text().contains("Zebra")));
    let (status, body) = app.get("/v1/cases/R-1").await;
    assert_eq!(status, 200, "{body}");
    let case: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(case["told"][0]["staff"], format!("{SECRET} to Ada Byron"), "{case}");
}

#[tokio::test]
async fn a_notice_for_staff_is_read_beside_its_case_and_never_sent() {
    let app = TestApp::start().await;
    app.ada().await;
    let mut files = with_staff(&app);
    let journey = files.files.get_mut("journeys/return.toml").expect("shipped");
    *journey = journey.replace("id = \"label\"\n", "id = \"label\"\naudience = \"staff\"\n");
    publish(&app.app, &files, "Ada", "the label is for agents").await.expect("published");
    super::label_sent(&app, "R-1").await;
    assert!(app.smtp.taken().is_empty());
    assert!(app.notifications().await.iter().all(|n| n.notice != "label"));
    let (_, body) = app.get("/v1/cases/R-1").await;
    let case: Value = serde_json::from_str(&body).expect("JSON");
    let note = serde_json::json!([{ "notice": "label", "text": format!("{SECRET} to Ada Byron") }]);
    assert_eq!(case["staff"], note, "{case}");
    let (_, page) = app.get("/console/cases/R-1").await;
    assert!(page.contains("For agents") && page.contains("Zebra-4711"), "{page}");
    app.event_of(json!({"case": "R-1", "case_type": "return", "state": "received"})).await;
    app.drain().await;
    let (_, body) = app.get("/v1/cases/R-1").await;
    let case: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(case["staff"], serde_json::json!([]), "the case has moved on");
}

#[tokio::test]
async fn words_for_agents_cannot_wait_for_a_clock() {
    let app = TestApp::start().await;
    let read = |line| compile(&app.app, &with_line(&app, line)).expect("read").findings;
    let on_a_clock = read("audience = \"staff\"");
    assert!(on_a_clock.iter().any(|f| f.message.contains("while a case is in a state")));
    let odd = read("audience = \"everybody\"");
    assert!(odd.iter().any(|f| f.message.contains("use customer or staff")), "{odd:?}");
}

/// The shipped files with a line more in the reminder of returns.
fn with_line(app: &TestApp, line: &str) -> VersionFiles {
    let mut files = files_of::version_files(&app.app.settings).expect("the shipped files");
    let journey = files.files.get_mut("journeys/return.toml").expect("shipped");
    *journey = journey.replace("id = \"post-it\"\n", &format!("id = \"post-it\"\n{line}\n"));
    files
}

#[tokio::test]
async fn a_text_valid_until_a_day_is_not_sent_after_it_and_a_person_is_asked() {
    let app = TestApp::start().await;
    app.ada().await;
    let files = with_line(&app, "valid_until = \"2026-11-27\"");
    publish(&app.app, &files, "Ada", "until Friday").await.expect("published");
    super::label_sent(&app, "R-1").await;
    app.advance_to("2026-11-29T12:00:00Z").await;
    let reminder = app.of("post-it").await;
    assert_eq!(
        (reminder.status.as_str(), reminder.reason.as_deref()),
        ("expired", Some("text_outdated"))
    );
    let explained = app.explained("post-it").await;
    assert!(explained.contains("Its text was valid until Sat 28 Nov 2026 00:00"), "{explained}");
    let tasks = app.tasks().await;
    assert!(tasks.iter().any(|task| task.contains("its text is valid no longer")), "{tasks:?}");
}

#[tokio::test]
async fn a_text_about_to_be_outdated_is_a_warning_two_weeks_before() {
    let app = TestApp::start().await;
    let files = with_line(&app, "valid_until = \"2026-12-31\"");
    let compiled = compile(&app.app, &files).expect("compiled");
    let journeys = &compiled.live.rules.journeys;
    let found = |now: &str| {
        let found = files_of::ageing(journeys, &files, at(now));
        found.iter().map(|f| (f.line(), f.message.clone())).collect::<Vec<_>>()
    };
    assert_eq!(found("2026-12-17T23:00:00Z"), []);
    let warned = found("2026-12-18T01:00:00Z");
    assert_eq!(warned.len(), 1);
    assert!(warned[0].0.is_some() && warned[0].1.contains("valid until 2026-12-31"), "{warned:?}");
    assert!(found("2027-01-01T01:00:00Z")[0].1.contains("is not sent any more"));
}

#[tokio::test]
async fn a_private_text_needs_a_private_channel_first() {
    let app = TestApp::start().await;
    let compiled = compile(&app.app, &with_line(&app, "sensitivity = \"private\"")).expect("read");
    let journey = compiled.live.rules.journeys.of("return", &CaseId("R-1".into())).expect("there");
    let notice = journey.notice("post-it").expect("there");
    assert_eq!(notice.needs, [ChannelNeed::Private]);
    assert!(ChannelNeed::Private.is_met_by(Channel::Email));
    let odd = compile(&app.app, &with_line(&app, "sensitivity = \"odd\"")).expect("read");
    assert!(odd.findings.iter().any(|f| f.message.contains("use normal or private")));
    let odd = compile(&app.app, &with_line(&app, "valid_until = \"soon\"")).expect("read");
    assert!(odd.findings.iter().any(|f| f.message.contains("is no day")));
}
