//! Mail that comes back, by whichever door: a bounce becomes a receipt, a complaint switches its
//! topic off, a person's reply is an event of the case. Nothing is ever answered.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::channel::inbound::{Action, Fate, Inbound, Traces, read};
use crate::channel::receipt::Word;
use crate::channel::reply::Class;
use crate::domain::case::OWN_SOURCE;
use crate::domain::customer::Address;
use crate::domain::plan::{NewTask, TaskKind};
use crate::domain::time::Instant;
use crate::domain::token::Grant;
use crate::domain::{CaseEvent, Channel, CustomerId, Notification, NotificationId};
use crate::store::consent::Act;
use crate::store::intake::{Accepted, Incoming};
use crate::store::{Result, StoreError};

use super::App;

/// The name under which attempts of our own mail are kept.
const PROVIDER: &str = "smtp";

/// What became of a mail that came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    pub result: Kind,
    /// For people.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What became of a mail of ours was noted.
    Receipt,
    /// A topic was switched off for its recipient.
    Complaint,
    /// It is part of its case now.
    Reply,
    /// Nothing follows from it.
    Ignored,
    /// It is about no mail of this installation.
    Unknown,
}

impl Kind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Complaint => "complaint",
            Self::Reply => "reply",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
        }
    }
}

/// An attempt that a mail leads back to.
struct Found {
    notification: NotificationId,
    no: i64,
    /// Only somebody who had the mail can say so: a token or a Message-ID of ours named it.
    proven: bool,
}

/// Takes a mail in. `envelope_to`: the address it was delivered to, where that is known.
///
/// # Errors
/// `Unavailable` when it could not be kept; it should be handed in again.
pub async fn take(
    app: &App,
    bytes: &[u8],
    envelope_to: Option<&str>,
    now: Instant,
) -> Result<Taken> {
    let taken = match read(bytes, envelope_to) {
        Inbound::Nothing { why } => Taken { result: Kind::Ignored, detail: why.into() },
        Inbound::Report { traces, recipients } => report(app, &traces, &recipients, now).await?,
        Inbound::Complaint { traces } => complaint(app, &traces, now).await?,
        Inbound::Reply { traces, from, id, text } => {
            let unique = if id.is_empty() { bytes } else { id.as_bytes() };
            let mark = data_encoding::HEXLOWER.encode(&Sha256::digest(unique)[..8]);
            reply(app, &traces, &from, &mark, text, now).await?
        }
    };
    metrics::counter!("tidings_inbound_mail_total", "result" => taken.result.as_str()).increment(1);
    Ok(taken)
}

fn unknown() -> Taken {
    Taken { result: Kind::Unknown, detail: "it is about no mail of this installation".into() }
}

/// The attempt a report is about: by token, by Message-ID, or the last one to this recipient.
async fn find(app: &App, traces: &Traces, recipient: Option<&str>) -> Result<Option<Found>> {
    let keys = &app.engine.keys;
    let token = traces.tokens.iter().find_map(|token| keys.read_bounce_token(token));
    if let Some((notification, no)) = token {
        return Ok(Some(Found { notification, no, proven: true }));
    }
    let by_id = traces.message_ids.iter().find_map(|id| keys.read_message_id(id));
    let (notification, proven) = match (by_id, recipient) {
        (Some(id), _) => (id, true),
        (None, Some(recipient)) => {
            let Ok(address) = Address::parse(Channel::Email, recipient) else { return Ok(None) };
            let told = app.engine.store.told_at(Channel::Email, &address, 1).await?;
            let Some(told) = told.into_iter().next() else { return Ok(None) };
            (told.id, false)
        }
        (None, None) => return Ok(None),
    };
    let detail = match app.engine.store.notification(&notification).await {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        detail => detail?,
    };
    let mail = detail.attempts.iter().rfind(|attempt| attempt.channel == Channel::Email.as_str());
    Ok(mail.map(|attempt| Found { notification, no: attempt.no, proven }))
}

async fn report(app: &App, traces: &Traces, recipients: &[Fate], now: Instant) -> Result<Taken> {
    let mut taken = Taken { result: Kind::Ignored, detail: "it says nothing of a mail".into() };
    for fate in recipients {
        let word = match fate.action {
            Action::Delayed => {
                taken.detail = "the mail is still being tried".into();
                continue;
            }
            Action::Delivered => Word::Delivered,
            Action::Passed => Word::Taken,
            Action::Failed => {
                Word::Undelivered { detail: fate.detail.clone(), address: fate.class.fault() }
            }
        };
        let Some(found) = find(app, traces, fate.recipient.as_deref()).await? else {
            taken = unknown();
            continue;
        };
        // Who names an address and nothing else may be anybody.
        if !found.proven {
            taken.detail = "it names an address, and nothing that only the mail shows".into();
            continue;
        }
        if fate.action == Action::Failed {
            ask_people(app, fate, now).await?;
        }
        let attempt = (found.notification, found.no);
        app.engine.take_receipt(attempt, PROVIDER, "dsn".into(), word).await?;
        let detail = format!("{}, attempt {}: {}", found.notification, found.no, fate.detail);
        taken = Taken { result: Kind::Receipt, detail };
    }
    Ok(taken)
}

