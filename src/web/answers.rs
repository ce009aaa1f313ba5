//! Answers as they come in: the page a mail's button leads to, replies to texts. What an answer does is decided in [`crate::app::answers`].

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use minijinja::context;

use crate::app::answers::{self, Question};
use crate::app::pages::Reader;
use crate::channel::receipt::InboundText;
use crate::channel::twilio::NAME;
use crate::channel::twilio::twiml::escape;
use crate::domain::customer::Address;
use crate::domain::token::Grant;
use crate::domain::{Channel, CustomerId, NotificationId};
use crate::store::StoreError;

use super::Web;
use super::error::{Problem, Result};
use super::receipts::twilio::verified;
use super::receipts::{field, pairs};
use super::{inbound, pages};

/// The frame's words in one language.
pub type Words = BTreeMap<String, String>;

pub fn words(web: &Web, locale: &str) -> Words {
    web.app.engine.live.load().presentation.words(locale).clone()
}

pub fn word(words: &Words, key: &str) -> String {
    words.get(key).cloned().unwrap_or_default()
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
    let (lines, choices) = if let Some(outcome) = answers::said(&words, question, given) {
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
    let text = InboundText {
        from: field(&fields, "From").unwrap_or_default(),
        to: field(&fields, "To").unwrap_or_default(),
        text: field(&fields, "Body").unwrap_or_default(),
        id: field(&fields, "MessageSid").unwrap_or_default(),
        at_carrier: field(&fields, "OptOutType"),
    };
    let reply = inbound::hear(&web, NAME, text).await?;
    Ok(reply.map_or_else(|| twiml(""), |reply| message(&reply)))
}

pub fn reply_to(web: &Web, question: &Question) -> String {
    let words = words(web, &question.message.locale);
    answers::said(&words, question, None).unwrap_or_else(|| {
        let choices = question.message.answers.iter().enumerate();
        let choices: Vec<String> =
            choices.map(|(n, (_, label))| format!("{} = {label}", n + 1)).collect();
        format!("{} {}.", word(&words, "answer_unclear"), choices.join(", "))
    })
}

/// The language of whoever has this number: of those we told something, or else of those who
/// have it.
pub async fn locale_of(web: &Web, address: &Address) -> Result<String> {
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

pub fn message(text: &str) -> Response {
    twiml(&format!("<Message>{}</Message>", escape(text)))
}

pub fn twiml(inner: &str) -> Response {
    xml(&format!("<Response>{inner}</Response>"))
}

pub fn xml(document: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{document}");
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
}
