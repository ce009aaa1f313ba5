//! One run: an installation with its providers, its load and what strikes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::Value;
use tidings::domain::time::parse_instant;
use tidings::domain::token::Keyring;

use super::checker::{Account, Evidence, Verdict, check};
use super::cluster::{Cluster, KEY, Providers, Shared};
use super::doors::Doors;
use super::ledger::{Entry, Ledger};
use super::load::{Load, Size};
use super::phone::Phone;
use super::servers::Servers;
use super::weather::Weather;
use super::{mail, pause, until};
use crate::support::redis::free_port;

/// The hand-over window of the runs, in ms.
const WINDOW_MS: i64 = 1_000;

/// How long everything accepted may take to end after the last blow.
const QUIET: Duration = Duration::from_mins(2);

/// By how much a time in the ledger may be late on an idle machine, in ms.
const LEAST_LAG_MS: i64 = 20;

/// States a notification does not rest in.
const OPEN: [&str; 4] = ["planned", "claimed", "sending", "in_doubt"];

/// On what an installation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engines {
    /// One process on a file.
    Sqlite,
    /// PostgreSQL and Redis: two APIs, two workers, a scheduler.
    Servers,
}

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub seed: u64,
    pub engines: Engines,
    /// Do providers misbehave, too?
    pub rough: bool,
    pub size: Size,
}

/// A running installation under load.
pub struct Stage {
    pub cluster: Cluster,
    pub servers: Option<Servers>,
    pub weather: Arc<Weather>,
    pub rng: SmallRng,
    /// Strikes so far.
    pub blows: usize,
    ledger: Ledger,
    phone: Arc<Phone>,
    pub load: Arc<Load>,
    loading: tokio::task::JoinHandle<()>,
    /// When fate has struck long enough.
    calm_from: Instant,
}

impl Stage {
    /// Starts providers, processes and load.
    pub async fn set(setting: &Setting) -> Self {
        let Setting { seed, engines, rough, size } = *setting;
        let weather = if rough { Weather::rough(seed) } else { Weather::fair(seed) };
        let weather = Arc::new(weather);
        let servers = match engines {
            Engines::Sqlite => None,
            Engines::Servers => Some(Servers::start().await),
        };
        let shared = Shared {
            store: servers.as_ref().map_or("sqlite:tidings.db".into(), Servers::store_url),
            queue: servers.as_ref().map_or("embedded".into(), Servers::queue_url),
            by_wire: servers.as_ref().map(Servers::urls_by_wire),
        };
        let ports = [free_port(), free_port()];
        let ports = if servers.is_none() { &ports[..1] } else { &ports[..] };
        let doors = Doors::new(ports.to_vec());
        let ledger_file = tempfile::NamedTempFile::new().expect("a file");
        let ledger = Ledger::create(ledger_file.path());
        let keys = Keyring::new(KEY);
        let (phone, phone_url) =
            Phone::start(ledger.clone(), Arc::clone(&weather), keys, doors.clone()).await;
        let smtp = mail::start(ledger.clone(), Arc::clone(&weather)).await;
        let providers = Providers { smtp, phone: phone_url };
        let more = format!(
            // Bad weather is the rule here: retries are not saved up for minutes.
            "[limits]\nretries_percent = 100\nretries_floor = 1000\n\
             [dispatch]\nlease_s = 3\nhand_over_window_s = {}\nsettle_doubt_after_s = 2\n",
            WINDOW_MS / 1_000
        );
        let mut cluster = Cluster::new(&shared, &providers, (doors.clone(), ports), &more);
        let load = Arc::new(Load::new(seed, size, doors));
        let customers = cluster.path().join("customers.jsonl");
        std::fs::write(customers, load.customers()).expect("written");
        let imported = cluster.json(&["import", "customers", "customers.jsonl", "--json"]);
        assert_eq!(imported["accepted"], size.customers, "{imported}");
        cluster.start_all().await;
        let running = Arc::clone(&load);
        let loading = tokio::spawn(async move { running.run().await });
        let rng = SmallRng::seed_from_u64(seed);
        let calm_from = Instant::now() + size.spread * 3;
        Self { cluster, servers, weather, rng, blows: 0, ledger, phone, load, loading, calm_from }
    }

    /// Is there still something to disturb?
    pub fn goes_on(&self) -> bool {
        !self.loading.is_finished() && Instant::now() < self.calm_from
    }

