//! The life of notifications under faults at every seam, seeded, on a manual clock. The
//! oracle knows nothing of the engine: it watches the provider and the choices, and checks the
//! first four promises.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidings::channel::{Gateway, Gateways, HandOverWindow, Outgoing, SendError, Taken, Wire};
use tidings::clock::Clock;
use tidings::domain::{CaseEvent, Channel, ChannelMap, NotificationId, Preferences};
use tidings::store::Store;
use tidings::store::console::Filter;
use tidings::store::intake::{Accepted, Incoming};
use tidings::worker::seams::{Seam, Seams};
use tokio::sync::Notify;

use crate::support::TestApp;

/// Steps of one seed; `TIDINGS_STEPS` asks for more.
const STEPS: u32 = 60;

/// Seeds of one run; `TIDINGS_SEEDS` asks for more.
const SEEDS: u64 = 8;

/// A strike of fate at one seam in so many, for each kind; and how many in one stretch of work.
const STRIKE_SIDES: u32 = 9;
const STRIKES: u32 = 8;

const CUSTOMERS: u32 = 6;
const CASES: u32 = 12;
const STATES: [&str; 6] =
    ["take_in_charge_ticket", "wait", "resolve_ticket", "closed", "assign_seriousness", "wait"];

/// What the world saw: the provider's ledger, and what was confirmed to customers.
#[derive(Debug, Default)]
struct Ledger {
    /// Messages the provider took, per notification.
    taken: HashMap<NotificationId, Vec<i64>>,
    /// Held from a choice until its confirmation: of two at once, nobody can say whose counts.
    choosing: Arc<tokio::sync::Mutex<()>>,
    /// When the acceptance of each event of a case was answered: what was opened later knew it.
    known: HashMap<String, Vec<i64>>,
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
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        async move {
            tokio::task::yield_now().await;
            if window.is_past() {
                let reason = "the hand-over window was past".to_owned();
                return Err(SendError::NotStarted { reason });
            }
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
                4..=5 => Err(SendError::Refused { reason, address: None }),
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
        vec![Gateway::new(Arc::new(dice), 3)]
    })
}

/// What happens between two facts of one life: a crash, a long pause in which another process
/// takes over, news of a case, a customer's choice.
struct Fate {
    rng: Mutex<SmallRng>,
    ledger: Arc<Mutex<Ledger>>,
    store: Store,
    clock: Clock,
    events: Arc<AtomicU32>,
    /// The world stops at this seam after so many passings.
    crash: (Seam, Mutex<u32>),
    crashed: Notify,
    /// How often fate may still strike before the work has been left alone once.
    strikes: Mutex<u32>,
}

impl Fate {
    fn roll(&self, sides: u32) -> u32 {
        self.rng.lock().expect("lock").random_range(0..sides)
    }

