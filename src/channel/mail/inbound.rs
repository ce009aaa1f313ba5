//! What mail that comes back says: a bounce (RFC 3464), a complaint (RFC 5965), an automatic
//! answer (RFC 3834), or a person's reply. A pure reader of bytes that anybody may have sent:
//! it answers with what is written there and with what may lead back to a mail of ours, and
//! believes none of it.

mod report;
mod words;

use mailparse::{MailHeaderMap, ParsedMail};

use super::reply::Class;

/// The most of a mail that is looked at, in bytes.
pub const MAX_READ: usize = 1024 * 1024;

/// The most parts, blocks, ids and recipients that are looked at.
const MAX_MANY: usize = 50;

/// How deep parts may lie in one another.
const MAX_DEPTH: usize = 8;

/// What a mail to us turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// What became of a mail, per recipient.
    Report { traces: Traces, recipients: Vec<Fate> },
    /// A recipient told their mailbox provider that they do not want this.
    Complaint { traces: Traces },
    /// A person answers.
    Reply { traces: Traces, from: String, id: String, text: String },
    /// Nothing follows from it, and nobody is answered.
    Nothing { why: &'static str },
}

/// What may lead back to one of our mails, in the order in which it is tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// What may be a token of an envelope sender of ours.
    pub tokens: Vec<String>,
    /// The original's Message-ID, or those a reply refers to, the nearest first.
    pub message_ids: Vec<String>,
    /// What may be the token of an unsubscribe link of ours.
    pub unsubscribe: Vec<String>,
}

/// What became of a mail to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    pub action: Action,
    /// As far as the report says.
    pub recipient: Option<String>,
    /// What the last server's reply means, of a failure.
    pub class: Class,
    /// The server's words, for people.
    pub detail: String,
}

/// RFC 3464 section 2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Failed,
    /// Still being tried: no failure.
    Delayed,
    Delivered,
    /// Handed to a system that reports no further, or to several addresses.
    Passed,
}

/// Reads a mail. `envelope_to` is the address it was delivered to, where the caller knows it.
#[must_use]
pub fn read(bytes: &[u8], envelope_to: Option<&str>) -> Inbound {
    let bytes = &bytes[..bytes.len().min(MAX_READ)];
    let Ok(mail) = mailparse::parse_mail(bytes) else {
        return Inbound::Nothing { why: "it cannot be read as a mail" };
    };
    let tokens = tokens_of(&mail, envelope_to);
    if mail.ctype.mimetype == "multipart/report" {
        return report::read(&mail, tokens);
    }
    if let Some(why) = automatic(&mail) {
        return Inbound::Nothing { why };
    }
    let message_ids = referred(&mail);
    if tokens.is_empty() && message_ids.is_empty() {
        return Inbound::Nothing { why: "it refers to no mail of ours" };
    }
    Inbound::Reply {
        traces: Traces { tokens, message_ids, unsubscribe: Vec::new() },
        from: address(&header(&mail, "From").unwrap_or_default()),
        id: header(&mail, "Message-ID").unwrap_or_default(),
        text: words::of(&mail),
    }
}

fn header(mail: &ParsedMail<'_>, name: &str) -> Option<String> {
    mail.headers.get_first_value(name)
}

/// Why a mail is taken for a program's: those are never answered, and say nothing of a case.
fn automatic(mail: &ParsedMail<'_>) -> Option<&'static str> {
    let lower = |name: &str| header(mail, name).map(|value| value.trim().to_lowercase());
    if lower("Auto-Submitted").is_some_and(|value| value != "no") {
        return Some("it says that a program wrote it");
    }
    if lower("Return-Path").is_some_and(|value| value == "<>") {
        return Some("it has no sender");
    }
    let precedence = lower("Precedence").unwrap_or_default();
    if ["bulk", "junk", "list", "auto_reply"].contains(&precedence.as_str()) {
        return Some("it went to many, or a program wrote it");
    }
    let marks = ["X-Autoreply", "X-Autorespond", "X-Auto-Reply", "List-Id", "List-Unsubscribe"];
    if marks.iter().any(|name| header(mail, name).is_some()) {
        return Some("a program wrote it");
    }
    let from = address(&header(mail, "From").unwrap_or_default()).to_lowercase();
    let name = from.split('@').next().unwrap_or_default();
    ["mailer-daemon", "postmaster"].contains(&name).then_some("a mail server wrote it")
}

/// The first address in a header.
fn address(value: &str) -> String {
    let inner = value.rsplit_once('<').map_or(value, |(_, rest)| rest);
    let inner = inner.split('>').next().unwrap_or_default().trim();
    words::plain(inner, 320)
}

/// What stands between `+` and `@` in the addresses a mail was sent to: what some hops keep
/// there of an envelope sender of ours.
fn tokens_of(mail: &ParsedMail<'_>, envelope_to: Option<&str>) -> Vec<String> {
    let names = ["Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To"];
    let values = names.iter().flat_map(|name| mail.headers.get_all_values(name));
    let mut tokens = Vec::new();
    for value in envelope_to.map(str::to_owned).into_iter().chain(values) {
        tokens_in(&value, &mut tokens);
    }
    tokens
}

/// Adds what may be tokens in a text with addresses.
fn tokens_in(text: &str, tokens: &mut Vec<String>) {
    for after in text.split('+').skip(1) {
        let token = after.split('@').next().unwrap_or_default();
        let fits = (40..=60).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if fits && tokens.len() < MAX_MANY && !tokens.iter().any(|known| known == token) {
            tokens.push(token.to_owned());
        }
    }
}

/// The mails a reply refers to, the one it answers first (RFC 5322 section 3.6.4).
fn referred(mail: &ParsedMail<'_>) -> Vec<String> {
    let mut ids = ids_in(&header(mail, "In-Reply-To").unwrap_or_default());
    ids.extend(ids_in(&header(mail, "References").unwrap_or_default()).into_iter().rev());
    ids.truncate(MAX_MANY);
    ids
}

fn ids_in(value: &str) -> Vec<String> {
    let ids = value.split('<').skip(1).filter_map(|rest| rest.split_once('>'));
    ids.map(|(id, _)| id.trim().to_owned()).take(MAX_MANY).collect()
}

#[cfg(test)]
mod tests;
