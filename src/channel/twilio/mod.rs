//! Twilio: text messages and phone calls (api.twilio.com/2010-04-01, Messages and Calls).
//!
//! Neither takes an idempotency key, so a request without an answer is in doubt; the
//! attempt's own tag in the callback address settles it (Twilio, "Messages resource" and "Calls resource").

mod list;
pub mod receipt;
pub mod twiml;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::domain::Secret;
use crate::domain::call::Speech;
use crate::domain::message::{Script, Shaped};
use crate::domain::time::Instant;

use super::account::{Account, Senders};
use super::codes::{Class, look_up, refusal};
use super::http;
use super::lookup::{Asking, Doubt, Found, SETTLED_AFTER};
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

pub const NAME: &str = "twilio";
const BASE_URL: &str = "https://api.twilio.com";

/// Error codes of requests and of delivery (Twilio, "Error and warning dictionary"). Others keep
/// the number and go by the next channel.
const CODES: [(&str, Class); 36] = [
    ("20003", Class::Account),
    ("20429", Class::Rate),
    ("20500", Class::Provider),
    ("21211", Class::BadNumber),
    ("21214", Class::BadNumber),
    ("21217", Class::BadNumber),
    ("21401", Class::BadNumber),
    ("21408", Class::Region),
    ("21602", Class::Request),
    ("21603", Class::Request),
    ("21604", Class::Request),
    ("21606", Class::Request),
    ("21610", Class::OptedOut),
    // Full queues: nobody is served until they are shorter.
    ("21611", Class::Provider),
    ("21614", Class::BadNumber),
    ("21617", Class::Request),
    ("21635", Class::BadNumber),
    ("30001", Class::Provider),
    ("30002", Class::Account),
    ("30003", Class::Unreachable),
    ("30004", Class::Blocked),
    ("30005", Class::BadNumber),
    ("30006", Class::BadNumber),
    ("30007", Class::Blocked),
    ("30008", Class::Unreachable),
    ("30010", Class::Region),
    ("30017", Class::Unreachable),
    ("30018", Class::Blocked),
    // One carrier's limits.
    ("30022", Class::Rate),
    ("30023", Class::Rate),
    ("30024", Class::Blocked),
    ("30027", Class::Rate),
    ("30032", Class::Blocked),
    ("30034", Class::Blocked),
    ("30035", Class::Blocked),
    ("30450", Class::Unreachable),
];

/// How long a call rings, in seconds.
const RING_S: &str = "25";

/// Pages of a list that are read, a thousand entries each.
const MAX_PAGES: usize = 5;

#[derive(Debug)]
pub struct Twilio {
    client: reqwest::Client,
    base_url: String,
    account: String,
    token: Secret,
    senders: Senders,
    speech: Speech,
}

#[derive(Deserialize)]
struct Created {
    sid: String,
    status: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    code: u32,
    message: String,
}

impl Twilio {
    /// # Errors
    /// A sentence, when the token is missing or no HTTP client can be made.
    pub fn new(account: Account) -> Result<Self, String> {
        Ok(Self {
            client: http::client(account.connections).map_err(|error| error.to_string())?,
            token: account.token()?,
            base_url: account.base_url.unwrap_or_else(|| BASE_URL.into()),
            account: account.name,
            senders: account.senders,
            speech: Speech::default(),
        })
    }

    /// The same with these voices.
    #[must_use]
    pub fn speaking(self, speech: Speech) -> Self {
        Self { speech, ..self }
    }

