//! The two pages a message leads to before any sign-in: stopping a topic, and checking that
//! a message is ours. A GET changes nothing: link scanners follow every link.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};

use crate::app::Seam;
use crate::domain::time::{from_ms, local};
use crate::domain::token::Grant;
use crate::domain::{CustomerId, NotificationId, Preferences};
use crate::store::StoreError;

use super::Web;

/// The pages; `page.html` is the frame of all.
const PAGES: [(&str, &str); 3] = [
    ("page.html", include_str!("../../templates/centre/page.html")),
    ("centre.html", include_str!("../../templates/centre/centre.html")),
    ("answer.html", include_str!("../../templates/centre/answer.html")),
];

/// What is left of a hand-over window when a row opened just before an opt-out: after this
/// long nothing new can start.
const BARRIER_MARGIN: Duration = Duration::from_millis(100);

/// A page in the frame that all share, in the language `locale`.
pub fn html(web: &Web, name: &str, locale: &str, values: minijinja::Value) -> Html<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, page) in PAGES {
        environment.add_template(name, page).expect("the pages are constants");
    }
    let sender = &web.app.settings.sender;
    let live = web.app.engine.live.load();
    let frame = context! {
        lang => locale,
        words => Serde(live.presentation.words(locale)),
        sender => sender.name.as_str(),
        phone => sender.phone.as_deref(),
    };
    let rendered =
        environment.get_template(name).and_then(|page| page.render(context! { ..values, ..frame }));
    Html(rendered.expect("the pages are constants"))
}

fn page(web: &Web, title: &str, text: &str, button: Option<&str>) -> Html<String> {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    html(web, "page.html", "en", context! { title, lines, button })
}

/// The answer to a link that is not ours.
pub fn forged(web: &Web) -> Response {
    let text = "This link is not one of ours, or it has been damaged on its way.";
    (StatusCode::NOT_FOUND, page(web, "This link does not work", text, None)).into_response()
}

fn topic_title(web: &Web, topic: &str) -> String {
    let titles = web.app.settings.topics.get(topic).map(|topic| &topic.title);
    titles.and_then(|titles| titles.get("en")).map_or_else(|| topic.to_owned(), String::clone)
}

/// `GET /u/{token}`: asks, and changes nothing.
pub async fn unsubscribe_page(State(web): State<Web>, Path(token): Path<String>) -> Response {
    let engine = &web.app.engine;
    match engine.keys.read(&token, engine.clock.now()) {
        Some(Grant::Unsubscribe { topic, channel, .. }) => {
            let topic = topic_title(&web, &topic);
            let text = format!("Shall we stop sending you “{topic}” by {}?", channel.spoken());
            page(&web, "Stop these messages", &text, Some("Stop them")).into_response()
        }
        _ => forged(&web),
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
        return forged(&web);
    };
    if !is_one_click(&headers, &body) {
        let text = "Expected List-Unsubscribe=One-Click.";
        return (StatusCode::BAD_REQUEST, page(&web, "Nothing was changed", text, None))
            .into_response();
    }
    let chosen_topic = topic.clone();
    let change = move |chosen: &mut Preferences| {
        chosen.topics.entry(chosen_topic).or_default().insert(channel, false);
    };
    engine.seams.pass(Seam::OptoutBeforeCommit).await;
    match engine.store.choose(&customer, "one-click", now, change).await {
        Ok(()) => engine.seams.pass(Seam::AfterOptoutCommit).await,
        Err(StoreError::NotFound { .. }) => return forged(&web),
        Err(error) => return super::error::Problem::from(error).into_response(),
    }
    let on_the_wire = on_the_wire_settled(&web, &customer).await;
    let mut text =
        format!("We no longer send you “{}” by {}.", topic_title(&web, &topic), channel.spoken());
    if on_the_wire {
        text.push_str("\nOne message was already on its way and may still arrive.");
    }
    page(&web, "Done", &text, None).into_response()
}

/// A choice is confirmed only when nothing new can start against it: waits for what was on the
/// wire when it was made. Was there anything?
pub async fn on_the_wire_settled(web: &Web, customer: &CustomerId) -> bool {
    let engine = &web.app.engine;
    let on_the_wire = engine.store.any_on_the_wire(customer).await.unwrap_or(true);
    if on_the_wire {
        tokio::time::sleep(engine.behaviour.hand_over_window + BARRIER_MARGIN).await;
    }
    on_the_wire
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

/// `GET /m/{code}`: is this message ours? Without personal data: whoever holds the code may
/// be anybody.
pub async fn verify(
    State(web): State<Web>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Response {
    let store = &web.app.engine.store;
    match store.by_code(&code.to_lowercase()).await {
        Ok(view) => {
            note_opened(&web, &headers, &view.id).await;
            let zone = web.app.zones.get(&web.app.settings.locales.time_zone);
            let told = view.told_at_ms.map(|ms| {
                let at = local(from_ms(ms), &zone.unwrap_or(jiff::tz::TimeZone::UTC));
                at.strftime("%-d %B %Y at %H:%M %Z").to_string()
            });
            let topic = topic_title(&web, &view.topic);
            let channel = view.channel.as_deref().and_then(|channel| channel.parse().ok());
            let channel = channel.map_or("message", crate::domain::Channel::spoken);
            let text = match told {
                Some(told) => format!(
                    "Yes, this {channel} is from us. We sent it on {told}.\nIt is about: {topic}."
                ),
                None => format!("Yes, this {channel} is from us.\nIt is about: {topic}."),
            };
            page(&web, "This message is ours", &text, None).into_response()
        }
        Err(StoreError::NotFound { .. }) => {
            let text =
                "No message of ours has this code. Do not follow its links and do not answer it.";
            (StatusCode::NOT_FOUND, page(&web, "This message is not ours", text, None))
                .into_response()
        }
        Err(error) => super::error::Problem::from(error).into_response(),
    }
}