/// A mail that came back for our standing, not for its recipient, is work for people.
async fn ask_people(app: &App, fate: &Fate, now: Instant) -> Result<()> {
    let recipient = fate.recipient.as_deref().unwrap_or_default();
    let Some((_, domain)) = recipient.rsplit_once('@') else { return Ok(()) };
    if fate.class != Class::Reputation {
        return Ok(());
    }
    let detail = format!(
        "Find out why {domain} does not want our mail (SPF, DKIM, DMARC, block lists): mail came back, as the attempts say."
    );
    let key = format!("standing/{}", domain.to_lowercase());
    let task = NewTask { kind: TaskKind::Provider, key, detail };
    app.engine.store.open_task(&task, now).await
}

/// Switches the topic off for mail, for whoever complained. What proves who that is: the
/// unsubscribe link in the original, its envelope sender, its Message-ID.
async fn complaint(app: &App, traces: &Traces, now: Instant) -> Result<Taken> {
    let engine = &app.engine;
    let link = traces.unsubscribe.iter().find_map(|token| match engine.keys.read(token, now) {
        Some(Grant::Unsubscribe { customer, topic, .. }) => Some((customer, topic)),
        _ => None,
    });
    let about = match link {
        Some(about) => Some(about),
        None => named(app, traces).await?.map(|told| (told.customer, told.topic)),
    };
    let Some((customer, topic)) = about else { return Ok(unknown()) };
    if engine.live.load().rules.is_mandatory(&topic) {
        return mandatory(app, &customer, &topic, now).await;
    }
    let act =
        Act { who: "customer".into(), source: "complaint".into(), text_version: String::new() };
    let chosen_topic = topic.clone();
    let choice = engine.store.choose_as(&customer, act, now, move |chosen| {
        chosen.topics.entry(chosen_topic).or_default().insert(Channel::Email, false);
    });
    match choice.await {
        Ok(()) => {}
        Err(StoreError::NotFound { .. }) => return Ok(unknown()),
        Err(error) => return Err(error),
    }
    engine.wake.notify_one();
    let detail = format!("the customer {customer} gets no more mail about {topic:?}");
    Ok(Taken { result: Kind::Complaint, detail })
}

/// What must be said cannot be switched off: a person speaks with the customer.
async fn mandatory(app: &App, customer: &CustomerId, topic: &str, now: Instant) -> Result<Taken> {
    let detail = format!(
        "The customer {customer} reported mail about {topic:?} as unwanted; that topic cannot be switched off. Ask them how they want to be told."
    );
    let key = format!("complaint/{customer}/{topic}");
    let task = NewTask { kind: TaskKind::NotTold, key, detail: detail.clone() };
    app.engine.store.open_task(&task, now).await?;
    Ok(Taken { result: Kind::Complaint, detail })
}

/// The notification that a token or a Message-ID of ours names.
async fn named(app: &App, traces: &Traces) -> Result<Option<Notification>> {
    let keys = &app.engine.keys;
    let token = traces.tokens.iter().find_map(|token| keys.read_bounce_token(token));
    let by_id = || traces.message_ids.iter().find_map(|id| keys.read_message_id(id));
    let Some(id) = token.map(|(id, _)| id).or_else(by_id) else { return Ok(None) };
    match app.engine.store.one_notification(&id).await {
        Ok(notification) => Ok(Some(notification)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A person's reply becomes the case event `customer_replied`, once for each of their mails.
async fn reply(
    app: &App,
    traces: &Traces,
    from: &str,
    mark: &str,
    text: String,
    now: Instant,
) -> Result<Taken> {
    let engine = &app.engine;
    let Some(told) = named(app, traces).await? else { return Ok(unknown()) };
    let customer = match engine.store.customer(&told.customer, now).await {
        Ok(customer) => customer,
        Err(StoreError::NotFound { .. }) => return Ok(unknown()),
        Err(error) => return Err(error),
    };
    let standing = engine.store.cases([&told.case]).await?.remove(&told.case);
    if standing.is_none_or(|standing| standing.case.customer != told.customer) {
        let detail = "the case is another customer's now".into();
        return Ok(Taken { result: Kind::Ignored, detail });
    }
    // A reply may come from another address than the one we wrote to: a forwarded mail.
    let known = Address::parse(Channel::Email, from).is_ok_and(|from| {
        let same = |point: &crate::domain::ContactPoint| {
            point.channel == Channel::Email && point.address.compare_key() == from.compare_key()
        };
        customer.contact_points.iter().any(same)
    });
    let facts = BTreeMap::from([
        ("reply".to_owned(), json!(text)),
        ("reply_from_known_address".to_owned(), json!(known)),
    ]);
    let event = CaseEvent {
        id: format!("reply-{}-{mark}", told.id),
        source: OWN_SOURCE.into(),
        case: told.case.clone(),
        case_type: told.case_type.clone(),
        customer: told.customer.clone(),
        state: None,
        event: Some("customer_replied".into()),
        version: None,
        occurred_at: now,
        facts,
    };
    let incoming = Incoming::new(event, &json!({ "reply": mark }));
    for accepted in engine.store.accept_events(vec![incoming], now).await? {
        if let Accepted::New { seq } = accepted {
            engine.ring_plan(&[seq]);
        }
    }
    engine.store.note_sign(&told.id, true, now).await?;
    Ok(Taken { result: Kind::Reply, detail: format!("part of case {}", told.case) })
}
