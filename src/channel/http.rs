//! What providers with an HTTP door have in common: one request a message, which starts within
//! its hand-over window or not at all, and an answer that may stay away.

use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use super::window::{TooLate, WindowedBody};
use super::{HandOverWindow, SendError, Taken};

/// A client that follows no redirect and gives up after 15 s.
///
/// # Errors
/// When no HTTP client can be made.
pub fn client(connections: usize) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(15))
        .pool_max_idle_per_host(connections)
        .tcp_nodelay(true)
        .build()
}

/// What a provider answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<TimeDelta>,
    /// Empty where it broke off after a yes: taken, its name unknown.
    pub body: Bytes,
}

impl Answer {
    /// What was taken, with the id and the word that `taken` finds in its body, or why it was
    /// not.
    ///
    /// # Errors
    /// What `refused` makes of the status, the provider's fault and its Retry-After.
    pub fn read<Created: DeserializeOwned, Fault: DeserializeOwned + Default>(
        self,
        taken: impl FnOnce(Created) -> (Option<String>, Option<String>),
        refused: impl FnOnce(StatusCode, Fault, Option<TimeDelta>) -> SendError,
    ) -> Result<Taken, SendError> {
        if self.status.is_success() {
            let created = serde_json::from_slice(&self.body).ok();
            let (provider_ref, word) = created.map(taken).unwrap_or_default();
            return Ok(Taken { provider_ref, detail: word.unwrap_or(self.status.to_string()) });
        }
        let fault = serde_json::from_slice(&self.body).unwrap_or_default();
        Err(refused(self.status, fault, self.retry_after))
    }
}

/// Sends a request that hands a message over.
///
/// # Errors
/// `NotStarted` past the window, `ProviderDown` without a connection, else `Unanswered`.
pub async fn hand_over(
    request: RequestBuilder,
    body: impl Into<Bytes> + Send,
    window: HandOverWindow,
) -> Result<Answer, SendError> {
    let body = reqwest::Body::wrap(WindowedBody::new(body, window));
    let answer = request.body(body).send().await.map_err(|error| no_answer(&error))?;
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok())
        .map(|seconds| TimeDelta::seconds(i64::from(seconds)));
    let body = match answer.bytes().await {
        Ok(body) => body,
        Err(_) if status.is_success() => Bytes::new(),
        Err(error) => return Err(SendError::Unanswered { reason: error.to_string() }),
    };
    Ok(Answer { status, retry_after, body })
}

/// Does a provider know us? `request` asks for something of our account.
///
/// # Errors
/// What is wrong, for `doctor`.
pub async fn account_answers(request: RequestBuilder) -> Result<String, String> {
    let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
    match answer.status() {
        status if status.is_success() => Ok("the account answers".into()),
        StatusCode::UNAUTHORIZED => Err("the account or its token is wrong".into()),
        status => Err(format!("answers {status}")),
    }
}

/// Asks a provider for something it lists.
///
/// # Errors
/// Why there is no list.
pub async fn list<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, String> {
    let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
    if !answer.status().is_success() {
        return Err(format!("answers {}", answer.status()));
    }
    let body = answer.bytes().await.map_err(|error| error.without_url().to_string())?;
    serde_json::from_slice(&body).map_err(|error| format!("the list cannot be read: {error}"))
}

/// Is anybody there? Providers without a door of their own for the question.
///
/// # Errors
/// What is wrong, for `doctor`.
pub async fn reaches(client: &reqwest::Client, url: &str) -> Result<String, String> {
    match client.get(url).send().await {
        Ok(answer) => Ok(format!("answers ({})", answer.status())),
        Err(error) => Err(error.without_url().to_string()),
    }
}

/// A request that ended without an answer: was anything said before?
fn no_answer(error: &reqwest::Error) -> SendError {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut too_late = false;
    while let Some(inner) = source {
        too_late |= inner.is::<TooLate>();
        text = inner.to_string();
        source = inner.source();
    }
    if too_late {
        return SendError::NotStarted { reason: "the hand-over window is past".into() };
    }
    // Nothing left the house.
    if error.is_builder() {
        let reason = format!("no request can be made: {text}");
        return SendError::ProviderDown { reason, retry_after: None };
    }
    if error.is_connect() {
        let reason = format!("no connection: {text}");
        return SendError::ProviderDown { reason, retry_after: None };
    }
    SendError::Unanswered { reason: text }
}
