//! Calls through an exchange of one's own: never twice, said line by line, keys at any time.

use serde_json::json;
use tidings::app::phone::switchboard;
use tidings::domain::Channel;
use tokio::sync::watch;

use crate::support::asterisk::{Asked, AsteriskDouble, PASSWORD, PATIENCE};
use crate::support::{TestApp, ada};

/// An app that calls by the exchange, and its ear; Ada is not called yet.
async fn connected() -> (TestApp, AsteriskDouble, watch::Sender<bool>, tempfile::TempDir) {
    connected_with("").await
}

async fn connected_with(
    more: &str,
) -> (TestApp, AsteriskDouble, watch::Sender<bool>, tempfile::TempDir) {
    let (app, exchange, folder) = unheard(more).await;
    let (stop, stopping) = watch::channel(false);
    let board = switchboard(&app.app).expect("calls go by the exchange");
    tokio::spawn(board.run(stopping));
    exchange.listened_to().await;
    (app, exchange, stop, folder)
}

/// The same before anybody listens to the exchange.
pub async fn unheard(more: &str) -> (TestApp, AsteriskDouble, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let exchange = AsteriskDouble::start().await;
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD).expect("a file");
    let app = TestApp::with(&format!(
        "[channels.voice]\nprovider = \"asterisk\"\nbase_url = \"{}\"\naccount = \"tidings\"\ntoken_file = \"{}\"\napplication = \"tidings\"\nendpoint = \"PJSIP/{{number}}@trunk\"\nfrom = \"+442079460001\"\nspeak = \"cat > $TIDINGS_FILE\"\nsounds = \"{}\"\n{more}\n[contact_centre]\nphone = \"+442079460099\"",
        exchange.url(),
        password.display(),
        folder.path().join("sounds").display(),
    ))
    .await;
    let mut customer = ada();
    let points = customer["contact_points"].as_array_mut().expect("a list");
    points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
    app.customer(customer).await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Voice, Channel::Sms])).await;
    (app, exchange, folder)
}

pub async fn call_ada(app: &TestApp) {
    let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
        "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
    app.event_of(json!({"case": "R-1001", "case_type": "return", "state": "out_of_stock",
        "facts": facts}))
        .await;
    app.drain().await;
}

pub async fn called(exchange: &AsteriskDouble) -> String {
    match exchange.next().await {
        Asked::Call { channel, body } => {
            assert_eq!(body["endpoint"], "PJSIP/+442079460123@trunk");
            assert_eq!(body["callerId"], "+442079460001");
            channel
        }
        other => panic!("{other:?}"),
    }
}

