//! Short letters that the pages cause: a code, a sign-in link, a receipt for a risky change.
//! They belong to no case. Each is noted before it leaves, and leaves in a task of its own,
//! so that no answer of a page tells by its time whether one did.

use std::sync::Arc;

use chrono::TimeDelta;
use minijinja::context;

use crate::app::pages::Reader;
use crate::channel::{HandOverWindow, MailParts, Outgoing};
use crate::domain::customer::Address;
use crate::domain::message::{EmailText, Script, Shaped, SmsText};
use crate::domain::time::Instant;
use crate::domain::token::Grant;
use crate::domain::{CaseId, Channel, CustomerId, NotificationId};
use crate::render::sms::{count, safe};

use super::{App, Person, person};

/// How long a sign-in link works, in minutes.
const SIGN_IN_MINUTES: i64 = 15;

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// Six digits to be entered on the page.
    Code(String),
    /// A link that signs in once.
    SignIn(String),
    /// The word of a receipt, and the masked address it is about.
    Receipt(&'static str, String),
    /// The word about a promised call, and when it is: RFC 3339, without a beginning for as
    /// soon as possible.
    Call { word: &'static str, when: Option<(Option<String>, String)> },
}

impl Letter {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Code(_) => "code",
            Self::SignIn(_) => "sign_in",
            Self::Receipt(..) => "receipt",
            Self::Call { .. } => "call",
        }
    }
}

/// Sends a letter to an address, in the language of its reader.
pub fn send(
    app: &Arc<App>,
    (id, name, reader): (&CustomerId, &str, &Reader),
    (channel, address): (Channel, &Address),
    letter: &Letter,
    now: Instant,
) {
    let shaped = match shape(app, reader, channel, letter) {
        Ok(shaped) => shaped,
        Err(why) => {
            tracing::error!(%why, "a letter of the centre could not be written");
            return;
        }
    };
    dispatch(app, (id, name), (channel, address), (shaped, letter.kind()), now);
}

/// Sends a message in writing that its customer heard on the phone and asked for, to the first
/// address that may be used.
pub(in crate::app) fn copy(
    app: &Arc<App>,
    person: &Person,
    channel: Channel,
    shaped: Shaped,
    now: Instant,
) {
    let Some(point) = person.usable(channel).next() else { return };
    let whom = (&person.customer.id, person.customer.profile.name.as_str());
    dispatch(app, whom, (channel, &point.address), (shaped, "copy"), now);
}

