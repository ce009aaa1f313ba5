//! What became of messages once they were handed over.

use chrono::TimeDelta;
use serde_json::json;
use tidings::store::outcomes::{Asked, OutcomeRow};

use super::bed::{accepted, after_s, event, know, monday, on_both, planned, told};

fn within(contact_within: TimeDelta) -> Asked {
    Asked { period: monday()..after_s(86_400), contact_within }
}

#[tokio::test]
async fn outcomes_say_what_was_delivered_answered_and_followed_by_a_contact() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let first = told(store, "e1", "T-1").await;
        let second = told(store, "e2", "T-2").await;
        planned(store, "e3", "T-3", after_s(60)).await;
        bed.damage("UPDATE notification SET status = 'undelivered', told_at_ms = told_at_ms + 1 WHERE case_id = 'T-2'").await;
        let contact = json!({"state": null, "event": "customer_contacted",
            "occurred_at": after_s(60).to_rfc3339()});
        accepted(store, event("c1", "T-1", contact)).await;
        let facts = json!({"answer": "well"});
        let answer = json!({"state": null, "event": "customer_answered", "facts": facts});
        let mut answered = event("x", "T-2", answer);
        answered.event.source = "tidings".into();
        answered.event.id = format!("answer-{}", second.id);
        accepted(store, answered).await;

        let answered = store.answered(0..i64::MAX).await.expect("the store is there");
        let times = |of: Option<&str>| -> i64 {
            let rows = answered.iter().filter(|row| row.answer.as_deref() == of);
            rows.map(|row| row.times).sum()
        };
        assert_eq!((times(None), times(Some("well"))), (1, 1), "{answered:?}");
        assert_eq!(store.answered(0..1).await.expect("the store is there"), []);

        let day = TimeDelta::days(1);
        let said = |row: &OutcomeRow| (row.delivered, row.acknowledged, row.contacted);
        let mine = store.outcomes_of(&within(day), &"C-1".into(), 9).await.expect("it is there");
        let ids: Vec<_> = mine.iter().map(|row| row.id.clone()).collect();
        assert_eq!(ids, [second.id.to_string(), first.id.to_string()], "newest first");
        assert_eq!(said(&mine[0]), (false, true, false));
        assert_eq!(said(&mine[1]), (true, false, true));
        assert_eq!((&*mine[1].channel, &*mine[1].case_type), ("email", "ticket"));
        assert_eq!(mine[1].told_at_ms, monday().timestamp_millis());
        assert!(mine[1].profile.as_deref().is_some_and(|text| text.contains("Europe/London")));
        let soon = store.outcomes_of(&within(TimeDelta::minutes(1)), &"C-1".into(), 9).await.expect("it is there");
        assert!(!soon[1].contacted, "not within the minute");
        assert_eq!(store.outcomes_of(&within(day), &"C-1".into(), 1).await.expect("it is there").len(), 1);

        let then = Asked { period: monday()..after_s(60), ..within(day) };
        let mine_then = store.outcomes_of(&then, &"C-1".into(), 9).await.expect("it is there");
        assert!(!mine_then[1].contacted, "not known yet at the end of the minute");
        let before = Asked { period: after_s(-60)..monday(), ..within(day) };
        assert_eq!(store.outcomes_of(&before, &"C-1".into(), 9).await.expect("there"), []);

        let mut all = store.outcomes(&within(day), "", 9).await.expect("the store is there");
        assert!(all.is_sorted_by(|a, b| a.id < b.id));
        let rest = store.outcomes(&within(day), &all[0].id, 9).await.expect("the store is there");
        assert_eq!(rest, all[1..]);
        all.sort_by_key(|row| -row.told_at_ms);
        assert_eq!(all, mine);
    })
    .await;
}
