//! Events on their way in.

use serde_json::json;
use tidings::store::intake::Accepted;
use tidings::store::{Store, StoreError};

use super::bed::{accepted, after_s, event, monday, on_both, pending, plain};

/// What the store answers to one event.
async fn answer(store: &Store, incoming: tidings::store::intake::Incoming) -> Accepted {
    let answers = store.accept_events(vec![incoming], monday()).await;
    answers.expect("the store is there").remove(0)
}

#[tokio::test]
async fn an_event_is_accepted_once_and_the_same_again_is_a_duplicate() {
    on_both(async |bed| {
        let first = answer(&bed.store, plain("e1", "T-1")).await;
        assert!(matches!(first, Accepted::New { seq: 1.. }), "{first:?}");
        assert_eq!(answer(&bed.store, plain("e1", "T-1")).await, Accepted::Duplicate);
        assert_eq!(answer(&bed.another().await, plain("e1", "T-1")).await, Accepted::Duplicate);
        let kept = bed.store.events_named("e1").await.expect("the store is there");
        assert_eq!((kept.len(), kept[0].accepted_at_ms), (1, monday().timestamp_millis()));
    })
    .await;
}

#[tokio::test]
async fn the_same_id_with_another_body_is_a_conflict_and_from_another_source_a_new_event() {
    on_both(async |bed| {
        answer(&bed.store, plain("e1", "T-1")).await;
        let other = event("e1", "T-1", json!({"state": "closed"}));
        assert_eq!(answer(&bed.store, other).await, Accepted::Conflict);
        let elsewhere = event("e1", "T-1", json!({"source": "shop"}));
        assert!(matches!(answer(&bed.store, elsewhere).await, Accepted::New { .. }));
    })
    .await;
}

