//! Answers as they come in: the page a mail's button leads to, replies to texts, keys pressed
//! during calls. What an answer does is decided in [`crate::app::answers`].

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use minijinja::context;

use crate::app::answers::{self, Question, Standing};
use crate::app::pages::Reader;
use crate::channel::twiml::{escape, say};
use crate::domain::customer::Address;
use crate::domain::token::Grant;
use crate::domain::{Channel, CustomerId, NotificationId};
use crate::store::StoreError;

use super::Web;
use super::error::{Problem, Result};
use super::receipts::{pairs, verified};
use super::stops::Wish;
use super::{pages, stops};

/// The frame's words in one language.
pub type Words = BTreeMap<String, String>;

fn words(web: &Web, locale: &str) -> Words {
    web.app.engine.live.load().presentation.words(locale).clone()
}

pub fn word(words: &Words, key: &str) -> String {
    words.get(key).cloned().unwrap_or_default()
}

/// How a question stands, in the words of its language.
fn outcome(words: &Words, question: &Question, given: Option<&str>) -> Option<String> {
    match &question.standing {
        Standing::Open => None,
        Standing::Closed => Some(word(words, "answer_closed")),
        Standing::Answered(first) => {
            let same = given.is_none_or(|given| given == first);
            let key = if same { "answer_noted" } else { "answer_already" };
            let label = question.message.answer(first).unwrap_or(first);
            Some(format!("{} {label}", word(words, key)))
        }
    }
}

/// What a token may answer.
fn asked(web: &Web, token: &str) -> Option<NotificationId> {
    let engine = &web.app.engine;
    match engine.keys.read(token, engine.clock.now()) {
        Some(Grant::Answer { notification, .. }) => Some(notification),
        _ => None,
    }
}

fn show(web: &Web, question: &Question, given: Option<&str>) -> Response {
    let message = &question.message;
    let words = words(web, &message.locale);
    let (lines, choices) = if let Some(outcome) = outcome(&words, question, given) {
        (vec![outcome], Vec::new())
    } else {
        let told = message.changed.lines().chain(message.action.lines());
        (told.map(str::to_owned).collect(), message.answers.clone())
    };
    let first = message.answers.first().map_or("", |(name, _)| name.as_str());
    let suggested = given.filter(|given| message.answer(given).is_some()).unwrap_or(first);
    let values = context! { title => message.subject.as_str(), lines, choices, suggested };
    let reader = Reader { locale: message.locale.clone(), zone: jiff::tz::TimeZone::UTC };
    pages::html(web, "answer.html", &reader, values)
}

fn problem_page(web: &Web, headers: &HeaderMap, error: StoreError) -> Response {
    match error {
        StoreError::NotFound { .. } => pages::forged(web, &pages::stranger(web, headers)),
        error => Problem::from(error).into_response(),
    }
}

/// `GET /a/{token}`: shows the question and changes nothing; `?answer=` is only a suggestion.
pub async fn page(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(id) = asked(&web, &token) else {
        return pages::forged(&web, &pages::stranger(&web, &headers));
    };
    let given = field(&pairs(query.unwrap_or_default().as_bytes()), "answer");
    match answers::question(&web.app, id, web.app.engine.clock.now()).await {
        Ok(question) => show(&web, &question, given.as_deref()),
        Err(error) => problem_page(&web, &headers, error),
    }
}

/// `POST /a/{token}`: answers.
pub async fn choose(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(token): Path<String>,
    body: Bytes,
) -> Response {
    let Some(id) = asked(&web, &token) else {
        return pages::forged(&web, &pages::stranger(&web, &headers));
    };
    let given = field(&pairs(&body), "answer").unwrap_or_default();
    match answers::answer(&web.app, id, &given, web.app.engine.clock.now()).await {
        Ok(question) => show(&web, &question, Some(&given)),
        Err(error) => problem_page(&web, &headers, error),
    }
}