    /// Lets everything come to its end and makes the verdict.
    pub async fn end(mut self) -> Verdict {
        let (began, deaths) = (Instant::now(), self.cluster.deaths());
        self.cluster.start_all().await;
        (&mut self.loading).await.expect("the load went through");
        let loaded = began.elapsed();
        let quiet = until(QUIET, async || {
            pause(Duration::from_millis(200)).await;
            self.phone.is_silent() && self.is_quiet().await
        });
        let quiet = quiet.await;
        let (lag_ms, after) = (self.ledger.lag_ms() + LEAST_LAG_MS, began.elapsed());
        println!("loaded after {loaded:.1?}, quiet: {quiet} after {after:.1?}, lag {lag_ms} ms");
        // What waits for the next look around, such as a receipt that overtook our own record, is
        // done before anybody is asked.
        if quiet {
            self.cluster.stop_all().await;
            let done = self.cluster.json(&["work", "--until-idle", "--json"]);
            let balance = &done["balance"];
            let count = |name: &str| balance[name].as_i64().expect("a number");
            assert_eq!(
                count("accepted"),
                count("open") + count("told") + count("silent") + count("task"),
                "the balance adds up: {done}"
            );
            assert_eq!(count("open"), 0, "{done}");
            self.cluster.start_all().await;
        }
        let forgotten = self.load.say_again().await;
        let accounts = self.accounts().await;
        let said = std::mem::take(&mut *self.load.said.lock().expect("lock"));
        println!("{} choices confirmed", said.choices);
        check(&Evidence {
            people: self.load.people.to_vec(),
            sent: said.sent,
            refusals: said.refusals,
            entries: self.ledger.entries(),
            accounts,
            forgotten,
            blows: self.blows,
            deaths,
            window_ms: WINDOW_MS,
            lag_ms,
        })
    }

    /// When each hand-over so far began that a provider took, in ms since 1970.
    pub fn taken_ms(&self) -> Vec<i64> {
        let entries = self.ledger.entries().into_iter();
        let taken = entries.filter_map(|entry| match entry {
            Entry::HandOver(hand_over) if hand_over.taken => Some(hand_over.at_ms),
            _ => None,
        });
        taken.collect()
    }

    async fn is_quiet(&self) -> bool {
        for status in OPEN {
            let path = format!("/v1/notifications?status={status}&limit=1");
            let page = self.cluster.doors.get(&path).await;
            if page["notifications"].as_array().is_none_or(|found| !found.is_empty()) {
                return false;
            }
        }
        let metrics = self.cluster.doors.get("/metrics").await;
        let unplanned = metrics
            .as_str()
            .unwrap_or_default()
            .lines()
            .find_map(|line| line.strip_prefix("tidings_events_unplanned "));
        unplanned == Some("0")
    }

    /// What the installation says of every notification.
    async fn accounts(&self) -> Vec<Account> {
        let doors = &self.cluster.doors;
        let mut listed: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/v1/notifications?limit=500{after}");
            let mut page = doors.get(&path).await;
            let Value::Array(items) = page["notifications"].take() else { panic!("{page}") };
            listed.extend(items);
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        let whole = listed.into_iter().map(|item| async move {
            if item["attempts"] == 0 {
                return account(&item, &Value::Null);
            }
            let id = item["id"].as_str().expect("an id");
            let detail = doors.get(&format!("/v1/notifications/{id}")).await;
            account(&item, &detail)
        });
        futures::stream::iter(whole).buffer_unordered(8).collect().await
    }
}

fn account(item: &Value, detail: &Value) -> Account {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let instant = |value: &Value| parse_instant(value.as_str()?).ok();
    let stages = detail["explanation"].as_array().into_iter().flatten();
    let doubts = stages
        .filter(|stage| stage["what"] == "in doubt")
        .filter_map(|stage| instant(&stage["at"]))
        .map(|at| at.timestamp_millis());
    let attempts = detail["attempts"].as_array().into_iter().flatten();
    let opened = attempts.filter_map(|attempt| instant(&attempt["opened_at"]));
    Account {
        id: text("id"),
        case: text("case"),
        notice: text("notice"),
        status: text("status"),
        opened: opened.map(|at| at.timestamp_millis()).collect(),
        doubts: doubts.collect(),
    }
}
