//! Times for a call, by text: CALL is noted at once and answered with the next times there are,
//! each with a digit; a digit moves the call there.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::app::App;
use crate::app::answers::as_text;
use crate::app::centre::{Person, calls, person};
use crate::app::texted::customer_of;
use crate::domain::Channel;
use crate::domain::call::Slot;
use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::render::locale::Setting;
use crate::store::call_offers::CallOffer;
use crate::store::{Result, StoreError};

/// Windows that are named in one text.
const MAX_WINDOWS: usize = 3;

/// Parts that a text with times may have; windows are left out for it.
const MAX_PARTS: u32 = 2;

/// How long a digit chooses.
const OFFER_LASTS: TimeDelta = TimeDelta::hours(1);

/// What came of a digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// Nothing was offered to this number, or something else was asked of it since.
    Nothing,
    /// It is none of those offered, and the number had its answer of this hour.
    Unheard,
    Said(String),
}

/// The frame's words in one language.
type Words = BTreeMap<String, String>;

fn word<'a>(words: &'a Words, key: &str) -> &'a str {
    words.get(key).map_or("", String::as_str)
}

/// Asks for a call to whoever has this number, and offers times for it. `None` where we do not
/// know them.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn call(
    app: &Arc<App>,
    from: &Address,
    words: &Words,
    now: Instant,
) -> Result<Option<String>> {
    let Some(id) = customer_of(app, from, now).await? else { return Ok(None) };
    let person = person(app, &id, now).await?;
    // Who answers nothing is called all the same.
    if app.engine.store.open_callback(&id).await?.is_none() {
        calls::ask(app, &person, "soon", now).await?;
    }
    offer(app, &person, from, (words, "call_noted"), now).await.map(Some)
}

/// Takes a digit that answers an offer.
///
/// # Errors
/// `Unavailable` when it could not be kept; the provider tells us again.
pub async fn choose(
    app: &App,
    from: &Address,
    text: &str,
    words: &Words,
    now: Instant,
) -> Result<Chosen> {
    let store = &app.engine.store;
    let digit = text.trim().trim_end_matches(['.', '!', ')']).parse::<usize>();
    let Ok(digit) = digit else { return Ok(Chosen::Nothing) };
    let Some(offer_made) = store.call_offer(from, now).await? else { return Ok(Chosen::Nothing) };
    if asked_since(app, from, offer_made.made_at).await? {
        return Ok(Chosen::Nothing);
    }
    let id = &offer_made.customer;
    // The number may have become somebody else's.
    if customer_of(app, from, now).await?.as_ref() != Some(id) {
        return Ok(Chosen::Nothing);
    }
    let person = person(app, id, now).await?;
    let Some(slot) = digit.checked_sub(1).and_then(|n| offer_made.slots.get(n)).copied() else {
        if !store.may_answer(from, now).await? {
            return Ok(Chosen::Unheard);
        }
        let said = offer(app, &person, from, (words, "voice_unclear"), now).await?;
        return Ok(Chosen::Said(said));
    };
    let free = calls::free_windows(app, now).await?;
    let is_free = slot.from().is_none_or(|from| free.contains(&from));
    let booked = if is_free {
        calls::book(app, id, None, slot, "they chose this time by text", now).await
    } else {
        Err(StoreError::Refused("this time is over or taken".into()))
    };
    match booked {
        Ok(()) => {
            store.end_call_offer(from).await?;
            let when = named(app, &person, words, slot);
            Ok(Chosen::Said(word(words, "voice_booked").replace("{when}", &when)))
        }
        Err(StoreError::Refused(_)) => {
            let said = offer(app, &person, from, (words, "voice_slot_gone"), now).await?;
            Ok(Chosen::Said(said))
        }
        Err(error) => Err(error),
    }
}

/// Was this number told something by text after the offer? Then a digit may be its answer.
async fn asked_since(app: &App, from: &Address, made_at: Instant) -> Result<bool> {
    let store = &app.engine.store;
    let Some(last) = store.told_at(Channel::Sms, from, 1).await?.into_iter().next() else {
        return Ok(false);
    };
    let told = store.notification(&last.id).await?.notification.told_at_ms;
    Ok(told.is_some_and(|told_ms| told_ms > made_at.timestamp_millis()))
}

/// Names the next times after a word, and keeps which digit is which. Where there are none, the
/// word alone.
async fn offer(
    app: &App,
    person: &Person,
    from: &Address,
    (words, first): (&Words, &str),
    now: Instant,
) -> Result<String> {
    let mut windows = calls::offered_windows(app, now).await?;
    windows.truncate(MAX_WINDOWS);
    let soon = calls::is_open(app, now).then_some(Slot::Soon);
    loop {
        let at = |window: &Instant| Slot::At(window.timestamp_millis());
        let slots: Vec<Slot> = windows.iter().map(at).chain(soon).collect();
        let said = said(app, person, (words, first), &slots);
        if windows.is_empty() {
            return Ok(word(words, first).to_owned());
        }
        if as_text(&said).counted.parts > MAX_PARTS {
            windows.pop();
            continue;
        }
        let offer = CallOffer { customer: person.customer.id.clone(), slots, made_at: now };
        app.engine.store.offer_calls(from, &offer, now + OFFER_LASTS).await?;
        return Ok(said);
    }
}

fn said(app: &App, person: &Person, (words, first): (&Words, &str), slots: &[Slot]) -> String {
    let line =
        |(n, slot): (usize, &Slot)| format!("{} = {}", n + 1, named(app, person, words, *slot));
    let lines: Vec<String> = slots.iter().enumerate().map(line).collect();
    let said =
        format!("{} {} {}.", word(words, first), word(words, "call_times"), lines.join(", "));
    as_text(&said).text
}

/// A time on the customer's clock.
fn named(app: &App, person: &Person, words: &Words, slot: Slot) -> String {
    let language = app.engine.live.load().messages.languages().get(&person.reader.locale);
    let setting = Setting { language, zone: person.reader.zone.clone() };
    slot.from().map_or_else(|| word(words, "voice_soon").to_owned(), |at| setting.datetime(at))
}
