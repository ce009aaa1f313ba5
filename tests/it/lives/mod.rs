//! Whole lives of notifications: random cases, choices, zones, rhythms and caps, played through
//! the real store and workers. The oracle knows the world and what reached the provider, and
//! nothing of the decider. Each guard of the decider is switched off once, and the oracle must
//! notice.
//!
//! `tests/life` plays a million; here is a short seeded set.

mod oracle;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidings::app::App;
use tidings::app::play::{Script, play};
use tidings::app::simulate::figures::Period;
use tidings::app::simulate::reproduced::Recorded;
use tidings::app::simulate::study::Study;
use tidings::app::simulate::{Version, history_of};
use tidings::channel::{Gateway, Gateways, HandOverWindow, Outgoing, SendError, Taken, Wire};
use tidings::clock::Clock;
use tidings::domain::time::{Instant, from_ms};
use tidings::domain::{ChannelMap, NotificationId, Span};
use tidings::planning::rules::Guard;
use tidings::simulate::{Ending, Outcome, Run};
use tidings::store::Store;
use tidings::worker::seams::Seams;

use oracle::Verdict;
use world::World;

const SETTINGS: &str = "[sender]\nname = \"Repairs\"\nmail_from = \"Repairs <repairs@example.com>\"\n\
    [journeys]\ndir = \"tests/fixtures/lives/journeys\"\n\
    [templates]\ndir = \"tests/fixtures/lives/templates\"\n\
    [quiet_hours]\nemail = \"none\"\nsms = \"none\"\nvoice = \"none\"\n\
    [topics.safety]\nmandatory = \"it may hurt\"\ndefault = { email = true, sms = false, voice = false }\n";

/// What the provider took, and when.
type Ledger = Arc<Mutex<Vec<(NotificationId, Instant)>>>;

#[derive(Debug)]
struct Taker {
    clock: Clock,
    ledger: Ledger,
}

impl Wire for Taker {
    fn name(&self) -> &'static str {
        "taker"
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        _: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        let taken = (outgoing.notification, self.clock.now());
        self.ledger.lock().expect("lock").push(taken);
        std::future::ready(Ok(Taken { provider_ref: None, detail: String::new() })).boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        std::future::ready(Ok(String::new())).boxed()
    }
}

/// How long a life goes on after its last event.
const TAIL_DAYS: i64 = 20;

/// Plays a world with so many cases and judges what became of it.
async fn live(seed: u64, cases: u32, without: Option<Guard>) -> Verdict {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::new(seed, cases);
    let (url, _, ledger) = play_world(&world, folder.path(), without).await;
    let rows = oracle::rows(&url).await;
    let ledger = ledger.lock().expect("lock").clone();
    let ends_at = world.ends_at() + TimeDelta::days(TAIL_DAYS);
    oracle::judge(&world, &rows, &ledger, ends_at)
}

async fn play_world(
    world: &World,
    folder: &std::path::Path,
    without: Option<Guard>,
) -> (String, Arc<App>, Ledger) {
    let url = crate::support::fresh_store(folder);
    let text = format!("[store]\nurl = \"{url}\"\n{SETTINGS}");
    let settings = tidings::config::Settings::read("test settings", &text, []);
    let settings = settings.unwrap_or_else(|finding| panic!("{finding}"));
    let clock = Clock::manual(world::begins_at());
    let ledger = Ledger::default();
    let wire = Taker { clock: clock.clone(), ledger: Arc::clone(&ledger) };
    let gateway = Gateway::new(Arc::new(wire), 4);
    let gateways: Gateways = ChannelMap { email: vec![gateway], sms: vec![], voice: vec![] };
    let store = Store::open(&url).await.expect("a store");
    let app = App::build_with(settings, clock, store, gateways, Seams::default()).await;
    let app = app.unwrap_or_else(|error| panic!("{error:?}"));
    let mut live = (*app.engine.live.load_full()).clone();
    live.rules.without = without;
    app.engine.live.store(Arc::new(live));
    for records in world.customers().chunks(400) {
        let done = app.engine.store.import_customers(records.to_vec(), "world", world::begins_at());
        done.await.expect("the store is there");
    }
    let workers = app.start_driven();
    let tail = Span::Days(TAIL_DAYS.try_into().expect("few"));
    play(&app, Script::of(world.events()), tail, |_| ()).await.expect("the store is there");
    workers.stop().await;
    (url, Arc::new(app), ledger)
}

