//! Claims: what is due is taken up by one process, and given back or ended.

use serde_json::json;
use tidings::domain::notification::Lane;
use tidings::domain::{Reason, Status, Urgency};
use tidings::store::Store;
use tidings::store::notifications::{EndOfClaim, Outlook, RING_AGAIN_MS};

use super::bed::{
    accepted, after_s, claimed, created, know, monday, notice, on_both, pending, plain, planned,
    planned_case, record, status,
};

#[tokio::test]
async fn a_store_that_was_never_used_is_quiet_and_balanced() {
    on_both(async |bed| {
        let outlook = bed.store.outlook(monday()).await.expect("the store is there");
        assert_eq!(outlook, Outlook::Quiet { until: None });
        assert!(bed.store.lanes_due(monday()).await.expect("the store is there").is_empty());
        assert!(!bed.store.needs_housekeeping(monday()).await.expect("the store is there"));
        let summary = bed.store.summary().await.expect("the store is there");
        assert!(summary.balance.adds_up() && summary.balance.accepted == 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_due_is_rung_once_in_ten_seconds_and_stays_planned() {
    on_both(async |bed| {
        let store = &bed.store;
        let due = planned(store, "e1", "T-1", after_s(10)).await;
        planned(store, "e2", "T-2", after_s(100)).await;
        let take = async |store: &Store, at_s| {
            store.take_due(Lane::Bulk, after_s(at_s), 10).await.expect("the store is there")
        };
        assert_eq!(take(store, 9).await, []);
        assert_eq!(take(store, 10).await, [due.id]);
        let trusted_s = RING_AGAIN_MS / 1_000;
        assert_eq!(take(&bed.another().await, 10 + trusted_s - 1).await, []);
        assert_eq!(take(store, 10 + trusted_s).await, [due.id]);
        assert_eq!(status(store, &due.id).await, Status::Planned);
        assert!(store.take_due(Lane::Now, after_s(99), 10).await.expect("it is there").is_empty());
    })
    .await;
}

#[tokio::test]
async fn of_what_is_due_the_longest_waiting_comes_first_and_one_customer_together() {
    on_both(async |bed| {
        let store = &bed.store;
        let mut seqs = Vec::new();
        for (n, (customer, due_s)) in
            [("C-1", 40), ("C-2", 10), ("C-1", 20), ("C-2", 30)].into_iter().enumerate()
        {
            let case = format!("T-{n}");
            let told = super::bed::event(&format!("e{n}"), &case, json!({"customer": customer}));
            let seq = accepted(store, told).await;
            let plan = planned_case(&pending(store, seq).await, |case, seq| {
                vec![created(notice(case, "received", seq, after_s(due_s)))]
            });
            seqs.push(plan.plans[0].1.create[0].notification.id);
            assert!(record(store, plan).await);
        }
        let taken = store.take_due(Lane::Bulk, after_s(60), 3).await.expect("the store is there");
        assert_eq!(taken.len(), 3);
        assert!(!taken.contains(&seqs[0]), "the youngest waits");
        assert_eq!(taken[0], seqs[2], "those of C-1, then those of C-2");
    })
    .await;
}

#[tokio::test]
async fn urgent_words_wait_in_a_lane_of_their_own() {
    on_both(async |bed| {
        let store = &bed.store;
        let mut ids = Vec::new();
        for (n, urgency) in
            [Urgency::Low, Urgency::Normal, Urgency::High, Urgency::Urgent].into_iter().enumerate()
        {
            let seq = accepted(store, plain(&format!("e{n}"), &format!("T-{n}"))).await;
            let plan = planned_case(&pending(store, seq).await, |case, seq| {
                let mut notice = notice(case, "received", seq, monday());
                notice.urgency = urgency;
                vec![created(notice)]
            });
            ids.push(plan.plans[0].1.create[0].notification.id);
            assert!(record(store, plan).await);
        }
        let lanes = async || store.lanes_due(monday()).await.expect("the store is there");
        assert_eq!(lanes().await, [Lane::Now, Lane::Bulk]);
        let mut taken = store.take_due(Lane::Now, monday(), 9).await.expect("the store is there");
        taken.sort_unstable();
        let mut urgent = ids[2..].to_vec();
        urgent.sort_unstable();
        assert_eq!(taken, urgent);
        assert_eq!(lanes().await, [Lane::Bulk]);
        store.take_due(Lane::Bulk, monday(), 9).await.expect("the store is there");
        assert_eq!(lanes().await, []);
    })
    .await;
}

#[tokio::test]
async fn the_outlook_is_the_first_instant_at_which_something_is_to_do() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let outlook = async || store.outlook(monday()).await.expect("the store is there");
        let quiet = |at_s| Outlook::Quiet { until: Some(after_s(at_s)) };
        planned(store, "e1", "T-1", after_s(500)).await;
        assert_eq!(outlook().await, quiet(500));
        planned(store, "e2", "T-2", after_s(60)).await;
        assert_eq!(outlook().await, quiet(60));
        let held = claimed(store, "e3", "T-3").await;
        assert_eq!(outlook().await, Outlook::Busy);
        store.release(&[(held.id, held.epoch)], after_s(30)).await.expect("the store is there");
        assert_eq!(outlook().await, quiet(30));
        accepted(store, plain("e4", "T-4")).await;
        assert_eq!(outlook().await, Outlook::Busy, "an event waits to be planned");
    })
    .await;
}

#[tokio::test]
async fn only_what_is_due_and_planned_is_claimed_and_by_one() {
    on_both(async |bed| {
        let store = &bed.store;
        let due = planned(store, "e1", "T-1", after_s(10)).await;
        let claim = async |owner, at_s| {
            store.claim(&[due.id], owner, after_s(at_s)).await.expect("the store is there")
        };
        assert_eq!(claim("one", 9).await, []);
        let held = claim("one", 10).await;
        assert_eq!((held[0].status, held[0].epoch, held[0].claims), (Status::Claimed, 1, 1));
        assert_eq!(claim("two", 10).await, []);
        assert_eq!(store.claim(&[], "two", after_s(10)).await.expect("the store is there"), []);
    })
    .await;
}

#[tokio::test]
async fn a_stale_epoch_writes_nothing() {
    on_both(async |bed| {
        let store = &bed.store;
        let due = planned(store, "e1", "T-1", monday()).await;
        let first = store.claim(&[due.id], "one", monday()).await.expect("the store is there");
        // The lease of the first runs out, and it comes back too late.
        let late = after_s(31);
        store.reap(late, late).await.expect("the store is there");
        let again = store.claim(&[due.id], "two", late).await.expect("the store is there");
        assert_eq!(again[0].epoch, first[0].epoch + 2);
        store.release(&[(due.id, first[0].epoch)], late).await.expect("the store is there");
        let end = EndOfClaim {
            notification: first[0].clone(),
            status: Status::Expired,
            next_at: late,
            reasons: vec![Reason::Expired { at: late }],
            versions: json!({}),
            task: Some("it came too late"),
            held: None,
            followers: Vec::new(),
        };
        store.end_claims(vec![end], late).await.expect("the store is there");
        assert_eq!(status(store, &due.id).await, Status::Claimed, "the second keeps it");
        let detail = store.notification(&due.id).await.expect("it is there");
        assert!(detail.decisions.is_empty(), "{:?}", detail.decisions);
        assert!(store.open_tasks(0, 10).await.expect("the store is there").is_empty());
        store.release(&[(due.id, again[0].epoch)], late).await.expect("the store is there");
        assert_eq!(status(store, &due.id).await, Status::Planned);
    })
    .await;
}

#[tokio::test]
async fn a_claim_ends_held_until_later_or_for_good_each_with_its_reason() {
    on_both(async |bed| {
        let store = &bed.store;
        let (held, ended) = (claimed(store, "e1", "T-1").await, claimed(store, "e2", "T-2").await);
        let end = |n: &tidings::domain::Notification, status, reasons, task| EndOfClaim {
            notification: n.clone(),
            status,
            next_at: after_s(300),
            reasons,
            versions: json!({"customer": 3}),
            task,
            held: None,
            followers: Vec::new(),
        };
        let quiet = vec![Reason::QuietHours { until: after_s(300), own: true }];
        let ends = vec![
            end(&held, Status::Planned, quiet, None),
            end(&ended, Status::Suppressed, vec![Reason::NoChannel], Some("no channel is left")),
        ];
        store.end_claims(ends, after_s(1)).await.expect("the store is there");
        store.end_claims(Vec::new(), after_s(1)).await.expect("nothing is fine");

        let held = store.notification(&held.id).await.expect("it is there");
        assert_eq!((&*held.notification.status, &held.notification.reason), ("planned", &None));
        assert_eq!(held.notification.next_at_ms, after_s(300).timestamp_millis());
        assert_eq!(
            (&*held.decisions[0].what, &*held.decisions[0].versions),
            ("held", r#"{"customer":3}"#)
        );
        let ended = store.notification(&ended.id).await.expect("it is there");
        assert_eq!(ended.notification.status, "suppressed");
        assert_eq!(ended.notification.reason.as_deref(), Some("no_channel"));
        assert_eq!(ended.decisions[0].what, "suppressed");
        let tasks = store.open_tasks(0, 10).await.expect("the store is there");
        assert!(tasks[0].detail.contains("no channel is left"), "{tasks:?}");
        let balance = store.summary().await.expect("the store is there").balance;
        assert_eq!((balance.open, balance.task), (1, 1));
    })
    .await;
}
