//! What is kept of the past, for who decides it again.

use serde_json::json;
use tidings::domain::{CaseChoice, Channel, CustomerId, Sign};
use tidings::store::recorded::RecordedEvent;

use super::bed::{accepted, after_s, know, monday, on_both, plain, planned, told};

#[tokio::test]
async fn the_past_is_kept_as_it_was_from_each_instant_on() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let customer = CustomerId("C-1".into());
        let slower = store.choose(&customer, "centre", after_s(60), |chosen| {
            chosen.channel_order = Some(vec![Channel::Sms]);
        });
        slower.await.expect("known");
        let first = told(store, "e1", "T-1").await;
        let second = planned(store, "e2", "T-2", after_s(60)).await;
        accepted(store, plain("e3", "T-3")).await;
        let choice = CaseChoice { channel: None, muted: true };
        store.choose_for_case(&"T-2".into(), choice, "agent", after_s(5)).await.expect("known");
        bed.damage(
            "UPDATE notification SET opened_at_ms = told_at_ms WHERE told_at_ms IS NOT NULL",
        )
        .await;

        let read = async |after, until| {
            store.recorded_events(after, until).await.expect("the store is there")
        };
        let events = read(0, after_s(1)).await;
        let id = |row: &RecordedEvent| (row.at, row.event.as_ref().expect("kept").id.clone());
        let ids: Vec<_> = events.iter().map(id).collect();
        assert_eq!(ids, ["e1", "e2", "e3"].map(|id| (monday(), id.to_owned())));
        assert!(events.is_sorted_by_key(|row| row.seq));
        assert_eq!(read(0, monday()).await, [], "accepted before that");
        assert_eq!(read(events[0].seq, after_s(1)).await, events[1..], "and what came after one");

        assert_eq!(store.newest_event_at().await.expect("there"), Some(monday()));
        bed.damage("UPDATE event SET accepted_at_ms = accepted_at_ms + 90000 WHERE id = 'e3'")
            .await;
        let before = async |s| store.events_before(after_s(s)).await.expect("the store is there");
        assert_eq!((before(0).await, before(90).await), (0, events[1].seq));
        assert_eq!(before(91).await, events[2].seq);
        assert_eq!(store.newest_event_at().await.expect("there"), Some(after_s(90)));
        let said = store.told_since(monday()).await.expect("the store is there");
        assert_eq!(said.iter().map(|(_, _, times)| times).sum::<i64>(), 1, "{said:?}");
        assert_eq!(store.told_since(after_s(1)).await.expect("the store is there"), []);

        let customers = store.recorded_customers().await.expect("the store is there");
        let versions: Vec<_> = customers[&customer]
            .iter()
            .map(|(from, version)| (*from, version.preferences.channel_order.clone()))
            .collect();
        assert_eq!(versions, [(monday(), None), (after_s(60), Some(vec![Channel::Sms]))]);

        let choices = store.recorded_choices().await.expect("the store is there");
        assert_eq!(choices[&"T-2".into()], [(after_s(5), choice)]);
        let signs = store.recorded_signs().await.expect("the store is there");
        assert_eq!(signs[&first.id], [(monday(), Sign::Opened)]);
        assert_eq!(signs.get(&second.id), None);

        let outcomes = store.recorded_outcomes("").await.expect("the store is there");
        let rest = store.recorded_outcomes(&outcomes[0].id).await.expect("the store is there");
        assert_eq!(rest, outcomes[1..]);
        let outcome = |id: String| outcomes.iter().find(|outcome| outcome.id == id).expect("kept");
        let (sent, open) = (outcome(first.id.to_string()), outcome(second.id.to_string()));
        assert_eq!((&*sent.status, sent.channel.as_deref()), ("sent", Some("email")));
        assert_eq!(sent.told_at_ms, Some(monday().timestamp_millis()));
        assert_eq!((&*open.status, open.told_at_ms), ("planned", None));

        bed.damage("UPDATE event SET silent = 'same_state' WHERE id = 'e3'").await;
        let silent = store.silent_reasons().await.expect("the store is there");
        assert_eq!(json!(silent), json!({"same_state": 1}));
    })
    .await;
}