fn asked(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stale_untimely_twice_or_lost_in_many_lives() {
    let wanted = asked("TIDINGS_LIVES", 1_000) as usize;
    let first = u64::from(asked("TIDINGS_SEED", 1));
    let mut all = Verdict::default();
    for seed in first.. {
        let verdict = live(seed, asked("TIDINGS_CASES", 80), None).await;
        println!("{}", verdict.row(&format!("seed {seed}")));
        all.add(verdict);
        if all.notifications >= wanted {
            break;
        }
    }
    println!("{}", all.row("all"));
    assert!(all.findings.is_empty(), "{}", all.findings[..all.findings.len().min(20)].join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_guard_that_is_taken_away_is_missed() {
    for (guard, missed) in [
        (Guard::State, "stale"),
        (Guard::Collapse, "stale"),
        (Guard::Skipped, "lost"),
        (Guard::Hours, "hours"),
        (Guard::Rhythm, "digest"),
        (Guard::Cap, "cap"),
    ] {
        let verdict = live(7, 40, Some(guard)).await;
        let noticed = verdict.findings.iter().any(|finding| finding.starts_with(missed));
        assert!(noticed, "nobody missed {guard:?}: {:?}", verdict.findings.first());
    }
}

/// What a play decided, a simulation decides again from the record: status, reason, channel and
/// instant of every notification; and the reason of every silent event.
#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_under_the_same_rules_decides_every_notification_as_it_was_recorded() {
    for seed in 1..=u64::from(asked("TIDINGS_SIMULATED", 2)) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let world = World::new(seed, 80);
        let (_, app, _) = play_world(&world, folder.path(), None).await;
        let store = &app.engine.store;
        let (_, files) = store.published().await.expect("a store").expect("a version");
        let version = Version::compile(&app.settings, &files, &app.zones).expect("as published");
        let ends_at = world.ends_at() + TimeDelta::days(TAIL_DAYS);
        let history = history_of(store, ends_at).await.expect("a store");
        let ending = Ending::Cancel(ends_at);
        let run = version.run(&history, ending);
        let recorded = Recorded::read(store).await.expect("a store");
        let compared = recorded.compared_with(&run);
        assert!(compared.differences.is_empty(), "seed {seed}: {:#?}", compared.differences);
        assert!(compared.same > 300, "seed {seed}: {compared:?}");
        let one = version.play(&history, &history.unfold(&history.as_one(), 0), ending, None);
        assert_eq!(ends(&one), ends(&run), "seed {seed}: groups do not meet");
        let figures = |remember| {
            let period = Period { from: from_ms(0), to: ends_at };
            let study = Study {
                history: &history,
                ending,
                period,
                recorded: None,
                reworded: &BTreeSet::new(),
                remember,
            };
            let figures = study.answer(&[(&version, &app.settings.prices)]).figures;
            serde_json::to_value(figures).expect("plain data")
        };
        assert_eq!(figures(true), figures(false), "seed {seed}: remembered parts are the same");
        let silent = run.events.iter().filter_map(|event| event.silent.as_ref());
        let mut by_reason = BTreeMap::new();
        for reason in silent {
            *by_reason.entry(reason.code()).or_insert(0) += 1;
        }
        assert_eq!(by_reason, store.silent_reasons().await.expect("a store"), "seed {seed}");
    }
}

/// How each notification ended, by id.
fn ends(run: &Run) -> BTreeMap<String, String> {
    let end = |outcome: &Outcome| {
        let n = &outcome.notification;
        let end = (n.status, &outcome.reason, outcome.told_at, outcome.channel, outcome.parts);
        (n.id.to_string(), format!("{end:?}"))
    };
    run.notifications.iter().map(end).collect()
}
