//! A provider's later word: stored first, applied in order of rank.

use tidings::domain::customer::AddressFault;
use tidings::domain::{Channel, Notification, Status};
use tidings::store::Store;
use tidings::store::receipts::{Receipt, ReceiptOutcome};

use super::bed::{after_s, claimed, closing, know, monday, on_both, opened, status, told};

fn receipt(about: &Notification, outcome: ReceiptOutcome) -> Receipt {
    Receipt {
        notification: about.id,
        no: 1,
        provider: "smtp",
        provider_ref: "ref-1".into(),
        outcome,
        detail: "as \"they\" say".into(),
        suppress: None,
    }
}

async fn keep(store: &Store, about: &Notification, outcome: ReceiptOutcome) -> bool {
    let kept = store.keep_receipt(receipt(about, outcome), after_s(5)).await;
    kept.expect("the store is there")
}

async fn apply(store: &Store) -> bool {
    store.apply_receipts(after_s(6)).await.expect("the store is there")
}

async fn attempt(store: &Store, about: &Notification) -> String {
    store.notification(&about.id).await.expect("it is there").attempts[0].state.clone()
}

#[tokio::test]
async fn a_receipt_is_kept_once_and_only_for_an_attempt_there_was() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let told = told(store, "e1", "T-1").await;
        assert!(keep(store, &told, ReceiptOutcome::Delivered).await);
        assert!(!keep(store, &told, ReceiptOutcome::Delivered).await);
        let mut stranger = receipt(&told, ReceiptOutcome::Delivered);
        stranger.no = 2;
        assert!(!store.keep_receipt(stranger, monday()).await.expect("it is there"));
        let mut stranger = receipt(&told, ReceiptOutcome::Delivered);
        stranger.provider = "twilio";
        assert!(!store.keep_receipt(stranger, monday()).await.expect("it is there"));
        assert!(store.needs_housekeeping(monday()).await.expect("it is there"));
        assert!(!apply(store).await);
        assert!(!store.needs_housekeeping(monday()).await.expect("it is there"));
        let detail = store.notification(&told.id).await.expect("it is there");
        let [receipt] = &detail.receipts[..] else { panic!("{:?}", detail.receipts) };
        assert_eq!((&*receipt.outcome, &*receipt.detail), ("delivered", "as \"they\" say"));
        assert_eq!(receipt.received_at_ms, after_s(5).timestamp_millis());
    })
    .await;
}

#[tokio::test]
async fn a_delivery_is_delivered_and_a_failure_is_planned_again_without_that_channel() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let (good, bad) = (told(store, "e1", "T-1").await, told(store, "e2", "T-2").await);
        keep(store, &good, ReceiptOutcome::Delivered).await;
        assert!(!apply(store).await);
        assert_eq!(status(store, &good.id).await, Status::Delivered);
        keep(store, &bad, ReceiptOutcome::Undelivered).await;
        assert!(apply(store).await, "look at it again");
        let bad = store.one_notification(&bad.id).await.expect("it is there");
        assert_eq!((bad.status, bad.failed_channels), (Status::Planned, vec![Channel::Email]));
        assert_eq!(bad.next_at, after_s(6));
        let detail = store.notification(&bad.id).await.expect("it is there");
        assert_eq!(
            (detail.notification.told_at_ms, &*detail.attempts[0].state),
            (None, "undelivered")
        );
    })
    .await;
}

#[tokio::test]
async fn what_comes_late_or_in_another_order_never_moves_anything_back() {
    use ReceiptOutcome::{Delivered, Taken, Undelivered};
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (n, (order, last)) in [
            ([Delivered, Taken, Undelivered], "delivered"),
            ([Taken, Delivered, Undelivered], "delivered"),
            ([Undelivered, Taken, Delivered], "undelivered"),
        ]
        .into_iter()
        .enumerate()
        {
            for at_once in [false, true] {
                let told = told(store, &format!("e{n}{at_once}"), &format!("T-{n}{at_once}")).await;
                let mut looked_at_again = 0;
                for outcome in order {
                    keep(store, &told, outcome).await;
                    looked_at_again += usize::from(!at_once && apply(store).await);
                }
                looked_at_again += usize::from(apply(store).await);
                let what = format!("{order:?}, at once: {at_once}");
                assert_eq!(attempt(store, &told).await, last, "{what}");
                let wanted = if last == "delivered" { Status::Delivered } else { Status::Planned };
                assert_eq!(status(store, &told.id).await, wanted, "{what}");
                assert_eq!(looked_at_again, usize::from(last == "undelivered"), "{what}");
                let detail = store.notification(&told.id).await.expect("it is there");
                let decided: Vec<_> = detail.decisions.iter().map(|d| d.what.as_str()).collect();
                assert_eq!(decided, [last], "{what}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_doubt_is_settled_by_a_receipt_and_not_turned_back_by_a_lesser_one() {
    use ReceiptOutcome::{Delivered, Taken};
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (n, order) in [[Taken, Delivered], [Delivered, Taken]].into_iter().enumerate() {
            let held = claimed(store, &format!("e{n}"), &format!("T-{n}")).await;
            opened(store, &held).await;
            store.reap(after_s(31), after_s(600)).await.expect("it is there");
            for outcome in order {
                keep(store, &held, outcome).await;
            }
            apply(store).await;
            let now = (status(store, &held.id).await, attempt(store, &held).await);
            assert_eq!(now, (Status::Delivered, "delivered".to_owned()), "{order:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_receipt_before_our_own_answer_waits_for_it() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        let no = opened(store, &held).await.no;
        keep(store, &held, ReceiptOutcome::Delivered).await;
        apply(store).await;
        assert_eq!(status(store, &held.id).await, Status::Sending);
        store.close_attempts(vec![closing(&held, no)], after_s(7)).await.expect("it is there");
        apply(store).await;
        assert_eq!(status(store, &held.id).await, Status::Delivered);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_says_so_suppresses_the_address() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let told = told(store, "e1", "T-1").await;
        let mut bounced = receipt(&told, ReceiptOutcome::Undelivered);
        bounced.suppress = Some(AddressFault::Unusable);
        assert!(store.keep_receipt(bounced, after_s(5)).await.expect("it is there"));
        let known = store.customer(&"C-1".into(), after_s(5)).await.expect("known");
        assert_eq!(known.contact_points[0].suppressed.as_deref(), Some("as \"they\" say"));
        assert_eq!(known.revision, 2);
    })
    .await;
}
