//! What the providers saw: the judge of every run. Each line is on disk before the provider
//! answers, so nothing the program under test does can change what it says.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tidings::clock::Clock;
use tidings::domain::Channel;
use tokio::sync::{mpsc, oneshot};

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    Clock::System.now().timestamp_millis()
}

/// One message that began to arrive.
#[derive(Debug, Clone, Serialize)]
pub struct HandOver {
    /// When its first byte, or the command before it, was read.
    pub at_ms: i64,
    pub channel: Channel,
    pub address: String,
    /// The Message-ID of a mail, the notification of a text or call.
    pub name: String,
    /// The attempt, where the wire says it.
    pub no: Option<i64>,
    /// What its reader learns: `case/state`.
    pub tells: Option<String>,
    pub fault: &'static str,
    /// Did the provider take it upon itself to deliver it?
    pub taken: bool,
}

/// A later word of the provider that was answered with a 2xx.
#[derive(Debug, Clone, Serialize)]
pub struct Word {
    pub at_ms: i64,
    pub name: String,
    pub no: i64,
    pub says: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    HandOver(HandOver),
    Word(Word),
}

struct Line {
    entry: Entry,
    written: oneshot::Sender<()>,
}

/// Append-only, synced; also kept in memory for the checker.
#[derive(Clone)]
pub struct Ledger {
    lines: mpsc::UnboundedSender<Line>,
    entries: Arc<Mutex<Vec<Entry>>>,
    /// The longest the readers of the wire were held up, in ms.
    lag_ms: Arc<AtomicI64>,
}

/// How often the lag is looked at, in ms.
const LAG_TICK_MS: i64 = 10;

impl Ledger {
    /// A ledger in this file. Lives on its own thread until the last handle is gone.
    pub fn create(path: &Path) -> Self {
        let file = File::create(path).expect("a file");
        let (lines, mut waiting) = mpsc::unbounded_channel();
        let ledger = Self { lines, entries: Arc::default(), lag_ms: Arc::default() };
        let entries = Arc::clone(&ledger.entries);
        std::thread::spawn(move || write_all(file, &mut waiting, &entries));
        ledger.watch_lag();
        ledger
    }

    /// Writes a line; completes when it is on disk.
    pub async fn record(&self, entry: Entry) {
        let (written, on_disk) = oneshot::channel();
        self.lines.send(Line { entry, written }).expect("the writer lives");
        on_disk.await.expect("the disk is there");
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().expect("lock").clone()
    }

    /// By how much the times in this ledger may be late, in ms: a busy machine reads the wire
    /// later than bytes came.
    pub fn lag_ms(&self) -> i64 {
        self.lag_ms.load(Ordering::Relaxed)
    }

    fn watch_lag(&self) {
        let lag_ms = Arc::clone(&self.lag_ms);
        tokio::spawn(async move {
            let tick = std::time::Duration::from_millis(LAG_TICK_MS.unsigned_abs());
            let mut ticks = tokio::time::interval(tick);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut last = now_ms();
            while Arc::strong_count(&lag_ms) > 1 {
                ticks.tick().await;
                let now = now_ms();
                lag_ms.fetch_max(now - last - LAG_TICK_MS, Ordering::Relaxed);
                last = now;
            }
        });
    }
}

/// What gathered while the last lines were synced is synced together.
fn write_all(
    mut file: File,
    waiting: &mut mpsc::UnboundedReceiver<Line>,
    entries: &Mutex<Vec<Entry>>,
) {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while let Ok(next) = waiting.try_recv() {
            batch.push(next);
        }
        for line in &batch {
            let text = serde_json::to_string(&line.entry).expect("plain data");
            writeln!(file, "{text}").expect("written");
        }
        file.sync_data().expect("synced");
        for Line { entry, written } in batch {
            entries.lock().expect("lock").push(entry);
            let _ = written.send(());
        }
    }
}
