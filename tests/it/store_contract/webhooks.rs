//! What others are told: noted with its fact, taken up by one process, recorded, told again,
//! forgotten.

use chrono::TimeDelta;
use tidings::domain::plan::{NewTask, Promise, PromiseChange, TaskKind};
use tidings::domain::webhook::{Outbound, Pattern, Wanted as Wants};
use tidings::store::promises::Settling;
use tidings::store::webhooks::{Becomes, DeliveryView, DueDelivery, Tried, Wanted};
use tidings::store::{Store, StoreError};

use super::bed::{
    Bed, accepted, after_s, ask_for_call, know, monday, on_both, pending, plain, planned_case,
    record, told,
};

const LEASE_MS: i64 = 45_000;

fn outbound(hooks: &[(&str, &str)]) -> Outbound {
    let wants = |(hook, events): &(&str, &str)| Wants {
        hook: (*hook).to_owned(),
        events: vec![Pattern::parse(events).expect("a pattern")],
    };
    let public_url = "https://tidings.example.com".to_owned();
    Outbound { public_url, hooks: hooks.iter().map(wants).collect() }
}

/// A store that tells tasks to a desk and everything to a crm, with three tasks.
async fn three_tasks(bed: &Bed) -> Store {
    let store = bed.store.clone().with_outbound(outbound(&[("desk", "task.*"), ("crm", "*")]));
    know(&store, &["C-1"]).await;
    for n in 1..=3 {
        ask_for_call(&store, &format!("C-{n}").as_str().into(), after_s(n)).await.expect("kept");
    }
    store
}

async fn claim(store: &Store, hook: &str, at_s: i64, limit: usize) -> Vec<DueDelivery> {
    let due = store.claim_deliveries(hook, after_s(at_s), LEASE_MS, limit).await;
    due.expect("the store is there")
}

fn tried(due: &DueDelivery, becomes: Becomes) -> Tried {
    Tried {
        seq: due.seq,
        epoch: due.epoch,
        hook: "desk".into(),
        becomes,
        answer: Some(if becomes == Becomes::Delivered { 204 } else { 503 }),
        said: "down".into(),
        took_ms: 12,
    }
}

async fn recorded(store: &Store, due: &DueDelivery, becomes: Becomes, at_s: i64) {
    let tried = vec![tried(due, becomes)];
    store.record_deliveries(tried, after_s(at_s)).await.expect("the store is there");
}

async fn of(store: &Store, hook: &str) -> Vec<DeliveryView> {
    let wanted = Wanted { hook: Some(hook.into()), ..Wanted::default() };
    store.deliveries(&wanted, None, 100).await.expect("the store is there")
}

