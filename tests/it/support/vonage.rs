//! A double of Vonage's Voice API: strict about what it is sent, scripted in what it answers,
//! and able to sign callbacks as Vonage does. Its key pair is for tests alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::TestApp;

pub const APPLICATION: &str = "78d335fa-323d-0114-9c3d-d6f0d48968cf";
pub const SIGNATURE_SECRET: &str = "signature-secret";
pub const PRIVATE_KEY: &str = include_str!("../../fixtures/vonage/private.pem");
const PUBLIC_KEY: &str = include_str!("../../fixtures/vonage/public.pem");

/// A call that was taken.
#[derive(Debug, Clone)]
pub struct Call {
    pub body: Value,
    pub uuid: String,
}

#[derive(Clone)]
pub struct VonageDouble {
    address: std::net::SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    taken: Mutex<Vec<Call>>,
    /// Status codes of the next answers; 0 takes the call and says nothing.
    answers: Mutex<VecDeque<u16>>,
}

impl VonageDouble {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new()
            .route("/v1/calls", post(take))
            .route("/v1/calls", get(async || axum::Json(json!({"count": 0}))))
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next answers, by their status codes; 0 takes the call and vanishes.
    pub fn will(&self, answers: impl IntoIterator<Item = u16>) {
        self.inner.answers.lock().expect("lock").extend(answers);
    }

    pub fn taken(&self) -> Vec<Call> {
        self.inner.taken.lock().expect("lock").clone()
    }
}

/// The token of a request, checked as Vonage does: RS256 by the application's key, a quarter
/// of an hour old at most, with an id.
fn token(headers: &HeaderMap) -> Option<Value> {
    let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let key = DecodingKey::from_rsa_pem(PUBLIC_KEY.as_bytes()).expect("a key");
    let claims = jsonwebtoken::decode::<Value>(token, &key, &Validation::new(Algorithm::RS256));
    let claims = claims.ok()?.claims;
    let issued = claims["iat"].as_u64()?;
    let now = jsonwebtoken::get_current_timestamp();
    let fits = claims["application_id"] == APPLICATION
        && issued.abs_diff(now) < 900
        && claims["jti"].is_string();
    fits.then_some(claims)
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> Response {
    if token(&headers).is_none() {
        let body = r#"{"type":"UNAUTHORIZED","error_title":"Unauthorized"}"#;
        return (StatusCode::UNAUTHORIZED, body).into_response();
    }
    assert_eq!(headers["content-type"], "application/json");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    check(&body);
    let answer = inner.answers.lock().expect("lock").pop_front().unwrap_or(201);
    if answer >= 400 {
        let status = StatusCode::from_u16(answer).expect("a status");
        return (status, r#"{"title":"no","detail":"not now"}"#).into_response();
    }
    let uuid = {
        let mut taken = inner.taken.lock().expect("lock");
        let uuid = format!("63f61863-4a51-4f6b-86e1-{:012}", taken.len());
        taken.push(Call { body, uuid: uuid.clone() });
        uuid
    };
    if answer == 0 {
        // A panic closes the connection: no answer at all.
        std::panic::resume_unwind(Box::new("vanished"));
    }
    let said = json!({"uuid": uuid, "status": "started", "direction": "outbound",
        "conversation_uuid": "CON-1"});
    (StatusCode::CREATED, said.to_string()).into_response()
}

/// What `POST /v1/calls` requires and knows (OpenAPI "Voice API").
fn check(body: &Value) {
    let known = [
        "to",
        "from",
        "answer_url",
        "answer_method",
        "event_url",
        "event_method",
        "ncco",
        "ringing_timer",
        "length_timer",
        "advanced_machine_detection",
    ];
    for name in body.as_object().expect("an object").keys() {
        assert!(known.contains(&name.as_str()), "{name}");
    }
    let number = |endpoint: &Value| {
        assert_eq!(endpoint["type"], "phone");
        let number = endpoint["number"].as_str().expect("a number");
        assert!((7..=15).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()));
    };
    assert_eq!(body["to"].as_array().expect("a list").len(), 1);
    number(&body["to"][0]);
    number(&body["from"]);
    assert!(body["ncco"].is_array() != body["answer_url"].is_array(), "one of the two: {body}");
    if body["ncco"].is_array() {
        super::telephone::read_ncco(&body["ncco"]);
    }
    assert!((1..=120).contains(&body["ringing_timer"].as_i64().expect("ringing_timer")));
    if let Some(detection) = body.get("advanced_machine_detection") {
        assert!(["continue", "hangup"].contains(&detection["behavior"].as_str().expect("one")));
        let modes = ["default", "detect", "detect_beep"];
        assert!(modes.contains(&detection["mode"].as_str().expect("a mode")));
        assert!((45..=120).contains(&detection["beep_timeout"].as_i64().expect("beep_timeout")));
    }
}

/// Signs a callback as Vonage does: HS256 by the account's signature secret, over the body's
/// fingerprint.
pub fn signed(app: &TestApp, secret: &str, body: &str) -> String {
    let claims = json!({
        "iat": app.now().timestamp(), "jti": "c5ba8f24", "iss": "Vonage",
        "payload_hash": data_encoding::HEXLOWER.encode(&Sha256::digest(body.as_bytes())),
        "api_key": "abcd1234", "application_id": APPLICATION,
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token")
}

/// Posts a callback to the app, signed.
pub async fn post_signed(app: &TestApp, path: &str, body: &Value) -> (u16, String) {
    let body = body.to_string();
    let token = signed(app, SIGNATURE_SECRET, &body);
    let request = axum::http::Request::post(path)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    app.http(request.body(body.into()).expect("a request")).await
}