    async fn post(&self, outgoing: &Outgoing, window: HandOverWindow) -> Result<Taken, SendError> {
        let (resource, form) = match &outgoing.shaped {
            Shaped::Sms(sms) => ("Messages", self.message(outgoing, &sms.text)),
            Shaped::Voice(script) => ("Calls", self.call(outgoing, script)),
            Shaped::Email(_) => {
                let reason = "this is no text message or call".to_owned();
                return Err(SendError::Refused { reason, address: None });
            }
        };
        let url = format!("{}/2010-04-01/Accounts/{}/{resource}.json", self.base_url, self.account);
        let request = self
            .client
            .post(url)
            .basic_auth(&self.account, Some(self.token.expose()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        http::hand_over(request, form, window).await?.read(
            |created: Created| (Some(created.sid), created.status),
            |status, fault: Fault, retry_after| {
                refused(status, fault.code, &fault.message, retry_after)
            },
        )
    }

    fn message(&self, outgoing: &Outgoing, text: &str) -> String {
        form(&[
            ("To", outgoing.to.expose()),
            ("From", self.senders.of(&outgoing.to)),
            ("Body", text),
            ("StatusCallback", &outgoing.receipt_url),
        ])
    }

    fn call(&self, outgoing: &Outgoing, script: &Script) -> String {
        let common = [
            ("To", outgoing.to.expose()),
            ("From", self.senders.of(&outgoing.to)),
            ("Timeout", RING_S),
            ("StatusCallback", &outgoing.receipt_url),
            // The first settles a doubt before it rings, the last says what became of it.
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "completed"),
        ];
        // A conversation is asked for when somebody picks up: only then is it known whether a
        // machine did, which must hear nothing of the case.
        let Some(url) = &outgoing.call_url else {
            let letter = twiml::letter(script, &self.speech);
            return form(&[&common[..], &[("Twiml", &letter)]].concat());
        };
        let asked = [
            ("Url", url.as_str()),
            ("Method", "POST"),
            // Speaks to a machine after its beep; a person waits for a moment.
            ("MachineDetection", "DetectMessageEnd"),
        ];
        form(&[&common[..], &asked].concat())
    }

    /// Looks through the pages of Twilio's list, at most [`MAX_PAGES`].
    async fn look_up(&self, doubt: &Doubt) -> Result<Found, String> {
        let (resource, query) = list::question(doubt, self.senders.of(&doubt.to));
        let path = format!("/2010-04-01/Accounts/{}/{resource}.json", self.account);
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base_url))
            .map_err(|error| error.to_string())?;
        url.query_pairs_mut().extend_pairs(query);
        let mut found = None;
        for _ in 0..MAX_PAGES {
            let request =
                self.client.get(url.clone()).basic_auth(&self.account, Some(self.token.expose()));
            let page: list::Page = http::list(request).await?;
            // Later pages are older: the last that fits is the attempt's own.
            found = list::find(doubt, &page).or(found);
            let Some(next) = page.next_page_uri else {
                return Ok(found.unwrap_or(Found::Absent));
            };
            url = url.join(&next).map_err(|error| error.to_string())?;
        }
        found.ok_or_else(|| "the list is too long to be read to its end".to_owned())
    }

    async fn account_answers(&self) -> Result<String, String> {
        let url = format!("{}/2010-04-01/Accounts/{}.json", self.base_url, self.account);
        let request = self.client.get(url).basic_auth(&self.account, Some(self.token.expose()));
        http::account_answers(request).await
    }
}

impl Wire for Twilio {
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

    fn asked_after(&self) -> Option<TimeDelta> {
        Some(SETTLED_AFTER)
    }

    fn settle<'a>(&'a self, doubt: &'a Doubt, _now: Instant) -> Asking<'a> {
        self.look_up(doubt).boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        self.account_answers().boxed()
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("form:").expect("a constant");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// A refused request. A server error says nothing about whether the message was taken: Twilio
/// warns that a repeated request may reach the customer twice (error 20500).
fn refused(
    status: StatusCode,
    code: u32,
    message: &str,
    retry_after: Option<TimeDelta>,
) -> SendError {
    let class = class_of(&code.to_string());
    refusal(status, class, &format!("code {code}: {message}"), retry_after)
}

/// No code, or 0, is no error.
fn class_of(code: &str) -> Option<Class> {
    if matches!(code, "" | "0") { None } else { look_up(NAME, &CODES, code) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::customer::AddressFault;

    #[test]
    fn answers_are_read_by_what_follows_from_them() {
        let read = |status: u16, code| {
            refused(StatusCode::from_u16(status).expect("a status"), code, "", None)
        };
        assert!(matches!(read(500, 20500), SendError::Unanswered { .. }));
        assert!(matches!(read(429, 20429), SendError::ProviderDown { .. }));
        assert!(matches!(read(401, 20003), SendError::ProviderDown { .. }));
        assert!(matches!(read(400, 30022), SendError::Deferred { .. }));
        assert!(matches!(read(400, 21611), SendError::ProviderDown { .. }), "a full queue");
        let fault = |code| match read(400, code) {
            SendError::Refused { address, .. } => address,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(21211), Some(AddressFault::Unusable));
        assert_eq!(fault(21610), Some(AddressFault::OptedOut), "stopped at the carrier");
        assert_eq!(fault(21602), None);
    }

    #[test]
    fn a_form_is_encoded_as_forms_are() {
        assert_eq!(
            form(&[("To", "+4479"), ("Body", "a & b = ü")]),
            "To=%2B4479&Body=a+%26+b+%3D+%C3%BC"
        );
    }
}
