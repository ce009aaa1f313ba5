//! Channels whose process is gone: how they are known, and how another takes them over (ARI,
//! "Channels: list", "setChannelVar", "move"; the last from Asterisk 16.3 on).
//!
//! The exchange itself keeps who hears a channel: a word in a variable of the channel, which
//! that process renews. No clock of two machines is compared: a word is old when whoever looks
//! saw it stand still.

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::Asterisk;

/// The variable in which a process says that it hears a channel.
const HEARD_BY: &str = "TIDINGS_HEARD_BY";

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
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(without_url)?;
        answer.json().await.map_err(without_url)
    }

    /// Says who hears a channel.
    ///
    /// # Errors
    /// Why the exchange did not note it.
    pub async fn note_ear(&self, channel: &str, ear: &str) -> Result<(), String> {
        let path = format!("channels/{channel}/variable");
        self.tell(Method::POST, &path, &[("variable", HEARD_BY), ("value", ear)], None).await
    }

    /// Who hears a channel, as they last said.
    ///
    /// # Errors
    /// Why the exchange did not say.
    pub async fn ear_of(&self, channel: &str) -> Result<Option<String>, String> {
        self.variable(channel, HEARD_BY).await
    }

    /// Brings a channel to this process, which is told of it as of one that was picked up.
    ///
    /// # Errors
    /// Why the exchange did not.
    pub async fn take_over(&self, channel: &str, args: &str) -> Result<(), String> {
        let application = self.exchange.application.as_str();
        let query = [("app", application), ("appArgs", args)];
        self.tell(Method::POST, &format!("channels/{channel}/move"), &query, None).await
    }

    /// Do two parties talk in this bridge?
    ///
    /// # Errors
    /// Why the exchange did not say.
    pub async fn is_joined(&self, bridge: &str) -> Result<bool, String> {
        let answer = self.request(Method::GET, &format!("bridges/{bridge}")).send().await;
        let answer = answer.map_err(without_url)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => {
                let bridge: Value = answer.json().await.map_err(without_url)?;
                Ok(bridge["channels"].as_array().is_some_and(|channels| channels.len() > 1))
            }
            status => Err(format!("bridges/{bridge}: {status}")),
        }
    }

    /// A variable of a channel; `None` where it was never set, or the channel is gone.
    pub(super) async fn variable(
        &self,
        channel: &str,
        name: &str,
    ) -> Result<Option<String>, String> {
        let request = self
            .request(Method::GET, &format!("channels/{channel}/variable"))
            .query(&[("variable", name)]);
        let answer = request.send().await.map_err(without_url)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let found: Value = answer.json().await.map_err(without_url)?;
                Ok(found["value"].as_str().map(str::to_owned))
            }
            status => Err(format!("channels/{channel}/variable: {status}")),
        }
    }
}

fn without_url(error: reqwest::Error) -> String {
    error.without_url().to_string()
}
