//! Captured messages, read back: their words, and the link that answers.

use crate::domain::Channel;

/// The words of a captured message: the text part of a mail, or the file after its head.
pub fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let Some((head, body)) = text.split_once("\n\n") else { return text };
    if !head.contains("MIME-Version") {
        return body.trim().to_owned();
    }
    let part = body.split("\n--").next().unwrap_or(body);
    let part = part.split_once("\n\n").map_or(part, |(_, part)| part);
    unquote(part).trim().to_owned()
}

/// Quoted-printable, read back.
fn unquote(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'=').then(|| bytes.get(at + 1..at + 3)).flatten();
        match hex {
            Some([b'\n', ..]) => at += 2,
            Some(hex) => {
                let byte =
                    std::str::from_utf8(hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                out.extend(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a message says, in a line: the first sentence after who speaks to whom.
#[must_use]
pub fn gist(channel: Channel, text: &str) -> String {
    let mut paragraphs = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = match channel {
        // The greeting comes first.
        Channel::Email => paragraphs.nth(1).unwrap_or_default(),
        Channel::Sms => text.split_once(": ").map_or(text, |(_, said)| said),
        // A call says who calls and about which case before it says what.
        Channel::Voice => paragraphs.nth(2).unwrap_or_default(),
    };
    let ends_sentence = |end: &usize| {
        let before = told[..*end - 1].chars().last();
        let after = told[*end..].chars().next();
        after.is_none_or(|c| c == ' ') && !before.is_some_and(|c| c.is_ascii_digit())
    };
    let mut ends = told.match_indices(['.', '?']).map(|(at, mark)| at + mark.len());
    let end = ends.find(ends_sentence).unwrap_or(told.len());
    told[..end].to_owned()
}

/// The path of the link by which a message can be answered.
#[must_use]
pub fn answer_path(text: &str) -> Option<String> {
    let start = text.find("/a/v1.")?;
    let link = text[start..].split(['?', ' ', '\n']).next()?;
    Some(link.to_owned())
}
