use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tidings::app::webhooks::tell_all;
use tidings::store::webhooks::DeliveryView;
use tidings::worker::seams::Seams;

use super::receiver::{NEXT_SECRET, Receiver, SECRET, Say};
use super::{deliveries, tell, tell_until_nothing_waits};
use crate::chaos::until;
use crate::support::TestApp;
use crate::support::binary::Installation;

/// How long a real process may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

async fn with_hook(more: &str) -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    let app = TestApp::with(&receiver.hook("desk", "[\"notification.*\"]", more)).await;
    app.ada().await;
    (app, receiver)
}

async fn say_something(app: &TestApp, case: &str) {
    app.event_of(json!({"case": case, "state": "take_in_charge_ticket"})).await;
    app.drain().await;
}

#[tokio::test]
async fn a_receiver_that_was_away_for_hours_is_told_everything_once_it_is_back() {
    let (app, receiver) = with_hook("").await;
    receiver.always(Some(503));
    for n in 0..20 {
        say_something(&app, &format!("T-{n}")).await;
    }
    let back_at = app.now() + chrono::TimeDelta::hours(7);
    while app.now() < back_at {
        tell(&app).await;
        app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::minutes(6));
    }
    let asked = receiver.told().len();
    assert!((20..=120).contains(&asked), "{asked} requests in seven hours: it was left alone");
    receiver.always(None);
    tell_until_nothing_waits(&app).await;
    let rows = deliveries(&app).await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.status == "delivered" && row.answer == Some(204)));
    // However often it was tried, a fact keeps its id and its bytes.
    let mut bodies: HashMap<String, String> = HashMap::new();
    for told in receiver.told() {
        let id = told.id().to_owned();
        assert_eq!(*bodies.entry(id).or_insert_with(|| told.body.clone()), told.body);
    }
    assert_eq!(bodies.len(), 20);
    app.end().await;
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_with_one_task_for_a_person() {
    let (app, receiver) = with_hook("max_attempts = 3\n").await;
    receiver.always(Some(500));
    for n in 0..2 {
        say_something(&app, &format!("T-{n}")).await;
    }
    tell_until_nothing_waits(&app).await;
    let rows = deliveries(&app).await;
    assert!(
        rows.iter().all(|row| (row.status.as_str(), row.attempts) == ("failed", 3)),
        "{rows:?}"
    );
    assert_eq!(receiver.told().len(), 6);
    let tasks = app.tasks().await;
    assert_eq!(tasks.len(), 1, "one per hook: {tasks:?}");
    assert!(tasks[0].contains("webhook desk"), "{tasks:?}");
    app.end().await;
}

#[tokio::test]
async fn who_asks_to_be_left_alone_for_a_while_is() {
    let (app, receiver) = with_hook("").await;
    receiver.will([Say::Wait(240)]);
    say_something(&app, "T-1").await;
    tell(&app).await;
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::seconds(239));
    say_something(&app, "T-2").await;
    assert_eq!(tell(&app).await, 0, "nothing at all goes there");
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::seconds(1));
    assert_eq!(tell(&app).await, 2);
    assert!(deliveries(&app).await.iter().all(|row| row.status == "delivered"));
    app.end().await;
}

#[tokio::test]
async fn gone_ends_the_hook_until_a_person_enables_it_and_loses_nothing() {
    let (app, receiver) = with_hook("").await;
    receiver.will([Say::Status(410)]);
    say_something(&app, "T-1").await;
    tell(&app).await;
    say_something(&app, "T-2").await;
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::days(2));
    assert_eq!(tell(&app).await, 0);
    assert_eq!(receiver.told().len(), 1);
    let tasks = app.tasks().await;
    assert!(tasks.len() == 1 && tasks[0].contains("410 Gone"), "{tasks:?}");
    let figures = app.store().hook_figures().await.expect("the store").remove(0);
    assert!(figures.stopped_at_ms.is_some() && figures.pending == 2);
    assert!(app.store().enable_hook("desk").await.expect("the store"));
    tell_until_nothing_waits(&app).await;
    assert!(deliveries(&app).await.iter().all(|row| row.status == "delivered"));
    app.end().await;
}

#[tokio::test]
async fn while_a_secret_changes_receivers_that_know_either_are_content() {
    let both = format!("secrets = [\"{NEXT_SECRET}\", \"{SECRET}\"]\n");
    let (app, receiver) = with_hook(&both).await;
    say_something(&app, "T-1").await;
    tell(&app).await;
    let told = receiver.told().remove(0);
    assert!(told.is_signed_with(SECRET) && told.is_signed_with(NEXT_SECRET));
    assert!(!told.is_signed_with("whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcg=="));
    app.end().await;
}

#[tokio::test]
async fn a_replay_is_told_under_the_same_id_with_the_same_bytes() {
    let (app, receiver) = with_hook("").await;
    say_something(&app, "T-1").await;
    tell(&app).await;
    let row = deliveries(&app).await.remove(0);
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::days(3));
    app.store().replay_delivery(row.seq, app.now()).await.expect("it is there");
    tell(&app).await;
    let [first, second] = &receiver.told()[..] else { panic!("two") };
    assert_eq!((first.id(), &first.body), (second.id(), &second.body));
    app.end().await;
}