/// `POST /v1/inbound/twilio`: a text somebody sent to our number (Twilio, "TwiML for
/// Programmable Messaging").
pub async fn text(State(web): State<Web>, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let fields = verified(&web, "/v1/inbound/twilio", &headers, &body)?;
    let now = web.app.engine.clock.now();
    let (from, text) = (field(&fields, "From"), field(&fields, "Body").unwrap_or_default());
    let Ok(from) = Address::parse(Channel::Sms, &from.unwrap_or_default()) else {
        return Ok(twiml(""));
    };
    let at_carrier = field(&fields, "OptOutType").and_then(|kind| Wish::at_carrier(&kind));
    if let Some(wish) = at_carrier.or_else(|| Wish::read(&text)) {
        let words = words(&web, &locale_of(&web, &from).await?);
        return Ok(stops::follow(&web, &from, wish, at_carrier.is_some(), &words).await?);
    }
    if let Some(question) = answers::reply(&web.app, &from, &text, now).await? {
        return Ok(message(&reply_to(&web, &question)));
    }
    let words = words(&web, &locale_of(&web, &from).await?);
    let phone = web.app.settings.sender.phone.as_deref();
    let call = phone.map(|phone| format!(" {} {phone}", word(&words, "call_us")));
    Ok(message(&format!("{}{}", word(&words, "no_question"), call.unwrap_or_default())))
}

fn reply_to(web: &Web, question: &Question) -> String {
    let words = words(web, &question.message.locale);
    outcome(&words, question, None).unwrap_or_else(|| {
        let choices = question.message.answers.iter().enumerate();
        let choices: Vec<String> =
            choices.map(|(n, (_, label))| format!("{} = {label}", n + 1)).collect();
        format!("{} {}.", word(&words, "answer_unclear"), choices.join(", "))
    })
}

/// The language of whoever has this number: of those we told something, or else of those who
/// have it.
async fn locale_of(web: &Web, address: &Address) -> Result<String> {
    let store = &web.app.engine.store;
    let told = store.told_at(Channel::Sms, address, 1).await?;
    let told = told.into_iter().map(|notification| notification.customer);
    let owners = store.owners_of(Channel::Sms, address).await?;
    match told.chain(owners).next() {
        Some(customer) => locale_of_customer(web, &customer).await,
        None => Ok(web.app.engine.behaviour.default_locale.clone()),
    }
}

/// The default one for who was forgotten.
async fn locale_of_customer(web: &Web, id: &CustomerId) -> Result<String> {
    let engine = &web.app.engine;
    let known = engine.store.customers([id], engine.clock.now()).await?.remove(id);
    let locale = known.and_then(|customer| customer.profile.locale);
    Ok(locale.unwrap_or_else(|| engine.behaviour.default_locale.clone()))
}

/// `POST /v1/inbound/twilio/keys?a=<question>`: a key pressed during a call (Twilio,
/// "TwiML: Gather"). 1 leads to a person, 4 and up answer, 9 stops calls.
pub async fn keys(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let query = query.unwrap_or_default();
    let path = format!("/v1/inbound/twilio/keys?{query}");
    let fields = verified(&web, &path, &headers, &body)?;
    let token = field(&pairs(query.as_bytes()), "a").unwrap_or_default();
    let id = asked(&web, &token).ok_or_else(|| Problem::not_found("the question"))?;
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let notification = engine.store.one_notification(&id).await?;
    let locale = &locale_of_customer(&web, &notification.customer).await?;
    let words = words(&web, locale);
    let key = field(&fields, "Digits").unwrap_or_default();
    engine.store.note_sign(&id, true, now).await?;
    if let (Some(phone), "1") = (&web.app.settings.sender.phone, key.as_str()) {
        let wait = engine.store.wait_time(Channel::Voice, now).await?;
        let wait =
            wait.and_then(|wait| engine.live.load().presentation.wait(locale, wait.minutes()));
        let wait = wait.map(|wait| say(&format!("{} {wait}.", word(&words, "voice_wait")), locale));
        let dial = format!("<Dial>{}</Dial>", escape(phone));
        return Ok(twiml(&(wait.unwrap_or_default() + &dial)));
    }
    let said = if key == "9" {
        match called(&web, &id).await? {
            Some(number) => Some(stops::no_more_calls(&web, &number, &words).await?),
            None => None,
        }
    } else {
        match answers::press(&web.app, id, &key, now).await {
            Ok(question) => outcome(&words, &question, None),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        }
    };
    let said = said.map(|text| say(&text, locale)).unwrap_or_default();
    Ok(twiml(&(said + &say(&word(&words, "voice_goodbye"), locale))))
}

/// The number of the call about a notification.
async fn called(web: &Web, id: &NotificationId) -> Result<Option<Address>> {
    let detail = web.app.engine.store.notification(id).await?;
    let call = detail.attempts.into_iter().rfind(|attempt| attempt.channel == "voice");
    Ok(call.map(|attempt| Address::stored(attempt.address)))
}

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

pub fn message(text: &str) -> Response {
    twiml(&format!("<Message>{}</Message>", escape(text)))
}

pub fn twiml(inner: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{inner}</Response>");
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
}
