//! What people say to a number of ours without being asked: STOP, START, HELP, STATUS and CALL
//! by text.

use crate::app::barrier;
use crate::app::texted::{self, Status};
use crate::app::times_by_text;
use crate::domain::Channel;
use crate::domain::customer::Address;
use crate::store::StoreError;
use crate::store::consent::{OwnWord, STOP, STOP_AT_CARRIER};

use super::Web;
use super::answers::{Words, word};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Stop,
    Start,
    Help,
    /// Where their matters stand.
    Status,
    /// A call back.
    Call,
}

/// The words as carriers know them (CTIA Messaging Principles 5.1.2), and the same in our other
/// languages.
const STOPS: [&str; 14] = [
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
    "opt-out",
    "opt out",
    "stopp",
    "abmelden",
    "arret",
    "arrêt",
];
/// What is a STOP whatever follows it: “stop please” leaves nothing to ask.
const STOPS_FIRST: [&str; 7] =
    ["stop", "stopall", "unsubscribe", "revoke", "stopp", "arret", "arrêt"];
const STARTS: [&str; 2] = ["start", "unstop"];
const HELPS: [&str; 4] = ["help", "info", "aide", "hilfe"];
const STATUSES: [&str; 3] = ["status", "stand", "statut"];
const CALLS: [&str; 5] = ["call", "call me", "anruf", "appel", "rappel"];

impl Wish {
    /// Reads a text that is nothing but one of the words, or begins with a STOP.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let said = text.trim().trim_end_matches(['.', '!', '?']).to_lowercase();
        [
            (Self::Stop, &STOPS[..]),
            (Self::Start, &STARTS),
            (Self::Help, &HELPS),
            (Self::Status, &STATUSES),
            (Self::Call, &CALLS),
        ]
        .into_iter()
        .find_map(|(wish, words)| words.contains(&said.as_str()).then_some(wish))
        .or_else(|| {
            let mut words = said.split(|c: char| !c.is_alphanumeric());
            let first = words.find(|word| !word.is_empty())?;
            STOPS_FIRST.contains(&first).then_some(Self::Stop)
        })
    }

    /// Reads `OptOutType`: the carrier's side understood the text, did as asked and answered
    /// (Twilio, "Advanced Opt-Out").
    #[must_use]
    pub fn at_carrier(kind: &str) -> Option<Self> {
        match kind {
            "STOP" => Some(Self::Stop),
            "START" => Some(Self::Start),
            "HELP" => Some(Self::Help),
            _ => None,
        }
    }
}

/// Follows a wish that came by text and answers what to say. Where the carrier's side has
/// answered we say nothing.
///
/// # Errors
/// `Unavailable` when it could not be kept; the provider tells us again.
pub async fn follow(
    web: &Web,
    from: &Address,
    wish: Wish,
    by_carrier: bool,
    words: &Words,
) -> Result<Option<String>, StoreError> {
    let engine = &web.app.engine;
    let said = match wish {
        Wish::Stop => {
            let source = if by_carrier { STOP_AT_CARRIER } else { STOP };
            let why = OwnWord { reason: "the customer replied STOP", source };
            let pending = barrier::stop(&web.app, Channel::Sms, from, why, !by_carrier).await?;
            confirmed(words, "stopped", pending)
        }
        // Somebody else's number: nothing of ours was stopped there.
        Wish::Start if engine.store.owners_of(Channel::Sms, from).await?.is_empty() => {
            return Ok(None);
        }
        Wish::Start => {
            engine.store.lift_suppression(Channel::Sms, from, STOP, engine.clock.now()).await?;
            engine.wake.notify_one();
            word(words, "started")
        }
        Wish::Help => help(web, words),
        Wish::Status => status(web, from, words).await?,
        Wish::Call => match call(web, from, words).await? {
            Some(said) => said,
            None => return Ok(None),
        },
    };
    Ok((!by_carrier).then_some(said))
}

fn confirmed(words: &Words, key: &str, pending: bool) -> String {
    let said = word(words, key);
    if pending { format!("{said} {}", word(words, "pending")) } else { said }
}

/// Times for a call; whom we do not know is told so once an hour.
async fn call(web: &Web, from: &Address, words: &Words) -> Result<Option<String>, StoreError> {
    let (app, now) = (&web.app, web.app.engine.clock.now());
    if let Some(said) = times_by_text::call(app, from, words, now).await? {
        return Ok(Some(said));
    }
    if !app.engine.store.may_answer(from, now).await? {
        return Ok(None);
    }
    let said = word(words, "call_unknown");
    let phone = app.settings.sender.phone.as_deref();
    let us = phone.map(|phone| format!(" {} {phone}", word(words, "call_us")));
    Ok(Some(format!("{said}{}", us.unwrap_or_default())))
}

/// How many matters are open and, unless the customer asked for discretion, where each stands.
async fn status(web: &Web, from: &Address, words: &Words) -> Result<String, StoreError> {
    let app = &web.app;
    let pages = format!("{}/centre/sign-in", app.engine.behaviour.public_url);
    let said = match texted::status(app, from, app.engine.clock.now()).await? {
        Status::Unknown => format!("{} {pages}", word(words, "status_unknown")),
        Status::Open { count: 0, .. } => word(words, "status_none"),
        Status::Open { count, named } => {
            let mut said = vec![format!("{} {count}.", word(words, "status_open"))];
            said.extend(named.iter().map(|line| format!("{line}.")));
            said.push(pages);
            said.join(" ")
        }
    };
    Ok(crate::app::centre::letters::plain(&said))
}

/// Who we are, how to stop, where the choices are, how to reach a person.
fn help(web: &Web, words: &Words) -> String {
    let app = &web.app;
    let mut said = format!(
        "{}: {} {} {} {}/centre/sign-in",
        app.settings.sender.name,
        word(words, "help"),
        word(words, "help_stop"),
        word(words, "help_pages"),
        app.engine.behaviour.public_url,
    );
    if let Some(phone) = &app.settings.sender.phone {
        said = format!("{said} {} {phone}", word(words, "call_us"));
    }
    crate::app::centre::letters::plain(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_nothing_but_the_word_is_one_and_a_stop_whatever_follows() {
        for (text, wish) in [
            (" Stop. ", Some(Wish::Stop)),
            ("ARRÊT", Some(Wish::Stop)),
            ("unstop", Some(Wish::Start)),
            ("Hilfe!", Some(Wish::Help)),
            ("aide", Some(Wish::Help)),
            ("HELP?", Some(Wish::Help)),
            ("Status", Some(Wish::Status)),
            ("call me", Some(Wish::Call)),
            ("what is the status", None),
            ("please stop", None),
            ("stop it", Some(Wish::Stop)),
            ("REVOKE", Some(Wish::Stop)),
            ("Opt out", Some(Wish::Stop)),
            ("Stop, please", Some(Wish::Stop)),
            ("stopping by tomorrow", None),
            ("", None),
        ] {
            assert_eq!(Wish::read(text), wish, "{text}");
        }
    }
}
