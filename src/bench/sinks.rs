//! The sinks, and the load of the latency figure: the other side of the wire, in a process of
//! its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::measure::percentile;
use super::visits::{Timing, Visits};
use super::{Latency, measure};

/// When things were seen, by case.
#[derive(Debug, Default)]
struct Seen {
    accepted: HashMap<String, Instant>,
    arrived: HashMap<String, Instant>,
    /// Only while a latency is measured.
    watching: bool,
    /// Cases of the loads before: each load is about cases of its own.
    numbered: usize,
}

type Shared = Arc<Mutex<Seen>>;

/// Serves both sinks until the process is killed, and prints their addresses.
///
/// # Errors
/// When no port can be had.
pub async fn serve() -> Result<(), anyhow::Error> {
    let seen: Shared = Arc::default();
    let smtp = TcpListener::bind("127.0.0.1:0").await?;
    let http = TcpListener::bind("127.0.0.1:0").await?;
    println!("smtp://{}", smtp.local_addr()?);
    println!("http://{}", http.local_addr()?);
    let watcher = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = smtp.accept().await {
            let seen = Arc::clone(&watcher);
            tokio::spawn(async move {
                let _ = take_mail(stream, &seen).await;
            });
        }
    });
    let router = Router::new()
        .route("/2010-04-01/Accounts/AC1/{resource}", post(take_text))
        .route("/load", get(load))
        .route("/visits", post(visit))
        .with_state(seen);
    axum::serve(http, router).await?;
    Ok(())
}

async fn take_mail(stream: TcpStream, seen: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    stream.write_all(b"220 sink\r\n").await?;
    let mut line = String::new();
    let mut data = Vec::with_capacity(64 * 1024);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4) {
            Some("EHLO") => b"250-sink\r\n250 8BITMIME\r\n",
            Some("DATA") => {
                stream.write_all(b"354 go on\r\n").await?;
                let began = Instant::now();
                data.clear();
                // The end is a dot on a line of its own.
                while !data.ends_with(b"\r\n.\r\n") {
                    if stream.read_buf(&mut data).await? == 0 {
                        return Ok(());
                    }
                }
                note_arrival(seen, &data, began);
                b"250 taken\r\n"
            }
            Some("QUIT") => return Ok(()),
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
    }
}

async fn take_text(
    State(seen): State<Shared>,
    body: axum::body::Bytes,
) -> (StatusCode, &'static str) {
    note_arrival(&seen, &body, Instant::now());
    (StatusCode::CREATED, r#"{"sid":"SM1","status":"queued"}"#)
}

/// The case a message is about stands in it as `lat-123`.
fn note_arrival(seen: &Shared, bytes: &[u8], at: Instant) {
    let mut seen = seen.lock().expect("no panic while held");
    if !seen.watching {
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    let Some(start) = text.find("lat-") else { return };
    let case: String =
        text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    seen.arrived.entry(case).or_insert(at);
}

#[derive(Debug, Deserialize)]
struct Load {
    url: String,
    rate: u32,
    seconds: u32,
}

/// Posts events at a steady rate and answers the latencies from 202 to arrival.
async fn load(State(seen): State<Shared>, Query(load): Query<Load>) -> axum::Json<Latency> {
    let numbered = {
        let mut seen = seen.lock().expect("no panic while held");
        seen.watching = true;
        seen.numbered
    };
    let client = reqwest::Client::new();
    let total = (load.rate * load.seconds) as usize;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / load.rate);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut posts = Vec::with_capacity(total);
    for n in numbered..numbered + total {
        tick.tick().await;
        let (client, url, seen) = (client.clone(), load.url.clone(), Arc::clone(&seen));
        posts.push(tokio::spawn(async move {
            let event = measure::event("lat", n, "take_in_charge_ticket");
            let answer = client.post(url).json(&event).send().await;
            if answer.is_ok_and(|answer| answer.status() == 202) {
                let mut seen = seen.lock().expect("no panic while held");
                seen.accepted.insert(format!("lat-{n}"), Instant::now());
            }
        }));
    }
    for post in posts {
        let _ = post.await;
    }
    // The last ones are still on their way.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let seen = seen.lock().expect("no panic while held");
        if seen.arrived.len() >= seen.accepted.len() {
            break;
        }
    }
    let mut seen = seen.lock().expect("no panic while held");
    let mut ms: Vec<f64> = seen
        .accepted
        .iter()
        .filter_map(|(case, accepted)| {
            let arrived = seen.arrived.get(case)?;
            // A message may arrive before the 202 has been read.
            Some(arrived.saturating_duration_since(*accepted).as_secs_f64() * 1_000.0)
        })
        .collect();
    *seen = Seen { numbered: numbered + total, ..Seen::default() };
    ms.sort_by(f64::total_cmp);
    let at = |share| percentile(&ms, share);
    axum::Json(Latency {
        events: ms.len(),
        missing: total - ms.len(),
        per_second: load.rate,
        p50_ms: at(50),
        p99_ms: at(99),
        max_ms: at(100),
    })
}

async fn visit(axum::Json(visits): axum::Json<Visits>) -> axum::Json<Timing> {
    axum::Json(visits.make().await)
}
