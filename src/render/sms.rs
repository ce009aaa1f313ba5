//! Text messages on the wire: which encoding, how many parts, and the characters that would
//! make a short text long (GSM 03.38, 3GPP TS 23.038).

use icu::segmenter::GraphemeClusterSegmenter;

use crate::domain::Message;
use crate::domain::message::{Counted, Encoding, SmsText};

use super::Company;
use super::locale::Setting;
use super::message::RenderError;
use super::presentation::{Frame, Presentation};

/// The characters of the GSM 7-bit default alphabet, one septet each.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The characters of its extension table, two septets each.
const GSM_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How many septets each character of ASCII takes; 0 where the alphabet does not have it.
const ASCII: [u8; 128] = {
    let mut widths = [0; 128];
    let mut septets = 1;
    while septets <= 2 {
        let letters = if septets == 1 { GSM.as_bytes() } else { GSM_EXTENSION.as_bytes() };
        let mut n = 0;
        while n < letters.len() {
            // What is no ASCII has no byte below 128 in UTF-8.
            if letters[n] < 128 {
                widths[letters[n] as usize] = septets;
            }
            n += 1;
        }
        septets += 1;
    }
    widths
};

fn septets(c: char) -> Option<u32> {
    if let Some(width) = ASCII.get(c as usize) {
        return Some(u32::from(*width)).filter(|width| *width > 0);
    }
    if GSM.contains(c) {
        Some(1)
    } else if GSM_EXTENSION.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// Counts the parts of a text. An escape pair is never split, nor a surrogate pair, nor what
/// is read as one character (UAX 29): so Twilio's program of the same purpose counts.
#[must_use]
pub fn count(text: &str) -> Counted {
    let forced_by = text.chars().find(|c| septets(*c).is_none());
    let (encoding, single, several) = match forced_by {
        None => (Encoding::Gsm7, 160, 153),
        Some(_) => (Encoding::Ucs2, 70, 67),
    };
    let width = |c: char| match encoding {
        Encoding::Gsm7 => septets(c).unwrap_or(1),
        Encoding::Ucs2 => u32::try_from(c.len_utf16()).expect("1 or 2"),
    };
    let whole: u32 = text.chars().map(width).sum();
    if whole <= single {
        return Counted { encoding, parts: 1, forced_by };
    }
    let (mut parts, mut filled) = (1, 0);
    let mut add = |width: u32| {
        if filled + width > several {
            parts += 1;
            filled = 0;
        }
        filled += width;
    };
    match encoding {
        Encoding::Gsm7 => text.chars().map(width).for_each(add),
        Encoding::Ucs2 => {
            let ends = GraphemeClusterSegmenter::new().segment_str(text);
            let ends: Vec<usize> = ends.collect();
            for cluster in ends.windows(2).map(|ends| &text[ends[0]..ends[1]]) {
                let whole: u32 = cluster.chars().map(width).sum();
                if whole <= several {
                    add(whole);
                } else {
                    // Longer than a part: there is no other way.
                    cluster.chars().map(width).for_each(&mut add);
                }
            }
        }
    }
    Counted { encoding, parts, forced_by }
}

/// Replaces what formatting brings in and a text message can do without: typographic
/// quotes and dashes, wide and narrow spaces, invisible marks. Letters are left alone.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{200a}' | '\u{202f}' | '\u{205f}'
            | '\u{3000}' => {
                out.push(' ');
            }
            // What nobody sees: joiners, directions, tags, and where a line may break.
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{e0000}'..='\u{e007f}'
            | '\u{180e}'
            | '\u{feff}'
            | '\u{ad}' => {}
            '‘' | '’' | '‚' | '‛' | '′' => out.push('\''),
            '“' | '”' | '„' | '‟' | '″' | '«' | '»' => out.push('"'),
            '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '•' | '·' => out.push('-'),
            '…' => out.push_str("..."),
            '￥' => out.push('¥'),
            '\t' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// Letters without the accents that GSM 03.38 does not have: `ê` → `e`, `ç` → `c`, `œ` → `oe`.
/// Other scripts are left as they are.
fn unaccented(text: &str) -> String {
    let normalizer = icu::normalizer::DecomposingNormalizerBorrowed::new_nfd();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'œ' => out.push_str("oe"),
            'Œ' => out.push_str("OE"),
            c if GSM.contains(c) || GSM_EXTENSION.contains(c) => out.push(c),
            c => {
                let letters = normalizer.normalize_iter(std::iter::once(c));
                out.extend(letters.filter(|c| !('\u{300}'..='\u{36f}').contains(c)));
            }
        }
    }
    out
}

