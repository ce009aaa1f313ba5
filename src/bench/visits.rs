//! Visits to the customers' pages at a steady pace, from the other side of the wire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::measure::percentile;

/// Requests one after the other at a pace, beginning again where they are used up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Visits {
    pub base: String,
    /// Path and cookie.
    pub requests: Vec<(String, String)>,
    /// Posted where there is one; otherwise pages are only looked at.
    pub form: Option<String>,
    /// Requests a second.
    pub rate: u32,
    pub total: u32,
}

/// How long answers took, from the instant each request was due.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Timing {
    pub requests: usize,
    /// Answered with anything but 200.
    pub failed: usize,
    pub per_second: u32,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Visits {
    /// Makes them.
    pub async fn make(self) -> Timing {
        let client = reqwest::Client::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1) / self.rate);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let visits = Arc::new(self);
        let mut answers = Vec::with_capacity(visits.total as usize);
        for n in 0..visits.total as usize {
            let due = tick.tick().await.into_std();
            let (client, visits) = (client.clone(), Arc::clone(&visits));
            answers.push(tokio::spawn(async move { visits.one(&client, n, due).await }));
        }
        let mut timing =
            Timing { requests: answers.len(), per_second: visits.rate, ..Timing::default() };
        let mut ms = Vec::with_capacity(answers.len());
        for answer in answers {
            match answer.await {
                Ok(Some(took)) => ms.push(took.as_secs_f64() * 1_000.0),
                _ => timing.failed += 1,
            }
        }
        ms.sort_by(f64::total_cmp);
        let at = |share| percentile(&ms, share);
        Timing { p50_ms: at(50), p99_ms: at(99), max_ms: at(100), ..timing }
    }

    async fn one(&self, client: &reqwest::Client, n: usize, due: Instant) -> Option<Duration> {
        let (path, cookie) = &self.requests[n % self.requests.len()];
        let url = format!("{}{path}", self.base);
        let request = match &self.form {
            Some(form) => client
                .post(url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.clone()),
            None => client.get(url),
        };
        let answer = request.header("cookie", cookie).send().await.ok()?;
        let good = answer.status() == 200;
        answer.bytes().await.ok()?;
        good.then(|| due.elapsed())
    }
}
