//! The two pages a message leads to before any sign-in: stopping a topic, and checking that
//! a message is ours. A GET changes nothing: link scanners follow every link.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::context;

use crate::app::Seam;
use crate::app::barrier;
use crate::app::centre::letters::send_sign_in;
use crate::app::centre::{Person, calls, person, topic_title};
use crate::app::pages::Reader;
use crate::domain::plan::{NewTask, TaskKind};
use crate::domain::time::from_ms;
use crate::domain::token::Grant;
use crate::domain::{Channel, CustomerId, NotificationId, Preferences};
use crate::store::StoreError;
use crate::store::consent::{Act, NOT_MINE};
use crate::store::console::NotificationView;

use super::Web;
use super::error::Problem;
use super::receipts::pairs;

/// A page of the customer's, filled.
pub fn html(web: &Web, name: &str, reader: &Reader, values: minijinja::Value) -> Response {
    match web.app.pages.render(name, reader, values) {
        Ok(page) => Html(page).into_response(),
        Err(why) => {
            tracing::error!(%why, "a page cannot be filled");
            let detail = "the page cannot be shown; the log says more";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal fault", detail)
                .into_response()
        }
    }
}

/// Somebody we do not know: in the language of their browser, on the clock of the house.
pub fn stranger(web: &Web, headers: &HeaderMap) -> Reader {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let app = &web.app;
    let zone = app.zones.get(&app.settings.locales.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    Reader { locale: app.pages.negotiate(accepted.unwrap_or_default()), zone }
}

/// The owner of a token in their own language; a stranger's where they are gone.
async fn owner(web: &Web, id: &CustomerId, headers: &HeaderMap) -> Reader {
    let known = person(&web.app, id, web.app.engine.clock.now()).await;
    let known = known.map(|person| in_a_language_of_theirs(web, person, headers).reader);
    known.unwrap_or_else(|_| stranger(web, headers))
}

/// Who never said which language they read is addressed in that of their browser.
pub fn in_a_language_of_theirs(web: &Web, person: Person, headers: &HeaderMap) -> Person {
    let mut person = person;
    if person.customer.profile.locale.is_none() {
        person.reader.locale = stranger(web, headers).locale;
    }
    person
}

fn lines_page(
    web: &Web,
    reader: &Reader,
    title: &str,
    lines: Vec<String>,
    button: &str,
) -> Response {
    html(web, "note.html", reader, context! { title, lines, button })
}

/// A page that says one thing, in the words `title_<key>` and `<key>`. `over` ends the visit.
pub fn note(web: &Web, reader: &Reader, key: &str, over: bool) -> Response {
    let word = |key: &str| web.app.pages.word(&reader.locale, key);
    let title = word(&format!("title_{key}"));
    let mut response = lines_page(web, reader, &title, vec![word(key)], "");
    if over {
        let gone = super::centre::no_cookie(web);
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

/// The answer to a link that is not ours.
pub fn forged(web: &Web, reader: &Reader) -> Response {
    (StatusCode::NOT_FOUND, note(web, reader, "forged", false)).into_response()
}

/// A sentence about a topic and a channel.
fn about(web: &Web, reader: &Reader, key: &str, topic: &str, channel: Channel) -> String {
    let word = |key: &str| web.app.pages.word(&reader.locale, key);
    let topic = topic_title(&web.app, topic, &reader.locale);
    word(key).replace("{topic}", &topic).replace("{channel}", &word(&format!("by_{channel}")))
}

/// `GET /u/{token}`: asks, and changes nothing.
pub async fn unsubscribe_page(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let engine = &web.app.engine;
    match engine.keys.read(&token, engine.clock.now()) {
        Some(Grant::Unsubscribe { customer, topic, channel }) => {
            let reader = owner(&web, &customer, &headers).await;
            let word = |key: &str| web.app.pages.word(&reader.locale, key);
            let text = about(&web, &reader, "unsubscribe_ask", &topic, channel);
            let button = word("unsubscribe_button");
            lines_page(&web, &reader, &word("title_unsubscribe"), vec![text], &button)
        }
        _ => forged(&web, &stranger(&web, &headers)),
    }
}

/// `POST /u/{token}`: one click, no cookie, no redirect (RFC 8058); twice is like once.
pub async fn unsubscribe(
    State(web): State<Web>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let Some(Grant::Unsubscribe { customer, topic, channel }) = engine.keys.read(&token, now)
    else {
        return forged(&web, &stranger(&web, &headers));
    };
    let reader = owner(&web, &customer, &headers).await;
    if !is_one_click(&headers, &body) {
        return (StatusCode::BAD_REQUEST, note(&web, &reader, "not_one_click", false))
            .into_response();
    }
    let act = Act {
        who: "customer".into(),
        source: "one-click".into(),
        text_version: web.app.pages.text_version.clone(),
    };
    stop(&web, &reader, &customer, (topic, channel), act).await
}

/// Stops a topic on a channel and says so once nothing new can start.
async fn stop(
    web: &Web,
    reader: &Reader,
    customer: &CustomerId,
    (topic, channel): (String, Channel),
    act: Act,
) -> Response {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let chosen_topic = topic.clone();
    let change = move |chosen: &mut Preferences| {
        chosen.topics.entry(chosen_topic).or_default().insert(channel, false);
    };
    engine.seams.pass(Seam::OptoutBeforeCommit).await;
    match engine.store.choose_as(customer, act, now, change).await {
        Ok(()) => engine.seams.pass(Seam::AfterOptoutCommit).await,
        Err(StoreError::NotFound { .. }) => return forged(web, reader),
        Err(error) => return Problem::from(error).into_response(),
    }
    let on_the_wire = barrier::settled(&web.app, customer).await;
    let word = |key: &str| web.app.pages.word(&reader.locale, key);
    let mut lines = vec![about(web, reader, "unsubscribed", &topic, channel)];
    if on_the_wire {
        lines.push(word("pending"));
    }
    lines_page(web, reader, &word("title_unsubscribed"), lines, "")
}

/// Both content types of RFC 8058 section 3.2.
fn is_one_click(headers: &HeaderMap, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("multipart/form-data") {
        return text.contains("name=\"List-Unsubscribe\"") && text.contains("One-Click");
    }
    text.split('&').any(|pair| pair.trim() == "List-Unsubscribe=One-Click")
}

/// A person who follows a link shows that the message reached them. Scanners fetch links
/// without a click: only a browser's own word counts (W3C, Fetch Metadata).
pub async fn note_opened(web: &Web, headers: &HeaderMap, notification: &str) {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|told| told == value);
    if !(is("sec-fetch-mode", "navigate") && is("sec-fetch-user", "?1")) {
        return;
    }
    let Ok(id) = NotificationId::parse(notification) else { return };
    let engine = &web.app.engine;
    if let Err(error) = engine.store.note_sign(&id, false, engine.clock.now()).await {
        tracing::warn!(%error, "a sign of life was not noted");
    }
}

/// The message of a code.
async fn coded(web: &Web, code: &str) -> Result<Option<NotificationView>, StoreError> {
    match web.app.engine.store.by_code(&code.to_lowercase()).await {
        Ok(view) => Ok(Some(view)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `GET /m/{code}`: is this message ours? Without personal data: whoever holds the code may
/// be anybody.
pub async fn verify(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(code): Path<String>,
) -> Response {
    match coded(&web, &code).await {
        Ok(Some(view)) => {
            note_opened(&web, &headers, &view.id).await;
            let reader = owner(&web, &CustomerId(view.customer_id.clone()), &headers).await;
            verified(&web, &reader, &view, None)
        }
        Ok(None) => not_ours(&web, &headers),
        Err(error) => Problem::from(error).into_response(),
    }
}

fn not_ours(web: &Web, headers: &HeaderMap) -> Response {
    let page = note(web, &stranger(web, headers), "not_ours", false);
    (StatusCode::NOT_FOUND, page).into_response()
}

fn verified(web: &Web, reader: &Reader, view: &NotificationView, done: Option<&str>) -> Response {
    let word = |key: &str| web.app.pages.word(&reader.locale, key);
    let channel = view.channel.as_deref().unwrap_or("email");
    let values = context! {
        title => word("title_ours"),
        by => word(&format!("by_{channel}")),
        topic => topic_title(&web.app, &view.topic, &reader.locale),
        told_at => view.told_at_ms.map(|ms| from_ms(ms).to_rfc3339()),
        done => done.map(word),
        may_stop => !web.app.engine.live.load().rules.is_mandatory(&view.topic),
    };
    html(web, "verify.html", reader, values)
}

/// `POST /m/{code}`: what whoever holds the message may do without signing in: have the link
/// to the pages sent to where the message went, be called there, stop such messages, or say that
/// the address is not theirs.
pub async fn act_on_message(
    State(web): State<Web>,
    headers: HeaderMap,
    Path(code): Path<String>,
    body: Bytes,
) -> Response {
    let view = match coded(&web, &code).await {
        Ok(Some(view)) => view,
        Ok(None) => return not_ours(&web, &headers),
        Err(error) => return Problem::from(error).into_response(),
    };
    let customer = CustomerId(view.customer_id.clone());
    let reader = owner(&web, &customer, &headers).await;
    let wish = pairs(&body).into_iter().find(|(name, _)| name == "do").map(|(_, value)| value);
    let engine = &web.app.engine;
    let done = match wish.as_deref() {
        Some("link") => send_where_it_went(&web, &view).await.map(|()| "link_sent"),
        Some("call") => ask_for_call(&web, &customer).await.map(|()| "call_noted"),
        Some("not_mine") => not_mine(&web, &view).await.map(|()| "not_mine_noted"),
        Some("stop") if !engine.live.load().rules.is_mandatory(&view.topic) => {
            let channel = view.channel.as_deref().and_then(|channel| channel.parse().ok());
            let about = (view.topic.clone(), channel.unwrap_or(Channel::Email));
            let act = crate::app::centre::act(&web.app, "message page");
            return stop(&web, &reader, &customer, about, act).await;
        }
        _ => Ok("fault_form"),
    };
    match done {
        Ok(word) => verified(&web, &reader, &view, Some(word)),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Whoever got the message says that the address is not the customer's: it is used no more, and
/// a person looks after the customer's data. An operator can take that back.
async fn not_mine(web: &Web, view: &NotificationView) -> Result<(), StoreError> {
    let engine = &web.app.engine;
    let now = engine.clock.now();
    let Ok(id) = NotificationId::parse(&view.id) else { return Ok(()) };
    let detail = engine.store.notification(&id).await?;
    let Some(attempt) = detail.attempts.last() else { return Ok(()) };
    let Ok(channel) = attempt.channel.parse::<Channel>() else { return Ok(()) };
    let address = crate::domain::customer::Address::stored(attempt.address.clone());
    let why = "whoever reads it says that it is not theirs";
    engine.store.suppress(channel, &address, why, NOT_MINE, now).await?;
    let task = NewTask {
        key: format!("not_mine/{}/{channel}", view.customer_id),
        kind: TaskKind::NotTold,
        detail: format!(
            "Ask {} for another {} address: somebody who got a message there says it is not theirs.",
            view.customer_id,
            channel.spoken()
        ),
    };
    engine.store.open_task(&task, now).await?;
    engine.wake.notify_one();
    Ok(())
}

async fn ask_for_call(web: &Web, customer: &CustomerId) -> Result<(), StoreError> {
    let now = web.app.engine.clock.now();
    let person = person(&web.app, customer, now).await?;
    // Whoever holds the message moves no time that the customer chose.
    if web.app.engine.store.open_callback(customer).await?.is_some() {
        return Ok(());
    }
    calls::ask(&web.app, &person, "soon", now).await
}

/// Sends a sign-in link to the address a message went to, by the same channel.
async fn send_where_it_went(web: &Web, view: &NotificationView) -> Result<(), StoreError> {
    let engine = &web.app.engine;
    let Ok(id) = NotificationId::parse(&view.id) else { return Ok(()) };
    let detail = engine.store.notification(&id).await?;
    let Some(attempt) = detail.attempts.last() else { return Ok(()) };
    if let Ok(channel) = attempt.channel.parse() {
        let address = crate::domain::customer::Address::stored(attempt.address.clone());
        send_sign_in(&web.app, channel, address, engine.clock.now());
    }
    Ok(())
}
