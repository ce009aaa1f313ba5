//! Asterisk: phone calls through one's own exchange (Asterisk REST Interface, "Channels").
//!
//! The channel's id is the attempt's: a call begun a second time is a 409, never a second
//! ring, so that a request without an answer is simply made again. Where that stays without
//! one too, the exchange is asked for the channel while it may ring.

pub mod event;
pub mod left;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::domain::message::Shaped;
use crate::domain::time::Instant;
use crate::domain::{NotificationId, Secret};

use super::http::{self, Answer};
use super::lookup::{Asking, Doubt, Found};
use super::receipt::Word;
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

/// The name attempts are recorded under.
pub const NAME: &str = "asterisk";

/// How long a call rings, in seconds: the person called, and the other party.
const RING_S: u8 = 25;
const DESK_RING_S: u8 = 20;

/// How long after its begin was not answered a call is looked for: it rings still.
const ASKED_AFTER: TimeDelta = TimeDelta::seconds(10);

/// What a call is begun with that somebody can answer.
const CALL: &str = "call";

/// The variable in which a script travels that nobody can answer.
const LETTER: &str = "TIDINGS_LETTER";

/// An exchange, as one application of it sees it.
#[derive(Debug, Clone)]
pub struct Asterisk {
    client: reqwest::Client,
    exchange: Exchange,
}

/// Where an exchange is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Such as `http://127.0.0.1:8088/ari`.
    pub base_url: String,
    pub user: String,
    pub password: Secret,
    /// The Stasis application: one of this process alone, since an exchange tells each
    /// application's events to whoever connected last.
    pub application: String,
    /// The part of the dialplan that a call is sent through once it is picked up, and that ends
    /// in `Stasis(${TIDINGS_APP},call,…)`; without it a call goes to the application at once.
    pub context: Option<String>,
    /// How a number is reached: `PJSIP/{number}@trunk`.
    pub endpoint: String,
    /// Our number, as it is shown.
    pub from: String,
}

/// The channel of an attempt.
#[must_use]
pub fn channel_of(notification: NotificationId, no: i64) -> String {
    format!("{notification}.{no}")
}

/// The attempt of a channel.
#[must_use]
pub fn attempt_of(channel: &str) -> Option<(NotificationId, i64)> {
    let (notification, no) = channel.split_once('.')?;
    Some((NotificationId::parse(notification).ok()?, no.parse().ok()?))
}

impl Asterisk {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(exchange: Exchange, connections: usize) -> Result<Self, reqwest::Error> {
        Ok(Self { client: http::client(connections)?, exchange })
    }

    /// The application of this process.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.exchange.application
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let Exchange { base_url, user, password, .. } = &self.exchange;
        self.client
            .request(method, format!("{}/{path}", base_url.trim_end_matches('/')))
            .basic_auth(user, Some(password.expose()))
    }

    /// Where events are read, and the header that lets one in.
    #[must_use]
    pub fn events(&self) -> (String, String) {
        let Exchange { base_url, user, password, application, .. } = &self.exchange;
        let base = base_url.trim_end_matches('/').replacen("http", "ws", 1);
        let basic =
            data_encoding::BASE64.encode(format!("{user}:{}", password.expose()).as_bytes());
        (format!("{base}/events?app={application}&subscribeAll=false"), format!("Basic {basic}"))
    }

    fn origination(
        &self,
        to: &str,
        args: &str,
        ring_s: u8,
        more: &BTreeMap<&str, String>,
    ) -> Value {
        let mut request = json!({
            "endpoint": self.exchange.endpoint.replace("{number}", to),
            "callerId": self.exchange.from,
            "timeout": ring_s,
            "variables": more,
        });
        // ARI takes one of the two.
        if let Some(context) = self.exchange.context.as_ref().filter(|_| args == CALL) {
            request["context"] = context.as_str().into();
            request["extension"] = "s".into();
            request["priority"] = 1.into();
            request["variables"]["TIDINGS_APP"] = self.exchange.application.as_str().into();
        } else {
            request["app"] = self.exchange.application.as_str().into();
            request["appArgs"] = args.into();
        }
        request
    }

    async fn begin(&self, outgoing: &Outgoing, window: HandOverWindow) -> Result<Taken, SendError> {
        let Shaped::Voice(script) = &outgoing.shaped else {
            return Err(SendError::Refused { reason: "this is no call".into(), address: None });
        };
        let channel = channel_of(outgoing.notification, outgoing.no);
        let mut variables = BTreeMap::new();
        let args = if outgoing.call_url.is_some() { CALL } else { "letter" };
        if outgoing.call_url.is_none() {
            let script = serde_json::to_string(script).unwrap_or_default();
            variables.insert(LETTER, script);
        }
        let body = self.origination(outgoing.to.expose(), args, RING_S, &variables).to_string();
        let post = || {
            let request = self
                .request(Method::POST, &format!("channels/{channel}"))
                .header(CONTENT_TYPE, "application/json");
            http::hand_over(request, body.clone(), window)
        };
        // Asked again under the same id it rings once, whatever became of the first request.
        let first = read(post().await, &channel);
        let taken = match first {
            Err(SendError::Unanswered { .. }) => match read(post().await, &channel) {
                // Too late to ask: what the first came to is still not known.
                Err(SendError::NotStarted { .. } | SendError::ProviderDown { .. }) => first,
                second => second,
            },
            first => first,
        };
        // In the dialplan it is no application's yet: that it is busy would be told to nobody.
        if taken.is_ok() && args == CALL && self.exchange.context.is_some() {
            self.listen_to(&channel).await;
        }
        taken
    }

    /// Calls another party for `customer`, under an id of its own.
    ///
    /// # Errors
    /// Why the exchange did not.
    pub async fn call_desk(&self, channel: &str, to: &str, customer: &str) -> Result<(), String> {
        let args = format!("desk,{customer}");
        let body = self.origination(to, &args, DESK_RING_S, &BTreeMap::new());
        self.tell(Method::POST, &format!("channels/{channel}"), &[], Some(body)).await
    }

    /// Plays a sound; its end is an event.
    ///
    /// # Errors
    /// Why the exchange did not.
    pub async fn play(&self, channel: &str, playback: &str, media: &str) -> Result<(), String> {
        let path = format!("channels/{channel}/play/{playback}");
        self.tell(Method::POST, &path, &[("media", media)], None).await
    }

    /// Stops a sound; one that is over already is no matter.
    pub async fn stop_playing(&self, playback: &str) {
        let _ = self.tell(Method::DELETE, &format!("playbacks/{playback}"), &[], None).await;
    }

    /// Ends a call; one that is over already is no matter.
    pub async fn hang_up(&self, channel: &str) {
        let _ = self.tell(Method::DELETE, &format!("channels/{channel}"), &[], None).await;
    }

    /// Connects two channels.
    ///
    /// # Errors
    /// Why the exchange did not.
    pub async fn join(&self, bridge: &str, channels: [&str; 2]) -> Result<(), String> {
        self.tell(Method::POST, &format!("bridges/{bridge}"), &[("type", "mixing")], None).await?;
        let both = channels.join(",");
        let path = format!("bridges/{bridge}/addChannel");
        self.tell(Method::POST, &path, &[("channel", &both)], None).await
    }

    /// Forgets a bridge.
    pub async fn leave(&self, bridge: &str) {
        let _ = self.tell(Method::DELETE, &format!("bridges/{bridge}"), &[], None).await;
    }

    /// The script that came with a channel, where one did.
    ///
    /// # Errors
    /// Why the exchange did not say.
    pub async fn letter(&self, channel: &str) -> Result<String, String> {
        self.variable(channel, LETTER).await?.ok_or_else(|| "there is no script".to_owned())
    }

    async fn tell(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<(), String> {
        let mut request = self.request(method, path).query(query);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = answer.status();
        // What was asked before is done.
        if status.is_success() || status == StatusCode::CONFLICT {
            Ok(())
        } else {
            Err(format!("{path}: {status}"))
        }
    }

    /// Is the attempt's channel there? Only live ones are known (ARI, "Channels: get"): a call
    /// that is over is a 404 like one that never began.
    async fn look_up(&self, doubt: &Doubt) -> Result<Found, String> {
        let channel = channel_of(doubt.notification, doubt.no);
        let request = self.request(Method::GET, &format!("channels/{channel}"));
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => {
                Ok(Found::Taken { provider_ref: channel, word: Word::Taken })
            }
            StatusCode::NOT_FOUND => Ok(Found::Unknown),
            status => Err(format!("answers {status}")),
        }
    }

    async fn exchange_answers(&self) -> Result<String, String> {
        let request = self.request(Method::GET, "asterisk/info").query(&[("only", "system")]);
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => Ok("the exchange answers".into()),
            StatusCode::UNAUTHORIZED => Err("the user or the password is wrong".into()),
            status => Err(format!("answers {status}")),
        }
    }
}

