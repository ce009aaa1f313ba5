//! The doors of the API processes that may be up: asked one after the other, as a load
//! balancer would.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

/// How customers and providers know the installation.
pub const PUBLIC_URL: &str = "https://notify.example.com";

/// The wait between two rounds of asking, when no door opened.
const ROUND: Duration = Duration::from_millis(100);

/// A request may take this long.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub struct Doors {
    ports: Arc<Vec<u16>>,
    next: Arc<AtomicUsize>,
    client: reqwest::Client,
}

impl Doors {
    pub fn new(ports: Vec<u16>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
        Self { ports: Arc::new(ports), next: Arc::default(), client }
    }

    fn base(&self) -> String {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        format!("http://127.0.0.1:{}", self.ports[turn % self.ports.len()])
    }

    /// Asks until a door answers with something other than a server's fault, `tries` times.
    async fn ask(
        &self,
        tries: u32,
        request: impl Fn(&reqwest::Client, &str) -> reqwest::RequestBuilder,
    ) -> Option<(u16, String)> {
        let mut rounds = tokio::time::interval(ROUND);
        for _ in 0..tries {
            let answer = request(&self.client, &self.base()).send().await;
            if let Ok(answer) = answer
                && !answer.status().is_server_error()
            {
                let status = answer.status().as_u16();
                if let Ok(text) = answer.text().await {
                    return Some((status, text));
                }
            }
            rounds.tick().await;
        }
        None
    }

    /// The JSON at a path.
    pub async fn get(&self, path: &str) -> Value {
        let (status, text) = self
            .ask(600, |client, base| client.get(format!("{base}{path}")))
            .await
            .unwrap_or_else(|| panic!("nobody answers {path}"));
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    /// Sends JSON; the status and the answer, `None` when no door opened.
    pub async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &Value,
        tries: u32,
    ) -> Option<(u16, Value)> {
        let (status, text) = self
            .ask(tries, |client, base| {
                client.request(method.clone(), format!("{base}{path}")).json(body)
            })
            .await?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Posts a signed form to a public address; what was answered with a 2xx.
    pub async fn answer(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        signature: &str,
        tries: u32,
    ) -> Option<String> {
        let path = url.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("a stranger's: {url}"));
        let (status, text) = self
            .ask(tries, |client, base| {
                let request = client.post(format!("{base}{path}")).form(fields);
                request.header("x-twilio-signature", signature)
            })
            .await?;
        (200..300).contains(&status).then_some(text)
    }

    /// The same; was it answered so?
    pub async fn form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        signature: &str,
        tries: u32,
    ) -> bool {
        self.answer(url, fields, signature, tries).await.is_some()
    }
}
