//! What is held and by whom, and what becomes of the work of a process that is gone.

use chrono::TimeDelta;
use tidings::domain::notification::Lane;
use tidings::domain::{Channel, Reason, Status};
use tidings::store::attempts::AttemptState;

use super::bed::{
    accepted, after_s, claimed, closing, know, monday, on_both, opened, plain, planned, status,
    told,
};

#[tokio::test]
async fn a_lease_that_is_renewed_is_kept_and_one_that_is_not_is_taken_back() {
    on_both(async |bed| {
        let store = &bed.store;
        let held = claimed(store, "e1", "T-1").await;
        let reap = async |at_s| {
            store.reap(after_s(at_s), after_s(at_s)).await.expect("the store is there")
        };
        let mine = [(held.id, held.epoch)];
        store.renew_leases(&[(held.id, held.epoch - 1)], after_s(20)).await.expect("it is there");
        store.renew_leases(&mine, after_s(29)).await.expect("the store is there");
        assert_eq!(reap(31).await, (0, 0));
        assert_eq!(reap(58).await, (0, 0));
        assert_eq!(reap(59).await, (1, 0));
        let again = store.one_notification(&held.id).await.expect("it is there");
        assert_eq!((again.status, again.epoch), (Status::Planned, held.epoch + 1));
        store.renew_leases(&mine, after_s(60)).await.expect("the store is there");
        assert_eq!(store.take_due(Lane::Bulk, after_s(60), 9).await.expect("it is there").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_has_run_out_is_not_renewed() {
    on_both(async |bed| {
        let store = &bed.store;
        let held = claimed(store, "e1", "T-1").await;
        store
            .renew_leases(&[(held.id, held.epoch)], after_s(30))
            .await
            .expect("the store is there");
        assert_eq!(store.reap(after_s(30), after_s(30)).await.expect("it is there"), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn leases_are_as_long_as_the_store_was_told() {
    on_both(async |bed| {
        let brief = bed.another().await.with_leases_of(2_000);
        claimed(&brief, "e1", "T-1").await;
        assert_eq!(brief.reap(after_s(1), after_s(1)).await.expect("it is there"), (0, 0));
        assert_eq!(bed.store.reap(after_s(2), after_s(2)).await.expect("it is there"), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn an_open_attempt_whose_lease_runs_out_is_in_doubt_and_never_ready_again() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        opened(store, &held).await;
        let settle_by = after_s(600);
        assert_eq!(store.reap(after_s(31), settle_by).await.expect("it is there"), (0, 1));
        assert_eq!(status(store, &held.id).await, Status::InDoubt);
        assert!(
            store.claim(&[held.id], "you", after_s(700)).await.expect("it is there").is_empty()
        );
        let due = async |at_s| {
            let mut due = store.doubts_due(after_s(at_s), 10).await.expect("the store is there");
            due.pop().map(|doubt| (doubt.notification.id, doubt.channel, doubt.provider))
        };
        assert_eq!(due(599).await, None);
        assert_eq!(due(600).await, Some((held.id, Channel::Email, "smtp".into())));
        let detail = store.notification(&held.id).await.expect("it is there");
        assert_eq!(
            (&*detail.attempts[0].state, &*detail.decisions[0].what),
            ("in_doubt", "in_doubt")
        );
        assert_eq!(store.standing().await.expect("it is there").in_doubt, 1);
    })
    .await;
}

#[tokio::test]
async fn a_doubt_is_settled_once_and_by_who_read_it() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        opened(store, &held).await;
        store.reap(after_s(31), after_s(31)).await.expect("it is there");
        let doubt = store.doubts_due(after_s(31), 1).await.expect("it is there").remove(0);
        let settle = async |store: &tidings::store::Store| {
            let (why, task) = (vec![Reason::NoWordInTime], Some("nobody knows"));
            let status = Status::Unknown;
            let settled =
                store.settle_doubt(&doubt.notification, status, why, task, Vec::new(), after_s(40));
            settled.await.expect("the store is there")
        };
        let other = bed.another().await;
        let (one, two) = tokio::join!(settle(store), settle(&other));
        assert!(one ^ two, "exactly one of two");
        assert_eq!(status(store, &held.id).await, Status::Unknown);
        assert_eq!(store.open_tasks(0, 10).await.expect("it is there").len(), 1);
        assert!(store.doubts_due(after_s(99), 9).await.expect("it is there").is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_was_taken_up_five_times_without_being_sent_is_set_aside_for_a_person() {
    on_both(async |bed| {
        let store = &bed.store;
        let held = planned(store, "e1", "T-1", monday()).await;
        for round in 0..5 {
            assert_eq!(status(store, &held.id).await, Status::Planned);
            let now = monday() + TimeDelta::minutes(round);
            assert_eq!(store.claim(&[held.id], "me", now).await.expect("it is there").len(), 1);
            let late = now + TimeDelta::seconds(31);
            assert_eq!(store.reap(late, late).await.expect("it is there"), (1, 0));
        }
        let detail = store.notification(&held.id).await.expect("it is there");
        assert_eq!(detail.notification.status, "quarantined");
        assert_eq!(detail.notification.reason.as_deref(), Some("too_many_claims"));
        assert_eq!(detail.decisions[0].what, "quarantined");
        assert_eq!(store.open_tasks(0, 10).await.expect("it is there").len(), 1);
        assert_eq!(store.summary().await.expect("it is there").balance.task, 1);
    })
    .await;
}

#[tokio::test]
async fn who_is_alone_takes_everything_back_whatever_its_lease() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        claimed(store, "e1", "T-1").await;
        let sending = claimed(store, "e2", "T-2").await;
        opened(store, &sending).await;
        let done = store.reap_all(after_s(1), after_s(600)).await;
        assert_eq!(done.expect("the store is there"), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_bell_that_was_lost_is_rung_again() {
    on_both(async |bed| {
        let store = &bed.store;
        let due = planned(store, "e1", "T-1", monday()).await;
        let take = async || store.take_due(Lane::Bulk, monday(), 9).await.expect("it is there");
        assert_eq!(take().await, [due.id]);
        assert_eq!(take().await, []);
        store.ring_lost(monday()).await.expect("the store is there");
        assert_eq!(take().await, [due.id]);
    })
    .await;
}

#[tokio::test]
async fn the_housekeeper_is_called_for_leases_doubts_and_events() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let needed =
            async |at_s| store.needs_housekeeping(after_s(at_s)).await.expect("the store is there");
        let seq = accepted(store, plain("e0", "T-0")).await;
        assert!(needed(0).await, "an event to plan");
        let plan = super::bed::planned_case(&super::bed::pending(store, seq).await, |_, _| vec![]);
        assert!(super::bed::record(store, plan).await);
        let held = claimed(store, "e1", "T-1").await;
        assert!(!needed(29).await);
        assert!(needed(30).await, "a lease ran out");
        opened(store, &held).await;
        store.reap(after_s(30), after_s(600)).await.expect("it is there");
        assert!(!needed(599).await);
        assert!(needed(600).await, "a doubt to settle");
    })
    .await;
}

#[tokio::test]
async fn a_doubt_whose_provider_never_heard_of_it_is_planned_again_and_its_attempt_sent_nothing() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let claimed = claimed(store, "e1", "T-1").await;
        let opened = opened(store, &claimed).await;
        let mut doubt = closing(&claimed, opened.no);
        (doubt.attempt, doubt.status) = (AttemptState::InDoubt, Status::InDoubt);
        doubt.provider_ref = None;
        store.close_attempts(vec![doubt], monday()).await.expect("there");
        told(store, "e2", "T-2").await;
        let due = store.doubts_due(after_s(1), 9).await.expect("there").remove(0);
        assert_eq!((due.body_hash.as_str(), due.opened_at), ("ab", monday()));
        let known = store.references_of(&"C-1".into(), monday()).await.expect("there");
        assert_eq!(known, ["ref-1"], "of the other message");
        store.ask_again(&due.notification, after_s(60)).await.expect("there");
        assert!(store.doubts_due(after_s(59), 9).await.expect("there").is_empty());
        let why = || vec![Reason::NotFoundThere { provider: "smtp".into() }];
        assert!(store.never_taken(&due.notification, why(), after_s(60)).await.expect("there"));
        assert!(!store.never_taken(&due.notification, why(), after_s(60)).await.expect("there"));
        assert_eq!(status(store, &claimed.id).await, Status::Planned);
        let tried = store.tried(&[claimed.id]).await.expect("there");
        assert!(!tried[&claimed.id][0].in_doubt && !tried[&claimed.id][0].declined);
    })
    .await;
}
