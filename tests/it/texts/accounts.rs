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
        let said = |of: [&str; 3]| match word {
            "delivered" => of[0].to_owned(),
            "underway" => of[1].to_owned(),
            "failed" => of[2].to_owned(),
            other => panic!("{other}"),
        };
        match self {
            Self::Vonage => {
                let status = said(["delivered", "submitted", "rejected"]);
                let body = json!({"message_uuid": "m-1", "status": status, "channel": "sms"});
                vonage(url, &body, secret, at)
            }
            Self::Plivo => {
                let status = said(["delivered", "sent", "undelivered"]);
                let fields =
                    [("Status", status.as_str()), ("MessageUUID", "m-1"), ("ErrorCode", "80")];
                plivo(url, &fields, secret)
            }
            Self::Sinch => {
                let status = said(["Delivered", "Dispatched", "Failed"]);
                let body = json!({"type": "recipient_delivery_report_sms", "batch_id": "m-1",
                    "recipient": "447911123456", "code": 0, "status": status});
                sinch(url, &body, secret, at)
            }
            Self::Kannel => {
                let url = url.replace("%d", &said(["1", "8", "2"])).replace("%A", "ok");
                // The tag is all that proves it: another secret is another tag.
                let url = if secret == SECRET { url } else { url.replace("a=v1.", "a=v1.x") };
                Request::get(path_of(&url)).body(Body::empty()).expect("a request")
            }
            Self::Http => {
                let body =
                    json!({"state": said(["DELIVRD", "ACCEPTD", "UNDELIV"]), "why": "absent"});
                http(url, &body, secret)
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
        let url = format!("{PUBLIC}/v1/inbound/{}", self.name());
        let bare = from.trim_start_matches('+');
        match self {
            Self::Vonage => {
                let body = json!({"channel": "sms", "message_uuid": id, "to": "442079460001",
                    "from": bare, "text": text, "sms": {"num_messages": "1"}});
                vonage(&url, &body, secret, at)
            }
            Self::Plivo => {
                let fields = [
                    ("From", bare),
                    ("To", "442079460001"),
                    ("Text", text),
                    ("Type", "sms"),
                    ("MessageUUID", id),
                ];
                plivo(&url, &fields, secret)
            }
            Self::Sinch => {
                let body = json!({"type": "mo_text", "id": id, "from": bare,
                    "to": "442079460001", "body": text, "received_at": "2026-11-23T10:00:00Z"});
                sinch(&url, &body, secret, at)
            }
            Self::Kannel => {
                let fields = [
                    ("secret", secret),
                    ("from", from),
                    ("to", "+442079460001"),
                    ("text", text),
                    ("id", id),
                ];
                let path = format!("/v1/inbound/kannel?{}", form(&fields));
                Request::get(path).body(Body::empty()).expect("a request")
            }
            Self::Http => http(&url, &json!({"msisdn": bare, "message": text, "ref": id}), secret),
        }
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

fn vonage(url: &str, body: &Value, secret: &str, at: Instant) -> Request<Body> {
    let body = body.to_string();
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let head = part(json!({"alg": "HS256", "typ": "JWT"}));
    let claims = part(json!({"iat": at.timestamp(), "jti": "j", "iss": "Vonage",
        "payload_hash": HEXLOWER.encode(&Sha256::digest(&body)), "api_key": "acc1"}));
    let signature = BASE64URL_NOPAD.encode(&mac(secret, format!("{head}.{claims}").as_bytes()));
    Request::post(path_of(url))
        .header("authorization", format!("Bearer {head}.{claims}.{signature}"))
        .header("content-type", "application/json")
        .body(body.into())
        .expect("a request")
}

fn plivo(url: &str, fields: &[(&str, &str)], secret: &str) -> Request<Body> {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let said: String = sorted.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let signed = mac(secret, format!("{url}.{said}.nonce1").as_bytes());
    Request::post(path_of(url))
        .header("x-plivo-signature-v3", BASE64.encode(&signed))
        .header("x-plivo-signature-v3-nonce", "nonce1")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(fields).into())
        .expect("a request")
}

fn sinch(url: &str, body: &Value, secret: &str, at: Instant) -> Request<Body> {
    let body = body.to_string();
    let signed = mac(secret, format!("{body}.nonce1.{}", at.timestamp()).as_bytes());
    Request::post(path_of(url))
        .header("x-sinch-webhook-signature", BASE64.encode(&signed))
        .header("x-sinch-webhook-signature-nonce", "nonce1")
        .header("x-sinch-webhook-signature-timestamp", at.timestamp().to_string())
        .body(body.into())
        .expect("a request")
}

fn http(url: &str, body: &Value, secret: &str) -> Request<Body> {
    let body = body.to_string();
    let signed = HEXLOWER.encode(&mac(secret, body.as_bytes()));
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
