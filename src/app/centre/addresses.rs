//! A customer's addresses: shown masked, added after six digits were read there, removed with
//! a word to the address that goes, opened again where nothing arrived. And the proof that the
//! visitor reads what we send.

use std::sync::Arc;

use serde::Serialize;

use crate::domain::customer::Address;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Channel, ContactPoint};
use crate::store::suppressions::Suppressed;
use crate::store::{Result, StoreError};

use super::letters::{Letter, receipt, send};
use super::{App, Person, act};

/// The most addresses a customer may have.
const MAX_ADDRESSES: usize = 20;

/// An address on the page.
#[derive(Debug, Clone, Serialize)]
pub struct AddressLine {
    /// What a form calls it, without saying what it is.
    pub key: String,
    pub channel: Channel,
    pub masked: String,
    pub verified: bool,
    pub suppressed: bool,
    /// RFC 3339, where nothing but a provider's word keeps it from being used: since when
    /// nothing arrives. Its owner may show that it does.
    pub undelivered_since: Option<String>,
    /// A code can be sent there to prove who is here.
    pub usable: bool,
}

/// How entering a code ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    Right(Channel, Address),
    Wrong,
    /// None was sent, or it is over, or too many tries were wrong.
    Over,
}

/// The customer's addresses.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn addresses(app: &App, person: &Person, now: Instant) -> Result<Vec<AddressLine>> {
    let closed = app.engine.store.suppressions_of(&person.customer.id, now).await?;
    let line = |point: &ContactPoint| AddressLine {
        key: key(app, point),
        channel: point.channel,
        masked: point.address.to_string(),
        verified: point.verified,
        suppressed: point.suppressed.is_some(),
        undelivered_since: undelivered_since(&closed, point).map(|at| at.to_rfc3339()),
        usable: person.usable(point.channel).any(|known| known.address == point.address),
    };
    Ok(person.customer.contact_points.iter().map(line).collect())
}

/// Since when nothing arrives at an address; `None` where it may be used, or somebody refused it.
fn undelivered_since(closed: &[Suppressed], point: &ContactPoint) -> Option<Instant> {
    let key = point.address.compare_key();
    let its = |row: &&Suppressed| row.channel == point.channel.as_str() && row.address == key;
    let rows: Vec<_> = closed.iter().filter(its).collect();
    let since = rows.iter().map(|row| row.since_ms).min().map(from_ms);
    since.filter(|_| rows.iter().all(|row| row.was_found()))
}

fn key(app: &App, point: &ContactPoint) -> String {
    app.engine.keys.fingerprint(&format!("{}/{}", point.channel, point.address.compare_key()))
}

fn find<'a>(app: &App, person: &'a Person, wanted: &str) -> Result<&'a ContactPoint> {
    let mut points = person.customer.contact_points.iter();
    let found = points.find(|point| key(app, point) == wanted);
    found.ok_or_else(|| StoreError::NotFound { what: "the address".into() })
}

/// Sends six digits to an address, for a purpose.
async fn send_code(
    app: &Arc<App>,
    person: &Person,
    purpose: &'static str,
    (channel, address): (Channel, &Address),
    now: Instant,
) -> Result<()> {
    let Person { customer, reader } = person;
    let engine = &app.engine;
    if !engine.store.begin_code(&customer.id, purpose, (channel, address), now).await? {
        return Err(StoreError::Refused("fault_too_many_codes".into()));
    }
    let sent_ms = now.timestamp_millis();
    let digits = engine.keys.digits(purpose, &customer.id, address.expose(), sent_ms);
    let whom = (&customer.id, customer.profile.name.as_str(), reader);
    send(app, whom, (channel, address), &Letter::Code(digits), now);
    Ok(())
}

/// Checks the digits entered for a purpose, and uses the code up when they are right.
async fn enter(
    app: &App,
    person: &Person,
    purpose: &'static str,
    entered: &str,
    now: Instant,
) -> Result<Entered> {
    let engine = &app.engine;
    let id = &person.customer.id;
    let Some(code) = engine.store.try_code(id, purpose, now).await? else {
        return Ok(Entered::Over);
    };
    let entered: String = entered.chars().filter(char::is_ascii_digit).collect();
    let digits = engine.keys.digits(purpose, id, code.address.expose(), code.sent_ms);
    let right = bool::from(subtle::ConstantTimeEq::ct_eq(digits.as_bytes(), entered.as_bytes()));
    if !right {
        return Ok(Entered::Wrong);
    }
    let first = engine.store.spend_code(code.seq).await?;
    Ok(if first { Entered::Right(code.channel, code.address) } else { Entered::Over })
}

/// Sends digits to one of the customer's own addresses, so that they prove who they are.
///
/// # Errors
/// `NotFound` when it is not theirs, `Refused` when it cannot be used or too many were sent.
pub async fn begin_proof(app: &Arc<App>, person: &Person, key: &str, now: Instant) -> Result<()> {
    let point = find(app, person, key)?;
    if !person.usable(point.channel).any(|known| known.address == point.address) {
        return Err(StoreError::Refused("fault_address_unusable".into()));
    }
    send_code(app, person, "prove", (point.channel, &point.address), now).await
}