impl Presentation {
    /// Lays a message out as a text. Over the budget of parts, why it comes this way and
    /// what a call back takes are left out, then the facts, then what comes next, then what rides along is counted instead
    /// of named.
    ///
    /// # Errors
    /// When a layout uses what is not there.
    pub fn sms(
        &self,
        frame: &Frame<'_>,
        setting: impl Fn() -> Setting,
    ) -> Result<SmsText, RenderError> {
        let whole = frame.message.clone();
        let without_facts = Message { facts: None, ..whole.clone() };
        let without_next = Message { next: String::new(), ..without_facts.clone() };
        let said = frame.company;
        let briefly = Company { first: None, ..said };
        // What rides along is at least counted; the link leads to all of it.
        let subjects = |count: usize| Company { words: &said.words[..count], ..briefly };
        let fewer = (0..said.words.len()).rev().map(|count| (&without_next, subjects(count), None));
        let tries = [
            (&whole, said, frame.wait_min),
            (&whole, briefly, frame.wait_min),
            (&whole, said, None),
            (&whole, briefly, None),
            (&without_facts, briefly, None),
            (&without_next, briefly, None),
        ];
        let mut shortest = None;
        let mut tried = Vec::new();
        for attempt in tries.into_iter().chain(fewer) {
            // Where there is nothing to leave out, the text is the same again.
            if tried.contains(&attempt) {
                continue;
            }
            tried.push(attempt);
            let (message, company, wait_min) = attempt;
            let left_out = said.words.len() - company.words.len();
            let frame = Frame { message, company, left_out, wait_min, ..frame.clone() };
            let text = self.render("sms.txt", self.context(&frame, setting()))?;
            let text = safe(&text.split_whitespace().collect::<Vec<_>>().join(" "));
            let counted = count(&text);
            // One "ê" halves what a part holds; better no circumflex than no whole message.
            let (text, counted) = if counted.parts > self.max_parts {
                let bare = unaccented(&text);
                let counted = count(&bare);
                (bare, counted)
            } else {
                (text, counted)
            };
            let fits = counted.parts <= self.max_parts;
            shortest = Some(SmsText { text, counted });
            if fits {
                break;
            }
        }
        let shortest = shortest.expect("at least one was made");
        if shortest.counted.parts > self.most_parts {
            let (parts, most) = (shortest.counted.parts, self.most_parts);
            return Err(RenderError::Faulty {
                name: "sms.txt".into(),
                detail: format!("the text takes {parts} parts, [limits] max_segments is {most}"),
            });
        }
        Ok(shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_counted_as_carriers_count_them() {
        // Checked against npm sms-segments-calculator 1.3.0.
        for (text, encoding, parts) in [
            ("a".repeat(160), Encoding::Gsm7, 1),
            ("a".repeat(161), Encoding::Gsm7, 2),
            ("a".repeat(306), Encoding::Gsm7, 2),
            ("a".repeat(307), Encoding::Gsm7, 3),
            (format!("{}€{}", "a".repeat(152), "b".repeat(152)), Encoding::Gsm7, 3),
            ("日".repeat(70), Encoding::Ucs2, 1),
            ("日".repeat(71), Encoding::Ucs2, 2),
            ("😀".repeat(35), Encoding::Ucs2, 1),
            (format!("{}😀{}", "日".repeat(66), "日".repeat(66)), Encoding::Ucs2, 3),
            (String::new(), Encoding::Gsm7, 1),
        ] {
            let counted = count(&text);
            assert_eq!((counted.encoding, counted.parts), (encoding, parts), "{text:.20}…");
        }
        assert_eq!(count("ça va").forced_by, Some('ç'));
        assert_eq!(count("Größe: 5 €").encoding, Encoding::Gsm7);
    }

    #[test]
    fn a_formatted_price_or_quotation_does_not_double_the_parts() {
        let text = "Refund: 49,90\u{a0}€ – “done”… it’s yours\u{200b}.";
        assert_eq!(safe(text), "Refund: 49,90 € - \"done\"... it's yours.");
        assert_eq!(count(&safe(text)).encoding, Encoding::Gsm7);
    }

    #[test]
    fn accents_that_gsm_lacks_go_before_words_do() {
        assert_eq!(unaccented("août, reçu, œuvre, était, ß, ñ"), "aout, recu, oeuvre, était, ß, ñ");
        assert_eq!(unaccented("日本"), "日本");
    }

    proptest! {
        #[test]
        fn a_longer_text_never_has_fewer_parts_and_safe_text_stays_safe(text in "\\PC{0,400}") {
            let counted = count(&text);
            let longer = count(&format!("{text}{text}"));
            prop_assert!(longer.parts >= counted.parts);
            prop_assert_eq!(safe(&safe(&text)), safe(&text));
            let limit = match counted.encoding { Encoding::Gsm7 => 153, Encoding::Ucs2 => 67 };
            let units: u32 = text.chars().map(|c| u32::try_from(c.len_utf16()).expect("1 or 2")).sum();
            prop_assert!(counted.parts <= units * 2 / limit + 2);
        }
    }
}
