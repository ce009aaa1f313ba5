//! Vonage: phone calls (Voice API, `POST /v1/calls`).
//!
//! It takes no idempotency key, so a request without an answer is in doubt; the attempt's own
//! tag in the event address settles it.

pub mod callback;
pub mod ncco;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::Secret;
use crate::domain::call::Speech;
use crate::domain::message::{Script, Shaped};

use super::http;
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

/// The name attempts are recorded under, and part of the callback addresses.
pub const NAME: &str = "vonage_voice";

/// How long a call rings, in seconds.
const RING_S: u8 = 25;

/// Where Vonage is.
const BASE_URL: &str = "https://api.nexmo.com";

/// The longest a call may last, in seconds.
const LONGEST_S: u16 = 3_600;

/// How long a token is good, in seconds.
const TOKEN_S: u64 = 300;

/// What a Vonage application is: its id and the key it signs with.
pub struct VonageVoice {
    client: reqwest::Client,
    base_url: String,
    application: String,
    key: EncodingKey,
    from: String,
    speech: Speech,
}

impl std::fmt::Debug for VonageVoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VonageVoice")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

/// The settings of an application.
#[derive(Debug, Clone)]
pub struct Application<'a> {
    /// Where Vonage is; `None` for the place it has by itself.
    pub base_url: Option<String>,
    pub id: &'a str,
    pub private_key: &'a Secret,
    /// A number of ours, as E.164.
    pub from: &'a str,
    pub speech: Speech,
    pub connections: usize,
}

#[derive(Serialize)]
struct Claims<'a> {
    application_id: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
}

#[derive(Deserialize)]
struct Created {
    uuid: String,
    status: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fault {
    title: String,
    detail: String,
}

impl VonageVoice {
    /// # Errors
    /// What is wrong with the key, or that no HTTP client can be made.
    pub fn new(application: Application<'_>) -> Result<Self, String> {
        let key = EncodingKey::from_rsa_pem(application.private_key.expose().as_bytes())
            .map_err(|error| format!("private_key_file holds no RSA key in PEM: {error}"))?;
        let client = http::client(application.connections).map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            base_url: application.base_url.unwrap_or_else(|| BASE_URL.to_owned()),
            application: application.id.to_owned(),
            key,
            from: digits(application.from),
            speech: application.speech,
        })
    }

    /// A token for one request. Its time is the wall clock's, whatever the messages' time is:
    /// Vonage compares it with its own.
    fn token(&self, about: &str) -> Result<String, SendError> {
        let iat = get_current_timestamp();
        let jti = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{about} {iat}").as_bytes());
        let claims = Claims {
            application_id: &self.application,
            iat,
            exp: iat + TOKEN_S,
            jti: jti.to_string(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key)
            .map_err(|error| SendError::NotStarted { reason: format!("no token: {error}") })
    }

    fn call(&self, outgoing: &Outgoing, script: &Script) -> Value {
        let mut call = json!({
            "to": [{"type": "phone", "number": digits(outgoing.to.expose())}],
            "from": {"type": "phone", "number": self.from},
            "event_url": [outgoing.receipt_url],
            "event_method": "POST",
            "ringing_timer": RING_S,
            "length_timer": LONGEST_S,
        });
        if let Some(url) = &outgoing.call_url {
            call["answer_url"] = json!([url]);
            call["answer_method"] = "POST".into();
            // Says when a machine has finished its greeting; the call goes on meanwhile.
            call["advanced_machine_detection"] =
                json!({"behavior": "continue", "mode": "detect_beep", "beep_timeout": 45});
        } else {
            call["ncco"] = ncco::letter(script, &self.speech);
        }
        call
    }

    async fn post(&self, outgoing: &Outgoing, window: HandOverWindow) -> Result<Taken, SendError> {
        let Shaped::Voice(script) = &outgoing.shaped else {
            return Err(SendError::Refused { reason: "this is no call".into(), address: None });
        };
        let request = self
            .client
            .post(format!("{}/v1/calls", self.base_url))
            .bearer_auth(self.token(&outgoing.receipt_url)?)
            .header(CONTENT_TYPE, "application/json");
        let body = self.call(outgoing, script).to_string();
        http::hand_over(request, body, window).await?.read(
            |created: Created| (Some(created.uuid), created.status),
            |status, fault, retry_after| refusal(status, &fault, retry_after),
        )
    }

    async fn application_answers(&self) -> Result<String, String> {
        let token = self.token("probe").map_err(|error| error.to_string())?;
        let request = self.client.get(format!("{}/v1/calls", self.base_url)).bearer_auth(token);
        let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        match answer.status() {
            status if status.is_success() => Ok("the application answers".into()),
            StatusCode::UNAUTHORIZED => Err("the application or its private key is wrong".into()),
            status => Err(format!("answers {status}")),
        }
    }
}

impl Wire for VonageVoice {
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
        self.application_answers().boxed()
    }
}

/// Vonage writes E.164 without its plus.
fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// What a status means (Voice API reference, "Errors"). A server error says nothing about
/// whether the call was begun.
fn refusal(status: StatusCode, fault: &Fault, retry_after: Option<TimeDelta>) -> SendError {
    let reason = format!("{status}: {} {}", fault.title, fault.detail).trim_end().to_owned();
    match status {
        status if status.is_server_error() => SendError::Unanswered { reason },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
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
        let read = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            refusal(status, &Fault::default(), None)
        };
        assert!(matches!(read(500), SendError::Unanswered { .. }));
        assert!(matches!(read(503), SendError::Unanswered { .. }));
        for nobody_is_served in [401, 403, 429] {
            assert!(matches!(read(nobody_is_served), SendError::ProviderDown { .. }));
        }
        assert!(matches!(read(400), SendError::Refused { address: None, .. }));
    }

    #[test]
    fn a_number_has_no_plus() {
        assert_eq!(digits("+44 20 7946-0000"), "442079460000");
    }
}
