//! What a person wrote in a reply: its text, without what it quotes.

use mailparse::{DispositionType, ParsedMail};

use super::{MAX_DEPTH, MAX_MANY};

/// The longest text that is kept, in characters.
const MAX_TEXT: usize = 4_000;

/// The words of a reply: those of its first text part, or else of its HTML.
pub(super) fn of(mail: &ParsedMail<'_>) -> String {
    let text = first(mail, "text/plain", &mut 0, 0).map(|text| own_words(&text));
    let text = text.or_else(|| first(mail, "text/html", &mut 0, 0).map(|html| untagged(&html)));
    plain(text.unwrap_or_default().trim(), MAX_TEXT)
}

/// The first part of this type that is no attachment.
fn first(mail: &ParsedMail<'_>, kind: &str, seen: &mut usize, depth: usize) -> Option<String> {
    *seen += 1;
    if depth > MAX_DEPTH || *seen > MAX_MANY {
        return None;
    }
    if mail.get_content_disposition().disposition == DispositionType::Attachment {
        return None;
    }
    if mail.ctype.mimetype == kind {
        return mail.get_body().ok();
    }
    mail.subparts.iter().find_map(|part| first(part, kind, seen, depth + 1))
}

/// Up to the quoted mail: the first line of a block of `>` lines, with the line that introduces
/// it, or a line that mail programs put before it.
fn own_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let quoted = |n: usize| lines.get(n).is_some_and(|line| line.trim_start().starts_with('>'));
    let introduces = |line: &str| line.trim_end().ends_with(':') && line.contains('@');
    let end = (0..lines.len()).find(|&n| {
        let line = lines[n].trim();
        quoted(n)
            || (introduces(line) && (quoted(n + 1) || quoted(n + 2)))
            || line.starts_with("-----Original Message")
            || lines[n] == "-- "
    });
    let own = lines[..end.unwrap_or(lines.len())].join("\n");
    if own.trim().is_empty() { text.to_owned() } else { own }
}

/// HTML without its tags, its styles and its scripts.
fn untagged(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let Some((name, after)) = tag.split_once('>') else { return decoded(&text) };
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        rest = after;
        if name.starts_with("style") || name.starts_with("script") {
            rest = after.split_once("</").map_or("", |(_, rest)| rest);
            rest = rest.split_once('>').map_or("", |(_, rest)| rest);
        }
        let is_line = ["br", "p", "div", "li", "tr"].iter().any(|tag| name.starts_with(tag));
        text.push_str(if is_line { "\n" } else { " " });
    }
    text.push_str(rest);
    decoded(&text)
}

fn decoded(text: &str) -> String {
    let named = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    let text = named.iter().fold(text.to_owned(), |text, (name, sign)| text.replace(name, sign));
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Text without control characters but for line ends, at most `most` characters long.
pub(super) fn plain(text: &str, most: usize) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(most).collect()
}
