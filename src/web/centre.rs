//! The customer's own page, opened by the links in messages; no sign-in, no script.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use minijinja::{Value, context};

use crate::app::centre;
use crate::domain::token::Grant;
use crate::domain::{Channel, CustomerId};
use crate::store::StoreError;

use super::error::Problem;
use super::receipts::pairs;
use super::{Web, pages};

fn owner(web: &Web, token: &str) -> Option<CustomerId> {
    match web.app.engine.keys.read(token, web.app.engine.clock.now()) {
        Some(Grant::Centre { customer, .. }) => Some(customer),
        _ => None,
    }
}

/// `GET /c/{token}`.
pub async fn page(State(web): State<Web>, Path(token): Path<String>) -> Response {
    match owner(&web, &token) {
        Some(customer) => show(&web, &customer, &[]).await.unwrap_or_else(|e| refuse(&web, e)),
        None => pages::forged(&web),
    }
}

/// `POST /c/{token}`: saves the choices, or asks for a call.
pub async fn act(State(web): State<Web>, Path(token): Path<String>, body: Bytes) -> Response {
    let Some(customer) = owner(&web, &token) else { return pages::forged(&web) };
    let fields = pairs(&body);
    let has = |wanted: &str| fields.iter().any(|(name, _)| name == wanted);
    let done = if has("call") {
        call(&web, &customer).await
    } else if !has("save") {
        show(&web, &customer, &[]).await
    } else {
        let wanted = fields.into_iter().filter(|(name, _)| name == "want");
        choose(&web, &customer, wanted.map(|(_, value)| value).collect()).await
    };
    done.unwrap_or_else(|error| refuse(&web, error))
}

async fn call(web: &Web, customer: &CustomerId) -> Result<Response, StoreError> {
    let engine = &web.app.engine;
    engine.store.ask_for_call(customer, engine.clock.now()).await?;
    show(web, customer, &["call_noted"]).await
}

async fn choose(
    web: &Web,
    customer: &CustomerId,
    wanted: Vec<String>,
) -> Result<Response, StoreError> {
    centre::choose(&web.app, customer, wanted, web.app.engine.clock.now()).await?;
    if pages::on_the_wire_settled(web, customer).await {
        show(web, customer, &["centre_saved", "centre_pending"]).await
    } else {
        show(web, customer, &["centre_saved"]).await
    }
}

fn refuse(web: &Web, error: StoreError) -> Response {
    match error {
        StoreError::NotFound { .. } => pages::forged(web),
        error => Problem::from(error).into_response(),
    }
}

async fn show(web: &Web, customer: &CustomerId, said: &[&str]) -> Result<Response, StoreError> {
    let centre = centre::centre(&web.app, customer, web.app.engine.clock.now()).await?;
    let live = web.app.engine.live.load_full();
    let words = live.presentation.words(&centre.locale);
    let word = |key: &str| words.get(key).cloned().unwrap_or_default();
    let by = |channel: Channel| word(&format!("by_{channel}"));
    let told = centre.told.into_iter().map(|line| {
        context! { at => line.at, channel => by(line.channel), case => line.case, topic => line.topic }
    });
    let topics = centre.topics.into_iter().map(|topic| {
        let channels = topic.channels.into_iter().map(|(channel, on)| {
            context! { name => channel.as_str(), title => by(channel), on }
        });
        context! { name => topic.name, title => topic.title, channels => channels.collect::<Vec<Value>>() }
    });
    let values = context! {
        title => word("centre_title"),
        lines => said.iter().map(|key| word(key)).collect::<Vec<String>>(),
        told => told.collect::<Vec<Value>>(),
        topics => topics.collect::<Vec<Value>>(),
    };
    Ok(pages::html(web, "centre.html", &centre.locale, values).into_response())
}
