//! What a phone says and takes, as TwiML (Twilio, "TwiML for Programmable Voice").

use crate::domain::message::Script;

/// The longest TwiML a call is created with, in characters.
const MAX_TWIML: usize = 4_000;

/// The spoken message as TwiML, twice, since a phone may be answered mid-sentence; a key may
/// be pressed at any time. Written with escapes, so that a text is only ever spoken.
#[must_use]
pub fn call(script: &Script, keys_url: Option<&str>) -> String {
    let speak = |text: &String| {
        let text = escape(text);
        // SSML inside <Say>: a fifth slower, for who asked for it.
        let text =
            if script.slow { format!("<prosody rate=\"80%\">{text}</prosody>") } else { text };
        say_escaped(&text, &script.locale)
    };
    let said: String = script.paragraphs.iter().map(speak).collect();
    let gather = |said: &str| match keys_url {
        Some(url) => format!(
            "<Gather numDigits=\"1\" timeout=\"5\" method=\"POST\" action=\"{}\">{said}</Gather>",
            escape(url)
        ),
        None => said.to_owned(),
    };
    let once = format!("<Response>{}</Response>", gather(&said));
    let twice = gather(&format!("{said}<Pause length=\"1\"/>{said}"));
    let twice = format!("<Response>{twice}</Response>");
    if twice.len() <= MAX_TWIML { twice } else { once }
}

/// One sentence to speak, as TwiML.
#[must_use]
pub fn say(text: &str, locale: &str) -> String {
    say_escaped(&escape(text), locale)
}

fn say_escaped(text: &str, locale: &str) -> String {
    format!("<Say language=\"{}\">{text}</Say>", escape(&spoken_language(locale)))
}

/// Twilio speaks languages with a region.
fn spoken_language(locale: &str) -> String {
    match locale {
        "en" => "en-GB".into(),
        "de" => "de-DE".into(),
        "fr" => "fr-FR".into(),
        other => other.to_owned(),
    }
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
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_only_ever_spoken() {
        let script = Script {
            paragraphs: vec!["</Say><Dial>+900</Dial><Say> & \"more\"\u{1}".into()],
            locale: "en".into(),
            slow: false,
        };
        let said = call(&script, None);
        assert!(said.starts_with("<Response><Say language=\"en-GB\">&lt;/Say&gt;&lt;Dial&gt;"));
        assert!(!said.contains("<Dial>"));
        assert!(!said.contains('\u{1}'));
    }

    #[test]
    fn keys_may_be_pressed_while_it_speaks_and_are_told_to_one_address() {
        let script = Script {
            paragraphs: vec!["For yes, press 4.".into()],
            locale: "en".into(),
            slow: true,
        };
        let said = call(&script, Some("https://example.com/keys?a=1&b=2"));
        assert!(said.contains("<prosody rate=\"80%\">For yes"), "{said}");
        assert!(said.starts_with("<Response><Gather numDigits=\"1\""), "{said}");
        assert!(said.contains("action=\"https://example.com/keys?a=1&amp;b=2\""), "{said}");
        assert!(said.ends_with("</Say></Gather></Response>"), "{said}");
    }
}
