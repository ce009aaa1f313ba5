//! After a restore: what was due by then waits for a person.

use std::collections::HashSet;

use chrono::TimeDelta;
use serde_json::json;
use tidings::domain::notification::Lane;
use tidings::domain::{Held, Status};
use tidings::store::notifications::Outlook;

use super::bed::{
    accepted, after_s, created, know, monday, notice, on_both, pending, plain, planned,
    planned_case, status,
};

#[tokio::test]
async fn what_was_due_by_the_restore_is_taken_up_by_nobody_until_a_person_says_so() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let old = planned(store, "e1", "T-1", after_s(-7_200)).await;
        let due = planned(store, "e2", "T-2", after_s(-10)).await;
        let later = planned(store, "e3", "T-3", after_s(10)).await;
        assert_eq!(store.restored_at().await.expect("the store is there"), None);
        assert_eq!(store.waiting_since_restore().await.expect("the store is there"), []);

        store.mark_restored(monday()).await.expect("the store is there");
        assert_eq!(store.restored_at().await.expect("it is there"), Some(monday()));
        let now = after_s(5);
        assert!(store.lanes_due(now).await.expect("the store is there").is_empty());
        assert_eq!(store.take_due(Lane::Bulk, now, 10).await.expect("it is there"), []);
        // A ticket of before the restore names them all the same.
        let claimed = store.claim(&[old.id, due.id], "me", now).await.expect("it is there");
        assert!(claimed.is_empty(), "{claimed:?}");
        let outlook = store.outlook(now).await.expect("the store is there");
        assert_eq!(outlook, Outlook::Quiet { until: Some(after_s(10)) });

        let waiting = store.waiting_since_restore().await.expect("the store is there");
        let row = &waiting[0];
        assert_eq!((waiting.len(), row.messages), (1, 2));
        assert_eq!([row.within_hour, row.within_day, row.within_week, row.older], [1, 1, 0, 0]);
        assert_eq!(row.oldest_due_ms, after_s(-7_200).timestamp_millis());

        // What the copy had on the wire is sorted before anybody can confirm.
        bed.damage("UPDATE notification SET status = 'sending' WHERE due_at_ms = (SELECT min(due_at_ms) FROM notification)").await;
        assert_eq!(store.in_hand_since_restore().await.expect("it is there"), 1);
        // What it had claimed waits with the rest, and is cancelled with it.
        bed.damage("UPDATE notification SET status = 'claimed' WHERE due_at_ms = (SELECT min(due_at_ms) FROM notification)").await;
        assert_eq!(store.in_hand_since_restore().await.expect("it is there"), 0);
        assert_eq!(store.waiting_since_restore().await.expect("it is there")[0].messages, 2);

        // What falls due afterwards goes as always.
        let taken = store.take_due(Lane::Bulk, after_s(10), 10).await.expect("it is there");
        assert_eq!(taken, [later.id]);

        let cancelled = store.cancel_waiting(after_s(-3_600), "Mo", now).await;
        assert_eq!(cancelled.expect("the store is there"), 1);
        assert_eq!(status(store, &old.id).await, Status::Cancelled);
        let detail = store.notification(&old.id).await.expect("it is there");
        assert_eq!(detail.notification.reason.as_deref(), Some("not_since_restore"));
        store.confirm_restored().await.expect("the store is there");
        assert_eq!(store.take_due(Lane::Bulk, now, 10).await.expect("it is there"), [due.id]);
        assert_eq!(store.claim(&[due.id], "me", now).await.expect("it is there").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_put_off_past_the_age_is_not_cancelled_unless_it_may_have_ridden_along() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let put_off = planned(store, "e1", "T-1", after_s(-7_200)).await;
        let sent_again = planned(store, "e2", "T-2", after_s(-7_200)).await;
        bed.damage("UPDATE notification SET next_at_ms = due_at_ms + 86400000").await;
        bed.damage("UPDATE notification SET planned_at_ms = due_at_ms WHERE case_id = 'T-1'").await;
        store.mark_restored(monday()).await.expect("the store is there");
        let cancel = async || {
            let done = store.cancel_waiting(after_s(-3_600), "Mo", after_s(5)).await;
            done.expect("the store is there")
        };
        assert_eq!(cancel().await, 1, "planned since, it may have been sent before");
        assert_eq!(status(store, &sent_again.id).await, Status::Cancelled);
        bed.damage("UPDATE notification SET held = 'digest' WHERE case_id = 'T-1'").await;
        assert_eq!(cancel().await, 0, "no digest went before its slot");
        bed.damage("UPDATE notification SET held = 'cap' WHERE case_id = 'T-1'").await;
        assert_eq!(cancel().await, 1, "any message may have carried it");
        assert_eq!(status(store, &put_off.id).await, Status::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn an_event_sent_again_after_a_restore_is_planned_and_not_claimed() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        store.mark_restored(monday()).await.expect("the store is there");
        for (id, due, claims) in [("e1", after_s(-1), 0), ("e2", after_s(1), 1)] {
            let seq = accepted(store, plain(id, id)).await;
            let pending = pending(store, seq).await;
            let planned = planned_case(&pending, |case, seq| {
                vec![created(notice(case, "received", seq, due))]
            });
            let wanted = HashSet::from([planned.plans[0].1.create[0].notification.id]);
            let recorded = store.record_plans(vec![planned], wanted, "me", after_s(2)).await;
            assert_eq!(recorded.expect("the store is there").claimed.len(), claims, "{id}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_company_does_not_ride_out_after_a_restore() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        planned(store, "e1", "T-1", after_s(-10)).await;
        bed.damage("UPDATE notification SET held = 'cap'").await;
        store.mark_restored(monday()).await.expect("the store is there");
        let now = after_s(5);
        let held = async || {
            store.claim_held(&["C-1".into()], "me", now).await.expect("the store is there")
        };
        assert!(held().await.is_empty());
        store.confirm_restored().await.expect("the store is there");
        assert_eq!(held().await[0].held, Some(Held::Cap));
    })
    .await;
}

#[tokio::test]
async fn a_copy_in_the_place_of_its_store_is_known_as_one_and_once() {
    on_both(async |bed| {
        let store = &bed.store;
        let marked = async |now| store.mark_if_a_backup(now).await.expect("the store is there");
        assert!(!marked(monday()).await);
        bed.damage("INSERT INTO meta (key, value) VALUES ('backup_at_ms', '1')").await;
        assert!(marked(after_s(5)).await);
        assert_eq!(store.restored_at().await.expect("it is there"), Some(after_s(5)));
        assert!(!marked(after_s(9)).await);
        assert_eq!(store.restored_at().await.expect("it is there"), Some(after_s(5)));
    })
    .await;
}

#[tokio::test]
async fn what_was_kept_back_in_shadow_mode_is_silent_in_the_balance_and_listed() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let kept = super::bed::told(store, "e1", "T-1").await;
        let sent = super::bed::told(store, "e2", "T-2").await;
        bed.damage("UPDATE notification SET reason = 'shadow' WHERE case_id = 'T-1'").await;
        let period = monday() - TimeDelta::days(1)..monday() + TimeDelta::days(1);
        let listed = store.shadow_messages("", period.clone()).await.expect("it is there");
        let shown: Vec<_> = listed.iter().map(|m| (m.id.clone(), m.channel.as_str())).collect();
        assert_eq!(shown, [(kept.id.to_string(), "email")]);
        let rest = store.shadow_messages(&listed[0].id, period).await.expect("it is there");
        assert_eq!(rest, []);
        let balance = store.summary().await.expect("the store is there").balance;
        assert_eq!(json!(balance)["silent"], 1, "{balance:?}");
        assert_eq!(json!(balance)["told"], 1, "{balance:?}");
        assert!(balance.adds_up());
        let day = 86_400_000 * 40_000;
        assert_eq!(store.lost_events(0..day, 10).await.expect("the store is there"), []);
        let since = monday() - TimeDelta::days(1);
        let told = store.history_of(&"C-1".into(), since, after_s(1), 10).await;
        let told: Vec<_> =
            told.expect("it is there").iter().map(|past| past.notification.id).collect();
        assert_eq!(told, [sent.id], "the customer was told of one");
    })
    .await;
}
