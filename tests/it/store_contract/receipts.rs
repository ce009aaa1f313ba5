//! A provider's later word: stored first, applied in order of rank.

use tidings::domain::customer::AddressFault;
use tidings::domain::{Channel, Notification, NotificationId, Reason, Status};
use tidings::store::Store;
use tidings::store::receipts::{Receipt, ReceiptOutcome};

use super::bed::{
    after_s, apply_receipts, claimed, closing, created, know, monday, on_both, opened, status, told,
};

fn receipt(about: &Notification, outcome: ReceiptOutcome) -> Receipt {
    Receipt {
        notification: about.id,
        no: 1,
        provider: "smtp",
        provider_ref: "ref-1".into(),
        outcome,
        detail: "as \"they\" say".into(),
        suppress: None,
        again_at: None,
    }
}

async fn keep(store: &Store, about: &Notification, outcome: ReceiptOutcome) -> bool {
    let kept = store.keep_receipt(receipt(about, outcome), after_s(5)).await;
    kept.expect("the store is there")
}

async fn apply(store: &Store) -> bool {
    apply_receipts(store, after_s(6)).await.expect("the store is there")
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

/// An attempt that is in doubt and planned again, because it may be said twice.
async fn planned_again(store: &Store, id: &str, case: &str) -> Notification {
    let held = claimed(store, id, case).await;
    opened(store, &held).await;
    store.reap(after_s(31), after_s(31)).await.expect("it is there");
    let due = store.doubts_due(after_s(31), 9).await.expect("it is there");
    let doubt = due.into_iter().find(|due| due.notification.id == held.id).expect("in doubt");
    let why = vec![Reason::SentAgainInDoubt];
    let (doubt, again) = (doubt.notification, Status::Planned);
    let done = store.settle_doubt(&doubt, again, why, None, Vec::new(), after_s(32)).await;
    assert!(done.expect("it is there"));
    store.one_notification(&held.id).await.expect("it is there")
}

#[tokio::test]
async fn what_is_planned_again_or_claimed_is_told_once_the_provider_has_it() {
    use ReceiptOutcome::{Delivered, Taken, Undelivered};
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (n, (outcome, ends)) in
            [(Taken, Status::Sent), (Delivered, Status::Delivered), (Undelivered, Status::Planned)]
                .into_iter()
                .enumerate()
        {
            for by_me in [false, true] {
                let what = format!("{outcome:?}, claimed: {by_me}");
                let id = format!("e{n}{by_me}");
                let mut again = planned_again(store, &id, &format!("T-{id}")).await;
                if by_me {
                    let found = store.claim(&[again.id], "me", after_s(33)).await;
                    again = found.expect("it is there").remove(0);
                }
                assert!(keep(store, &again, outcome).await);
                let waiting = store.waiting_receipts().await.expect("it is there");
                let ends_doubt: Vec<_> = waiting.iter().map(|one| one.ends_doubt).collect();
                assert_eq!(ends_doubt, [outcome != Undelivered], "{what}");
                assert!(!apply(store).await, "{what}: nothing is to be sent");
                let now = store.one_notification(&again.id).await.expect("it is there");
                if outcome == Undelivered {
                    assert_eq!((now.status, now.epoch), (again.status, again.epoch), "{what}");
                    continue;
                }
                assert_eq!((now.status, now.epoch), (ends, again.epoch + 1), "{what}");
                let mut late = super::bed::opening(store, &again, after_s(34)).await;
                late.epoch = again.epoch;
                let opened = store.open_attempts(vec![late], after_s(34)).await;
                assert!(opened.expect("it is there").is_empty(), "{what}: the claim is lost");
                let detail = store.notification(&again.id).await.expect("it is there");
                assert!(detail.notification.told_at_ms.is_some(), "{what}");
                assert_eq!(detail.notification.reason.as_deref(), Some("receipt_said"), "{what}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_message_that_came_back_for_good_is_cancelled() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (n, again_at) in [None, Some(after_s(600))].into_iter().enumerate() {
            let told = told(store, &format!("e{n}"), &format!("T-{n}")).await;
            let mut next = told.clone();
            next.id = NotificationId::derive(told.case.as_str(), "received", "next", 0);
            (next.escalates, next.status) = (Some(told.id), Status::Planned);
            (next.trigger_key, next.due_at) = ("next".into(), after_s(3_600));
            let next = created(next);
            let follower = (next.clone(), serde_json::json!({}));
            let planned = store.plan_followers(vec![follower.clone(), follower]).await;
            assert!(planned.is_ok(), "{planned:?}");
            let mut back = receipt(&told, ReceiptOutcome::Undelivered);
            back.again_at = again_at;
            assert!(store.keep_receipt(back, after_s(5)).await.expect("it is there"));
            assert!(apply(store).await);
            let now = store.notification(&next.notification.id).await.expect("it is there");
            let (status, why) = (now.notification.status, now.notification.reason);
            if again_at.is_some() {
                assert_eq!(status, "planned", "the same channel is tried again");
            } else {
                assert_eq!((&*status, why.as_deref()), ("cancelled", Some("came_back")));
                assert_eq!(now.decisions[0].what, "cancelled");
            }
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

/// A word against the address of C-1, about a message of its own, so many days after Monday.
async fn said(store: &Store, fault: AddressFault, n: usize, days: i64) -> Option<String> {
    let told = told(store, &format!("e{n}"), &format!("T-{n}")).await;
    let mut bounced = receipt(&told, ReceiptOutcome::Undelivered);
    bounced.suppress = Some(fault);
    let at = after_s(days * 86_400 + i64::try_from(n).expect("few"));
    assert!(store.keep_receipt(bounced, at).await.expect("it is there"));
    let known = store.customer(&"C-1".into(), at).await.expect("known");
    known.contact_points[0].suppressed.clone()
}

#[tokio::test]
async fn a_doubtful_word_closes_an_address_on_its_second_day_and_a_full_mailbox_on_its_third() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (n, days) in [(1, 0), (2, 0), (3, 31)] {
            let closed = said(store, AddressFault::Doubtful, n, days).await;
            assert_eq!(closed, None, "the same day, or too long ago: {days}");
        }
        for (n, days) in [(4, 31), (5, 32), (6, 32), (7, 39)] {
            let closed = said(store, AddressFault::Full, n, days).await;
            assert_eq!(closed, None, "not three days of seven: {days}");
        }
        for (n, days) in [(8, 40), (9, 41)] {
            let closed = said(store, AddressFault::Full, n, days).await;
            assert_eq!(closed.is_some(), n == 9, "the third day of seven: {days}");
        }
    })
    .await;
}

/// How far an attempt is: it only rises.
fn rank(state: &str) -> u8 {
    match state {
        "delivered" | "undelivered" => 2,
        "sent" => 1,
        _ => 0,
    }
}

#[tokio::test]
async fn in_whatever_order_and_however_often_receipts_come_nothing_moves_backwards_or_twice() {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use tidings::store::attempts::AttemptState;
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let outcomes =
            [ReceiptOutcome::Taken, ReceiptOutcome::Delivered, ReceiptOutcome::Undelivered];
        let mut rng = SmallRng::seed_from_u64(14);
        for life in 0..40 {
            // Our own reply comes somewhere among the receipts: sent, or in doubt.
            let claimed = claimed(store, &format!("e{life}"), &format!("T-{life}")).await;
            let attempt_no = opened(store, &claimed).await.no;
            let own_reply_at = rng.random_range(0..9);
            let (mut last, mut planned_again) = (0, 0);
            let mut before = Status::Sending;
            for step in 0..9 {
                if step == own_reply_at {
                    let mut ours = closing(&claimed, attempt_no);
                    if rng.random_range(0..2) == 0 {
                        (ours.attempt, ours.status) = (AttemptState::InDoubt, Status::InDoubt);
                    }
                    store.close_attempts(vec![ours], monday()).await.expect("there");
                }
                let outcome = outcomes[rng.random_range(0..3)];
                let mut word = receipt(&claimed, outcome);
                word.provider_ref = format!("ref-{}", rng.random_range(0..2));
                match rng.random_range(0..6) {
                    // About an attempt there never was, and from a provider that never had it.
                    0 => word.no = 9,
                    1 => word.provider = "another",
                    _ => {}
                }
                let unknown = word.no == 9 || word.provider == "another";
                let kept = store.keep_receipt(word, after_s(step)).await.expect("there");
                assert!(!(unknown && kept), "nobody has such an attempt");
                apply_receipts(store, after_s(step)).await.expect("there");
                let detail = store.notification(&claimed.id).await.expect("there");
                let state = rank(&detail.attempts[0].state);
                assert!(state >= last, "life {life}, step {step}: {:?}", detail.attempts);
                assert_eq!(detail.attempts.len(), 1, "a receipt opens nothing");
                let now = status(store, &claimed.id).await;
                if last == 2 && before != Status::Sending {
                    assert_eq!(now, before, "life {life}: what is final stays");
                }
                planned_again += u8::from(before != Status::Planned && now == Status::Planned);
                (last, before) = (state, now);
            }
            assert!(planned_again <= 1, "life {life}: the next channel once");
        }
    })
    .await;
}

#[tokio::test]
async fn a_doubtful_word_said_on_two_days_closes_the_address() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        assert_eq!(said(store, AddressFault::Doubtful, 1, 0).await, None);
        assert!(said(store, AddressFault::Doubtful, 2, 1).await.is_some());
    })
    .await;
}
