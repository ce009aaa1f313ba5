//! Opt-outs race the messages they are about: after one was confirmed no hand-over begins.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidings::channel::{Gateway, HandOverWindow, Outgoing, SendError, Taken, Wire};
use tidings::domain::customer::CustomerRecord;
use tidings::domain::token::Grant;
use tidings::domain::{CaseEvent, Channel, ChannelMap, CustomerId, Zones};
use tidings::store::intake::{Accepted, Incoming};
use tidings::worker::seams::Seams;

use crate::chaos::pause;
use crate::support::{TestApp, answered};

/// Customers who opt out, one each; `TIDINGS_OPTOUTS` asks for more (`tests/race`).
const OPT_OUTS: usize = 120;

/// Who opts out at the same time.
const AT_ONCE: usize = 16;

/// A message is handed over within this long or not at all, in seconds.
const WINDOW_S: f64 = 0.3;

/// What was confirmed to whom, and what began after it.
#[derive(Debug, Default)]
struct Ledger {
    confirmed: HashSet<String>,
    began: usize,
    too_late: usize,
    tried_again: usize,
    violations: Vec<String>,
}

/// A provider as slow as the dice say; now and then slower than the window.
#[derive(Debug)]
struct SlowWire {
    rng: Mutex<SmallRng>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Wire for SlowWire {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        async move {
            let wait_ms = {
                let mut rng = self.rng.lock().expect("lock");
                if rng.random_range(0..20) == 0 { 320 } else { rng.random_range(0..12) }
            };
            pause(Duration::from_millis(wait_ms)).await;
            let mut ledger = self.ledger.lock().expect("lock");
            if window.is_past() {
                ledger.too_late += 1;
                return Err(SendError::NotStarted { reason: "the window is past".into() });
            }
            ledger.began += 1;
            if ledger.confirmed.contains(&outgoing.to_name) {
                let what = format!("{} by {}", outgoing.notification, outgoing.to_name);
                ledger.violations.push(what);
            }
            Ok(Taken { provider_ref: None, detail: String::new() })
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        std::future::ready(Ok(String::new())).boxed()
    }
}

/// Customers with an address each, and two cases each that have something to say.
async fn people(app: &TestApp, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("C-{n}")).collect();
    let zones = Zones::bundled();
    for names in names.chunks(500) {
        let records = names.iter().map(|name| {
            let address = format!("{}@example.com", name.to_lowercase());
            let points = json!([{"channel": "email", "address": address, "verified": true}]);
            let record = json!({"id": name, "name": name, "contact_points": points});
            CustomerRecord::from_json(&record, None, &zones).expect("a good record")
        });
        let done = app.store().import_customers(records.collect(), "test", app.now()).await;
        done.expect("the store is there");
    }
    let now = app.now();
    let events: Vec<Incoming> = (0..count * 2)
        .map(|n| {
            let value = json!({
                "id": format!("e{n}"), "source": "desk", "case": format!("T-{n}"),
                "case_type": "ticket", "customer": format!("C-{}", n % count),
                "state": "take_in_charge_ticket",
            });
            Incoming::new(CaseEvent::from_json(&value, "", now).expect("good"), &value)
        })
        .collect();
    for events in events.chunks(100) {
        let accepted = app.store().accept_events(events.to_vec(), now).await;
        let seqs = accepted.expect("the store is there").into_iter().filter_map(|one| match one {
            Accepted::New { seq } => Some(seq),
            _ => None,
        });
        app.app.engine.ring_plan(&seqs.collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_opt_out_was_confirmed_no_hand_over_begins() {
    let count = std::env::var("TIDINGS_OPTOUTS").map_or(OPT_OUTS, |n| n.parse().expect("a count"));
    let mut app = TestApp::with(&format!("[dispatch]\nhand_over_window_s = {WINDOW_S}")).await;
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    let wire =
        SlowWire { rng: Mutex::new(SmallRng::seed_from_u64(4)), ledger: Arc::clone(&ledger) };
    let gateway = Gateway::new(Arc::new(wire), 8);
    let gateways = ChannelMap { email: vec![gateway], ..ChannelMap::default() };
    app.restart(Some(gateways), Seams::default()).await;
    people(&app, count).await;

    let engine = Arc::clone(&app.app.engine);
    let working = tokio::spawn(async move { engine.run_until_idle().await });
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut SmallRng::seed_from_u64(5));
    let (router, keys) = (app.router(), &app.app.engine.keys);
    let opt_out = |n: usize| {
        let name = format!("C-{n}");
        let (customer, topic) = (CustomerId(name.clone()), "status".to_owned());
        let grant = Grant::Unsubscribe { customer, topic, channel: Channel::Email };
        let link = format!("/u/{}", keys.token(&grant));
        let (router, ledger) = (router.clone(), Arc::clone(&ledger));
        async move {
            let began = Instant::now();
            let page = loop {
                let request = Request::post(&link)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(Body::from("List-Unsubscribe=One-Click"));
                match answered(router.clone(), request.expect("a request")).await {
                    (200, page) => break page,
                    // The store was too busy: nothing was kept, and they try again.
                    (503, _) => ledger.lock().expect("lock").tried_again += 1,
                    (status, page) => panic!("{status}: {page}"),
                }
            };
            ledger.lock().expect("lock").confirmed.insert(name);
            (began.elapsed(), page.contains("already on its way"))
        }
    };
    let answers: Vec<(Duration, bool)> =
        futures::stream::iter(order).map(opt_out).buffer_unordered(AT_ONCE).collect().await;
    working.await.expect("no panic").expect("the store is there");
    // What came too late to begin is looked at again a little later.
    app.advance_to("2026-11-23T11:00:00Z").await;

    let mut took: Vec<Duration> = answers.iter().map(|(took, _)| *took).collect();
    took.sort();
    let told_of_one = answers.iter().filter(|(_, on_the_wire)| *on_the_wire).count();
    let suppressed = app.summary().await.by_status.get("suppressed").copied().unwrap_or(0);
    let ledger = ledger.lock().expect("lock");
    println!(
        "{count} opt-outs, {} hand-overs begun, {} too late to begin, {told_of_one} told of one on the wire, {} asked again, confirmed p50 {:?} p99 {:?}; begun after a confirmation: {}",
        ledger.began,
        ledger.too_late,
        ledger.tried_again,
        took[count / 2],
        took[count * 99 / 100],
        ledger.violations.len()
    );
    assert!(ledger.violations.is_empty(), "{:?}", ledger.violations);
    let told = i64::try_from(ledger.began).expect("few");
    assert!(told + suppressed >= i64::try_from(count).expect("few"), "each was told or not");
}
