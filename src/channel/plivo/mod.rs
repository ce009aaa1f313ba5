//! Plivo: text messages (`POST /v1/Account/{auth_id}/Message/`).
//!
//! It takes no idempotency key, so a request without an answer is in doubt; the attempt's own
//! tag in `url` settles it.

pub mod receipt;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;

use crate::domain::Secret;

use super::account::{Account, Senders};
use super::codes::{Class, look_up, refusal};
use super::http;
use super::receipt::without_plus;
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

pub const NAME: &str = "plivo";
const BASE_URL: &str = "https://api.plivo.com";

/// Error codes of delivery (Plivo, "SMS error codes"). Others keep the number and go by the
/// next channel.
const CODES: [(&str, Class); 17] = [
    ("10", Class::Blocked),
    ("20", Class::Unreachable),
    ("30", Class::Blocked),
    ("40", Class::Blocked),
    ("50", Class::BadNumber),
    ("60", Class::Request),
    ("70", Class::BadNumber),
    ("80", Class::Unreachable),
    ("90", Class::Region),
    ("100", Class::Blocked),
    ("110", Class::Request),
    ("200", Class::OptedOut),
    ("201", Class::Blocked),
    ("300", Class::Unreachable),
    ("420", Class::Unreachable),
    ("900", Class::Account),
    ("910", Class::Account),
];

#[derive(Debug)]
pub struct Plivo {
    client: reqwest::Client,
    base_url: String,
    account: String,
    token: Secret,
    senders: Senders,
}

#[derive(Deserialize)]
struct Created {
    message_uuid: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default)]
    error: String,
}

impl Plivo {
    /// # Errors
    /// A sentence, when the token is missing or no HTTP client can be made.
    pub fn new(account: Account) -> Result<Self, String> {
        Ok(Self {
            client: http::client(account.connections).map_err(|error| error.to_string())?,
            token: account.token()?,
            base_url: account.base_url.unwrap_or_else(|| BASE_URL.into()),
            account: account.name,
            senders: account.senders,
        })
    }

    fn door(&self, resource: &str) -> String {
        format!("{}/v1/Account/{}/{resource}", self.base_url, self.account)
    }

    async fn post(&self, outgoing: &Outgoing, window: HandOverWindow) -> Result<Taken, SendError> {
        let mut body = json!({
            "src": without_plus(self.senders.of(&outgoing.to)),
            "dst": without_plus(outgoing.to.expose()),
            "text": outgoing.text()?.text,
            "type": "sms",
        });
        if let Some(url) = outgoing.receipt() {
            body["url"] = url.into();
            body["method"] = "POST".into();
        }
        let request = self
            .client
            .post(self.door("Message/"))
            .basic_auth(&self.account, Some(self.token.expose()))
            .header(CONTENT_TYPE, "application/json");
        http::hand_over(request, body.to_string(), window).await?.read(
            |created: Created| (created.message_uuid.into_iter().next(), None),
            // Refusals have words and no codes; 402 is an empty account.
            |status, fault: Fault, retry_after| refusal(status, None, &fault.error, retry_after),
        )
    }

    async fn account_answers(&self) -> Result<String, String> {
        let request = self.client.get(self.door(""));
        let request = request.basic_auth(&self.account, Some(self.token.expose()));
        http::account_answers(request).await
    }
}

impl Wire for Plivo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        self.post(outgoing, window).boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        self.account_answers().boxed()
    }
}

fn class_of(code: &str) -> Option<Class> {
    look_up(NAME, &CODES, code)
}
