//! The life of notifications under faults at every seam, seeded, on a manual clock. The
//! oracle knows nothing of the engine: it watches the provider and the choices, and checks the
//! first four promises.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidings::channel::{Gateway, Gateways, HandOverWindow, Outgoing, SendError, Taken, Wire};
use tidings::domain::{Channel, ChannelMap, NotificationId};
use tidings::worker::seams::{Seam, Seams};
use tokio::sync::Notify;

use crate::support::TestApp;

/// Steps of one seed; `TIDINGS_STEPS` asks for more.
const STEPS: u32 = 60;

/// Seeds of one run; `TIDINGS_SEEDS` asks for more.
const SEEDS: u64 = 8;

const CUSTOMERS: u32 = 6;
const CASES: u32 = 12;
const STATES: [&str; 6] =
    ["take_in_charge_ticket", "wait", "resolve_ticket", "closed", "assign_seriousness", "wait"];

/// What the world saw: the provider's ledger, and what was confirmed to customers.
#[derive(Debug, Default)]
struct Ledger {
    /// Messages the provider took, per notification.
    taken: HashMap<NotificationId, Vec<i64>>,
    /// Channels a customer was told are off.
    off: HashMap<String, Vec<Channel>>,
    violations: Vec<String>,
}

/// A provider that does what the dice say.
#[derive(Debug)]
struct Dice {
    channel: Channel,
    rng: Mutex<SmallRng>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Wire for Dice {
    fn name(&self) -> &'static str {
        "dice"
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        _: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        async move {
            tokio::task::yield_now().await;
            let roll = self.rng.lock().expect("lock").random_range(0..100);
            let mut ledger = self.ledger.lock().expect("lock");
            let customer = outgoing.to_name.clone();
            if ledger.off.get(&customer).is_some_and(|off| off.contains(&self.channel)) {
                let what = format!(
                    "{customer} was reached by {} after it was confirmed off",
                    self.channel
                );
                ledger.violations.push(what);
            }
            let mut take =
                || ledger.taken.entry(outgoing.notification).or_default().push(outgoing.no);
            let reason = "the dice say so".to_owned();
            match roll {
                0..=3 => Err(SendError::Deferred { reason, retry_after: None }),
                4..=5 => Err(SendError::Refused { reason, address_is_bad: false }),
                6..=7 => Err(SendError::NotStarted { reason }),
                8..=9 => Err(SendError::Unanswered { reason }),
                10..=12 => {
                    take();
                    Err(SendError::Unanswered { reason })
                }
                _ => {
                    take();
                    Ok(Taken { provider_ref: None, detail: String::new() })
                }
            }
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        std::future::ready(Ok(String::new())).boxed()
    }
}

fn gateways(seed: u64, ledger: &Arc<Mutex<Ledger>>) -> Gateways {
    let mut n = 0;
    ChannelMap::from_fn(|channel| {
        n += 1;
        let rng = Mutex::new(SmallRng::seed_from_u64(seed * 10 + n));
        let dice = Dice { channel, rng, ledger: Arc::clone(ledger) };
        Some(Gateway { provider: Arc::new(dice), connections: 3 })
    })
}

/// Seams at which the world stops after so many passings.
fn crash_after(passings: u32, at: Seam, crashed: &Arc<Notify>) -> Seams {
    let (left, crashed) = (Arc::new(Mutex::new(passings)), Arc::clone(crashed));
    Seams::watched_by(Arc::new(move |seam| {
        let (left, crashed) = (Arc::clone(&left), Arc::clone(&crashed));
        async move {
            if seam != at {
                return;
            }
            let now = {
                let mut left = left.lock().expect("lock");
                *left = left.saturating_sub(1);
                *left == 0
            };
            if now {
                crashed.notify_one();
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }))
}

struct World {
    app: TestApp,
    rng: SmallRng,
    ledger: Arc<Mutex<Ledger>>,
    crashed: Arc<Notify>,
    seed: u64,
    lives: u64,
    events: u32,
}

impl World {
    async fn new(seed: u64) -> Self {
        let settings = "[topics.reminder]\nin_doubt = \"at_least_once\"\n";
        let mut app = TestApp::with(settings).await;
        let ledger: Arc<Mutex<Ledger>> = Arc::default();
        app.restart(Some(gateways(seed, &ledger)), Seams::default()).await;
        for n in 0..CUSTOMERS {
            app.customer(json!({
                "id": format!("C-{n}"), "name": format!("C-{n}"), "locale": "en-GB",
                "time_zone": (["Europe/London", "Asia/Tokyo", "America/New_York"][n as usize % 3]),
                "contact_points": [
                    {"channel": "email", "address": format!("c{n}@example.com"), "verified": true},
                    {"channel": "sms", "address": format!("+44791112345{n}"), "verified": true},
                    {"channel": "voice", "address": format!("+44207946000{n}"), "verified": true}
                ],
                "preferences": {"channel_order": ([["email", "sms"], ["sms", "voice"], ["voice", "email"]][n as usize % 3])}
            }))
            .await;
        }
        let rng = SmallRng::seed_from_u64(seed);
        Self { app, rng, ledger, crashed: Arc::default(), seed, lives: 0, events: 0 }
    }

    /// A new life with a crash somewhere ahead.
    async fn rise(&mut self) {
        self.lives += 1;
        let seam = Seam::ALL[self.rng.random_range(0..Seam::ALL.len())];
        let passings = self.rng.random_range(1..12);
        self.crashed = Arc::default();
        let seams = crash_after(passings, seam, &self.crashed);
        let gateways = gateways(self.seed * 1_000 + self.lives, &self.ledger);
        self.app.restart(Some(gateways), seams).await;
    }

    /// Works until nothing is due, or the world stops.
    async fn work(&mut self) {
        let engine = Arc::clone(&self.app.app.engine);
        let crashed = Arc::clone(&self.crashed);
        tokio::select! {
            done = engine.run_until_idle() => { done.expect("the store is there"); }
            () = crashed.notified() => self.rise().await,
        }
    }

    async fn event(&mut self) {
        self.events += 1;
        let case = self.rng.random_range(0..CASES);
        let state = STATES[self.rng.random_range(0..STATES.len())];
        self.app
            .event_of(json!({
                "id": format!("w{}", self.events), "case": format!("T-{case}"),
                "customer": format!("C-{}", case % CUSTOMERS), "state": state,
            }))
            .await;
    }

    /// A customer changes the order of their channels; what is left out is confirmed to be off
    /// once nothing of theirs is on the wire.
    async fn choose(&mut self) {
        let id = format!("C-{}", self.rng.random_range(0..CUSTOMERS));
        let mut order = Channel::ALL.to_vec();
        order.remove(self.rng.random_range(0..3));
        // From the moment the choice is made until it is confirmed, nothing is claimed.
        self.ledger.lock().expect("lock").off.remove(&id);
        let chosen = order.clone();
        let now = self.app.now();
        let store = self.app.store().clone();
        let change = move |preferences: &mut tidings::domain::Preferences| {
            preferences.channel_order = Some(chosen);
        };
        store.choose(&id.as_str().into(), "centre", now, change).await.expect("known");
        if !store.any_on_the_wire(&id.as_str().into()).await.expect("the store is there") {
            let off = Channel::ALL.into_iter().filter(|channel| !order.contains(channel)).collect();
            self.ledger.lock().expect("lock").off.insert(id, off);
        }
    }

    async fn live(&mut self, steps: u32) {
        for _ in 0..steps {
            match self.rng.random_range(0..10) {
                0..=4 => self.event().await,
                5 => self.choose().await,
                6..=7 => {
                    let minutes = self.rng.random_range(1..600);
                    let target = self.app.now() + chrono::TimeDelta::minutes(minutes);
                    self.app.app.engine.clock.advance_to(target);
                    self.work().await;
                }
                8 => self.rise().await,
                _ => self.work().await,
            }
        }
        // A last life without crashes: everything that can happen, happens.
        let gateways = gateways(self.seed * 1_000 + 999, &self.ledger);
        self.app.restart(Some(gateways), Seams::default()).await;
        let end = self.app.now() + chrono::TimeDelta::days(60);
        self.app.advance_to(&end.to_rfc3339()).await;
    }
}

/// The promises, read off the store and the ledger.
async fn check(world: &World) {
    let seed = world.seed;
    let ledger = std::mem::take(&mut *world.ledger.lock().expect("lock"));
    assert_eq!(ledger.violations, Vec::<String>::new(), "seed {seed}: wrong channel");

    // 1. Never lost: everything is settled, and the sum is right.
    let summary = world.app.summary().await;
    assert!(summary.balance.adds_up(), "seed {seed}");
    assert_eq!(summary.balance.accepted, i64::from(world.events), "seed {seed}: accepted");
    assert_eq!(summary.balance.open, 0, "seed {seed}: {summary:?}");

    // 3. Never twice in silence: a second copy only after a doubt, where the topic asks for it.
    let mut by_status: BTreeMap<String, u32> = BTreeMap::new();
    for n in world.app.notifications().await {
        *by_status.entry(n.status.clone()).or_default() += 1;
        let id = NotificationId::parse(&n.id).expect("an id");
        let taken = ledger.taken.get(&id).map_or(0, Vec::len);
        let told = matches!(n.status.as_str(), "sent" | "delivered");
        assert!(taken > 0 || !told, "seed {seed}: {} says sent, the provider has nothing", n.id);
        if taken > 1 {
            let detail = world.app.store().notification(&id).await.expect("it is there");
            let doubts = detail.decisions.iter().filter(|d| d.what == "in_doubt").count();
            assert!(
                doubts >= taken - 1 && n.topic == "reminder",
                "seed {seed}: {} was told {taken} times in silence",
                n.id
            );
        }
        // What the provider took is never called refused or cancelled.
        if taken > 0 {
            let honest = [
                "sent",
                "delivered",
                "unknown",
                "planned",
                "failed",
                "expired",
                "cancelled",
                "suppressed",
            ];
            assert!(honest.contains(&n.status.as_str()), "seed {seed}: {n:?}");
            if !told {
                let detail = world.app.store().notification(&id).await.expect("it is there");
                let doubted = detail.attempts.iter().any(|a| a.state == "in_doubt");
                assert!(doubted, "seed {seed}: taken, not told, and never in doubt: {n:?}");
            }
        }
    }

    // 4. Never stale: no attempt was opened on a case that had moved on.
    for n in world.app.notifications().await {
        let id = NotificationId::parse(&n.id).expect("an id");
        let detail = world.app.store().notification(&id).await.expect("it is there");
        for attempt in &detail.attempts {
            let versions: serde_json::Value =
                serde_json::from_str(&attempt.versions).expect("JSON");
            let events = world
                .app
                .store()
                .case_timeline(&n.case_id.as_str().into(), 1_000)
                .await
                .expect("the store");
            let before = events
                .iter()
                .filter(|e| e.kind == "event")
                .filter(|e| crate::support::at(&e.at).timestamp_millis() < attempt.opened_at_ms)
                .count();
            let seen = versions["case"].as_i64().expect("a revision");
            assert!(
                seen >= i64::try_from(before).expect("few"),
                "seed {seed}: {} opened on {seen} of {before} events",
                n.id
            );
        }
    }
    assert!(
        by_status.values().sum::<u32>() > 10,
        "seed {seed}: hardly anything happened: {by_status:?}"
    );
}

fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn promises_one_to_four_hold_whatever_dies_whenever() {
    let seeds = asked("TIDINGS_SEEDS", SEEDS);
    let steps = u32::try_from(asked("TIDINGS_STEPS", u64::from(STEPS))).expect("a number of steps");
    for seed in 1..=seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut world = World::new(seed).await;
            world.live(steps).await;
            check(&world).await;
            world.app.end().await;
        });
    }
}
