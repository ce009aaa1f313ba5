use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tidings::domain::{CaseChoice, Channel};
use tidings::worker::seams::{Seam, Seams};

use crate::support::{TestApp, ada};

#[tokio::test]
async fn a_choice_made_after_planning_is_honoured_at_the_moment_of_sending() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.drain().await;
    app.choose(|chosen| {
        chosen.topics = BTreeMap::from([(
            "reminder".to_owned(),
            BTreeMap::from([(Channel::Email, false), (Channel::Sms, false)]),
        )]);
    })
    .await;
    app.advance_to("2026-12-01T12:00:00Z").await;
    let reminder = app.of("still-waiting-for-you").await;
    assert_eq!(
        (reminder.status.as_str(), reminder.reason.as_deref()),
        ("suppressed", Some("no_channel"))
    );
    let why = app.explained("still-waiting-for-you").await;
    assert!(why.contains("By e-mail: refused: the customer's choice for this topic."), "{why}");
    app.end().await;
}

#[tokio::test]
async fn an_opt_out_between_the_decision_and_the_open_stops_the_hand_over() {
    let mut app = TestApp::start().await;
    app.ada().await;
    let store = app.store().clone();
    let now = app.now();
    let done = Arc::new(AtomicBool::new(false));
    let seams = Seams::watched_by(Arc::new(move |seam| {
        let (store, done) = (store.clone(), Arc::clone(&done));
        Box::pin(async move {
            if seam == Seam::BeforeOpen && !done.swap(true, Ordering::SeqCst) {
                let stop = |chosen: &mut tidings::domain::Preferences| {
                    chosen.channel_order = Some(vec![Channel::Sms]);
                };
                store.choose(&"C-1".into(), "centre", now, stop).await.expect("known");
            }
        })
    }));
    app.restart(None, seams).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 0, "decided for e-mail, refused before it opened");
    assert_eq!(app.twilio.taken().len(), 1, "decided again");
    app.end().await;
}

#[tokio::test]
async fn a_choice_for_one_case_leads_and_a_muted_case_is_silent() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("assign_seriousness").await;
    app.drain().await;
    let by_text = CaseChoice { channel: Some(Channel::Sms), muted: false };
    app.store().choose_for_case(&"T-1".into(), by_text, "agent", app.now()).await.expect("known");
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.channel.as_deref(), Some("sms"));
    let muted = CaseChoice { channel: None, muted: true };
    app.advance_to("2026-11-23T11:00:00Z").await;
    app.store().choose_for_case(&"T-1".into(), muted, "agent", app.now()).await.expect("known");
    app.event("resolve_ticket").await;
    app.drain().await;
    assert_eq!(app.of("resolved").await.reason.as_deref(), Some("case_muted"));
    app.end().await;
}

#[tokio::test]
async fn an_unverified_or_stopped_channel_is_never_used() {
    let app = TestApp::start().await;
    let mut grace = ada();
    grace["contact_points"][0]["verified"] = json!(false);
    app.customer(grace).await;
    app.choose(|chosen| chosen.stopped = vec![Channel::Sms]).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "suppressed");
    assert!(app.smtp.taken().is_empty() && app.twilio.taken().is_empty());
    app.end().await;
}

#[tokio::test]
async fn an_import_never_lifts_a_stop_brings_back_a_choice_or_widens_consent() {
    let app = TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| {
        chosen.stopped = vec![Channel::Sms];
        chosen.channel_order = Some(vec![Channel::Email]);
    })
    .await;
    let mut again = ada();
    again["preferences"] = json!({
        "channel_order": ["sms", "voice", "email"], "topics": {"status": {"sms": true, "voice": true}}
    });
    app.customer(again).await;
    let preferences = app.customer_now().await.preferences;
    assert_eq!(preferences.stopped, [Channel::Sms]);
    assert_eq!(preferences.channel_order, Some(vec![Channel::Email]));
    assert!(preferences.topics.is_empty(), "{preferences:?}");
    app.end().await;
}
