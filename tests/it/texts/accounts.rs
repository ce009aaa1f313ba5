//! Each provider as its manual describes it: settings, a yes, a report and a text that came in,
//! signed here by other code than the one that checks.

use axum::body::Body;
use axum::http::Request;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tidings::domain::Channel;
use tidings::domain::time::Instant;

use crate::support::TestApp;
use crate::support::gateway::{GatewayDouble, Seen};
use crate::support::twilio::pairs;

pub const SECRET: &str = "s3cret";
pub const PUBLIC: &str = "https://tidings.example.com";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Vonage,
    Plivo,
    Sinch,
    Kannel,
    Http,
}

pub const ALL: [Kind; 5] = [Kind::Vonage, Kind::Plivo, Kind::Sinch, Kind::Kannel, Kind::Http];

fn mac(secret: &str, text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

pub fn form(fields: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("form:x").expect("a URL");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vonage => "vonage",
            Self::Plivo => "plivo",
            Self::Sinch => "sinch",
            Self::Kannel => "kannel",
            Self::Http => "http",
        }
    }

    pub fn settings(self, url: &str) -> String {
        let token = if self == Self::Plivo { SECRET } else { "t0ken" };
        let door = if self == Self::Http { DOOR.replace("URL", url) } else { String::new() };
        format!(
            "[channels.sms]\nprovider = \"{}\"\nbase_url = \"{url}\"\naccount = \"acc1\"\ntoken = \"{token}\"\n\
             callback_secret = \"{SECRET}\"\nfrom = \"+442079460001\"\n{door}",
            self.name()
        )
    }

    pub fn yes(self) -> (u16, String) {
        match self {
            Self::Vonage => (202, r#"{"message_uuid":"m-1"}"#.into()),
            Self::Plivo => {
                (202, r#"{"api_id":"x","message":"queued","message_uuid":["m-1"]}"#.into())
            }
            Self::Sinch => (201, r#"{"id":"m-1","canceled":false}"#.into()),
            Self::Kannel => (202, "0: Accepted for delivery".into()),
            Self::Http => (200, r#"{"status":"ok","id":"m-1"}"#.into()),
        }
    }

    /// The name by which the provider knows the message, where its answer has one.
    pub fn reference(self) -> Option<&'static str> {
        (self != Self::Kannel).then_some("m-1")
    }

    /// The address a report comes to.
    pub fn report_url(self, seen: &Seen) -> String {
        match self {
            Self::Vonage => seen.json()["webhook_url"].as_str().expect("a URL").to_owned(),
            Self::Plivo => seen.json()["url"].as_str().expect("a URL").to_owned(),
            Self::Sinch => seen.json()["callback_url"].as_str().expect("a URL").to_owned(),
            Self::Kannel => seen.header("x-kannel-dlr-url").to_owned(),
            Self::Http => seen.json()["report"].as_str().expect("a URL").to_owned(),
        }
    }

    /// A report as the provider signs it. Each says something in particular: `delivered`,
    /// `underway` or `failed`.
    pub fn report(self, url: &str, word: &str, secret: &str, at: Instant) -> Request<Body> {
        if self == Self::Kannel {
            let url = url.replace("%d", &self.said(word)).replace("%A", "ok");
            // The tag is all that proves it: another secret is another tag.
            let url = if secret == SECRET { url } else { url.replace("a=v1.", "a=v1.x") };
            return Request::get(path_of(&url)).body(Body::empty()).expect("a request");
        }
        self.signed(url, self.report_body(word), secret, at)
    }

    /// How the provider writes `delivered`, `underway` and `failed`.
    fn said(self, word: &str) -> String {
        let words = match self {
            Self::Vonage => ["delivered", "submitted", "rejected"],
            Self::Plivo => ["delivered", "sent", "undelivered"],
            Self::Sinch => ["Delivered", "Dispatched", "Failed"],
            Self::Kannel => ["1", "8", "2"],
            Self::Http => ["DELIVRD", "ACCEPTD", "UNDELIV"],
        };
        let place = ["delivered", "underway", "failed"].iter().position(|known| *known == word);
        words[place.expect("a word we know")].to_owned()
    }

    /// The body of a report; Kannel's has its query instead.
    pub fn report_body(self, word: &str) -> Vec<u8> {
        let status = self.said(word);
        let body = match self {
            Self::Vonage => json!({"message_uuid": "m-1", "status": status, "channel": "sms"}),
            Self::Sinch => json!({"type": "recipient_delivery_report_sms", "batch_id": "m-1",
                "recipient": "447911123456", "code": 0, "status": status}),
            Self::Http => json!({"state": status, "why": "absent"}),
            Self::Plivo | Self::Kannel => {
                let fields =
                    [("Status", status.as_str()), ("MessageUUID", "m-1"), ("ErrorCode", "80")];
                return form(&fields).into_bytes();
            }
        };
        body.to_string().into_bytes()
    }

    /// What a body is sent with, as the provider signs it. Kannel's is its query, with the word
    /// of our own in it.
    pub fn signed(self, url: &str, body: Vec<u8>, secret: &str, at: Instant) -> Request<Body> {
        match self {
            Self::Vonage => vonage(url, body, secret, at),
            Self::Plivo => plivo(url, body, secret),
            Self::Sinch => sinch(url, body, secret, at),
            Self::Http => http(url, body, secret),
            Self::Kannel => {
                let joint = if url.contains('?') { '&' } else { '?' };
                let query = String::from_utf8(body).expect("a query");
                let path =
                    format!("{}{joint}{}&{query}", path_of(url), form(&[("secret", secret)]));
                Request::get(path).body(Body::empty()).expect("a request")
            }
        }
    }

    /// A text that came in, as the provider signs it.
    pub fn text(
        self,
        from: &str,
        text: &str,
        id: &str,
        secret: &str,
        at: Instant,
    ) -> Request<Body> {
        self.signed(&self.text_url(), self.text_body(from, text, id), secret, at)
    }

    /// The address a text comes to.
    pub fn text_url(self) -> String {
        format!("{PUBLIC}/v1/inbound/{}", self.name())
    }

    pub fn text_body(self, from: &str, text: &str, id: &str) -> Vec<u8> {
        let bare = from.trim_start_matches('+');
        let body = match self {
            Self::Vonage => json!({"channel": "sms", "message_uuid": id, "to": "442079460001",
                "from": bare, "text": text, "sms": {"num_messages": "1"}}),
            Self::Sinch => json!({"type": "mo_text", "id": id, "from": bare,
                "to": "442079460001", "body": text, "received_at": "2026-11-23T10:00:00Z"}),
            Self::Http => json!({"msisdn": bare, "message": text, "ref": id}),
            Self::Plivo => {
                let fields = [
                    ("From", bare),
                    ("To", "442079460001"),
                    ("Text", text),
                    ("Type", "sms"),
                    ("MessageUUID", id),
                ];
                return form(&fields).into_bytes();
            }
            Self::Kannel => {
                let fields = [("from", from), ("to", "+442079460001"), ("text", text), ("id", id)];
                return form(&fields).into_bytes();
            }
        };
        body.to_string().into_bytes()
    }

    /// Does a reply leave by the provider's own door?
    pub fn answers_by_wire(self) -> bool {
        matches!(self, Self::Vonage | Self::Sinch | Self::Http)
    }

    /// What the reply said that left by the wire.
    pub fn reply(self, seen: &Seen) -> String {
        let json = seen.json();
        let field = if self == Self::Sinch { "body" } else { "text" };
        json[field].as_str().expect("a text").to_owned()
    }
}

const DOOR: &str = r#"
[channels.sms.http]
url = "URL/send/{{ account }}"
headers = { Authorization = "Bearer {{ token }}" }
body = '{"to": {{ to }}, "sender": {{ from }}, "text": {{ text }}, "report": {{ receipt_url }}, "ref": {{ reference }}}'
success = { status = "200-299", pointer = "/status", equals = "ok" }
id_pointer = "/id"
[channels.sms.http.receipts]
status = "/state"
detail = "/why"
values = { ACCEPTD = "sent", DELIVRD = "delivered", UNDELIV = "failed" }
verify = "hmac"
header = "X-Signature"
prefix = "sha256="
[channels.sms.http.inbound]
from = "/msisdn"
text = "/message"
id = "/ref"
"#;

fn path_of(url: &str) -> String {
    url.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("not ours: {url}")).to_owned()
}

fn vonage(url: &str, body: Vec<u8>, secret: &str, at: Instant) -> Request<Body> {
    let claims = json!({"iat": at.timestamp(), "jti": "j", "iss": "Vonage",
        "payload_hash": HEXLOWER.encode(&Sha256::digest(&body)), "api_key": "acc1"});
    Request::post(path_of(url))
        .header("authorization", bearer(&claims, secret))
        .header("content-type", "application/json")
        .body(body.into())
        .expect("a request")
}

/// `Bearer` and a token over these claims, put together by hand as RFC 7519 says.
pub fn bearer(claims: &Value, secret: &str) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let (head, claims) = (part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let signature = BASE64URL_NOPAD.encode(&mac(secret, format!("{head}.{claims}").as_bytes()));
    format!("Bearer {head}.{claims}.{signature}")
}

fn plivo(url: &str, body: Vec<u8>, secret: &str) -> Request<Body> {
    let mut sorted = pairs(&String::from_utf8_lossy(&body));
    sorted.sort_unstable();
    let said: String = sorted.iter().flat_map(|(name, value)| [&**name, &**value]).collect();
    let joint = if sorted.is_empty() { "" } else { "." };
    let signed = mac(secret, format!("{url}{joint}{said}.nonce1").as_bytes());
    Request::post(path_of(url))
        .header("x-plivo-signature-v3", BASE64.encode(&signed))
        .header("x-plivo-signature-v3-nonce", "nonce1")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.into())
        .expect("a request")
}

