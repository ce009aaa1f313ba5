//! Sinch: text messages (`POST /xms/v1/{service plan}/batches`).
//!
//! Its batches take no idempotency key, so a request without an answer is in doubt; the
//! attempt's own tag in `callback_url` settles it, or the list of batches under the attempt's
//! name (Sinch, "Batches: list", `client_reference`).

pub mod receipt;

use chrono::{SecondsFormat, TimeDelta};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;

use crate::domain::Secret;
use crate::domain::customer::Address;
use crate::domain::message::SmsText;
use crate::domain::time::Instant;

use super::account::{Account, Senders};
use super::codes::{Class, look_up, refusal};
use super::http;
use super::lookup::{Asking, Doubt, Found, SETTLED_AFTER};
use super::receipt::Word;
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

pub const NAME: &str = "sinch";
const BASE_URL: &str = "https://eu.sms.api.sinch.com";

/// Codes of delivery reports (Sinch, "Delivery report error codes"). Others, which are those of
/// the networks, keep the number and go by the next channel.
const CODES: [(&str, Class); 10] = [
    ("402", Class::Blocked),
    ("403", Class::Unreachable),
    ("404", Class::Unreachable),
    ("405", Class::Request),
    ("406", Class::Unreachable),
    ("407", Class::Request),
    ("408", Class::Blocked),
    ("410", Class::Request),
    ("411", Class::Request),
    ("412", Class::Region),
];

#[derive(Debug)]
pub struct Sinch {
    client: reqwest::Client,
    base_url: String,
    plan: String,
    token: Secret,
    senders: Senders,
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

/// A page of the batches asked for.
#[derive(Deserialize)]
struct Batches {
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    #[serde(default)]
    client_reference: Option<String>,
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default)]
    code: String,
    #[serde(default)]
    text: String,
}

impl Sinch {
    /// # Errors
    /// A sentence, when the token is missing or no HTTP client can be made.
    pub fn new(account: Account) -> Result<Self, String> {
        Ok(Self {
            client: http::client(account.connections).map_err(|error| error.to_string())?,
            token: account.token()?,
            base_url: account.base_url.unwrap_or_else(|| BASE_URL.into()),
            plan: account.name,
            senders: account.senders,
        })
    }

    fn door(&self) -> String {
        format!("{}/xms/v1/{}/batches", self.base_url, self.plan)
    }

    fn message(&self, to: &Address, sms: &SmsText) -> serde_json::Value {
        json!({
            "to": [to.expose()],
            "from": self.senders.of(to),
            "body": sms.text,
            "max_number_of_message_parts": sms.counted.parts,
        })
    }

    async fn post(
        &self,
        body: &serde_json::Value,
        window: HandOverWindow,
    ) -> Result<Taken, SendError> {
        let request = self
            .client
            .post(self.door())
            .bearer_auth(self.token.expose())
            .header(CONTENT_TYPE, "application/json");
        http::hand_over(request, body.to_string(), window).await?.read(
            |created: Created| (Some(created.id), None),
            |status, fault: Fault, retry_after| {
                let said = format!("{} {}", fault.code, fault.text);
                refusal(status, None, said.trim(), retry_after)
            },
        )
    }

    async fn hand_over(
        &self,
        outgoing: &Outgoing,
        window: HandOverWindow,
    ) -> Result<Taken, SendError> {
        let mut body = self.message(&outgoing.to, outgoing.text()?);
        if let Some(url) = outgoing.receipt() {
            body["delivery_report"] = "per_recipient".into();
            body["callback_url"] = url.into();
        }
        body["client_reference"] = outgoing.reference().into();
        self.post(&body, window).await
    }

    /// A batch of the attempt's own name, among those made since.
    async fn look_up(&self, doubt: &Doubt) -> Result<Found, String> {
        let reference = doubt.reference();
        // Without a day it lists the last 24 hours; the clocks may differ.
        let since = doubt.opened_at - TimeDelta::hours(1);
        let request = self.client.get(self.door()).bearer_auth(self.token.expose()).query(&[
            ("client_reference", reference.as_str()),
            ("start_date", &since.to_rfc3339_opts(SecondsFormat::Millis, true)),
        ]);
        let page: Batches = http::list(request).await?;
        find(&reference, page)
    }

    async fn say(&self, to: &Address, sms: &SmsText) -> Result<(), SendError> {
        let window = HandOverWindow::open(super::REPLY_WINDOW);
        self.post(&self.message(to, sms), window).await.map(drop)
    }
}

impl Wire for Sinch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        self.hand_over(outgoing, window).boxed()
    }

    fn reply<'a>(
        &'a self,
        to: &'a Address,
        sms: &'a SmsText,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        self.say(to, sms).boxed()
    }

    fn asked_after(&self) -> Option<TimeDelta> {
        Some(SETTLED_AFTER)
    }

    fn settle<'a>(&'a self, doubt: &'a Doubt, _now: Instant) -> Asking<'a> {
        self.look_up(doubt).boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        let request = self.client.get(self.door()).query(&[("page_size", "1")]);
        http::account_answers(request.bearer_auth(self.token.expose())).boxed()
    }
}

/// What became of it comes by its report.
fn find(reference: &str, page: Batches) -> Result<Found, String> {
    if page.batches.is_empty() {
        return Ok(Found::Absent);
    }
    let is_it = |batch: &Batch| batch.client_reference.as_deref() == Some(reference);
    let batch = page.batches.into_iter().find(is_it);
    let taken = |batch: Batch| Found::Taken { provider_ref: batch.id, word: Word::Taken };
    batch.map(taken).ok_or_else(|| "it lists batches that were not asked for".to_owned())
}

fn class_of(code: &str) -> Option<Class> {
    look_up(NAME, &CODES, code)
}
