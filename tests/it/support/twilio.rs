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
    pub resource: String,
    pub fields: BTreeMap<String, String>,
    pub sid: String,
    /// RFC 2822.
    pub made_at: String,
}

impl Request {
    pub fn field(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .map_or_else(|| panic!("no {name} in {:?}", self.fields), String::as_str)
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
    /// Closes without an answer, and nothing was taken.
    Vanish,
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
    lists_are_down: std::sync::atomic::AtomicBool,
}

impl TwilioDouble {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new()
            .route("/2010-04-01/Accounts/AC1/{resource}", post(take).get(list))
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

    /// From here on nobody can look anything up.
    pub fn hide_lists(&self) {
        self.inner.lists_are_down.store(true, std::sync::atomic::Ordering::Release);
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
    if let Some(Answer::Vanish) = answer {
        std::panic::resume_unwind(Box::new("vanished"));
    }
    let made_at = START.to_rfc2822();
    let sid = {
        let mut taken = inner.taken.lock().expect("lock");
        let sid = format!("{}{:032}", if resource == "Calls" { "CA" } else { "SM" }, taken.len());
        taken.push(Request { resource, fields, sid: sid.clone(), made_at });
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

/// When everything is taken, as lists have it: the beginning of a test.
const START: chrono::DateTime<chrono::Utc> =
    chrono::DateTime::from_timestamp(1_795_428_000, 0).expect("2026-11-23T10:00:00Z");

/// The list of what was taken, newest first, as Twilio answers it.
async fn list(
    State(inner): State<Arc<Inner>>,
    Path(resource): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Response {
    if inner.lists_are_down.load(std::sync::atomic::Ordering::Acquire) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let query: BTreeMap<String, String> = pairs(&query.unwrap_or_default()).into_iter().collect();
    let resource = resource.trim_end_matches(".json").to_owned();
    let since = if resource == "Calls" { "StartTime>" } else { "DateSent>" };
    assert!(query.contains_key(since), "a list from a day on: {query:?}");
    let taken = inner.taken.lock().expect("lock");
    let wanted = |request: &&Request| {
        request.resource == resource
            && request.field("To") == query["To"]
            && request.field("From") == query["From"]
    };
    let entries: Vec<serde_json::Value> = taken
        .iter()
        .rev()
        .filter(wanted)
        .map(|request| {
            serde_json::json!({
                "sid": request.sid, "status": "sent", "error_code": null,
                "body": request.fields.get("Body"), "date_created": request.made_at,
            })
        })
        .collect();
    let name = if resource == "Calls" { "calls" } else { "messages" };
    axum::Json(serde_json::json!({ name: entries, "next_page_uri": null })).into_response()
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
