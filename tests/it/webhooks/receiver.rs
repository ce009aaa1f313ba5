//! A receiver of webhooks on loopback, which checks signatures with the reference library.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;
use standardwebhooks::Webhook;

/// The secrets of the tests: 24 and 32 bytes.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const NEXT_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Told {
    pub headers: HeaderMap,
    pub body: String,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// Is it signed with this secret, as the reference library sees it?
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let webhook = Webhook::new(secret).expect("a secret");
        webhook.verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}

/// What the receiver says next; 204 when nothing is left to say.
#[derive(Debug, Clone)]
pub enum Say {
    Status(u16),
    /// 503 with `Retry-After` in seconds.
    Wait(u32),
    /// A redirect to this address.
    Elsewhere(String),
    /// 200 with a body of so many bytes.
    Much(usize),
}

#[derive(Clone)]
pub struct Receiver {
    address: std::net::SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    told: Mutex<Vec<Told>>,
    says: Mutex<VecDeque<Say>>,
    always: Mutex<Option<u16>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(take).with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn will(&self, says: impl IntoIterator<Item = Say>) {
        self.inner.says.lock().expect("lock").extend(says);
    }

    /// What it says whenever nothing else was asked for.
    pub fn always(&self, status: Option<u16>) {
        *self.inner.always.lock().expect("lock") = status;
    }

    pub fn told(&self) -> Vec<Told> {
        self.inner.told.lock().expect("lock").clone()
    }

    /// The types told so far, in their order.
    pub fn kinds(&self) -> Vec<String> {
        self.told().iter().map(Told::kind).collect()
    }

    /// The settings of a hook that leads here.
    pub fn hook(&self, name: &str, events: &str, more: &str) -> String {
        format!(
            "[[webhooks]]\nname = \"{name}\"\nurl = \"{}\"\nevents = {events}\nallow_private = true\n{}{more}",
            self.url(),
            if more.contains("secrets") {
                String::new()
            } else {
                format!("secrets = [\"{SECRET}\"]\n")
            },
        )
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> Response {
    inner.told.lock().expect("lock").push(Told { headers, body });
    let say = inner.says.lock().expect("lock").pop_front();
    let always = *inner.always.lock().expect("lock");
    let status = |status| Response::builder().status(StatusCode::from_u16(status).expect("one"));
    let response = match say.or(always.map(Say::Status)) {
        None => status(204).body(Body::empty()),
        Some(Say::Status(code)) => status(code).body(Body::from("as it was asked")),
        Some(Say::Wait(seconds)) => {
            status(503).header("retry-after", seconds.to_string()).body(Body::empty())
        }
        Some(Say::Elsewhere(place)) => status(302).header("location", place).body(Body::empty()),
        Some(Say::Much(bytes)) => status(200).body(Body::from("x".repeat(bytes))),
    };
    response.expect("a response")
}