#[tokio::test]
async fn a_fact_is_noted_with_what_makes_it_true_for_every_hook_that_wants_it() {
    on_both(async |bed| {
        let noted = bed.store.facts_noted();
        assert!(noted.has_changed().is_err(), "nobody wants anything");
        let store = bed.store.clone().with_outbound(outbound(&[("desk", "task.*"), ("crm", "*")]));
        let mut noted = store.facts_noted();
        know(&store, &["C-1"]).await;
        assert!(!noted.has_changed().expect("open"), "a new customer is no news to who told us");
        ask_for_call(&store, &"C-1".into(), after_s(1)).await.expect("kept");
        assert!(noted.has_changed().expect("open"), "rung by the time the caller hears");
        noted.mark_unchanged();
        // What is undone was never true.
        let refused = tidings::store::callbacks::Wish {
            customer: "C-1".into(),
            case: None,
            from: Some(after_s(900)),
            to: after_s(1_800),
            detail: "no room".into(),
            room: 0,
        };
        let refused = store.ask_for_callback(refused, after_s(2)).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        told(&store, "e1", "T-1").await;
        let kinds = async |hook| {
            let rows = of(&store, hook).await;
            rows.into_iter().rev().map(|row| row.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds("desk").await, ["task.created"]);
        assert_eq!(kinds("crm").await, ["task.created", "callback.requested", "notification.sent"]);
    })
    .await;
}

#[tokio::test]
async fn the_last_day_of_a_promise_is_told_once() {
    on_both(async |bed| {
        let store = bed.store.clone().with_outbound(outbound(&[("desk", "promise.at_risk")]));
        know(&store, &["C-1"]).await;
        let day = TimeDelta::days(1);
        let promise = Promise { alarm_at: monday() + day, due_at: monday() + day * 2 };
        let seq = accepted(&store, plain("e1", "T-1")).await;
        let mut planned = planned_case(&pending(&store, seq).await, |_, _| Vec::new());
        planned.plans[0].1.promise = Some(PromiseChange::Make(promise));
        assert!(record(&store, planned).await);
        let open = store.promises_due(monday() + day, 10).await.expect("the store").remove(0);
        for settling in [Settling::Waits { until: monday() + day }, alarm(), alarm()] {
            let settlings = vec![(open.clone(), settling)];
            store.settle_promises(settlings, monday() + day).await.expect("the store");
        }
        let due = claim(&store, "desk", 100_000, 10).await;
        assert_eq!(due.len(), 1);
        let payload: serde_json::Value = serde_json::from_str(&due[0].body).expect("JSON");
        assert_eq!(payload["type"], "promise.at_risk");
        assert_eq!(payload["data"]["due_at"], "2026-11-25T10:00:00+00:00");
    })
    .await;
}

fn alarm() -> Settling {
    let key = "promise/T-1".to_owned();
    Settling::Alarm { task: NewTask { key, kind: TaskKind::Promise, detail: "Say it.".into() } }
}

#[tokio::test]
async fn a_delivery_is_taken_up_by_one_and_by_another_once_the_first_is_gone() {
    on_both(async |bed| {
        let store = three_tasks(&bed).await;
        let other = bed.another().await;
        assert!(store.deliveries_due("desk", after_s(3)).await.expect("the store"));
        let (mine, theirs) = tokio::join!(claim(&store, "desk", 3, 2), claim(&other, "desk", 3, 2));
        let mut seqs: Vec<_> = mine.iter().chain(&theirs).map(|due| due.seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!(seqs.len(), mine.len() + theirs.len(), "none twice");
        while !claim(&other, "desk", 3, 1).await.is_empty() {}
        assert!(!store.deliveries_due("desk", after_s(3)).await.expect("the store"));
        assert!(claim(&store, "desk", 3 + 44, 10).await.is_empty());
        let again = claim(&other, "desk", 3 + 45, 10).await;
        assert_eq!(again.len(), 3);
        // Who comes back late changes nothing that another has in hand.
        recorded(&store, &mine[0], Becomes::Failed, 60).await;
        assert!(of(&store, "desk").await.iter().all(|row| row.status == "pending"));
        let same = again.iter().find(|due| due.seq == mine[0].seq).expect("the same");
        assert_eq!((&same.id, &same.body), (&mine[0].id, &mine[0].body));
    })
    .await;
}

#[tokio::test]
async fn what_became_of_a_request_is_recorded_and_a_person_asked_once_per_hook() {
    on_both(async |bed| {
        let store = three_tasks(&bed).await;
        let due = claim(&store, "desk", 3, 10).await;
        recorded(&store, &due[0], Becomes::Delivered, 4).await;
        recorded(&store, &due[1], Becomes::Again(after_s(300)), 4).await;
        for _ in 0..2 {
            recorded(&store, &due[2], Becomes::Failed, 4).await;
        }
        let rows = of(&store, "desk").await;
        let shown: Vec<_> = rows
            .iter()
            .filter(|row| row.occurred_at_ms <= after_s(3).timestamp_millis())
            .map(|row| (&*row.status, row.attempts, row.answer, row.said.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                ("failed", 1, Some(503), Some("down")),
                ("pending", 1, Some(503), Some("down")),
                ("delivered", 1, Some(204), Some("down")),
            ]
        );
        let tasks = store.open_tasks(0, 10).await.expect("the store");
        let asked: Vec<_> = tasks.iter().filter(|task| task.kind == "webhook").collect();
        assert_eq!(asked.len(), 1, "{tasks:?}");
        assert_eq!(rows.len(), 4, "and the task itself is told");
        let figures = store.hook_figures().await.expect("the store");
        let desk = figures.iter().find(|figures| figures.hook == "desk").expect("there");
        assert_eq!((desk.delivered, desk.failed, desk.pending), (1, 1, 2));
        assert_eq!(desk.oldest_pending_ms, Some(after_s(2).timestamp_millis()));
    })
    .await;
}

#[tokio::test]
async fn a_stopped_hook_is_told_nothing_until_it_is_enabled() {
    on_both(async |bed| {
        let store = three_tasks(&bed).await;
        let due = claim(&store, "desk", 3, 1).await;
        recorded(&store, &due[0], Becomes::HookStopped, 4).await;
        assert!(claim(&store, "desk", 10_000, 10).await.is_empty());
        assert!(!store.deliveries_due("desk", after_s(10_000)).await.expect("the store"));
        assert_eq!(claim(&store, "crm", 10_000, 100).await.len(), 7, "the other one is");
        assert!(store.enable_hook("desk").await.expect("the store"));
        assert!(!store.enable_hook("desk").await.expect("the store"));
        assert_eq!(claim(&store, "desk", 20_000, 10).await.len(), 4, "nothing was lost");
    })
    .await;
}

#[tokio::test]
async fn what_is_counted_is_what_is_told_again() {
    on_both(async |bed| {
        let store = three_tasks(&bed).await;
        for due in claim(&store, "desk", 3, 10).await {
            recorded(&store, &due, Becomes::Delivered, 4).await;
        }
        let wanted = Wanted {
            hook: Some("desk".into()),
            status: Some("delivered".into()),
            kind: Some("task.created".into()),
            since_ms: after_s(2).timestamp_millis(),
        };
        assert_eq!(store.count_deliveries(&wanted).await.expect("the store"), 2);
        let refused = store.replay_deliveries(&wanted, Some(3), after_s(5)).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        assert_eq!(
            store.replay_deliveries(&wanted, Some(2), after_s(5)).await.expect("as counted"),
            2
        );
        assert_eq!(claim(&store, "desk", 5, 10).await.len(), 2);
        let first = of(&store, "desk").await.last().expect("three").seq;
        store.replay_delivery(first, after_s(6)).await.expect("it is there");
        let due = claim(&store, "desk", 6, 10).await;
        assert_eq!((due.len(), due[0].seq, due[0].attempts), (1, first, 0));
        let unknown = store.replay_delivery(9_999, after_s(6)).await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
        let before = store.deliveries(&wanted, Some(first + 1), 10).await.expect("the store");
        assert!(before.iter().all(|row| row.seq <= first), "a page ends where the next begins");
    })
    .await;
}

#[tokio::test]
async fn what_is_thirty_days_old_is_forgotten_but_for_the_newest() {
    on_both(async |bed| {
        let store = three_tasks(&bed).await;
        let due = claim(&store, "desk", 3, 2).await;
        recorded(&store, &due[0], Becomes::Delivered, 4).await;
        let day_s = 24 * 60 * 60;
        let forget = async |at_s| store.forget_deliveries(after_s(at_s)).await.expect("the store");
        assert_eq!(forget(30 * day_s).await, (0, 0), "not before");
        let (forgotten, unmade) = forget(31 * day_s).await;
        assert_eq!((forgotten, unmade), (8, 7), "three tasks twice and three wishes, but the last");
        let left = store.deliveries(&Wanted::default(), None, 10).await.expect("the store");
        assert_eq!(left.len(), 1, "its number is not given again: {left:?}");
    })
    .await;
}
