//! Any other provider with an HTTP door: what is sent, and how the answer is read, stands in
//! the settings.

pub mod receipt;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::domain::Secret;
use crate::domain::customer::Address;
use crate::domain::http_door::{Body, HttpDoor, Method, plain};
use crate::domain::message::SmsText;
use crate::domain::template::{self, Into, Values};

use super::account::{Account, Senders};
use super::codes::refusal;
use super::http::{self, Answer};
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

pub const NAME: &str = "http";

/// How much of an answer is kept for people, in characters.
const SAID: usize = 200;

#[derive(Debug)]
pub struct HttpProvider {
    client: reqwest::Client,
    door: HttpDoor,
    account: String,
    token: Option<Secret>,
    senders: Senders,
}

impl HttpProvider {
    /// # Errors
    /// A sentence, when nothing describes the door or no HTTP client can be made.
    pub fn new(account: Account) -> Result<Self, String> {
        Ok(Self {
            client: http::client(account.connections).map_err(|error| error.to_string())?,
            door: account.door.ok_or("there is no section http")?,
            account: account.name,
            token: account.token,
            senders: account.senders,
        })
    }

    fn request(&self, values: &Values<'_>) -> Result<(RequestBuilder, String), String> {
        let door = &self.door;
        let url = template::fill(&door.url, values, Into::Address)?;
        let mut request = match door.method {
            Method::Post => self.client.post(url),
            Method::Put => self.client.put(url),
            Method::Get => self.client.get(url),
        };
        let kind = match door.encoding {
            Body::Json => "application/json",
            Body::Form => "application/x-www-form-urlencoded",
        };
        let names_its_kind =
            door.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        if door.method != Method::Get && !names_its_kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        for (name, value) in &door.headers {
            request = request.header(name, template::fill(value, values, Into::Header)?);
        }
        let body = template::fill(&door.body, values, Into::Body(door.encoding))?;
        Ok((request, body))
    }

    async fn post(
        &self,
        to: &Address,
        sms: &SmsText,
        (receipt_url, reference): (&str, &str),
        window: HandOverWindow,
    ) -> Result<Taken, SendError> {
        let values = Values {
            to: to.expose(),
            from: self.senders.of(to),
            text: &sms.text,
            receipt_url,
            reference,
            account: &self.account,
            token: self.token.as_ref().map_or("", Secret::expose),
        };
        let (request, body) =
            self.request(&values).map_err(|reason| SendError::NotStarted { reason })?;
        // A request without a body asks nobody whether it is still in time.
        if window.is_past() {
            return Err(SendError::NotStarted { reason: "the hand-over window is past".into() });
        }
        let Answer { status, retry_after, body } = http::hand_over(request, body, window).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let said: String = String::from_utf8_lossy(&body).chars().take(SAID).collect();
        if self.door.success.holds(status.as_u16(), &answer) {
            let id = self.door.id_pointer.as_ref().and_then(|pointer| answer.pointer(pointer));
            return Ok(Taken { provider_ref: id.map(plain), detail: status.to_string() });
        }
        // A yes that broke off: taken or not, nobody can tell.
        if status.is_success() && body.is_empty() && self.door.success.pointer.is_some() {
            let reason = format!("{status} without an answer to read");
            return Err(SendError::Unanswered { reason });
        }
        Err(refusal(status, None, said.trim(), retry_after))
    }
}

impl Wire for HttpProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        async move {
            let reference = outgoing.reference();
            let named = (outgoing.receipt_url.as_str(), reference.as_str());
            self.post(&outgoing.to, outgoing.text()?, named, window).await
        }
        .boxed()
    }

    fn reply<'a>(
        &'a self,
        to: &'a Address,
        sms: &'a SmsText,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let window = HandOverWindow::open(super::REPLY_WINDOW);
            self.post(to, sms, ("", ""), window).await.map(drop)
        }
        .boxed()
    }

    fn tells_of_delivery(&self) -> bool {
        self.door.receipts.is_some()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        async move {
            let parsed = reqwest::Url::parse(&self.door.url).map_err(|error| error.to_string())?;
            http::reaches(&self.client, &parsed.origin().ascii_serialization()).await
        }
        .boxed()
    }
}
