//! The ledger of promises: one open per case, settled once, renewed by a word.

use chrono::TimeDelta;
use tidings::domain::CaseId;
use tidings::domain::plan::{NewTask, Promise, PromiseChange, TaskKind};
use tidings::domain::time::Instant;
use tidings::store::Store;
use tidings::store::promises::{OpenPromise, Settling};

use super::bed::{
    accepted, after_s, know, monday, on_both, pending, plain, planned_case, record, told,
};

const DAY_S: i64 = 86_400;

fn in_days(days: i64) -> Promise {
    let alarm_at = after_s(days * DAY_S);
    Promise { alarm_at, due_at: alarm_at + TimeDelta::days(1) }
}

async fn event(store: &Store, id: &str, change: PromiseChange) {
    let seq = accepted(store, plain(id, "T-1")).await;
    let mut planned = planned_case(&pending(store, seq).await, |_, _| Vec::new());
    planned.plans[0].1.promise = Some(change);
    assert!(record(store, planned).await);
}

async fn due(store: &Store, now: Instant) -> Vec<OpenPromise> {
    store.promises_due(now, 10).await.expect("the store is there")
}

async fn states(store: &Store) -> Vec<String> {
    let case = CaseId("T-1".into());
    let found = store.promises_of(&case).await.expect("the store is there");
    found.into_iter().map(|promise| promise.state).collect()
}

#[tokio::test]
async fn a_case_has_one_open_promise_until_it_ends() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        event(store, "e1", PromiseChange::Make(in_days(5))).await;
        event(store, "e2", PromiseChange::Make(in_days(6))).await;
        assert_eq!(states(store).await, ["open"]);
        assert!(due(store, after_s(4 * DAY_S)).await.is_empty());
        assert_eq!(due(store, after_s(5 * DAY_S)).await[0].promise, in_days(5), "the first holds");
        event(store, "e3", PromiseChange::Renew(in_days(7))).await;
        assert_eq!(states(store).await, ["open", "ended"]);
        event(store, "e4", PromiseChange::End).await;
        assert_eq!(states(store).await, ["ended", "ended"]);
    })
    .await;
}

#[tokio::test]
async fn a_promise_is_settled_once_and_what_follows_is_written_with_it() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        event(store, "e1", PromiseChange::Make(in_days(5))).await;
        let task = || NewTask {
            key: "promise/T-1".into(),
            kind: TaskKind::Promise,
            detail: "Say something about case T-1.".into(),
        };
        let now = after_s(5 * DAY_S);
        let open = due(store, now).await.remove(0);
        assert_eq!((open.last_word, open.next_planned), (None, None));
        let settle = async |settling| {
            let settled = store.settle_promises(vec![(open.clone(), settling)], now).await;
            settled.expect("the store is there").contains(&open.seq)
        };
        assert!(settle(Settling::Alarm { task: task() }).await);
        assert_eq!(store.open_tasks(0, 10).await.expect("it is there")[0].kind, "promise");
        assert!(due(store, now).await.is_empty(), "looked at again at its end");
        assert!(due(store, after_s(6 * DAY_S)).await[0].alarmed);
        assert!(settle(Settling::Waits { until: after_s(6 * DAY_S - 60) }).await);
        assert_eq!(due(store, after_s(6 * DAY_S - 60)).await.len(), 1);
        assert!(settle(Settling::Broken { task: task(), next: Some(in_days(11)) }).await);
        assert!(!settle(Settling::Kept { at: now, next: Some(in_days(12)) }).await);
        assert_eq!(states(store).await, ["open", "broken"], "the second came too late");

        told(store, "e2", "T-1").await;
        let open = due(store, after_s(11 * DAY_S)).await.remove(0);
        assert_eq!(open.last_word, Some(monday()));
        assert_eq!(store.end_promises(now).await.expect("it is there"), 1);
        let counts = store.promise_counts(0..i64::MAX).await.expect("it is there");
        let count = |state: &str| ("ticket".to_owned(), state.to_owned(), 1);
        assert_eq!(counts, [count("broken"), count("ended")]);
    })
    .await;
}