fn sinch(url: &str, body: Vec<u8>, secret: &str, at: Instant) -> Request<Body> {
    let beside = format!(".nonce1.{}", at.timestamp());
    let signed = mac(secret, &[body.as_slice(), beside.as_bytes()].concat());
    Request::post(path_of(url))
        .header("x-sinch-webhook-signature", BASE64.encode(&signed))
        .header("x-sinch-webhook-signature-nonce", "nonce1")
        .header("x-sinch-webhook-signature-timestamp", at.timestamp().to_string())
        .body(body.into())
        .expect("a request")
}

fn http(url: &str, body: Vec<u8>, secret: &str) -> Request<Body> {
    let signed = HEXLOWER.encode(&mac(secret, &body));
    Request::post(path_of(url))
        .header("x-signature", format!("sha256={signed}"))
        .body(body.into())
        .expect("a request")
}

/// The app with this provider, and Ada, who wants texts.
pub async fn start(kind: Kind) -> (TestApp, GatewayDouble) {
    let double = GatewayDouble::start(kind.yes()).await;
    let app = TestApp::with(&kind.settings(&double.url())).await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![Channel::Sms, Channel::Email])).await;
    (app, double)
}

/// The same after a text left: its request.
pub async fn texted(kind: Kind) -> (TestApp, GatewayDouble, Seen) {
    let (app, double) = start(kind).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "sent", "{kind:?}");
    let seen = double.seen().remove(0);
    (app, double, seen)
}