    async fn at(&self, seam: Seam) {
        if seam == self.crash.0 && self.counts_down() {
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
        // After the hand-over window has opened, no pause is longer than the window: it is
        // measured on a clock that does not stand still.
        let may_pause = !matches!(seam, Seam::AfterOpen | Seam::BeforeWire);
        let strike = self.roll(STRIKE_SIDES);
        if strike > 2 || !self.may_strike() {
            return;
        }
        match strike {
            0 => drop(self.event().await),
            1 => self.choose().await,
            2 if may_pause => self.others_take_over().await,
            _ => {}
        }
    }

    fn may_strike(&self) -> bool {
        let mut left = self.strikes.lock().expect("lock");
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    fn counts_down(&self) -> bool {
        let mut left = self.crash.1.lock().expect("lock");
        *left = left.saturating_sub(1);
        *left == 0
    }

    /// Something happens to a case, at an instant of its own.
    async fn event(&self) -> Option<i64> {
        let n = self.events.fetch_add(1, Ordering::SeqCst);
        self.clock.advance_to(self.clock.now() + TimeDelta::milliseconds(1));
        let now = self.clock.now();
        let case = self.roll(CASES);
        let state = STATES[self.roll(6) as usize];
        let value = json!({
            "id": format!("w{n}"), "source": "desk", "case": format!("T-{case}"),
            "case_type": "ticket", "customer": format!("C-{}", case % CUSTOMERS),
            "state": state, "occurred_at": now.to_rfc3339(),
        });
        let event = CaseEvent::from_json(&value, "", now).expect("a good event");
        let incoming = Incoming::new(event, &value);
        let accepted = self.store.accept_events(vec![incoming], now).await;
        let known = self.clock.now();
        self.clock.advance_to(known + TimeDelta::milliseconds(1));
        let mut ledger = self.ledger.lock().expect("lock");
        ledger.known.entry(format!("T-{case}")).or_default().push(known.timestamp_millis());
        match accepted.expect("the store is there").remove(0) {
            Accepted::New { seq } => Some(seq),
            _ => None,
        }
    }

    /// A customer changes the order of their channels; what is left out is confirmed to be off
    /// once nothing of theirs is on the wire.
    async fn choose(&self) {
        let choosing = Arc::clone(&self.ledger.lock().expect("lock").choosing);
        let _alone = choosing.lock().await;
        let id = format!("C-{}", self.roll(CUSTOMERS));
        let mut order = Channel::ALL.to_vec();
        order.remove(self.roll(3) as usize);
        // From the moment the choice is made until it is confirmed, nothing is claimed.
        self.ledger.lock().expect("lock").off.remove(&id);
        let chosen = order.clone();
        let change = move |preferences: &mut Preferences| {
            preferences.channel_order = Some(chosen);
        };
        let (store, customer) = (&self.store, id.as_str().into());
        store.choose(&customer, "centre", self.clock.now(), change).await.expect("known");
        if !store.any_on_the_wire(&customer).await.expect("the store is there") {
            let off = Channel::ALL.into_iter().filter(|channel| !order.contains(channel)).collect();
            self.ledger.lock().expect("lock").off.insert(id, off);
        }
    }

    /// This process sleeps longer than its leases; another takes over what it holds.
    async fn others_take_over(&self) {
        let now = self.clock.now() + TimeDelta::seconds(60);
        self.clock.advance_to(now);
        let taken = self.store.reap(now, now + TimeDelta::hours(1)).await;
        taken.expect("the store is there");
        if self.roll(2) == 0 {
            let filter =
                Filter { status: Some("planned".into()), limit: 1_000, ..Filter::default() };
            let planned = self.store.notifications(&filter).await.expect("the store is there");
            let ids: Vec<NotificationId> =
                planned.iter().map(|n| NotificationId::parse(&n.id).expect("an id")).collect();
            self.store.claim(&ids, "another process", now).await.expect("the store is there");
            // It dies there; its leases lapse.
            self.clock.advance_to(now + TimeDelta::seconds(31));
        }
    }
}

struct World {
    app: TestApp,
    rng: SmallRng,
    ledger: Arc<Mutex<Ledger>>,
    fate: Arc<Fate>,
    seed: u64,
    lives: u64,
    events: Arc<AtomicU32>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let settings = "[topics.reminder]\nin_doubt = \"at_least_once\"\n";
        let app = TestApp::with(settings).await;
        let (ledger, events) = (Arc::default(), Arc::default());
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
        let fate = fate(&app, &ledger, &events, seed, (Seam::AfterPlan, 0));
        let rng = SmallRng::seed_from_u64(seed);
        let mut world = Self { app, rng, ledger, fate, seed, lives: 0, events };
        world.rise().await;
        world
    }

    /// A new life with a crash somewhere ahead.
    async fn rise(&mut self) {
        self.lives += 1;
        let seam = Seam::ALL[self.rng.random_range(0..Seam::ALL.len())];
        let passings = self.rng.random_range(1..12);
        let seed = self.seed * 1_000 + self.lives;
        self.fate = fate(&self.app, &self.ledger, &self.events, seed, (seam, passings));
        let fate = Arc::clone(&self.fate);
        let seams = Seams::watched_by(Arc::new(move |seam| {
            let fate = Arc::clone(&fate);
            async move { fate.at(seam).await }.boxed()
        }));
        self.app.restart(Some(gateways(seed, &self.ledger)), seams).await;
    }

    /// Works until nothing is due, or the world stops.
    async fn work(&mut self) {
        let engine = Arc::clone(&self.app.app.engine);
        *self.fate.strikes.lock().expect("lock") = STRIKES;
        let fate = Arc::clone(&self.fate);
        tokio::select! {
            done = engine.run_until_idle() => { done.expect("the store is there"); }
            () = fate.crashed.notified() => self.rise().await,
        }
    }

    async fn live(&mut self, steps: u32) {
        for _ in 0..steps {
            match self.rng.random_range(0..10) {
                0..=4 => {
                    let seq = self.fate.event().await;
                    self.app.app.engine.ring_plan(&Vec::from_iter(seq));
                }
                5 => self.fate.choose().await,
                6..=7 => {
                    let minutes = self.rng.random_range(1..600);
                    let target = self.app.now() + TimeDelta::minutes(minutes);
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
        let end = self.app.now() + TimeDelta::days(60);
        self.app.advance_to(&end.to_rfc3339()).await;
    }
}

fn fate(
    app: &TestApp,
    ledger: &Arc<Mutex<Ledger>>,
    events: &Arc<AtomicU32>,
    seed: u64,
    (seam, passings): (Seam, u32),
) -> Arc<Fate> {
    Arc::new(Fate {
        rng: Mutex::new(SmallRng::seed_from_u64(seed)),
        ledger: Arc::clone(ledger),
        store: app.store().clone(),
        clock: app.app.engine.clock.clone(),
        events: Arc::clone(events),
        crash: (seam, Mutex::new(passings)),
        crashed: Notify::new(),
        strikes: Mutex::new(0),
    })
}

/// The promises, read off the store and the ledger.
async fn check(world: &World) {
    let seed = world.seed;
    let ledger = std::mem::take(&mut *world.ledger.lock().expect("lock"));
    assert_eq!(ledger.violations, Vec::<String>::new(), "seed {seed}: wrong channel");

    // 1. Never lost: everything is settled, and the sum is right.
    let summary = world.app.summary().await;
    assert!(summary.balance.adds_up(), "seed {seed}");
    assert_eq!(
        summary.balance.accepted,
        i64::from(world.events.load(Ordering::SeqCst)),
        "seed {seed}: accepted"
    );
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
                "superseded",
                "quarantined",
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
            let known = ledger.known.get(&n.case_id).into_iter().flatten();
            let before = known.filter(|at| **at < attempt.opened_at_ms).count();
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