/// What an answer to an origination means (ARI, "Channels: originateWithId").
fn read(answer: Result<Answer, SendError>, channel: &str) -> Result<Taken, SendError> {
    let Answer { status, retry_after, body } = answer?;
    let taken = |detail: &str| {
        Ok(Taken { provider_ref: Some(channel.to_owned()), detail: detail.to_owned() })
    };
    let reason = || format!("{status}: {}", String::from_utf8_lossy(&body).trim());
    match status {
        status if status.is_success() => taken("begun"),
        StatusCode::CONFLICT => taken("begun before"),
        status if status.is_server_error() => Err(SendError::Unanswered { reason: reason() }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Err(SendError::ProviderDown { reason: reason(), retry_after })
        }
        StatusCode::TOO_MANY_REQUESTS => Err(SendError::Deferred {
            reason: reason(),
            retry_after: retry_after.or(Some(TimeDelta::seconds(1))),
        }),
        _ => Err(SendError::Refused { reason: reason(), address: None }),
    }
}

impl Wire for Asterisk {
    fn name(&self) -> &'static str {
        NAME
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        self.begin(outgoing, window).boxed()
    }

    fn asked_after(&self) -> Option<TimeDelta> {
        Some(ASKED_AFTER)
    }

    fn settle<'a>(&'a self, doubt: &'a Doubt, _now: Instant) -> Asking<'a> {
        self.look_up(doubt).boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        self.exchange_answers().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, retry_after: None, body: bytes::Bytes::new() }
    }

    #[test]
    fn a_channel_that_is_there_already_is_this_call() {
        assert_eq!(read(Ok(answer(409)), "x.1").expect("taken").detail, "begun before");
        assert_eq!(
            read(Ok(answer(200)), "x.1").expect("taken").provider_ref.as_deref(),
            Some("x.1")
        );
        assert!(matches!(read(Ok(answer(500)), "x.1"), Err(SendError::Unanswered { .. })));
        assert!(matches!(read(Ok(answer(401)), "x.1"), Err(SendError::ProviderDown { .. })));
        assert!(matches!(read(Ok(answer(400)), "x.1"), Err(SendError::Refused { .. })));
    }

    #[test]
    fn a_channel_names_its_attempt() {
        let id = NotificationId::derive("R-1", "received", "e1", 0);
        assert_eq!(attempt_of(&channel_of(id, 3)), Some((id, 3)));
        assert_eq!(attempt_of(&format!("{}.desk", channel_of(id, 3))), None);
        assert_eq!(attempt_of("1700000000.12"), None, "a channel of somebody else's");
    }
}