/// Were these the digits?
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn finish_proof(
    app: &App,
    person: &Person,
    entered: &str,
    now: Instant,
) -> Result<Entered> {
    enter(app, person, "prove", entered, now).await
}

/// Is there a way for a code to this address?
fn offered(app: &App, channel: Channel, address: &Address) -> Result<()> {
    let live = app.engine.live.load_full();
    let caps = live.rules.caps.get(channel).as_ref();
    let closed = caps.is_some_and(|caps| caps.open(address, &live.rules.countries).is_err());
    if closed || app.engine.gateways.get(channel).is_empty() {
        return Err(StoreError::Refused("locked_not_offered".into()));
    }
    Ok(())
}

/// Sends digits to an address of the customer's where nothing arrived, so that they show that
/// something does.
///
/// # Errors
/// `NotFound` when it is not theirs, `Refused` when it is open, or somebody refused it.
pub async fn begin_again(app: &Arc<App>, person: &Person, key: &str, now: Instant) -> Result<()> {
    let point = find(app, person, key)?;
    let closed = app.engine.store.suppressions_of(&person.customer.id, now).await?;
    if undelivered_since(&closed, point).is_none() {
        return Err(StoreError::Refused("fault_address_unusable".into()));
    }
    offered(app, point.channel, &point.address)?;
    send_code(app, person, "again", (point.channel, &point.address), now).await
}

/// Uses the address again whose digits these are. What somebody said of it stays.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn finish_again(
    app: &App,
    person: &Person,
    entered: &str,
    now: Instant,
) -> Result<Entered> {
    let done = enter(app, person, "again", entered, now).await?;
    let Entered::Right(channel, address) = &done else { return Ok(done) };
    let its = |point: &&ContactPoint| point.channel == *channel && point.address == *address;
    let Some(point) = person.customer.contact_points.iter().find(its) else {
        return Ok(Entered::Over);
    };
    let (store, act) = (&app.engine.store, act(app, "centre"));
    store.lift_mended(*channel, address, &act, now).await?;
    if !point.verified {
        store.add_contact_point(&person.customer.id, *channel, address, &act, now).await?;
    }
    // What waited for an address may go now.
    app.engine.wake.notify_one();
    Ok(done)
}

/// Sends digits to a new address.
///
/// # Errors
/// `Refused` with the word that says why it cannot be added.
pub async fn begin_add(
    app: &Arc<App>,
    person: &Person,
    channel: Channel,
    text: &str,
    now: Instant,
) -> Result<()> {
    let refused = |word: &str| StoreError::Refused(word.to_owned());
    let address = Address::parse(channel, text.trim()).map_err(|_| {
        refused(if channel == Channel::Email { "fault_email" } else { "fault_phone" })
    })?;
    offered(app, channel, &address)?;
    let points = &person.customer.contact_points;
    if points.len() >= MAX_ADDRESSES {
        return Err(refused("fault_too_many_addresses"));
    }
    let known = points.iter().find(|point| point.channel == channel && point.address == address);
    // One that its owner stopped is theirs to allow again, once they read the digits there.
    if known.is_some_and(|point| point.verified && point.suppressed.is_none()) {
        return Err(refused("fault_address_known"));
    }
    send_code(app, person, "add", (channel, &address), now).await
}

/// Adds the address whose digits these are, and tells the others.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn finish_add(
    app: &Arc<App>,
    person: &Person,
    entered: &str,
    now: Instant,
) -> Result<Entered> {
    let done = enter(app, person, "add", entered, now).await?;
    if let Entered::Right(channel, address) = &done {
        let id = &person.customer.id;
        let store = &app.engine.store;
        store.add_contact_point(id, *channel, address, &act(app, "centre"), now).await?;
        store.lift_suppression(*channel, address, "centre", now).await?;
        receipt(app, person, &told(person), "receipt_added", &address.to_string(), now);
    }
    Ok(done)
}

/// Removes an address, and tells it so while it is still ours to use.
///
/// # Errors
/// `NotFound` when it is not theirs.
pub async fn remove(app: &Arc<App>, person: &Person, key: &str, now: Instant) -> Result<()> {
    let point = find(app, person, key)?.clone();
    let id = &person.customer.id;
    let store = &app.engine.store;
    let usable = person.usable(point.channel).any(|known| known.address == point.address);
    store.remove_contact_point(id, point.channel, &point.address, &act(app, "centre"), now).await?;
    if usable {
        let masked = point.address.to_string();
        let to = [(point.channel, point.address)];
        receipt(app, person, &to, "receipt_removed", &masked, now);
    }
    Ok(())
}

/// Where receipts go: the first usable address of the first channel that is not a call; a
/// call only where there is nothing else.
#[must_use]
pub fn told(person: &Person) -> Vec<(Channel, Address)> {
    let point = [Channel::Email, Channel::Sms, Channel::Voice]
        .into_iter()
        .find_map(|channel| person.usable(channel).next());
    point.map(|point| (point.channel, point.address.clone())).into_iter().collect()
}
