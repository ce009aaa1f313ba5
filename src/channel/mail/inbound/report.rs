//! Reports of mail servers and mailbox providers: `multipart/report` (RFC 6522) with what became
//! of a mail (RFC 3464), or with a complaint about it (RFC 5965).

use mailparse::{MailHeader, MailHeaderMap, ParsedMail};

use super::super::reply::{self, Class};
use super::{Action, Fate, Inbound, MAX_DEPTH, MAX_MANY, Traces, ids_in, tokens_in, words};

/// The longest a server's words are kept, in characters.
const MAX_DETAIL: usize = 500;

pub(super) fn read(mail: &ParsedMail<'_>, tokens: Vec<String>) -> Inbound {
    let mut parts = Vec::new();
    flatten(mail, 0, &mut parts);
    let mut traces = Traces { tokens, ..Traces::default() };
    for part in &parts {
        about_the_original(part, &mut traces);
    }
    let of_kind = |kind: &str| parts.iter().find(|part| part.ctype.mimetype == kind);
    if let Some(part) = of_kind("message/delivery-status") {
        return Inbound::Report { recipients: fates(part, &mut traces), traces };
    }
    if let Some(part) = of_kind("message/feedback-report") {
        return complaint(part, traces);
    }
    Inbound::Nothing { why: "it reports neither a delivery nor a complaint" }
}

/// The parts of a mail, however they lie in one another.
fn flatten<'a, 'b>(mail: &'a ParsedMail<'b>, depth: usize, parts: &mut Vec<&'a ParsedMail<'b>>) {
    if depth > MAX_DEPTH || parts.len() >= MAX_MANY {
        return;
    }
    parts.push(mail);
    for part in &mail.subparts {
        flatten(part, depth + 1, parts);
    }
}

/// What the original, or its headers, say of which mail it was.
fn about_the_original(part: &ParsedMail<'_>, traces: &mut Traces) {
    let is_headers = part.ctype.mimetype == "text/rfc822-headers";
    if part.ctype.mimetype != "message/rfc822" && !is_headers {
        return;
    }
    let Ok(body) = part.get_body_raw() else { return };
    let Ok((headers, _)) = mailparse::parse_headers(&body) else { return };
    let value = |name: &str| headers.get_first_value(name).unwrap_or_default();
    traces.message_ids.extend(ids_in(&value("Message-ID")));
    traces.message_ids.truncate(MAX_MANY);
    tokens_in(&value("Return-Path"), &mut traces.tokens);
    for link in value("List-Unsubscribe").split(['<', '>', ',']).take(MAX_MANY) {
        if let Some((_, token)) = link.rsplit_once("/u/") {
            traces.unsubscribe.push(token.trim().to_owned());
        }
    }
}

/// The blocks of a report, each with its fields: one about the message, then one for each
/// recipient (RFC 3464 section 2.1).
fn fates(part: &ParsedMail<'_>, traces: &mut Traces) -> Vec<Fate> {
    let Ok(body) = part.get_body_raw() else { return Vec::new() };
    let mut fates = Vec::new();
    let mut rest = body.as_slice();
    for _ in 0..MAX_MANY {
        let Ok((fields, used)) = mailparse::parse_headers(rest) else { break };
        if let Some(id) = fields.get_first_value("Original-Envelope-Id") {
            // Ours is the token alone; a relay may put something before it.
            tokens_in(&format!("+{id}@"), &mut traces.tokens);
        }
        fates.extend(fate(&fields));
        rest = rest.get(used..).unwrap_or_default();
        if used == 0 || rest.is_empty() {
            break;
        }
    }
    fates
}

fn fate(fields: &[MailHeader<'_>]) -> Option<Fate> {
    let action = match fields.get_first_value("Action")?.trim().to_lowercase().as_str() {
        "failed" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" => Action::Delivered,
        "relayed" | "expanded" => Action::Passed,
        _ => return None,
    };
    // `rfc822; ada@example.com` (section 2.1.2): what follows the type.
    let typed = |name: &str| {
        let value = fields.get_first_value(name)?;
        let value = value.split_once(';').map_or(value.as_str(), |(_, value)| value);
        Some(words::plain(value.trim().trim_matches(['<', '>']), 320))
    };
    let status = fields.get_first_value("Status").unwrap_or_default();
    let status = status.split_whitespace().next().unwrap_or_default().to_owned();
    let said = typed("Diagnostic-Code").unwrap_or_default();
    Some(Fate {
        action,
        recipient: typed("Original-Recipient").or_else(|| typed("Final-Recipient")),
        class: class(&status, &said),
        detail: words::plain(format!("{status} {said}").trim(), MAX_DETAIL),
    })
}

/// What a status and the words of the last server mean. The code of its reply stands first in
/// them, where it was a reply; a status that says no more than its class gives way to the
/// reply's own.
fn class(status: &str, said: &str) -> Class {
    let code = said.split(|c: char| !c.is_ascii_digit()).find_map(|word| {
        let code: u16 = word.parse().ok()?;
        (word.len() == 3 && (400..600).contains(&code)).then_some(code)
    });
    let permanent = !status.starts_with('4');
    let code = code.unwrap_or(if permanent { 550 } else { 450 });
    let said_itself = reply::enhanced_code(code, after_code(said, code));
    let says_much = status.split('.').nth(1).is_some_and(|part| part != "0");
    let enhanced = if says_much { Some(status.to_owned()) } else { said_itself };
    let enhanced = enhanced.or_else(|| (!status.is_empty()).then(|| status.to_owned()));
    reply::class_of(code, enhanced.as_deref())
}

fn after_code(said: &str, code: u16) -> &str {
    said.split_once(&code.to_string()).map_or(said, |(_, rest)| rest)
}

/// Abuse, and words of that kind, say that the mail is not wanted. A virus found, or a mail
/// taken out of the junk folder, says nothing of that.
fn complaint(part: &ParsedMail<'_>, mut traces: Traces) -> Inbound {
    let body = part.get_body_raw().unwrap_or_default();
    let Ok((fields, _)) = mailparse::parse_headers(&body) else {
        return Inbound::Nothing { why: "the complaint cannot be read" };
    };
    tokens_in(
        &fields.get_first_value("Original-Mail-From").unwrap_or_default(),
        &mut traces.tokens,
    );
    let kind = fields.get_first_value("Feedback-Type").unwrap_or_default();
    match kind.trim().to_lowercase().as_str() {
        "abuse" | "fraud" | "opt-out" => Inbound::Complaint { traces },
        "not-spam" => Inbound::Nothing { why: "somebody says that it is wanted" },
        _ => Inbound::Nothing { why: "it is no complaint about mail that is not wanted" },
    }
}
