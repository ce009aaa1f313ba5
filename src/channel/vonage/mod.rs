//! Vonage: text messages (Messages API, `POST /v1/messages`).
//!
//! It takes no idempotency key, so a request without an answer is in doubt; the attempt's own
//! tag in `webhook_url` settles it.

pub mod receipt;

use futures::FutureExt;
use futures::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;

use sha2::{Digest, Sha256};

use crate::domain::Secret;
use crate::domain::customer::Address;
use crate::domain::message::{Encoding, SmsText};

use super::account::{Account, Senders};
use super::codes::{Class, look_up, refusal};
use super::http;
use super::receipt::without_plus;
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

pub const NAME: &str = "vonage";
const BASE_URL: &str = "https://api.nexmo.com";

/// How long a token of ours is good, in seconds.
const TOKEN_S: u64 = 120;

/// Errors of the Messages API by number (Vonage, "Messages API errors"). Others keep the number
/// and go by the next channel.
const CODES: [(&str, Class); 18] = [
    ("1000", Class::Rate),
    ("1010", Class::Request),
    ("1020", Class::Request),
    ("1021", Class::Request),
    ("1022", Class::Request),
    ("1030", Class::Provider),
    ("1040", Class::Request),
    ("1050", Class::OptedOut),
    ("1060", Class::Account),
    ("1070", Class::Account),
    ("1080", Class::Account),
    ("1090", Class::Request),
    ("1100", Class::Provider),
    ("1120", Class::Blocked),
    ("1130", Class::Request),
    ("1140", Class::Account),
    ("1150", Class::Request),
    ("1160", Class::Region),
];

/// Who we are to Vonage.
enum Login {
    Basic { key: String, secret: Secret },
    Application { id: String, key: Box<EncodingKey> },
}

pub struct Vonage {
    client: reqwest::Client,
    base_url: String,
    login: Login,
    senders: Senders,
}

impl std::fmt::Debug for Vonage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vonage").field("base_url", &self.base_url).finish_non_exhaustive()
    }
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
    message_uuid: String,
}

/// A problem document (RFC 9457); the number stands behind `#` in its type.
#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

impl Vonage {
    /// # Errors
    /// A sentence, when the private key is none or no HTTP client can be made.
    pub fn new(account: Account) -> Result<Self, String> {
        let login = match (account.application, account.private_key, account.token) {
            (Some(id), Some(key), _) => {
                let key = EncodingKey::from_rsa_pem(key.expose().as_bytes())
                    .map_err(|error| format!("private_key_file: {error}"))?;
                Login::Application { id, key: Box::new(key) }
            }
            (_, _, Some(secret)) => Login::Basic { key: account.name, secret },
            _ => return Err("neither a token nor a private key is named".into()),
        };
        Ok(Self {
            client: http::client(account.connections).map_err(|error| error.to_string())?,
            base_url: account.base_url.unwrap_or_else(|| BASE_URL.into()),
            login,
            senders: account.senders,
        })
    }

    /// A JWT for one request (RFC 7519), or name and password.
    fn signed(&self, request: RequestBuilder, body: &str) -> Result<RequestBuilder, SendError> {
        match &self.login {
            Login::Basic { key, secret } => Ok(request.basic_auth(key, Some(secret.expose()))),
            Login::Application { id, key } => {
                // Vonage reads it on the clock on the wall, whatever the clock of a play says.
                let now = jsonwebtoken::get_current_timestamp();
                let jti = Sha256::new().chain_update(now.to_be_bytes()).chain_update(body);
                let jti = data_encoding::HEXLOWER.encode(&jti.finalize()[..16]);
                let claims = Claims { application_id: id, iat: now, exp: now + TOKEN_S, jti };
                let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, key)
                    .map_err(|error| SendError::NotStarted { reason: error.to_string() })?;
                Ok(request.bearer_auth(token))
            }
        }
    }

    async fn post(
        &self,
        body: &serde_json::Value,
        window: HandOverWindow,
    ) -> Result<Taken, SendError> {
        let body = body.to_string();
        let request = self.client.post(format!("{}/v1/messages", self.base_url));
        let request = self.signed(request, &body)?.header(CONTENT_TYPE, "application/json");
        http::hand_over(request, body, window).await?.read(
            |created: Created| (Some(created.message_uuid), None),
            |status, fault: Fault, retry_after| {
                let code = fault.kind.rsplit_once('#').map_or("", |(_, code)| code);
                let said = format!("{} {}", fault.title, fault.detail);
                refusal(status, class_of(code), said.trim(), retry_after)
            },
        )
    }

    fn message(&self, to: &Address, sms: &SmsText) -> serde_json::Value {
        let encoding = match sms.counted.encoding {
            Encoding::Gsm7 => "text",
            Encoding::Ucs2 => "unicode",
        };
        json!({
            "channel": "sms",
            "message_type": "text",
            "to": without_plus(to.expose()),
            "from": without_plus(self.senders.of(to)),
            "text": sms.text,
            "sms": { "encoding_type": encoding },
        })
    }

    async fn hand_over(
        &self,
        outgoing: &Outgoing,
        window: HandOverWindow,
    ) -> Result<Taken, SendError> {
        let mut body = self.message(&outgoing.to, outgoing.text()?);
        body["client_ref"] = outgoing.reference().into();
        if let Some(url) = outgoing.receipt() {
            body["webhook_url"] = url.into();
        }
        self.post(&body, window).await
    }

    async fn say(&self, to: &Address, sms: &SmsText) -> Result<(), SendError> {
        let window = HandOverWindow::open(super::REPLY_WINDOW);
        self.post(&self.message(to, sms), window).await.map(drop)
    }
}

impl Wire for Vonage {
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

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        http::reaches(&self.client, &self.base_url).boxed()
    }
}

pub(super) fn class_of(code: &str) -> Option<Class> {
    look_up(NAME, &CODES, code)
}
