//! Twilio: text messages and phone calls (api.twilio.com/2010-04-01, Messages and Calls).
//!
//! Neither takes an idempotency key, so a request without an answer is in doubt; the
//! attempt's own tag in the callback address settles it (Twilio, "Messages resource" and "Calls resource").

use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::Deserialize;

use crate::domain::Secret;
use crate::domain::customer::AddressFault;
use crate::domain::message::{Script, Shaped};

use super::twiml;
use super::window::WindowedBody;
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

/// How long a call rings, in seconds.
const RING_S: &str = "25";

#[derive(Debug)]
pub struct Twilio {
    client: reqwest::Client,
    base_url: String,
    account: String,
    token: Secret,
    from: String,
}

#[derive(Deserialize)]
struct Created {
    sid: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    message: String,
}

impl Twilio {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        base_url: &str,
        account: &str,
        token: Secret,
        from: &str,
        connections: usize,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(15))
            .pool_max_idle_per_host(connections)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
            account: account.to_owned(),
            token,
            from: from.to_owned(),
        })
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
        let body = reqwest::Body::wrap(WindowedBody::new(form, window));
        let answer = self
            .client
            .post(url)
            .basic_auth(&self.account, Some(self.token.expose()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(no_answer(&error)),
        };
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(TimeDelta::seconds);
        let body = match answer.bytes().await {
            Ok(body) => body,
            // It said yes before the answer broke off: taken, its name unknown.
            Err(_) if status.is_success() => {
                return Ok(Taken { provider_ref: None, detail: status.to_string() });
            }
            Err(error) => return Err(SendError::Unanswered { reason: error.to_string() }),
        };
        if status.is_success() {
            return Ok(match serde_json::from_slice::<Created>(&body) {
                Ok(created) => Taken { provider_ref: Some(created.sid), detail: created.status },
                Err(_) => Taken { provider_ref: None, detail: status.to_string() },
            });
        }
        let fault: Fault =
            serde_json::from_slice(&body).unwrap_or(Fault { code: 0, message: String::new() });
        Err(refusal(status, fault.code, &fault.message, retry_after))
    }

    fn message(&self, outgoing: &Outgoing, text: &str) -> String {
        form(&[
            ("To", outgoing.to.expose()),
            ("From", &self.from),
            ("Body", text),
            ("StatusCallback", &outgoing.receipt_url),
        ])
    }

    fn call(&self, outgoing: &Outgoing, script: &Script) -> String {
        form(&[
            ("To", outgoing.to.expose()),
            ("From", &self.from),
            ("Twiml", &twiml::call(script, outgoing.keys_url.as_deref())),
            ("Timeout", RING_S),
            ("MachineDetection", "DetectMessageEnd"),
            ("StatusCallback", &outgoing.receipt_url),
            ("StatusCallbackEvent", "completed"),
        ])
    }

    async fn account_answers(&self) -> Result<String, String> {
        let url = format!("{}/2010-04-01/Accounts/{}.json", self.base_url, self.account);
        let answer = self
            .client
            .get(url)
            .basic_auth(&self.account, Some(self.token.expose()))
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => Ok("the account answers".into()),
            StatusCode::UNAUTHORIZED => Err("the account or its token is wrong".into()),
            status => Err(format!("answers {status}")),
        }
    }
}

impl Wire for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
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

fn form(fields: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("form:").expect("a constant");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// A request that ended without an answer: was anything said before?
fn no_answer(error: &reqwest::Error) -> SendError {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut too_late = false;
    while let Some(inner) = source {
        too_late |= inner.is::<super::window::TooLate>();
        text = inner.to_string();
        source = inner.source();
    }
    if too_late {
        return SendError::NotStarted { reason: "the hand-over window is past".into() };
    }
    if error.is_connect() {
        let reason = format!("no connection: {text}");
        return SendError::ProviderDown { reason, retry_after: None };
    }
    SendError::Unanswered { reason: text }
}

/// What a status and an error code mean (Twilio, "Error and warning dictionary"). A server error says nothing about
/// whether the message was taken: Twilio warns that a repeated request may reach the
/// customer twice (error 20500).
fn refusal(
    status: StatusCode,
    code: u32,
    message: &str,
    retry_after: Option<TimeDelta>,
) -> SendError {
    let reason = format!("{status}, code {code}: {message}");
    if status.is_server_error() {
        return SendError::Unanswered { reason };
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return SendError::ProviderDown { reason, retry_after };
    }
    match code {
        // The number is no number.
        21211 | 21214 | 21217 | 21401 | 21614 | 21635 => {
            SendError::Refused { reason, address: Some(AddressFault::Unusable) }
        }
        21610 => SendError::Refused { reason, address: Some(AddressFault::OptedOut) },
        // Credentials, too many requests, a full queue, a suspended account: nobody is served.
        20003 | 20429 | 21611 | 30001 | 30002 => SendError::ProviderDown { reason, retry_after },
        // One carrier's limits.
        30022 | 30023 | 30027 => SendError::Deferred { reason, retry_after },
        _ if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN => {
            SendError::ProviderDown { reason, retry_after }
        }
        _ => SendError::Refused { reason, address: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_what_follows_from_them() {
        let read = |status: u16, code| {
            refusal(StatusCode::from_u16(status).expect("a status"), code, "", None)
        };
        assert!(matches!(read(500, 20500), SendError::Unanswered { .. }));
        assert!(matches!(read(429, 20429), SendError::ProviderDown { .. }));
        assert!(matches!(read(401, 20003), SendError::ProviderDown { .. }));
        assert!(matches!(read(400, 30022), SendError::Deferred { .. }));
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
