//! A double of any provider's HTTP door: keeps what it is sent and answers what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

#[derive(Clone)]
pub struct GatewayDouble {
    address: std::net::SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    usual: (u16, String),
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<(u16, String)>>,
    came: tokio::sync::Notify,
}

impl GatewayDouble {
    /// Answers `usual` unless told otherwise.
    pub async fn start(usual: (u16, String)) -> Self {
        let inner = Arc::new(Inner {
            usual,
            seen: Mutex::default(),
            answers: Mutex::default(),
            came: tokio::sync::Notify::new(),
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn will(&self, status: u16, body: &str) {
        self.inner.answers.lock().expect("lock").push_back((status, body.to_owned()));
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().expect("lock").clone()
    }

    /// Waits until so many requests came.
    pub async fn wait_for(&self, count: usize) -> Vec<Seen> {
        loop {
            let came = self.inner.came.notified();
            let seen = self.seen();
            if seen.len() >= count {
                return seen;
            }
            came.await;
        }
    }
}

async fn take(
    State(inner): State<Arc<Inner>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).expect("text");
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    inner.seen.lock().expect("lock").push(Seen { path, headers, body });
    inner.came.notify_one();
    let answer = inner.answers.lock().expect("lock").pop_front();
    let (status, body) = answer.unwrap_or_else(|| inner.usual.clone());
    (StatusCode::from_u16(status).expect("a status"), body).into_response()
}
