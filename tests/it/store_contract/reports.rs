//! Figures over what was said.

use serde_json::json;
use tidings::domain::time::Instant;
use tidings::store::Store;
use tidings::store::reports::{Contacts, CostBy};

use super::bed::{accepted, after_s, event, know, monday, on_both, planned, told};

const ALL: std::ops::Range<i64> = 0..i64::MAX;
const DAY_MS: i64 = 86_400_000;

/// The customer got in touch about a case.
async fn contact(store: &Store, id: &str, case: &str, at: Instant) {
    let more =
        json!({"state": null, "event": "customer_contacted", "occurred_at": at.to_rfc3339()});
    accepted(store, event(id, case, more)).await;
}

#[tokio::test]
async fn contacts_are_joined_to_the_messages_of_the_days_before_about_the_same_case() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (id, case) in [("e1", "T-1"), ("e2", "T-2"), ("e3", "T-3")] {
            told(store, id, case).await;
        }
        // Twice after one message, never after another, and about a case nothing was said of.
        contact(store, "c1", "T-1", after_s(120)).await;
        contact(store, "c2", "T-1", after_s(180)).await;
        contact(store, "c3", "T-9", after_s(120)).await;
        contact(store, "c4", "T-2", after_s(-30)).await;
        // The words alone do not make a contact.
        let facts = json!({"event": "called", "facts": {"note": "not customer_contacted"}});
        accepted(store, event("x", "T-3", facts)).await;
        let steps = async |within_ms: i64| {
            let steps = store.contacts_by_step(within_ms, ALL).await.expect("it is there");
            let [step] = &steps[..] else { panic!("{steps:?}") };
            assert_eq!((&*step.case_type, &*step.notice), ("ticket", "received"));
            assert_eq!(step.state.as_deref(), Some("open"));
            (step.sent, step.followed)
        };
        assert_eq!(steps(DAY_MS).await, (3, 1));
        assert_eq!(steps(60_000).await, (3, 0), "only within a minute");
        let contacts = store.contacts(DAY_MS, ALL).await.expect("the store is there");
        assert_eq!(contacts, Contacts { contacts: 4, after_a_message: 2 });
        let none = store.contacts(DAY_MS, 0..1).await.expect("the store is there");
        assert_eq!(none, Contacts { contacts: 0, after_a_message: 0 });
    })
    .await;
}

#[tokio::test]
async fn what_was_handed_over_is_counted_by_case_channel_and_message() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        told(store, "e1", "T-1").await;
        told(store, "e2", "T-2").await;
        planned(store, "e3", "T-3", after_s(60)).await;
        let keys = async |by| {
            let handed = store.handed_over(by, ALL).await.expect("the store is there");
            handed
                .into_iter()
                .map(|row| {
                    format!(
                        "{} {} {} {} {}",
                        row.key, row.channel, row.prefix, row.attempts, row.parts
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(CostBy::Case).await, ["T-1 email ada@e 1 1", "T-2 email ada@e 1 1"]);
        assert_eq!(keys(CostBy::Channel).await, ["email email ada@e 2 2"]);
        assert_eq!(keys(CostBy::Message).await, ["ticket/received email ada@e 2 2"]);
        let before = 0..monday().timestamp_millis();
        assert_eq!(store.handed_over(CostBy::Case, before).await.expect("it is there"), []);
    })
    .await;
}

#[tokio::test]
async fn weeks_of_customers_are_counted_by_how_many_messages_they_had() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for n in 1..=3 {
            told(store, &format!("e{n}"), &format!("T-{n}")).await;
        }
        // Sunday before, and what rode in another message.
        bed.damage(
            "UPDATE notification SET told_at_ms = told_at_ms - 86400000 WHERE case_id = 'T-1'",
        )
        .await;
        bed.damage(
            "UPDATE notification SET status = 'folded', told_at_ms = NULL WHERE case_id = 'T-2'",
        )
        .await;
        let weeks = async |alone| {
            let weeks = store.messages_per_week(alone, ALL).await.expect("the store is there");
            weeks.into_iter().map(|week| (week.messages, week.weeks)).collect::<Vec<_>>()
        };
        assert_eq!(weeks(false).await, [(1, 2)]);
        assert_eq!(weeks(true).await, [(1, 1), (2, 1)]);
    })
    .await;
}

#[tokio::test]
async fn each_case_comes_with_its_first_and_last_word_and_the_longest_gap() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        told(store, "e1", "T-1").await;
        told(store, "e2", "T-1").await;
        planned(store, "e3", "T-2", after_s(60)).await;
        bed.damage(
            "UPDATE notification SET told_at_ms = told_at_ms + 7200000
             WHERE event_seq = (SELECT max(event_seq) FROM notification WHERE case_id = 'T-1')",
        )
        .await;
        let page = store.case_words("", 10).await.expect("the store is there");
        let now = monday().timestamp_millis();
        let found: Vec<_> = page
            .iter()
            .map(|row| (&*row.id, row.words, row.first_ms, row.last_ms, row.gap_ms))
            .collect();
        assert_eq!(
            found,
            [
                ("T-1", 2, Some(now), Some(now + 7_200_000), Some(7_200_000)),
                ("T-2", 0, None, None, None)
            ]
        );
        assert!(page[0].body.contains("\"open\"") && page[0].case_type == "ticket");
        let second = store.case_words("T-1", 10).await.expect("the store is there");
        assert_eq!(second, page[1..]);
        assert_eq!(store.case_words("", 1).await.expect("it is there"), page[..1]);
    })
    .await;
}

#[tokio::test]
async fn decisions_that_led_to_no_attempt_are_counted_by_kind() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let ended = planned(store, "e1", "T-1", after_s(60)).await;
        assert!(store.decisions_by_kind().await.expect("it is there").is_empty());
        store.cancel(&ended.id, "agent", monday()).await.expect("planned");
        let kinds = store.decisions_by_kind().await.expect("the store is there");
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [("cancelled".to_owned(), 1)]);
    })
    .await;
}
