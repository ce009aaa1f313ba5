//! What a phone says and takes, as TwiML (Twilio, "TwiML for Programmable Voice").

use std::fmt::Write as _;

use crate::channel::speech::pieces;
use crate::domain::call::{Go, Said, Speech, Voice};
use crate::domain::message::Script;

/// The longest TwiML a call is created with, in characters (Calls resource, `Twiml`).
const MAX_TWIML: usize = 4_000;

/// The longest text of one `<Say>`, in characters: what compatible services document.
const MAX_SAY: usize = 4_000;

/// How long silence lasts before it is an answer, in seconds.
const LISTEN_S: u8 = 6;

/// How long it rings at the other party, in seconds.
const RING_S: u8 = 20;

/// One turn of a call. Written with escapes, so that a text is only ever spoken.
///
/// `actionOnEmptyResult` tells silence to the same address as a key, and an empty
/// `finishOnKey` makes `#` a key like any other.
#[must_use]
pub fn turn(said: &Said) -> String {
    let spoken: String = said.lines.iter().map(|line| say(line, &said.voice, said.slow)).collect();
    match &said.then {
        Go::Listen { url } => document(&format!(
            "<Gather input=\"dtmf\" numDigits=\"1\" timeout=\"{LISTEN_S}\" finishOnKey=\"\" actionOnEmptyResult=\"true\" method=\"POST\" action=\"{}\">{spoken}</Gather>",
            escape(url)
        )),
        Go::Connect { to, hears_url, ended_url } => {
            let hears = hears_url
                .as_ref()
                .map(|url| format!(" url=\"{}\" method=\"POST\"", escape(url)))
                .unwrap_or_default();
            document(&format!(
                "{spoken}<Dial timeout=\"{RING_S}\" method=\"POST\" action=\"{}\"><Number{hears}>{}</Number></Dial>",
                escape(ended_url),
                escape(to)
            ))
        }
        Go::Join => document(&spoken),
        Go::HangUp => document(&format!("{spoken}<Hangup/>")),
    }
}

/// A script nobody can answer: spoken twice, since a phone may be answered mid-sentence.
#[must_use]
pub fn letter(script: &Script, speech: &Speech) -> String {
    let voice = speech.of(&script.locale);
    let once: String =
        script.paragraphs.iter().map(|text| say(text, &voice, script.slow)).collect();
    let twice = document(&format!("{once}<Pause length=\"1\"/>{once}"));
    if twice.len() <= MAX_TWIML { twice } else { document(&once) }
}

fn say(text: &str, voice: &Voice, slow: bool) -> String {
    let mut out = String::new();
    for piece in pieces(text, MAX_SAY) {
        let named = voice
            .voice
            .as_ref()
            .map(|name| format!(" voice=\"{}\"", escape(name)))
            .unwrap_or_default();
        let text = escape(&piece);
        // SSML inside <Say>: a fifth slower, for who asked for it.
        let text = if slow { format!("<prosody rate=\"80%\">{text}</prosody>") } else { text };
        let _ = write!(out, "<Say language=\"{}\"{named}>{text}</Say>", escape(&voice.language));
    }
    out
}

fn document(inner: &str) -> String {
    format!("<Response>{inner}</Response>")
}

/// A text between tags or in an attribute of TwiML.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // What XML 1.0 section 2.2 has no place for.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, then: Go) -> Said {
        let voice = Voice { language: "en-GB".into(), voice: None };
        Said { lines: vec![text.into()], voice, slow: false, then }
    }

    #[test]
    fn a_text_is_only_ever_spoken() {
        let said = turn(&said("</Say><Dial>+900</Dial><Say> & \"more\"\u{1}", Go::HangUp));
        assert!(said.starts_with("<Response><Say language=\"en-GB\">&lt;/Say&gt;&lt;Dial&gt;"));
        assert!(!said.contains("<Dial>") && !said.contains('\u{1}'));
        assert!(said.ends_with("</Say><Hangup/></Response>"));
    }

    #[test]
    fn keys_may_be_pressed_while_it_speaks_and_silence_is_told_too() {
        let url = "https://example.com/call?a=1&b=2".to_owned();
        let said = turn(&Said { slow: true, ..said("For yes, press 4.", Go::Listen { url }) });
        assert!(said.contains("<prosody rate=\"80%\">For yes"), "{said}");
        assert!(said.contains("actionOnEmptyResult=\"true\""), "{said}");
        assert!(said.contains("action=\"https://example.com/call?a=1&amp;b=2\""), "{said}");
        assert!(said.ends_with("</Say></Gather></Response>"), "{said}");
    }

    #[test]
    fn the_other_party_hears_what_it_is_about_before_the_two_are_connected() {
        let connect = Go::Connect {
            to: "+442079460000".into(),
            hears_url: Some("https://example.com/desk".into()),
            ended_url: "https://example.com/ended".into(),
        };
        assert_eq!(
            turn(&said("One moment.", connect)),
            "<Response><Say language=\"en-GB\">One moment.</Say><Dial timeout=\"20\" method=\"POST\" action=\"https://example.com/ended\"><Number url=\"https://example.com/desk\" method=\"POST\">+442079460000</Number></Dial></Response>"
        );
    }

    #[test]
    fn a_letter_is_said_twice_where_there_is_room() {
        let script = Script {
            paragraphs: vec!["Your code is 1, 2.".into()],
            locale: "de".into(),
            ..Script::default()
        };
        let said = letter(&script, &Speech::default());
        assert_eq!(said.matches("<Say language=\"de-DE\">Your code").count(), 2);
        let long = Script { paragraphs: vec!["word ".repeat(500)], ..script };
        assert_eq!(letter(&long, &Speech::default()).matches("<Say").count(), 1);
    }
}
