//! What a call says is short enough to listen to, in every language: spoken by espeak-ng and
//! measured by sox.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tidings::app::content;
use tidings::config::Settings;
use tidings::domain::message::Shaped;
use tidings::domain::{Channel, ChannelMap, Zones};

use crate::support::telephone::{By, Next, Telephone};
use crate::support::{TestApp, ada};

/// What a listener waits for at most before a key is offered, in seconds.
const LONGEST_S: f64 = 25.0;

/// How long a text takes to say.
fn seconds(text: &str, language: &str, folder: &Path) -> f64 {
    let file = folder.join("spoken.wav");
    let voice = match language {
        "en" => "en-gb",
        other => other,
    };
    let spoken = Command::new("espeak-ng").args(["-v", voice, "-w"]).arg(&file).arg(text).status();
    assert!(spoken.expect("espeak-ng is installed by tests/run").success(), "{text}");
    let measured = Command::new("sox").arg("--i").arg("-D").arg(&file).output();
    let measured = measured.expect("sox is installed by tests/run");
    String::from_utf8_lossy(&measured.stdout).trim().parse().expect("seconds")
}

/// What is said before the first key is offered.
fn before_the_menu<'a>(said: &'a str, first_key: &str) -> &'a str {
    said.find(first_key).map_or(said, |at| &said[..at])
}

#[tokio::test]
async fn in_every_language_a_key_is_offered_within_25_seconds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut longest: f64 = 0.0;
    for (language, first_key) in [
        ("en", "To hear the message"),
        ("de", "Um die Nachricht zu hören"),
        ("fr", "Pour entendre le message"),
    ] {
        let app = TestApp::start().await;
        let mut customer = ada();
        customer["locale"] = language.into();
        let points = customer["contact_points"].as_array_mut().expect("a list");
        points.push(json!({"channel": "voice", "address": "+442079460123", "verified": true}));
        app.customer(customer).await;
        app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Voice, Channel::Sms])).await;
        let facts = json!({"item": "Blue trousers", "expected_on": "2026-12-10",
            "answer_by": "2026-12-04", "amount": "49.90", "currency": "EUR"});
        app.event_of(json!({"case": "R-1001", "case_type": "return", "state": "out_of_stock",
            "facts": facts}))
            .await;
        app.drain().await;
        let phone = Telephone::rings(&app, By::Twilio);
        let first = phone.picked_up("human").await;
        assert!(first.said.contains(first_key), "{first:?}");
        let mut parts = vec![before_the_menu(&first.said, first_key).to_owned()];
        parts.push(phone.picked_up("machine").await.said);
        let told = phone.press(&first, '2').await;
        let connecting = phone.press(&told, '1').await;
        let offered = phone.desk_call_ended(&connecting, "no-answer").await;
        parts.push(phone.press(&told, '7').await.said.lines().next().expect("a line").to_owned());
        parts.push(phone.press(&told, '3').await.said);
        parts.push(phone.press(&offered, '1').await.said);
        parts.push(phone.desk_hears(&connecting).await.said);
        assert!(matches!(connecting.then, Next::Connect { .. }));
        parts.extend([connecting.said, offered.said]);
        parts.push(phone.press(&first, '9').await.said);
        for part in parts {
            let took = seconds(&part, language, folder.path());
            assert!(took > 0.5, "{language}: {part}: {took} s");
            assert!(took <= LONGEST_S, "{language}: {took} s: {part}");
            longest = longest.max(took);
        }
        app.end().await;
    }
    assert!(longest > 3.0, "the longest took {longest} s: is anything spoken at all?");
}

#[test]
fn every_message_that_is_shipped_is_short_enough_to_listen_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "[sender]\nname = \"Example Shop\"\nmail_from = \"Shop <service@example.com>\"\nphone = \"+442079460000\"";
    let settings = Settings::read("test settings", text, []).expect("settings");
    let files = content::version_files(&settings).expect("the shipped content");
    let layouts = content::layouts(&settings).expect("the layouts");
    let all = ChannelMap { email: true, sms: true, voice: true };
    let compiled = content::compile("shipped", &files, &layouts, &settings, all, &Zones::bundled());
    let compiled = compiled.expect("the shipped content");
    let mut measured = 0;
    for reading in compiled.readings.iter().filter(|reading| reading.sample == 0) {
        let Shaped::Voice(script) = &reading.shaped else { continue };
        let language = reading.locale.split('-').next().expect("a language");
        let talk = script.talk.as_ref().expect("a conversation");
        for part in [&talk.greeting, &talk.machine, &script.paragraphs] {
            let said = part.join("\n");
            let took = seconds(&said, language, folder.path());
            // The message itself is asked for; a code of ten letters is part of it.
            let limit = if part == &script.paragraphs { 2.0 * LONGEST_S } else { LONGEST_S };
            assert!(took <= limit, "{} {language}: {took} s: {said}", reading.message);
            measured += 1;
        }
    }
    assert!(measured >= 9, "{measured}: all three languages");
}