fn dispatch(
    app: &Arc<App>,
    (id, name): (&CustomerId, &str),
    (channel, address): (Channel, &Address),
    (shaped, kind): (Shaped, &'static str),
    now: Instant,
) {
    let live = app.engine.live.load();
    let caps = live.rules.caps.get(channel).as_ref();
    if caps.is_some_and(|caps| caps.open(address, &live.rules.countries).is_err()) {
        tracing::warn!(kind, %channel, "a letter of the centre goes to no such country");
        return;
    }
    let outgoing = outgoing(app, (id, name), (channel, address), shaped, now);
    let Some(gateway) = app.engine.letter_gateway(channel, outgoing.notification, now) else {
        return;
    };
    let kept = if app.engine.behaviour.shadow { ", kept back in shadow mode" } else { "" };
    let note = format!("{kind} by {channel} to {address}{kept}");
    let (app, id) = (Arc::clone(app), id.clone());
    // Held until the letter has left, so that a process that stops waits for it.
    let busy = app.engine.activity.begin();
    tokio::spawn(async move {
        let engine = &app.engine;
        if let Err(error) = engine.store.note_action(&id, "letter", &note, now).await {
            tracing::warn!(%error, "a letter of the centre was not noted, and not sent");
            return;
        }
        let window = HandOverWindow::open(engine.behaviour.hand_over_window);
        if let Err(error) = gateway.provider.send(&outgoing, window).await {
            tracing::warn!(%error, "a letter of the centre did not leave");
            let _ = engine.store.note_action(&id, "letter_failed", &note, now).await;
        }
        drop(busy);
    });
}

/// Tells a customer of a risky change, at the addresses given.
pub fn receipt(
    app: &Arc<App>,
    person: &Person,
    to: &[(Channel, Address)],
    word: &'static str,
    about: &str,
    now: Instant,
) {
    let Person { customer, reader } = person;
    let whom = (&customer.id, customer.profile.name.as_str(), reader);
    for (channel, address) in to {
        let letter = Letter::Receipt(word, about.to_owned());
        send(app, whom, (*channel, address), &letter, now);
    }
}

/// Sends a sign-in link to everyone whose verified address this is, and does nothing where it
/// is nobody's. The caller does not wait for it.
pub fn send_sign_in(app: &Arc<App>, channel: Channel, address: Address, now: Instant) {
    let app = Arc::clone(app);
    let busy = app.engine.activity.begin();
    tokio::spawn(async move {
        if let Err(error) = sign_in(&app, channel, &address, now).await {
            tracing::warn!(%error, "a sign-in link was not sent");
        }
        drop(busy);
    });
}

async fn sign_in(
    app: &Arc<App>,
    channel: Channel,
    address: &Address,
    now: Instant,
) -> crate::store::Result<()> {
    let engine = &app.engine;
    engine.store.forget_spent(now).await?;
    for id in engine.store.owners_of(channel, address).await? {
        let person = person(app, &id, now).await?;
        let usable = person.usable(channel).any(|point| point.address == *address);
        if !usable || !engine.store.begin_code(&id, "sign_in", (channel, address), now).await? {
            continue;
        }
        let until = now + TimeDelta::minutes(SIGN_IN_MINUTES);
        let sent_ms = now.timestamp_millis();
        let grant = Grant::SignIn { customer: id.clone(), sent_ms, until_s: until.timestamp() };
        let link = format!("{}/c/{}", engine.behaviour.public_url, engine.keys.token(&grant));
        let whom = (&id, person.customer.profile.name.as_str(), &person.reader);
        send(app, whom, (channel, address), &Letter::SignIn(link), now);
    }
    Ok(())
}

/// A text as it goes over the air: without the characters that would make it long.
#[must_use]
pub fn plain(text: &str) -> String {
    safe(text.trim())
}

fn shape(app: &App, reader: &Reader, channel: Channel, letter: &Letter) -> Result<Shaped, String> {
    let locale = &reader.locale;
    let word = |key: &str| app.pages.word(locale, key);
    let (from, to) = match letter {
        Letter::Call { when: Some((from, to)), .. } => (from.as_deref(), Some(to.as_str())),
        _ => (None, None),
    };
    let (title, line, code, link) = match letter {
        Letter::Code(digits) => {
            (word("letter_code"), word("letter_code_line"), digits.as_str(), "")
        }
        Letter::SignIn(link) => {
            (word("letter_sign_in"), word("letter_sign_in_line"), "", link.as_str())
        }
        Letter::Receipt(key, about) => {
            (word("letter_receipt"), word(key).replace("{address}", about), "", "")
        }
        Letter::Call { word: key, .. } => (word("letter_call"), word(key), "", ""),
    };
    let spoken: Vec<String> = code.chars().map(String::from).collect();
    // Of what we did ourselves there is nothing to doubt.
    let was_it_you = !matches!(letter, Letter::Call { .. });
    let spoken = spoken.join(", ");
    let values =
        context! { title => title.as_str(), line, code, link, spoken, from, to, was_it_you };
    Ok(match channel {
        Channel::Email => Shaped::Email(EmailText {
            subject: title,
            html: app.pages.render("letter.html", reader, values.clone())?,
            text: app.pages.render("letter.txt", reader, values)?,
        }),
        Channel::Sms => {
            let text = plain(&app.pages.render("letter.sms.txt", reader, values)?);
            let counted = count(&text);
            Shaped::Sms(SmsText { text, counted })
        }
        Channel::Voice => {
            let text = app.pages.render("letter.voice.txt", reader, values)?;
            let paragraphs = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Shaped::Voice(Script {
                paragraphs: paragraphs.map(str::to_owned).collect(),
                locale: locale.clone(),
                slow: false,
                talk: None,
            })
        }
    })
}

fn outgoing(
    app: &App,
    (id, name): (&CustomerId, &str),
    (channel, address): (Channel, &Address),
    shaped: Shaped,
    now: Instant,
) -> Outgoing {
    let engine = &app.engine;
    let domain = &engine.behaviour.mail_domain;
    let cause = format!("{id}/{channel}/{}/{}", address.compare_key(), shaped.hash());
    let gateway = engine.gateways.get(channel).first();
    let provider = gateway.map_or("none", |gateway| gateway.name.kind());
    let occurrence = u32::try_from(now.timestamp().rem_euclid(i64::from(u32::MAX))).unwrap_or(0);
    let notification = NotificationId::derive("centre", "letter", &cause, occurrence);
    let case = CaseId("centre".into());
    Outgoing {
        notification,
        no: 1,
        to: address.clone(),
        to_name: name.to_owned(),
        message_id: engine.keys.message_id(notification, domain),
        thread_id: engine.keys.thread_id(&case, id, domain),
        case,
        shaped,
        unsubscribe: None,
        topic: "centre".into(),
        receipt_url: format!(
            "{}/v1/receipts/{provider}?a={}",
            engine.behaviour.public_url,
            engine.keys.token(&Grant::Receipt { notification, no: 1 })
        ),
        call_url: None,
        at: now,
        mail: MailParts { notice: "letter".into(), ..MailParts::default() },
    }
}
