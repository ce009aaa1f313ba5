//! What a call says is kept with its attempt, and how far it came only ever grows.

use tidings::domain::call::Progress;
use tidings::domain::message::{Script, Talk};
use tidings::domain::{Channel, Notification, NotificationId};
use tidings::store::calls::Ear;
use tidings::store::opening::Opening;
use tidings::store::receipts::{Receipt, ReceiptOutcome};
use tidings::store::{Store, StoreError};

use super::bed::{
    after_s, apply_receipts, claimed, closing, know, monday, on_both, opening, status,
};

fn script() -> Script {
    let talk = Talk { greeting: vec!["Hello, \"Ada\" é".into()], ..Talk::default() };
    Script { paragraphs: vec!["It is here.".into()], talk: Some(talk), ..Script::default() }
}

/// Opens a call by an exchange.
async fn rings(store: &Store, event: &str, case: &str) -> Notification {
    let claimed = claimed(store, event, case).await;
    let opening = Opening {
        channel: Channel::Voice,
        provider: "asterisk".into(),
        script: Some(script()),
        ..opening(store, &claimed, monday()).await
    };
    store.open_attempts(vec![opening], monday()).await.expect("opened");
    claimed
}

#[tokio::test]
async fn the_script_of_a_call_is_kept_as_it_was_decided_and_goes_with_its_customer() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let claimed = claimed(store, "e1", "T-1").await;
        let missing = store.phone_call(&claimed.id, 1).await;
        assert!(matches!(missing, Err(StoreError::NotFound { .. })));
        let opening =
            Opening { script: Some(script()), ..opening(store, &claimed, monday()).await };
        let to = opening.address.clone();
        store.open_attempts(vec![opening], monday()).await.expect("opened");
        let call = store.phone_call(&claimed.id, 1).await.expect("kept");
        assert_eq!((call.script, call.progress), (script(), Progress::None));
        assert_eq!((call.to, call.on_channel), (to, 1));
        assert!(store.phone_call(&claimed.id, 2).await.is_err());
        store.close_attempts(vec![closing(&claimed, 1)], monday()).await.expect("closed");
        store.erase(&"C-1".into(), "test", after_s(1)).await.expect("erased");
        assert!(store.phone_call(&claimed.id, 1).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn how_far_a_call_came_is_never_taken_back_and_is_news_once() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let claimed = claimed(store, "e1", "T-1").await;
        let opening =
            Opening { script: Some(script()), ..opening(store, &claimed, monday()).await };
        store.open_attempts(vec![opening], monday()).await.expect("opened");
        let note = async |progress| {
            store.note_progress(&claimed.id, 1, progress).await.expect("the store is there")
        };
        assert!(note(Progress::Greeted).await);
        assert!(!note(Progress::Greeted).await, "again is no news");
        assert!(note(Progress::Copied).await);
        assert!(!note(Progress::Machine).await, "what came later stands");
        let call = store.phone_call(&claimed.id, 1).await.expect("kept");
        assert_eq!(call.progress, Progress::Copied);
        assert!(!store.note_progress(&claimed.id, 2, Progress::Copied).await.expect("there"));
    })
    .await;
}

#[tokio::test]
async fn a_call_whose_end_nobody_told_is_found_until_it_is_told() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let claimed = rings(store, "e1", "T-1").await;
        let found = async |provider, from_s, end_s| {
            let between = after_s(from_s)..after_s(end_s);
            let found = store.calls_without_end(provider, between, 10).await;
            found.expect("the store is there").into_iter().map(|call| call.of).collect::<Vec<_>>()
        };
        assert!(found("asterisk", -60, 60).await.is_empty(), "it is not known to be begun");
        store.close_attempts(vec![closing(&claimed, 1)], monday()).await.expect("closed");
        assert_eq!(found("asterisk", -60, 60).await, [(claimed.id, 1)]);
        assert!(found("asterisk", 1, 60).await.is_empty(), "an older one");
        assert!(found("asterisk", -60, 0).await.is_empty(), "a newer one");
        assert!(found("twilio", -60, 60).await.is_empty(), "somebody else's");
        let receipt = Receipt {
            notification: claimed.id,
            no: 1,
            provider: "asterisk",
            provider_ref: "ref-1".into(),
            outcome: ReceiptOutcome::Delivered,
            detail: String::new(),
            suppress: None,
            again_at: None,
        };
        assert!(store.keep_receipt(receipt, after_s(5)).await.expect("kept"));
        apply_receipts(store, after_s(6)).await.expect("applied");
        assert!(found("asterisk", -60, 60).await.is_empty(), "it was told");
    })
    .await;
}

