//! Answers of customers: by a button in a mail, a reply to a text, a key on a call. The first
//! one wins and becomes the case event `customer_answered`.

use std::collections::BTreeMap;

use serde_json::json;

use crate::domain::call::FIRST_ANSWER;
use crate::domain::case::OWN_SOURCE;
use crate::domain::customer::Address;
use crate::domain::message::SmsText;
use crate::domain::time::Instant;
use crate::domain::{CaseEvent, Channel, ChannelMap, Message, Notification, NotificationId};
use crate::planning::Telling;
use crate::planning::eligibility::{Heard, Matter, still_asked};
use crate::render::presentation::Words;
use crate::render::sms::{count, safe};
use crate::store::intake::{Accepted, Incoming};
use crate::store::{Result, StoreError};
use crate::worker::writing::{Riding, write_message};

use super::App;

/// An answer to a text that came in, as it goes over the air.
#[must_use]
pub fn as_text(said: &str) -> SmsText {
    let text = safe(said);
    SmsText { counted: count(&text), text }
}

/// Texts looked through for the question that a reply is about.
const MAX_LOOKED_AT: i64 = 20;

/// A question as the customer got it, and how it stands.
#[derive(Debug, Clone)]
pub struct Question {
    pub notification: NotificationId,
    pub message: Message,
    pub standing: Standing,
}

/// How a question stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Open,
    /// The answer given first, by its name.
    Answered(String),
    /// The case has moved on, or the time for an answer is over.
    Closed,
}

/// The id of the event an answer becomes: one per question, so the first one wins.
fn event_id(notification: NotificationId) -> String {
    format!("answer-{notification}")
}

/// The question of a notification, in the customer's language.
///
/// # Errors
/// `NotFound` when there is no such notification or it asks nothing.
pub async fn question(app: &App, id: NotificationId, now: Instant) -> Result<Question> {
    let notification = app.engine.store.one_notification(&id).await?;
    question_of(app, &notification, now).await
}

async fn question_of(app: &App, notification: &Notification, now: Instant) -> Result<Question> {
    let (engine, live) = (&app.engine, app.engine.live.load_full());
    let missing = || StoreError::NotFound { what: "the question".into() };
    let journey =
        live.rules.journeys.of(&notification.case_type, &notification.case).ok_or_else(missing)?;
    let notice = journey.notice(&notification.notice).ok_or_else(missing)?;
    if notice.answers.is_empty() {
        return Err(missing());
    }
    let mut cases = engine.store.cases([&notification.case]).await?;
    let standing = cases.remove(&notification.case).ok_or_else(missing)?;
    let (case, choice) = (standing.case, standing.choice);
    let customer = engine.store.customer(&notification.customer, now).await?;
    let telling = Telling { notification, notice, journey, case: &case, customer: &customer };
    let alone = Riding::default();
    let written = write_message(engine.pen(), &live, telling, &alone, Channel::Email, now);
    let message = written.map_err(|_| missing())?.message;
    let matter = Matter {
        notification,
        journey,
        notice: Some(notice),
        case: &case,
        customer: &customer,
        choice,
        rests: ChannelMap::default(),
        withdrawn: ChannelMap::default(),
        heard: Heard::NOTHING,
    };
    let standing = match given(app, notification.id).await? {
        Some(answer) => Standing::Answered(answer),
        None if still_asked(&matter, &live.rules, now) => Standing::Open,
        None => Standing::Closed,
    };
    Ok(Question { notification: notification.id, message, standing })
}

/// The answer a question has been given.
async fn given(app: &App, id: NotificationId) -> Result<Option<String>> {
    let events = app.engine.store.events_named(&event_id(id)).await?;
    let Some(event) = events.iter().find(|event| event.source == OWN_SOURCE) else {
        return Ok(None);
    };
    let body: serde_json::Value = serde_json::from_str(&event.body)?;
    Ok(body["facts"]["answer"].as_str().map(str::to_owned))
}

/// Takes an answer. The question comes back with how it stands afterwards: with another
/// answer when that one was first, closed when it came too late, open when there is no such
/// answer.
///
/// # Errors
/// `NotFound` when nothing was asked; `Unavailable` when the answer could not be kept.
pub async fn answer(app: &App, id: NotificationId, name: &str, now: Instant) -> Result<Question> {
    let notification = app.engine.store.one_notification(&id).await?;
    let question = question_of(app, &notification, now).await?;
    if question.standing != Standing::Open || question.message.answer(name).is_none() {
        return Ok(question);
    }
    let event = CaseEvent {
        id: event_id(id),
        source: OWN_SOURCE.into(),
        case: notification.case.clone(),
        case_type: notification.case_type.clone(),
        customer: notification.customer.clone(),
        state: None,
        event: Some("customer_answered".into()),
        version: None,
        occurred_at: now,
        facts: BTreeMap::from([("answer".to_owned(), json!(name))]),
    };
    let incoming = Incoming::new(event, &json!({ "answer": name }));
    for accepted in app.engine.store.accept_events(vec![incoming], now).await? {
        if let Accepted::New { seq } = accepted {
            app.engine.ring_plan(&[seq]);
        }
    }
    // Two at once: whichever the store took first is the answer.
    let answered = given(app, id).await?.map_or(Standing::Open, Standing::Answered);
    Ok(Question { standing: answered, ..question })
}

/// Takes a reply to a text: its first word is the number of an answer. `None` when nothing
/// was asked of this number.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn reply(
    app: &App,
    from: &Address,
    text: &str,
    now: Instant,
) -> Result<Option<Question>> {
    let Some(question) = asked_last(app, from, now).await? else { return Ok(None) };
    let number = text.trim().trim_end_matches(['.', '!', ')']).parse::<usize>().unwrap_or(0);
    let by_number = number.checked_sub(1).and_then(|n| question.message.answers.get(n));
    match by_number {
        Some((name, _)) => answer(app, question.notification, name, now).await.map(Some),
        None => Ok(Some(question)),
    }
}

/// The newest open question asked of a number by text, or else the newest of all.
async fn asked_last(app: &App, from: &Address, now: Instant) -> Result<Option<Question>> {
    let mut newest = None;
    for notification in app.engine.store.told_at(Channel::Sms, from, MAX_LOOKED_AT).await? {
        match question_of(app, &notification, now).await {
            Ok(question) if question.standing == Standing::Open => return Ok(Some(question)),
            Ok(question) => newest = newest.or(Some(question)),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(newest)
}

/// How a question stands, in the words of its language; `None` while it is open.
#[must_use]
pub fn said(words: &Words, question: &Question, given: Option<&str>) -> Option<String> {
    let word = |key: &str| words.get(key).cloned().unwrap_or_default();
    match &question.standing {
        Standing::Open => None,
        Standing::Closed => Some(word("answer_closed")),
        Standing::Answered(first) => {
            let same = given.is_none_or(|given| given == first);
            let key = if same { "answer_noted" } else { "answer_already" };
            let label = question.message.answer(first).unwrap_or(first);
            Some(format!("{} {label}", word(key)))
        }
    }
}

/// Takes a key pressed during a call: 4 is the first answer.
///
/// # Errors
/// `NotFound` when nothing was asked; `Unavailable` when the answer could not be kept.
pub async fn press(app: &App, id: NotificationId, key: &str, now: Instant) -> Result<Question> {
    let question = question(app, id, now).await?;
    let place = key.parse::<usize>().ok().and_then(|key| key.checked_sub(FIRST_ANSWER));
    match place.and_then(|place| question.message.answers.get(place)) {
        Some((name, _)) => answer(app, id, name, now).await,
        None => Ok(question),
    }
}
