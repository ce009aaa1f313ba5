//! Webhooks on the wire: one signed request (Standard Webhooks 1.0), to an address that was
//! looked at, and the beginning of what the receiver says.

mod guard;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Url};

use crate::domain::webhook::{SigningKey, signatures};

pub use guard::{Guard, Lookup, Reach, reach, system_lookup};
use guard::{GuardedNames, Refused};

/// The most of an answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// The most of an answer that is kept, in characters.
const MAX_SAID: usize = 300;

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a hook is made of.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    pub keys: Vec<SigningKey>,
    pub timeout: Duration,
    pub allow_private: bool,
}

/// The way to one receiver.
#[derive(Debug)]
pub struct Hook {
    client: Client,
    url: Url,
    guard: Guard,
    keys: Vec<SigningKey>,
}

/// What a receiver said, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    pub retry_after: Option<TimeDelta>,
    /// The beginning of the answer, on one line, or why there was none.
    pub said: String,
    pub took: Duration,
}

impl Answer {
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// What it comes to, for people: `503 Service down`, `no answer: timed out`.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (self.status, self.said.as_str()) {
            (Some(status), "") => status.to_string(),
            (Some(status), said) => format!("{status} {said}"),
            (None, said) => format!("no answer: {said}"),
        }
    }
}

impl Hook {
    /// # Errors
    /// What is wrong with the address, or why no HTTP client can be made.
    pub fn new(target: Target, lookup: Lookup) -> Result<Self, String> {
        let url = Url::parse(&target.url).map_err(|error| error.to_string())?;
        let guard = Guard { allow_private: target.allow_private, plain: url.scheme() != "https" };
        let client = Client::builder()
            .user_agent(concat!("Tidings/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve the name once more.
            .no_proxy()
            .dns_resolver(GuardedNames { guard, lookup })
            .connect_timeout(CONNECT_TIMEOUT.min(target.timeout))
            .timeout(target.timeout)
            .pool_max_idle_per_host(8)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, url, guard, keys: target.keys })
    }

    /// Sends one event. `at` is the real time of this attempt, in seconds since 1970: receivers
    /// refuse what is five minutes off.
    pub async fn post(&self, id: &str, at_s: i64, body: &str) -> Answer {
        let began = Instant::now();
        let mut answer = match self.send(id, at_s, body).await {
            Ok(answer) => answer,
            Err(why) => Answer {
                status: None,
                retry_after: None,
                said: one_line(&why),
                took: Duration::ZERO,
            },
        };
        answer.took = began.elapsed();
        answer
    }

    async fn send(&self, id: &str, at_s: i64, body: &str) -> Result<Answer, String> {
        // An address that is no name is never resolved: it is looked at here.
        let host = self.url.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            self.guard.allows(address)?;
        }
        let response = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at_s.to_string())
            .header("webhook-signature", signatures(&self.keys, id, at_s, body))
            .body(body.to_owned())
            .send()
            .await;
        let mut response = response.map_err(|error| cause(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let mut said = Vec::new();
        // The status says it all; what follows is for people and may break off.
        while said.len() < MAX_ANSWER
            && let Ok(Some(chunk)) = response.chunk().await
        {
            said.extend_from_slice(&chunk);
        }
        said.truncate(MAX_ANSWER);
        let said = one_line(&String::from_utf8_lossy(&said));
        Ok(Answer { status: Some(status), retry_after, said, took: Duration::ZERO })
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3) counted from the receiver's own `Date`.
fn retry_after(headers: &HeaderMap) -> Option<TimeDelta> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let wanted = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = wanted.parse::<u32>() {
        return Some(TimeDelta::seconds(i64::from(seconds)));
    }
    let date = |text: &str| DateTime::parse_from_rfc2822(text).ok().map(|d| d.with_timezone(&Utc));
    let wait = date(wanted)? - date(text(reqwest::header::DATE)?)?;
    Some(wait.max(TimeDelta::zero()))
}

/// The innermost cause, which names what happened and not the address.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(deeper) = inner.source() {
        if let Some(refused) = deeper.downcast_ref::<Refused>() {
            return refused.to_string();
        }
        inner = deeper;
    }
    if error.is_timeout() { "it took too long".to_owned() } else { inner.to_string() }
}

/// The beginning of a text on one line, without what a terminal would obey.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(
            word.chars().filter(|c| crate::domain::fault::forbidden_char(&c.to_string()).is_none()),
        );
        if line.len() > MAX_SAID * 4 {
            break;
        }
    }
    line.chars().take(MAX_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_beside_the_receivers_own() {
        let headers = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a value"));
            }
            retry_after(&headers)
        };
        assert_eq!(headers(&[("retry-after", "120")]), Some(TimeDelta::seconds(120)));
        let date = ("date", "Mon, 23 Nov 2026 10:00:00 GMT");
        let later = ("retry-after", "Mon, 23 Nov 2026 10:05:00 GMT");
        assert_eq!(headers(&[date, later]), Some(TimeDelta::seconds(300)));
        assert_eq!(headers(&[later]), None);
        assert_eq!(headers(&[("retry-after", "soon")]), None);
    }

    #[test]
    fn what_a_receiver_says_is_kept_on_one_line_and_harmless() {
        assert_eq!(one_line("<b>\r\n  down \u{1b}[31m\u{202e}x"), "<b> down [31mx");
        assert_eq!(one_line(&"ä ".repeat(5_000)).chars().count(), MAX_SAID);
    }
}