pub async fn hung_up(exchange: &AsteriskDouble, which: &str) {
    loop {
        match exchange.next().await {
            Asked::HangUp { channel } if channel == which => return,
            Asked::Play { channel, .. } => exchange.played(&channel),
            Asked::StopPlaying => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Who pressed 1 is connected with the contact centre: its channel.
pub async fn connect(exchange: &AsteriskDouble, channel: &str) -> String {
    exchange.plays_until(channel, "We connect you now.").await;
    exchange.played(channel);
    let desk = match exchange.next().await {
        Asked::Call { channel, body } => {
            assert_eq!(body["endpoint"], "PJSIP/+442079460099@trunk");
            channel
        }
        other => panic!("{other:?}"),
    };
    exchange.picks_up(&desk);
    exchange.plays_until(&desk, "Call with Ada Byron about case R, 1, 0, 0, 1.").await;
    exchange.played(&desk);
    let joined = loop {
        match exchange.next().await {
            Asked::Join { channels } => break channels,
            Asked::Play { channel, .. } => exchange.played(&channel),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(joined, format!("{channel},{desk}"));
    desk
}

/// No sound is left on the disk.
pub fn nothing_said_stays(folder: &tempfile::TempDir) {
    let sounds = std::fs::read_dir(folder.path().join("sounds")).expect("a folder");
    assert_eq!(sounds.count(), 0, "what was said stays on the disk");
}

/// Waits, without a clock, until the notification has this status.
pub async fn becomes(app: &TestApp, status: &str, channel: &str) {
    let becoming = async {
        loop {
            let n = app.of("out-of-stock").await;
            if n.status == status && n.channel.as_deref() == Some(channel) {
                return;
            }
            app.drain().await;
            tokio::task::yield_now().await;
        }
    };
    let became = tokio::time::timeout(PATIENCE, becoming).await.is_ok();
    assert!(became, "{:?} is not {status} by {channel}", app.of("out-of-stock").await);
}

#[tokio::test]
async fn a_call_says_who_calls_then_what_and_a_key_breaks_in_at_any_time() {
    let (app, exchange, _stop, folder) = connected().await;
    call_ada(&app).await;
    let channel = called(&exchange).await;
    let id = app.of("out-of-stock").await.id;
    assert_eq!(channel, format!("{id}.1"), "the attempt's own id");
    exchange.picks_up(&channel);
    let greeting = exchange.plays_until(&channel, "To hear the message, press 2.").await;
    assert!(greeting.contains("Hello, this is Example Shop"), "{greeting}");
    assert!(!greeting.contains("trousers"), "{greeting}");
    exchange.presses(&channel, "2");
    assert_eq!(exchange.next().await, Asked::StopPlaying, "what it was saying");
    let told = exchange.plays_until(&channel, "My money back: press 5.").await;
    assert!(told.contains("Blue trousers"), "{told}");
    exchange.presses(&channel, "5");
    exchange.plays_until(&channel, "We noted your answer: My money back").await;
    exchange.played(&channel);
    hung_up(&exchange, &channel).await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "delivered", "voice").await;
    nothing_said_stays(&folder);
    app.end().await;
}

#[tokio::test]
async fn a_call_whose_begin_was_not_answered_is_asked_for_again_and_rings_once() {
    let (app, exchange, _stop, _folder) = connected().await;
    exchange.will([0]);
    call_ada(&app).await;
    called(&exchange).await;
    assert_eq!(app.of("out-of-stock").await.status, "sent", "the second request was a 409");
    let detail = app.detail("out-of-stock").await;
    assert_eq!(detail.attempts[0].detail.as_deref(), Some("begun before"));
    app.end().await;
}

#[tokio::test]
async fn a_call_in_doubt_is_found_by_its_own_id_while_it_rings() {
    let (app, exchange, _stop, _folder) = connected().await;
    exchange.goes_mute(true);
    call_ada(&app).await;
    called(&exchange).await;
    assert_eq!(app.of("out-of-stock").await.status, "in_doubt");
    app.advance_to("2026-11-23T10:00:09Z").await;
    assert_eq!(app.of("out-of-stock").await.status, "in_doubt");
    app.advance_to("2026-11-23T10:00:11Z").await;
    assert_eq!(app.of("out-of-stock").await.status, "sent", "it rings");
    app.end().await;
}

#[tokio::test]
async fn a_channel_that_is_gone_proves_nothing_and_nobody_is_rung_twice() {
    let (app, exchange, _stop, _folder) = connected().await;
    exchange.goes_mute(true);
    call_ada(&app).await;
    let channel = called(&exchange).await;
    exchange.forgets(&channel);
    exchange.goes_mute(false);
    app.advance_to("2026-11-23T10:05:00Z").await;
    assert_eq!(app.of("out-of-stock").await.status, "in_doubt");
    app.advance_to("2026-11-23T10:20:00Z").await;
    assert_eq!(app.of("out-of-stock").await.status, "unknown", "the topic's rule");
    app.end().await;
}

#[tokio::test]
async fn key_1_calls_the_contact_centre_which_hears_a_summary_and_is_connected() {
    let (app, exchange, _stop, _folder) = connected().await;
    call_ada(&app).await;
    let channel = called(&exchange).await;
    exchange.picks_up(&channel);
    exchange.plays_until(&channel, "press 1.").await;
    exchange.presses(&channel, "1");
    let desk = connect(&exchange, &channel).await;
    exchange.ends(&desk, 16, "Normal Clearing");
    hung_up(&exchange, &channel).await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "delivered", "voice").await;
    app.end().await;
}

#[tokio::test]
async fn when_nobody_at_the_contact_centre_answers_a_call_back_is_offered() {
    let (app, exchange, _stop, _folder) = connected().await;
    call_ada(&app).await;
    let channel = called(&exchange).await;
    exchange.picks_up(&channel);
    exchange.plays_until(&channel, "press 1.").await;
    exchange.presses(&channel, "1");
    exchange.plays_until(&channel, "We connect you now.").await;
    exchange.played(&channel);
    let Asked::Call { channel: desk, .. } = exchange.next().await else { panic!("the desk") };
    exchange.ends(&desk, 19, "No Answer");
    exchange.plays_until(&channel, "If you want that, press 1.").await;
    exchange.presses(&channel, "1");
    exchange.plays_until(&channel, "We call you back").await;
    assert_eq!(app.tasks().await.len(), 1);
    app.end().await;
}

#[tokio::test]
async fn a_machine_the_dialplan_knows_hears_who_called_alone() {
    let (app, exchange, _stop, _folder) = connected_with("context = \"screened\"").await;
    call_ada(&app).await;
    let channel = called(&exchange).await;
    exchange.dialplan_finds(&channel, "MACHINE");
    let left = exchange.plays_until(&channel, "call the same number.").await;
    assert!(!left.contains("Ada") && !left.contains("R, 1"), "{left}");
    exchange.played(&channel);
    hung_up(&exchange, &channel).await;
    exchange.ends(&channel, 16, "Normal Clearing");
    becomes(&app, "sent", "sms").await;
    assert!(app.explained("out-of-stock").await.contains("voicemail_left"));
    app.end().await;
}

#[tokio::test]
async fn a_cause_without_an_answer_is_read_by_what_it_means_with_a_dialplan_too() {
    let screened = "context = \"screened\"";
    for (more, cause, text, status, channel) in [
        ("", 17, "User busy", "planned", "voice"),
        ("", 19, "No Answer", "planned", "voice"),
        ("", 1, "Unallocated number", "sent", "sms"),
        ("", 21, "Call Rejected", "sent", "sms"),
        // Through the dialplan as well: nobody picked up, so no application has the call.
        (screened, 17, "User busy", "planned", "voice"),
        (screened, 1, "Unallocated number", "sent", "sms"),
    ] {
        let (app, exchange, _stop, _folder) = connected_with(more).await;
        call_ada(&app).await;
        let ringing = called(&exchange).await;
        exchange.ends(&ringing, cause, text);
        becomes(&app, status, channel).await;
        let unusable = app.customer_now().await.contact_points[2].suppressed.is_some();
        assert_eq!(unusable, cause == 1, "{text}");
        app.end().await;
    }
}
