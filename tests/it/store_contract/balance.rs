//! The sums over events, and what does not add up by name.

use serde_json::json;
use tidings::store::balance::{LostEvent, ShortCase, Unprompted};

use super::bed::{
    accepted, after_s, created, event, know, monday, notice, on_both, pending, plain, planned,
    planned_case, record, told,
};

const ALL: std::ops::Range<i64> = 0..i64::MAX;

#[tokio::test]
async fn each_day_and_case_type_has_its_sums() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        told(store, "e1", "T-1").await;
        planned(store, "e2", "T-2", after_s(60)).await;
        let ended = planned(store, "e3", "T-3", after_s(60)).await;
        store.cancel(&ended.id, "agent", monday()).await.expect("planned");
        accepted(store, event("e4", "R-1", json!({"case_type": "return"}))).await;
        let today = monday().timestamp_millis() / 86_400_000;
        let sums = async |period: std::ops::Range<i64>| {
            let counts = store.balance_by_day(period).await.expect("the store is there");
            counts
                .into_iter()
                .map(|count| (count.day - today, count.case_type, count.outcome, count.events))
                .collect::<Vec<_>>()
        };
        let row = |case_type: &str, outcome: &str| (0, case_type.to_owned(), outcome.to_owned(), 1);
        let wanted = [
            row("return", "open"),
            row("ticket", "open"),
            row("ticket", "silent"),
            row("ticket", "told"),
        ];
        assert_eq!(sums(ALL).await, wanted);
        let start = today * 86_400_000;
        assert_eq!(sums(start..start + 86_400_000).await.len(), 4);
        assert_eq!(sums(0..start).await, []);
        assert_eq!(store.lost_events(ALL, 9).await.expect("it is there"), []);
        assert_eq!(store.short_cases(9).await.expect("it is there"), []);
    })
    .await;
}

#[tokio::test]
async fn an_event_of_which_nothing_came_and_a_case_with_fewer_events_are_named() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (id, case) in [("e1", "T-1"), ("e2", "T-2"), ("e3", "T-3")] {
            told(store, id, case).await;
        }
        // A failure without a task, a notification gone, an event gone.
        bed.damage("UPDATE notification SET status = 'failed' WHERE case_id = 'T-1'").await;
        bed.damage("DELETE FROM notification WHERE case_id = 'T-2'").await;
        bed.damage("DELETE FROM event WHERE case_id = 'T-3'").await;
        let lost = |id: &str, case: &str| LostEvent {
            source: "desk".into(),
            id: id.into(),
            case_id: case.into(),
            case_type: "ticket".into(),
            accepted_at_ms: monday().timestamp_millis(),
        };
        let found = store.lost_events(ALL, 9).await.expect("the store is there");
        assert_eq!(found, [lost("e1", "T-1"), lost("e2", "T-2")]);
        assert_eq!(store.lost_events(ALL, 1).await.expect("it is there"), [lost("e1", "T-1")]);
        let short = store.short_cases(9).await.expect("the store is there");
        assert_eq!(short, [ShortCase { case_id: "T-3".into(), accepted: 1, stored: 0 }]);
        let balance = store.summary().await.expect("the store is there").balance;
        assert!(!balance.adds_up(), "{balance:?}");
        assert_eq!(balance.accepted, 2);
    })
    .await;
}

#[tokio::test]
async fn words_no_event_caused_are_a_line_of_their_own() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let seq = accepted(store, plain("e1", "T-1")).await;
        let pending = pending(store, seq).await;
        let plan = planned_case(&pending, |case, seq| {
            let caused = notice(case, "received", seq, after_s(60));
            let mut silence = notice(case, "still-working", seq + 1_000, after_s(60));
            silence.event_seq = None;
            vec![created(caused), created(silence)]
        });
        assert!(record(store, plan).await);
        let open = Unprompted { planned: 1, open: 1, ..Unprompted::default() };
        assert_eq!(store.unprompted(ALL).await.expect("the store is there"), open);
        store
            .cancel_planned(tidings::domain::Reason::EndOfPlay, after_s(1))
            .await
            .expect("the store is there");
        let ended = Unprompted { planned: 1, silent: 1, ..Unprompted::default() };
        assert_eq!(store.unprompted(ALL).await.expect("the store is there"), ended);
        assert_eq!(store.unprompted(0..1).await.expect("it is there"), Unprompted::default());
    })
    .await;
}