#[tokio::test]
async fn a_call_is_heard_by_one_process_until_its_lease_is_over_or_left() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let mut calls = Vec::new();
        for (event, case) in [("e1", "T-1"), ("e2", "T-2")] {
            let claimed = rings(store, event, case).await;
            store.close_attempts(vec![closing(&claimed, 1)], monday()).await.expect("closed");
            calls.push((claimed.id, 1));
        }
        calls.sort_unstable();
        let hear = async |which: &[(NotificationId, i64)], by, now_s| {
            let (until, now) = (after_s(now_s + 8), after_s(now_s));
            let heard = store.hear_calls(which, by, until, now).await;
            let mut heard = heard.expect("the store is there");
            heard.sort_unstable();
            heard
        };
        let ear = async |(id, no): (NotificationId, i64)| {
            let ear = store.phone_call(&id, no).await.expect("kept").ear;
            ear.map(|ear| (ear.by, ear.until))
        };
        assert_eq!(ear(calls[0]).await, None, "nobody yet");
        assert!(hear(&[], "a", 0).await.is_empty());
        assert!(hear(&[(calls[0].0, 2)], "a", 0).await.is_empty(), "there is no such call");
        assert_eq!(hear(&calls, "a", 0).await, calls);
        assert!(hear(&calls, "b", 7).await.is_empty(), "somebody else's");
        assert_eq!(hear(&calls[..1], "a", 7).await, calls[..1], "renewed");
        assert_eq!(hear(&calls, "b", 8).await, calls[1..], "what was not renewed");
        assert_eq!(ear(calls[0]).await, Some(("a".into(), after_s(15))));
        assert_eq!(ear(calls[1]).await, Some(("b".into(), after_s(16))));
        store.leave_calls("a", after_s(9)).await.expect("left");
        assert_eq!(ear(calls[0]).await, Some(("a".into(), after_s(9))), "it was the last");
        assert_eq!(ear(calls[1]).await, Some(("b".into(), after_s(16))), "not its own");
        store.leave_calls("a", after_s(8)).await.expect("left");
        let left = store.calls_without_end("asterisk", monday()..after_s(60), 10).await;
        let mut left = left.expect("the store is there");
        left.sort_by_key(|call| call.of);
        assert_eq!(left.len(), 2);
        assert_eq!((left[0].of, left[0].opened_at), (calls[0], monday()));
        assert_eq!(left[0].progress, Progress::None);
        assert_eq!(left[0].ear, Some(Ear { by: "a".into(), until: after_s(8) }));
        assert_eq!(hear(&calls, "c", 9).await, calls[..1]);
    })
    .await;
}

#[tokio::test]
async fn of_two_processes_that_reach_for_the_same_calls_each_call_goes_to_one() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let mut calls = Vec::new();
        for n in 0..6 {
            let claimed = rings(store, &format!("e{n}"), &format!("T-{n}")).await;
            calls.push((claimed.id, 1));
        }
        let back: Vec<_> = calls.iter().rev().copied().collect();
        let other = bed.another().await;
        let (until, now) = (after_s(8), monday());
        let (one, two) = tokio::join!(
            store.hear_calls(&calls, "a", until, now),
            other.hear_calls(&back, "b", until, now),
        );
        let mut heard = [one.expect("no deadlock"), two.expect("no deadlock")].concat();
        heard.sort_unstable();
        calls.sort_unstable();
        assert_eq!(heard, calls);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_says_again_plans_the_same_channel_for_then() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let told = super::bed::told(store, "e1", "T-1").await;
        let receipt = Receipt {
            notification: told.id,
            no: 1,
            provider: "smtp",
            provider_ref: "ref-1".into(),
            outcome: ReceiptOutcome::Undelivered,
            detail: "busy".into(),
            suppress: None,
            again_at: Some(after_s(1_800)),
        };
        assert!(store.keep_receipt(receipt, after_s(5)).await.expect("kept"));
        assert!(apply_receipts(store, after_s(6)).await.expect("applied"));
        assert_eq!(status(store, &told.id).await, tidings::domain::Status::Planned);
        let again = store.one_notification(&told.id).await.expect("there");
        assert_eq!(again.next_at, after_s(1_800));
        assert!(again.failed_channels.is_empty(), "{:?}", again.failed_channels);
    })
    .await;
}

#[tokio::test]
async fn a_promised_call_is_rung_for_by_one_and_kept_once() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let id = "C-1".into();
        super::bed::ask_for_call(store, &id, monday()).await.expect("promised");
        let due = async |at| store.callbacks_to_ring(at, 10).await.expect("the store is there");
        assert_eq!(due(monday()).await, std::slice::from_ref(&id));
        assert!(due(monday() + chrono::TimeDelta::days(2)).await.is_empty(), "its time is over");
        let call = store.open_callback(&id).await.expect("there").expect("promised");
        assert!(store.ring_callback(call.seq, monday()).await.expect("there"));
        assert!(!store.ring_callback(call.seq, monday()).await.expect("there"));
        assert!(due(monday()).await.is_empty());
        assert!(store.keep_callback(&id, call.seq, after_s(60)).await.expect("there"));
        assert!(!store.keep_callback(&id, call.seq, after_s(61)).await.expect("there"));
        assert!(store.open_callback(&id).await.expect("there").is_none());
        assert!(store.open_tasks(0, 10).await.expect("there").is_empty());
    })
    .await;
}
