//! What people write to our number beyond answers, STOP and CALL: where their matters stand, and
//! free words, which go to the case they were told about last and to case systems.

use std::collections::BTreeMap;

use serde_json::json;

use crate::app::App;
use crate::app::centre::{matters, person};
use crate::domain::case::{OWN_SOURCE, WROTE};
use crate::domain::customer::Address;
use crate::domain::id::MAX_ID_CHARS;
use crate::domain::time::Instant;
use crate::domain::{CaseEvent, Channel, CustomerId};
use crate::store::Result;
use crate::store::intake::{Accepted, Incoming};

/// Cases that are named in one text.
const MAX_NAMED: usize = 3;

/// The longest text that is kept, in characters.
const MAX_CHARS: usize = 1_600;

/// Where somebody's matters stand, as far as a text may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nobody we know has this number, or more than one person has.
    Unknown,
    /// So many are open; the words of each where the customer has not asked for discretion.
    Open { count: usize, named: Vec<String> },
}

/// The one customer whose verified number this is.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn customer_of(app: &App, from: &Address, now: Instant) -> Result<Option<CustomerId>> {
    let store = &app.engine.store;
    let mut verified = Vec::new();
    for id in store.owners_of(Channel::Sms, from).await? {
        let known = store.customer(&id, now).await?;
        let has = |point: &crate::domain::ContactPoint| {
            point.channel == Channel::Sms && point.verified && point.address == *from
        };
        if known.contact_points.iter().any(has) {
            verified.push(id);
        }
    }
    Ok((verified.len() == 1).then(|| verified.remove(0)))
}

/// Where the matters of whoever has this number stand.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn status(app: &App, from: &Address, now: Instant) -> Result<Status> {
    let Some(id) = customer_of(app, from, now).await? else { return Ok(Status::Unknown) };
    let person = person(app, &id, now).await?;
    let overview = matters::overview(app, &person, now).await?;
    let discreet = person.customer.preferences.discreet.unwrap_or(false);
    let named = overview.cases.iter().filter(|_| !discreet).take(MAX_NAMED);
    let named = named.map(|case| format!("{}: {}", case.id, case.title)).collect();
    Ok(Status::Open { count: overview.cases.len(), named })
}

/// Keeps free words: an event of the case its number was told about last, once per message.
/// Words from a number nobody was told at, or about a case of somebody else by now, belong to none.
///
/// # Errors
/// `Unavailable` when they could not be kept; the provider tells us again.
pub async fn wrote(
    app: &App,
    from: &Address,
    text: &str,
    message: &str,
    now: Instant,
) -> Result<()> {
    let store = &app.engine.store;
    let told = store.told_at(Channel::Sms, from, 1).await?;
    let Some(about) = told.into_iter().next() else { return Ok(()) };
    let standing = store.cases([&about.case]).await?.remove(&about.case);
    if standing.is_none_or(|standing| standing.case.customer != about.customer) {
        return Ok(());
    }
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
    // Part of an index, like every id: no longer than others may be.
    let plain = message.chars().filter(|c| !c.is_control());
    let event = CaseEvent {
        id: WROTE.chars().chain(plain).take(MAX_ID_CHARS).collect(),
        source: OWN_SOURCE.into(),
        case: about.case.clone(),
        case_type: about.case_type.clone(),
        customer: about.customer.clone(),
        state: None,
        event: Some("customer_wrote".into()),
        version: None,
        occurred_at: now,
        facts: BTreeMap::from([("text".to_owned(), json!(text))]),
    };
    let incoming = Incoming::new(event, &json!({ "text": text }));
    for accepted in store.accept_events(vec![incoming], now).await? {
        if let Accepted::New { seq } = accepted {
            app.engine.ring_plan(&[seq]);
        }
    }
    Ok(())
}