#[tokio::test]
async fn a_case_keeps_the_case_type_it_was_opened_with() {
    on_both(async |bed| {
        answer(&bed.store, plain("e1", "T-1")).await;
        let other = event("e2", "T-1", json!({"case_type": "return"}));
        let refused = Accepted::OtherCaseType { known: "ticket".into() };
        assert_eq!(answer(&bed.store, other).await, refused);
        assert!(bed.store.events_named("e2").await.expect("the store is there").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_answered_event_by_event_and_numbered_in_its_order() {
    on_both(async |bed| {
        let batch = vec![
            plain("e1", "T-1"),
            plain("e2", "T-2"),
            plain("e1", "T-1"),
            event("e2", "T-2", json!({"state": "closed"})),
            plain("e3", "T-1"),
            event("e4", "T-2", json!({"case_type": "return"})),
        ];
        let answers = bed.store.accept_events(batch, monday()).await.expect("the store is there");
        let [
            Accepted::New { seq: first },
            Accepted::New { .. },
            Accepted::Duplicate,
            Accepted::Conflict,
            Accepted::New { .. },
            Accepted::OtherCaseType { .. },
        ] = answers[..]
        else {
            panic!("{answers:?}")
        };
        let pending = pending(&bed.store, first).await;
        let ids: Vec<_> = pending.events.iter().map(|event| event.event.id.as_str()).collect();
        assert_eq!(ids, ["e1", "e3"]);
    })
    .await;
}

#[tokio::test]
async fn an_empty_batch_and_one_of_five_hundred_are_answered_in_full() {
    on_both(async |bed| {
        let nothing = bed.store.accept_events(Vec::new(), monday()).await;
        assert_eq!(nothing.expect("the store is there"), []);
        let many = (0..500).map(|n| plain(&format!("e{n}"), &format!("T-{}", n % 7))).collect();
        let answers = bed.store.accept_events(many, monday()).await.expect("the store is there");
        let mut seqs: Vec<i64> = answers
            .iter()
            .map(|answer| match answer {
                Accepted::New { seq } => *seq,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(seqs.is_sorted(), "numbered in their order");
        seqs.dedup();
        assert_eq!(seqs.len(), 500);
        let summary = bed.store.summary().await.expect("the store is there");
        assert_eq!((summary.balance.accepted, summary.balance.open), (500, 500));
    })
    .await;
}

#[tokio::test]
async fn of_one_event_told_to_two_processes_at_once_one_is_new_and_one_a_duplicate() {
    on_both(async |bed| {
        let other = bed.another().await;
        for round in 0..40 {
            let id = format!("e{round}");
            let (one, two) = tokio::join!(
                answer(&bed.store, plain(&id, "T-1")),
                answer(&other, plain(&id, "T-1"))
            );
            let news = [&one, &two].iter().filter(|a| matches!(a, Accepted::New { .. })).count();
            let again = [&one, &two].iter().filter(|a| ***a == Accepted::Duplicate).count();
            assert_eq!((news, again), (1, 1), "{one:?} {two:?}");
        }
        assert_without_gaps(&bed.store, "e0", 40).await;
    })
    .await;
}

/// Planning finds `count` events of the case of `first`: their ordinals have no gap.
async fn assert_without_gaps(store: &Store, first: &str, count: usize) {
    let seq = store.events_named(first).await.expect("the store is there")[0].seq;
    let pending = pending(store, seq).await;
    assert_eq!((pending.planned, pending.events.len()), (0, count));
}

#[tokio::test]
async fn events_of_one_case_from_many_processes_are_numbered_without_gaps() {
    on_both(async |bed| {
        let [two, three, four] = bed.others().await;
        let stores = [&bed.store, &two, &three, &four];
        let sent = (0..80).map(|n| {
            let store = stores[n % stores.len()];
            async move { answer(store, plain(&format!("e{n}"), "T-1")).await }
        });
        for answer in futures::future::join_all(sent).await {
            assert!(matches!(answer, Accepted::New { .. }), "{answer:?}");
        }
        assert_without_gaps(&bed.store, "e0", 80).await;
    })
    .await;
}

#[tokio::test]
async fn one_event_id_under_many_cases_at_once_is_new_once_and_a_conflict_elsewhere() {
    on_both(async |bed| {
        let [two, three, four] = bed.others().await;
        for round in 0..20 {
            let ids = [format!("e{round}"), format!("f{round}")];
            // Two events in one batch and the other way round: whoever comes second waits.
            let told =
                [&bed.store, &two, &three, &four].into_iter().enumerate().map(|(n, store)| {
                    let case = format!("T-{round}-{n}");
                    let mut batch = vec![plain(&ids[0], &case), plain(&ids[1], &case)];
                    if n % 2 == 1 {
                        batch.reverse();
                    }
                    async move {
                        let answers = store.accept_events(batch, monday()).await;
                        answers.expect("never a fault of the store")
                    }
                });
            let answers: Vec<_> = futures::future::join_all(told).await.concat();
            let news = answers.iter().filter(|a| matches!(a, Accepted::New { .. })).count();
            let conflicts = answers.iter().filter(|a| **a == Accepted::Conflict).count();
            assert_eq!((news, conflicts), (2, 6), "{answers:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_accepted_is_seen_by_other_processes_and_they_are_told() {
    on_both(async |bed| {
        let other = bed.another().await;
        let mut told = other.foreign_commits();
        told.borrow_and_update();
        // A listener may not listen yet: it looks once more when it does.
        for round in 0.. {
            let seq = accepted(&bed.store, plain(&format!("e{round}"), "T-1")).await;
            let events = other.unplanned_events(after_s(1), 10).await.expect("the store is there");
            assert!(!events.is_empty() && events[0] <= seq);
            let wait = std::time::Duration::from_secs(1);
            if tokio::time::timeout(wait, told.changed()).await.is_ok() {
                break;
            }
            assert!(round < 20, "nobody told the other process");
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_half_accepted_batch() {
    on_both(async |bed| {
        for round in 0..20 {
            let batch = (0..5).map(|n| plain(&format!("e{round}-{n}"), "T-1")).collect();
            let accepting = bed.store.accept_events(batch, monday());
            // Polled once, then dropped: handed in, never waited for.
            let _ = futures::FutureExt::now_or_never(accepting);
        }
        let last = accepted(&bed.store, plain("last", "T-1")).await;
        let pending = pending(&bed.store, last).await;
        assert_eq!(pending.events.len() % 5, 1, "all or none of a batch");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_customer_or_case_is_not_found() {
    on_both(async |bed| {
        let unknown = bed.store.customer(&"C-9".into(), monday()).await.expect_err("unknown");
        assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
        assert!(bed.store.cases([&"T-9".into()]).await.expect("the store is there").is_empty());
        assert!(bed.store.pending_cases(&[9], true).await.expect("the store is there").is_empty());
    })
    .await;
}
