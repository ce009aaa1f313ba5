//! Planned times that are others under new rules.

use chrono::TimeDelta;
use tidings::domain::Reason;
use tidings::domain::plan::Moved;

use super::bed::{after_s, know, monday, on_both, planned, told};

#[tokio::test]
async fn what_is_planned_as_it_was_read_moves_and_nothing_else() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        told(store, "e1", "T-1").await;
        planned(store, "e2", "T-2", after_s(60)).await;
        planned(store, "e3", "T-3", after_s(60)).await;
        let all = store.planned_after("", 9).await.expect("the store is there");
        assert_eq!(all.len(), 2, "what was told is not planned");
        assert!(all.is_sorted_by_key(|planned| planned.id.to_string()));
        let rest = store.planned_after(&all[0].id.to_string(), 9).await.expect("the store");
        assert_eq!(rest, all[1..]);

        let day = TimeDelta::days(1);
        let moved = |n: usize| Moved {
            id: all[n].id,
            due_at: all[n].due_at + day,
            next_at: all[n].next_at + day,
            expires_at: all[n].expires_at + day,
            reasons: vec![Reason::RulesChanged { due: all[n].due_at + day }],
        };
        // The second was moved by somebody else since it was read.
        let moves = vec![(all[0].due_at, moved(0)), (all[1].due_at - day, moved(1))];
        let count = store.resolve(moves, "{}".into(), monday()).await.expect("the store");
        assert_eq!(count, 1);
        let then = store.planned_after("", 9).await.expect("the store is there");
        assert_eq!(then[0].due_at, all[0].due_at + day);
        assert_eq!(then[0].next_at, all[0].next_at + day);
        assert_eq!(then[1], all[1]);
        let detail = store.notification(&all[0].id).await.expect("it is there");
        let last = detail.decisions.last().expect("a word about it");
        assert!(last.what == "moved" && last.reasons.contains("rules_changed"), "{last:?}");
    })
    .await;
}

#[tokio::test]
async fn what_times_were_resolved_with_is_known_to_the_next_process() {
    on_both(async |bed| {
        let store = &bed.store;
        assert_eq!(store.resolved_with().await.expect("the store is there"), None);
        for with in ["2026a v1 s1", "2026b v1 s1"] {
            store.set_resolved_with(with).await.expect("the store is there");
        }
        let other = bed.another().await;
        let known = other.resolved_with().await.expect("the store is there");
        assert_eq!(known.as_deref(), Some("2026b v1 s1"));
    })
    .await;
}
