//! What a call says is kept with its attempt, and how far it came only ever grows.

use tidings::domain::Channel;
use tidings::domain::call::Progress;
use tidings::domain::message::{Script, Talk};
use tidings::store::StoreError;
use tidings::store::attempts::Opening;
use tidings::store::receipts::{Receipt, ReceiptOutcome};

use super::bed::{
    after_s, apply_receipts, claimed, closing, know, monday, on_both, opening, status,
};

fn script() -> Script {
    let talk = Talk { greeting: vec!["Hello, \"Ada\" é".into()], ..Talk::default() };
    Script { paragraphs: vec!["It is here.".into()], talk: Some(talk), ..Script::default() }
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
        let claimed = claimed(store, "e1", "T-1").await;
        let opening = Opening {
            channel: Channel::Voice,
            provider: "asterisk".into(),
            script: Some(script()),
            ..opening(store, &claimed, monday()).await
        };
        store.open_attempts(vec![opening], monday()).await.expect("opened");
        let found = async |provider, from_s, end_s| {
            let between = after_s(from_s)..after_s(end_s);
            store.calls_without_end(provider, between, 10).await.expect("the store is there")
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
