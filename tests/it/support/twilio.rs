//! A double of Twilio's Messages and Calls: strict about what it is sent, scripted in what it
//! answers, and able to sign callbacks as Twilio does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

pub const TOKEN: &str = "12345";

/// A message or call that was taken.
#[derive(Debug, Clone)]
pub struct Request {
    /// `Messages` or `Calls`.
    #[allow(dead_code, reason = "for tests of calls")]
    pub resource: String,
    pub fields: BTreeMap<String, String>,
    pub sid: String,
}

impl Request {
    pub fn field(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .map_or_else(|| panic!("no {name} in {:?}", self.fields), String::as_str)
    }

    /// Where a key pressed during this call is told.
    pub fn action(&self) -> String {
        let action = self.field("Twiml").split("action=\"").nth(1).expect("a Gather");
        action.split('"').next().expect("its end").replace("&amp;", "&")
    }
}

/// What the double answers next.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A refusal with this status and error code.
    Refuse(u16, u32),
    /// Takes the message and then fails with this status.
    TakeAndFail(u16),
    /// Takes the message and closes without an answer.
    TakeAndVanish,
}

#[derive(Clone)]
pub struct TwilioDouble {
    address: std::net::SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    taken: Mutex<Vec<Request>>,
    answers: Mutex<VecDeque<Answer>>,
}

impl TwilioDouble {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new()
            .route("/2010-04-01/Accounts/AC1/{resource}", post(take))
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn will(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inner.answers.lock().expect("lock").extend(answers);
    }

    pub fn taken(&self) -> Vec<Request> {
        self.inner.taken.lock().expect("lock").clone()
    }
}

async fn take(
    State(inner): State<Arc<Inner>>,
    Path(resource): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let expected = format!("Basic {}", data_encoding::BASE64.encode(b"AC1:12345"));
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&expected) {
        return (StatusCode::UNAUTHORIZED, r#"{"code":20003,"message":"Authenticate"}"#)
            .into_response();
    }
    assert!(headers.contains_key("content-length"), "a body of known length: {headers:?}");
    let fields: BTreeMap<String, String> = pairs(&body).into_iter().collect();
    for required in ["To", "From", "StatusCallback"] {
        assert!(fields.contains_key(required), "{required} is missing in {fields:?}");
    }
    let resource = resource.trim_end_matches(".json").to_owned();
    let answer = inner.answers.lock().expect("lock").pop_front();
    if let Some(Answer::Refuse(status, code)) = answer {
        let body = format!(r#"{{"code":{code},"message":"no","status":{status}}}"#);
        return (StatusCode::from_u16(status).expect("a status"), body).into_response();
    }
    let sid = {
        let mut taken = inner.taken.lock().expect("lock");
        let sid = format!("{}{:032}", if resource == "Calls" { "CA" } else { "SM" }, taken.len());
        taken.push(Request { resource, fields, sid: sid.clone() });
        sid
    };
    match answer {
        Some(Answer::TakeAndFail(status)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, r#"{"code":20500,"message":"internal"}"#).into_response()
        }
        // A panic closes the connection: no answer at all.
        Some(Answer::TakeAndVanish) => std::panic::resume_unwind(Box::new("vanished")),
        _ => {
            let body = format!(r#"{{"sid":"{sid}","status":"queued"}}"#);
            (StatusCode::CREATED, body).into_response()
        }
    }
}

pub fn pairs(text: &str) -> Vec<(String, String)> {
    let mut url = reqwest::Url::parse("form:x").expect("a URL");
    url.set_query(Some(text));
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Signs a callback as Twilio does: HMAC-SHA1 over the address and the sorted fields.
pub fn sign(url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).expect("any length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    data_encoding::BASE64.encode(&mac.finalize().into_bytes())
}
