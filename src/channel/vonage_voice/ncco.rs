//! What a phone says and takes, as an NCCO (Vonage, "NCCO reference").

use serde_json::{Value, json};

use crate::channel::speech::pieces;
use crate::domain::call::{Go, Said, Speech, Voice};
use crate::domain::message::Script;

/// The longest text of one `talk`, in characters: 1,500, of which the wrapping for slow speech
/// and its escapes need some.
const MAX_TALK: usize = 1_000;

/// How long silence lasts before it is an answer, in seconds.
const LISTEN_S: u8 = 6;

/// How long it rings at the other party, in seconds.
const RING_S: u8 = 20;

/// One turn of a call.
#[must_use]
pub fn turn(said: &Said, from: &str) -> Value {
    // A key may be pressed while it speaks only where one is listened for.
    let barge_in = matches!(said.then, Go::Listen { .. });
    let mut actions: Vec<Value> =
        said.lines.iter().flat_map(|line| talks(line, &said.voice, said.slow, barge_in)).collect();
    match &said.then {
        Go::Listen { url } => actions.push(json!({
            "action": "input",
            "type": ["dtmf"],
            "dtmf": {"timeOut": LISTEN_S, "maxDigits": 1, "submitOnHash": false},
            "eventUrl": [url],
            "eventMethod": "POST",
        })),
        Go::Connect { to, hears_url, ended_url } => {
            let mut endpoint = json!({"type": "phone", "number": super::digits(to)});
            if let Some(url) = hears_url {
                endpoint["onAnswer"] = json!({ "url": url });
            }
            actions.push(json!({
                "action": "connect",
                "endpoint": [endpoint],
                "from": super::digits(from),
                "timeout": RING_S,
                // The answer to its event is what comes next.
                "eventType": "synchronous",
                "eventUrl": [ended_url],
                "eventMethod": "POST",
            }));
        }
        // The end of an NCCO connects, or hangs up.
        Go::Join | Go::HangUp => {}
    }
    actions.into()
}

/// A script nobody can answer: spoken twice, since a phone may be answered mid-sentence.
#[must_use]
pub fn letter(script: &Script, speech: &Speech) -> Value {
    let voice = speech.of(&script.locale);
    let talks =
        || script.paragraphs.iter().flat_map(|text| talks(text, &voice, script.slow, false));
    talks().chain(talks()).collect()
}

fn talks(text: &str, voice: &Voice, slow: bool, barge_in: bool) -> Vec<Value> {
    let talk = |piece: String| {
        // A text in <speak> is SSML, any other is read as it is: neither gets a tag of somebody else's.
        let text = if slow {
            let escaped = piece.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            format!("<speak><prosody rate=\"80%\">{escaped}</prosody></speak>")
        } else {
            piece.replace(['<', '>'], " ")
        };
        let mut talk = json!({
            "action": "talk",
            "text": text,
            "language": voice.language,
            "bargeIn": barge_in,
        });
        if let Some(style) = voice.voice.as_ref().and_then(|name| name.parse::<u8>().ok()) {
            talk["style"] = style.into();
        }
        talk
    };
    pieces(text, MAX_TALK)
        .into_iter()
        .filter(|piece| piece.contains(char::is_alphanumeric))
        .map(talk)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, then: Go) -> Said {
        let voice = Voice { language: "en-GB".into(), voice: Some("2".into()) };
        Said { lines: vec![text.into()], voice, slow: false, then }
    }

    #[test]
    fn a_text_is_only_ever_spoken() {
        let hostile = "<speak><break time=\"9s\"/></speak> \"},{\"action\":\"connect\"";
        let ncco = turn(&said(hostile, Go::HangUp), "");
        assert_eq!(ncco.as_array().expect("a list").len(), 1);
        assert_eq!(ncco[0]["action"], "talk");
        assert!(!ncco[0]["text"].as_str().expect("text").contains('<'));
        let slow = turn(&Said { slow: true, ..said(hostile, Go::HangUp) }, "");
        let text = slow[0]["text"].as_str().expect("text");
        assert!(text.starts_with("<speak><prosody rate=\"80%\">&lt;speak&gt;"), "{text}");
        assert_eq!(text.matches("<speak>").count(), 1);
    }

    #[test]
    fn a_key_may_be_pressed_while_it_speaks() {
        let ncco = turn(&said("Press 2.", Go::Listen { url: "https://example.com/c".into() }), "");
        assert_eq!((&ncco[0]["bargeIn"], &ncco[0]["style"]), (&json!(true), &json!(2)));
        assert_eq!(ncco[1]["eventUrl"], json!(["https://example.com/c"]));
    }

    #[test]
    fn the_other_party_hears_what_it_is_about_before_the_two_are_connected() {
        let connect = Go::Connect {
            to: "+442079460000".into(),
            hears_url: Some("https://example.com/desk".into()),
            ended_url: "https://example.com/ended".into(),
        };
        let ncco = turn(&said("One moment.", connect), "+442079460001");
        let endpoint = json!([{"type": "phone", "number": "442079460000",
            "onAnswer": {"url": "https://example.com/desk"}}]);
        assert_eq!(ncco[1]["endpoint"], endpoint);
        assert_eq!(
            (&ncco[1]["from"], &ncco[0]["bargeIn"]),
            (&json!("442079460001"), &json!(false))
        );
    }
}
