//! A text that somebody sent to a number of ours, whoever brought it: STOP, START and HELP, an
//! answer to a question, or words for nobody. One way for all providers; each only verifies and
//! maps (`receipts`).

use axum::http::StatusCode;

use crate::app::answers::{self, Standing};
use crate::app::texted;
use crate::channel::Gateway;
use crate::channel::receipt::{InboundText, with_plus};
use crate::config::Telephone;
use crate::domain::Channel;
use crate::domain::customer::Address;

use super::Web;
use super::answers::{locale_of, reply_to, word, words};
use super::error::Result;
use super::stops::{self, Wish};

/// Hears a text and does what it says. Answers what to reply, where anything is. What a provider
/// tells twice, or somebody who kept it tells again, is heard once.
///
/// # Errors
/// 503 when it could not be kept; the provider tells us again.
pub async fn hear(web: &Web, provider: &'static str, text: InboundText) -> Result<Option<String>> {
    let engine = &web.app.engine;
    let Ok(from) = Address::parse(Channel::Sms, &text.from) else { return Ok(None) };
    if engine.store.heard_before(provider, &text.id).await? {
        return Ok(None);
    }
    let reply = follow(web, &from, &text).await?;
    engine.store.note_heard(provider, &text.id, engine.clock.now()).await?;
    Ok(reply)
}

async fn follow(web: &Web, from: &Address, text: &InboundText) -> Result<Option<String>> {
    let now = web.app.engine.clock.now();
    let at_carrier = text.at_carrier.as_deref().and_then(Wish::at_carrier);
    if let Some(wish) = at_carrier.or_else(|| Wish::read(&text.text)) {
        let words = words(web, &locale_of(web, from).await?);
        return Ok(stops::follow(web, from, wish, at_carrier.is_some(), &words).await?);
    }
    // Two machines that answer each other are silent after one word each.
    let once = async || web.app.engine.store.may_answer(from, now).await;
    let id = if text.id.is_empty() { now.timestamp_millis().to_string() } else { text.id.clone() };
    if let Some(question) = answers::reply(&web.app, from, &text.text, now).await? {
        if question.standing == Standing::Open {
            texted::wrote(&web.app, from, &text.text, &id, now).await?;
        }
        let answered = question.standing != Standing::Open || once().await?;
        return Ok(answered.then(|| reply_to(web, &question)));
    }
    texted::wrote(&web.app, from, &text.text, &id, now).await?;
    if !once().await? {
        return Ok(None);
    }
    let words = words(web, &locale_of(web, from).await?);
    let phone = web.app.settings.sender.phone.as_deref();
    let call = phone.map(|phone| format!(" {} {phone}", word(&words, "call_us")));
    Ok(Some(format!("{}{}", word(&words, "no_question"), call.unwrap_or_default())))
}

/// The same for a provider that does not send back what its callback is answered: the reply goes
/// by its wire, once the callback is. A reply that cannot leave is not tried again.
///
/// # Errors
/// As [`hear`].
pub async fn answered_by_wire(
    web: &Web,
    provider: &'static str,
    text: Option<InboundText>,
) -> Result<StatusCode> {
    let Some(text) = text else { return Ok(StatusCode::NO_CONTENT) };
    let to = Address::parse(Channel::Sms, &text.from);
    let us = with_plus(&text.to);
    if let (Some(reply), Ok(to)) = (hear(web, provider, text).await?, to)
        && let Some(gateway) = by_which(web, provider, &us)
    {
        let sms = answers::as_text(&reply);
        tokio::spawn(async move {
            // What a provider says may hold the number.
            if gateway.provider.reply(&to, &sms).await.is_err() {
                tracing::warn!(provider, %to, "a text that came in was not answered");
            }
        });
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The provider that answers a text to one of our numbers: the account it belongs to, or else
/// the first of that kind.
fn by_which(web: &Web, provider: &str, us: &str) -> Option<Gateway> {
    let ours = |one: &Telephone| {
        std::iter::once(&one.from).chain(one.senders.values()).any(|from| with_plus(from) == us)
    };
    let gateways = web.app.engine.gateways.get(Channel::Sms);
    let place = web.app.settings.channels.sms.each().iter().position(ours);
    let of_kind = |gateway: &&Gateway| gateway.name.kind() == provider;
    let own = place.and_then(|place| gateways.get(place)).filter(of_kind);
    own.or_else(|| gateways.iter().find(of_kind)).cloned()
}