#[tokio::test]
async fn who_is_erased_is_named_in_no_payload_that_is_still_to_come() {
    let (app, receiver) = with_hook("").await;
    receiver.will([Say::Status(500)]);
    say_something(&app, "T-1").await;
    tell(&app).await;
    app.store().erase(&"C-1".into(), "api:desk", app.now()).await.expect("known");
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::minutes(1));
    tell(&app).await;
    let told = receiver.told();
    assert!(told[0].body.contains("C-1"));
    let last = told.last().expect("told again");
    assert_eq!(last.id(), told[0].id());
    assert_eq!(last.json()["data"], json!({"erased": true, "sequence": 1}));
    app.end().await;
}

#[tokio::test]
async fn a_crash_between_the_fact_and_the_request_loses_nothing() {
    let (mut app, receiver) = with_hook("").await;
    say_something(&app, "T-1").await;
    // Taken up by a process that is gone.
    let taken = app.store().claim_deliveries("desk", app.now(), 45_000, 10).await;
    assert_eq!(taken.expect("the store").len(), 1);
    app.restart(None, Seams::default()).await;
    assert_eq!(tell(&app).await, 0, "somebody may still have it");
    app.app.engine.clock.advance_to(app.now() + chrono::TimeDelta::seconds(45));
    assert_eq!(tell(&app).await, 1);
    assert_eq!(receiver.kinds(), ["notification.sent"]);
    app.end().await;
}

#[tokio::test]
async fn two_processes_tell_each_fact_once_between_them() {
    let (app, receiver) = with_hook("").await;
    for n in 0..15 {
        say_something(&app, &format!("T-{n}")).await;
    }
    let telling = (0..3).map(|_| tell_all(&app.app));
    for made in futures::future::join_all(telling).await {
        made.expect("the store");
    }
    let mut ids: Vec<_> = receiver.told().iter().map(|told| told.id().to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), receiver.told().len()), (15, 15));
    app.end().await;
}

#[tokio::test]
async fn what_was_told_is_forgotten_after_thirty_days_and_numbers_go_on() {
    let (app, receiver) = with_hook("").await;
    for n in 0..3 {
        say_something(&app, &format!("T-{n}")).await;
    }
    tell(&app).await;
    app.advance_to("2026-12-24T10:00:00Z").await;
    tell(&app).await;
    let told_before = receiver.told().len();
    let before = deliveries(&app).await;
    app.store().forget_deliveries(app.now()).await.expect("the store");
    let month_ago_ms = (app.now() - chrono::TimeDelta::days(30)).timestamp_millis();
    let kept = deliveries(&app).await;
    let of_old =
        |rows: &[DeliveryView]| rows.iter().filter(|row| row.occurred_at_ms < month_ago_ms).count();
    let (old, left) = (of_old(&before), of_old(&kept));
    assert!(old > 1, "there was something to forget");
    assert!(left <= 1, "at most the one that numbers go on from");
    assert_eq!(kept.len(), before.len() - old + left, "nothing younger was forgotten");
    say_something(&app, "T-9").await;
    tell(&app).await;
    let sequence = |n: usize| receiver.told()[n].json()["data"]["sequence"].as_i64();
    assert!(sequence(told_before) > sequence(told_before - 1));
    app.end().await;
}

/// The real binary: killed with `kill -9` before anything was taken, it tells everything when it
/// is back, quickly, and forgets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_tells_what_it_had_promised_when_it_is_back() {
    let receiver = Receiver::start().await;
    receiver.always(Some(500));
    let here = Installation::new(&receiver.hook("desk", "[\"notification.*\"]", ""));
    here.file("customers.jsonl", &crate::support::ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let served = here.serve(&[]);
    let client = reqwest::Client::new();
    for n in 0..10 {
        let event = json!({"id": n.to_string(), "source": "desk", "case": format!("T-{n}"),
            "case_type": "ticket", "customer": "C-1", "state": "take_in_charge_ticket"});
        let answer = client.post(format!("{}/v1/events", served.url)).json(&event).send().await;
        assert_eq!(answer.expect("answered").status(), 202);
    }
    assert!(until(PATIENCE, async || !receiver.told().is_empty()).await, "the first try");
    served.kill();
    receiver.always(None);
    let served = here.serve(&[]);
    // Told again at once, by hand: the first wait, or the lease of the dead process, may not be over.
    here.json(&["webhooks", "replay", "--status", "pending", "--yes", "--json"]);
    let all = async || {
        let answer = client.get(format!("{}/v1/webhooks", served.url)).send().await;
        let hooks: Value = answer.expect("answered").json().await.expect("JSON");
        hooks["webhooks"][0]["delivered"] == 10
    };
    assert!(until(PATIENCE, all).await, "all told");
    // Each message came to one end, whether it is known or in doubt, and that was told.
    let ends: HashSet<(String, String)> = receiver
        .told()
        .iter()
        .map(|told| (told.id().to_owned(), told.json()["data"]["notification"].to_string()))
        .collect();
    let messages: HashSet<&String> = ends.iter().map(|(_, message)| message).collect();
    assert_eq!((ends.len(), messages.len()), (10, 10));
    drop(served);
    let listed = here.json(&["webhooks", "deliveries", "--json"]);
    assert_eq!(listed["deliveries"].as_array().map(Vec::len), Some(10));
}
