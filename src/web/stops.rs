//! What people say to a number of ours without being asked: STOP, START and HELP by text,
//! key 9 during a call.

use axum::response::Response;

use crate::app::Seam;
use crate::domain::Channel;
use crate::domain::customer::Address;
use crate::store::StoreError;
use crate::store::consent::{OwnWord, STOP, STOP_AT_CARRIER};

use super::answers::{Words, message, twiml, word};
use super::{Web, barrier};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Stop,
    Start,
    Help,
}

/// The words as carriers know them (CTIA Messaging Principles 5.1.2), and the same in our other
/// languages.
const STOPS: [&str; 9] =
    ["stop", "stopall", "unsubscribe", "cancel", "end", "quit", "stopp", "arret", "arrêt"];
const STARTS: [&str; 2] = ["start", "unstop"];
const HELPS: [&str; 4] = ["help", "info", "aide", "hilfe"];

impl Wish {
    /// Reads a text that is nothing but one of the words.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let said = text.trim().trim_end_matches(['.', '!', '?']).to_lowercase();
        [(Self::Stop, &STOPS[..]), (Self::Start, &STARTS), (Self::Help, &HELPS)]
            .into_iter()
            .find_map(|(wish, words)| words.contains(&said.as_str()).then_some(wish))
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

/// Follows a wish that came by text. Where the carrier's side has answered we say nothing.
///
/// # Errors
/// `Unavailable` when it could not be kept; the provider tells us again.
pub async fn follow(
    web: &Web,
    from: &Address,
    wish: Wish,
    by_carrier: bool,
    words: &Words,
) -> Result<Response, StoreError> {
    let engine = &web.app.engine;
    let said = match wish {
        Wish::Stop => {
            let source = if by_carrier { STOP_AT_CARRIER } else { STOP };
            let why = OwnWord { reason: "the customer replied STOP", source };
            let pending = stop(web, Channel::Sms, from, why, !by_carrier).await?;
            confirmed(words, "stopped", pending)
        }
        Wish::Start => {
            engine.store.lift_suppression(Channel::Sms, from, STOP, engine.clock.now()).await?;
            engine.wake.notify_one();
            word(words, "started")
        }
        Wish::Help => help(web, words),
    };
    Ok(if by_carrier { twiml("") } else { message(&said) })
}

/// Key 9: this number is called no more.
///
/// # Errors
/// `Unavailable` when it could not be kept.
pub async fn no_more_calls(
    web: &Web,
    number: &Address,
    words: &Words,
) -> Result<String, StoreError> {
    let why = OwnWord { reason: "the customer pressed 9", source: STOP };
    let pending = stop(web, Channel::Voice, number, why, true).await?;
    Ok(confirmed(words, "stopped_calls", pending))
}

/// Stops an address. With `wait` it returns when nothing new can start; was anything on the
/// wire?
async fn stop(
    web: &Web,
    channel: Channel,
    address: &Address,
    why: OwnWord,
    wait: bool,
) -> Result<bool, StoreError> {
    let engine = &web.app.engine;
    engine.seams.pass(Seam::OptoutBeforeCommit).await;
    let now = engine.clock.now();
    engine.store.suppress(channel, address, why.reason, why.source, now).await?;
    engine.seams.pass(Seam::AfterOptoutCommit).await;
    engine.wake.notify_one();
    Ok(wait && barrier::settled_at(web, channel, address).await)
}

fn confirmed(words: &Words, key: &str, pending: bool) -> String {
    let said = word(words, key);
    if pending { format!("{said} {}", word(words, "pending")) } else { said }
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
    fn only_a_text_that_is_nothing_but_the_word_is_one() {
        for (text, wish) in [
            (" Stop. ", Some(Wish::Stop)),
            ("ARRÊT", Some(Wish::Stop)),
            ("unstop", Some(Wish::Start)),
            ("Hilfe!", Some(Wish::Help)),
            ("aide", Some(Wish::Help)),
            ("HELP?", Some(Wish::Help)),
            ("please stop", None),
            ("stop it", None),
            ("", None),
        ] {
            assert_eq!(Wish::read(text), wish, "{text}");
        }
    }
}
