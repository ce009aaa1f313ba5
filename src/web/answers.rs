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
use crate::domain::{Channel, NotificationId};
use crate::store::StoreError;

use super::Web;
use super::error::{Problem, Result};
use super::pages;
use super::receipts::{pairs, verified};

/// The frame's words in one language.
type Words = BTreeMap<String, String>;

/// What stops and restarts texts, as carriers know it (CTIA Messaging Principles 5.1.2, and
/// the same in our other languages).
const STOP: [&str; 9] =
    ["stop", "stopall", "unsubscribe", "cancel", "end", "quit", "stopp", "arret", "arrêt"];
const START: [&str; 2] = ["start", "unstop"];

fn words(web: &Web, locale: &str) -> Words {
    web.app.engine.live.load().presentation.words(locale).clone()
}

fn word(words: &Words, key: &str) -> String {
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
    let store = &web.app.engine.store;
    let wish = text.trim().trim_end_matches(['.', '!']).to_lowercase();
    if STOP.contains(&wish.as_str()) || START.contains(&wish.as_str()) {
        let stop = STOP.contains(&wish.as_str());
        if stop {
            let why = "the customer replied STOP";
            store.suppress(Channel::Sms, &from, why, "stop", now).await?;
        } else {
            store.lift_suppression(Channel::Sms, &from, "stop", now).await?;
        }
        web.app.engine.wake.notify_one();
        // Where Twilio answers itself it says so with `OptOutType`.
        if field(&fields, "OptOutType").is_some() {
            return Ok(twiml(""));
        }
        let locale = locale_of(&web, &from).await?;
        return Ok(message(&word(&words(&web, &locale), if stop { "stopped" } else { "started" })));
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

/// The language of whoever has this number.
async fn locale_of(web: &Web, address: &Address) -> Result<String> {
    let engine = &web.app.engine;
    let told = engine.store.told_at(Channel::Sms, address, 1).await?;
    let otherwise = engine.behaviour.default_locale.clone();
    let Some(told) = told.first() else { return Ok(otherwise) };
    let customer = engine.store.customer(&told.customer, engine.clock.now()).await?;
    Ok(customer.profile.locale.unwrap_or(otherwise))
}

/// `POST /v1/inbound/twilio/keys?a=<question>`: a key pressed during a call (Twilio,
/// "TwiML: Gather").
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
    let key = field(&fields, "Digits").unwrap_or_default();
    if let (Some(phone), "1") = (&web.app.settings.sender.phone, key.as_str()) {
        return Ok(twiml(&format!("<Dial>{}</Dial>", escape(phone))));
    }
    web.app.engine.store.note_sign(&id, true, web.app.engine.clock.now()).await?;
    let question = match answers::press(&web.app, id, &key, web.app.engine.clock.now()).await {
        Ok(question) => question,
        Err(StoreError::NotFound { .. }) => return Ok(twiml("")),
        Err(error) => return Err(error.into()),
    };
    let locale = &question.message.locale;
    let words = words(&web, locale);
    let said = outcome(&words, &question, None).map(|text| say(&text, locale));
    let goodbye = say(&word(&words, "voice_goodbye"), locale);
    Ok(twiml(&(said.unwrap_or_default() + &goodbye)))
}

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn message(text: &str) -> Response {
    twiml(&format!("<Message>{}</Message>", escape(text)))
}

fn twiml(inner: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{inner}</Response>");
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
}
