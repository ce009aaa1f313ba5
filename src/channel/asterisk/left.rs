//! Channels whose process is gone or lost its line: how they are found, brought to this process
//! and listened to (ARI, "Channels: list", "move", "Bridges: get", "Playbacks: get",
//! "Applications: subscribe"; the move from Asterisk 16.3 on).
//!
//! A move is told the application that was left, then the one that was come to, and waits for
//! the sound that is playing. Where nobody listens to the application it does nothing, and says
//! that it was done: only a `StasisStart` shows that a channel came.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::Asterisk;

/// A channel that is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Live {
    pub id: String,
    state: String,
}

impl Live {
    /// Somebody picked up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == "Up"
    }
}

impl Asterisk {
    /// Every channel of the exchange, those of others among them.
    ///
    /// # Errors
    /// Why the exchange did not say.
    pub async fn channels(&self) -> Result<Vec<Live>, String> {
        let answer = self.request(Method::GET, "channels").send().await;
        let answer = answer.and_then(Response::error_for_status).map_err(without_url)?;
        answer.json().await.map_err(without_url)
    }

    /// Brings a channel to this process, which is told of it as of one that was picked up.
    ///
    /// # Errors
    /// Why the exchange did not.
    pub async fn take_over(&self, channel: &str, args: &str) -> Result<(), String> {
        let application = self.exchange.application.as_str();
        let request = self
            .request(Method::POST, &format!("channels/{channel}/move"))
            .query(&[("app", application), ("appArgs", args)]);
        succeeded(request).await
    }

    /// Asks to be told of a channel until its end: a channel that was moved here, or came by the
    /// dialplan, leaves this application before its end is told.
    pub async fn listen_to(&self, channel: &str) {
        let application = &self.exchange.application;
        let request = self
            .request(Method::POST, &format!("applications/{application}/subscription"))
            .query(&[("eventSource", format!("channel:{channel}"))]);
        if let Err(why) = succeeded(request).await {
            tracing::debug!(%why, "the end of a channel may not be told");
        }
    }

    /// Who is in a bridge; `None` where there is none.
    ///
    /// # Errors
    /// Why the exchange did not say.
    pub async fn bridged(&self, bridge: &str) -> Result<Option<Vec<String>>, String> {
        #[derive(Deserialize)]
        struct Bridge {
            channels: Vec<String>,
        }
        let found = self.found(&format!("bridges/{bridge}"), &[]).await?;
        let read = |found| serde_json::from_value(found).map_err(|error| error.to_string());
        Ok(found.map(read).transpose()?.map(|bridge: Bridge| bridge.channels))
    }

    /// Does a sound play, or wait to?
    ///
    /// # Errors
    /// Why the exchange did not say.
    pub async fn is_playing(&self, playback: &str) -> Result<bool, String> {
        Ok(self.found(&format!("playbacks/{playback}"), &[]).await?.is_some())
    }

    /// A variable of a channel; `None` where it was never set, or the channel is gone.
    pub(super) async fn variable(
        &self,
        channel: &str,
        name: &str,
    ) -> Result<Option<String>, String> {
        let path = format!("channels/{channel}/variable");
        let found = self.found(&path, &[("variable", name)]).await?;
        Ok(found.and_then(|found| found["value"].as_str().map(str::to_owned)))
    }

    /// What lies at `path`; `None` where nothing does.
    async fn found(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<Value>, String> {
        let answer = self.request(Method::GET, path).query(query).send().await;
        let answer = answer.map_err(without_url)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer.json().await.map_err(without_url)?)),
            status => Err(format!("{path}: {status}")),
        }
    }
}

async fn succeeded(request: RequestBuilder) -> Result<(), String> {
    let answer = request.send().await.and_then(Response::error_for_status);
    answer.map(drop).map_err(without_url)
}

fn without_url(error: reqwest::Error) -> String {
    error.without_url().to_string()
}
