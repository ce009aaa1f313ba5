//! Several providers per channel: who had a notification, what is counted of each, weight that
//! moves, channels that are withdrawn, single providers that are stopped.

use std::collections::BTreeMap;

use tidings::domain::{Channel, Provider};
use tidings::store::attempts::AttemptState;
use tidings::store::drains::Target;
use tidings::store::receipts::{Receipt, ReceiptOutcome};
use tidings::store::tried::Tried;
use tidings::store::weights::{Counts, InForce, WeightMove, Windows};
use tidings::store::withdrawals::Withdrawal;

use super::bed::{after_s, apply_receipts, claimed, closing, know, monday, on_both, opening, told};

const WINDOWS: Windows = Windows { errors_ms: 60_000, receipts_ms: 900_000, slow_ms: 300_000 };

#[tokio::test]
async fn who_had_a_notification_and_what_they_said_is_known_first_to_last() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let claimed = claimed(store, "e1", "T-1").await;
        let mut asked = opening(store, &claimed, monday()).await;
        asked.provider = Provider::new(Some("second"), "smtp");
        let opened = store.open_attempts(vec![asked], monday()).await.expect("there");
        let mut no = closing(&claimed, opened[0].no);
        no.attempt = AttemptState::Deferred;
        no.status = tidings::domain::Status::Planned;
        no.fault = true;
        store.close_attempts(vec![no], after_s(1)).await.expect("there");
        let tried = store.tried(&[claimed.id]).await.expect("there");
        let expected = Tried {
            channel: Channel::Email,
            provider: "second".into(),
            declined: true,
            in_doubt: false,
        };
        assert_eq!(tried[&claimed.id], [expected]);
        let counts = store.provider_counts(WINDOWS, after_s(2)).await.expect("there");
        let one = Counts {
            channel: "email".into(),
            provider: "second".into(),
            errors: 1,
            measured: 0,
            slow: 0,
        };
        assert_eq!(counts, [one]);
        let later = store.provider_counts(WINDOWS, after_s(62)).await.expect("there");
        assert_eq!(later[0].errors, 0, "a minute later it is forgotten");
    })
    .await;
}

#[tokio::test]
async fn a_receipt_is_counted_by_when_it_came_and_one_that_stays_away_as_slow() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let quick = told(store, "e1", "T-1").await;
        told(store, "e2", "T-2").await;
        let receipt = Receipt {
            notification: quick.id,
            no: 1,
            provider: "smtp",
            provider_ref: "ref-1".into(),
            outcome: ReceiptOutcome::Delivered,
            detail: String::new(),
            suppress: None,
            again_at: None,
        };
        assert!(store.keep_receipt(receipt, after_s(20)).await.expect("there"));
        apply_receipts(store, after_s(21)).await.expect("there");
        let at = async |s: i64| {
            let counts = store.provider_counts(WINDOWS, after_s(s)).await.expect("there");
            counts.first().map(|c| (c.measured, c.slow))
        };
        assert_eq!(at(60).await, Some((1, 0)), "the other one may still come in time");
        assert_eq!(at(300).await, Some((2, 1)));
        assert_eq!(at(900).await, None, "out of the window");
        let of = store.delivered_of_last(Channel::Email, 0, 10).await.expect("there");
        assert_eq!(of, (1, 1));
        let since = monday().timestamp_millis();
        let of = store.delivered_of_last(Channel::Email, since, 10).await.expect("there");
        assert_eq!(of, (0, 0), "only what was opened after");
    })
    .await;
}

#[tokio::test]
async fn weight_moves_once_from_where_it_was_whoever_asks() {
    on_both(async |bed| {
        let other = bed.another().await;
        let row = |at_s: i64| WeightMove {
            channel: "sms".into(),
            provider: "main".into(),
            points: -10,
            reason: "slow".into(),
            at_ms: after_s(at_s).timestamp_millis(),
        };
        let to = |main: u32| InForce {
            seq: 0,
            settings: "main=60 second=40".into(),
            weights: BTreeMap::from([("main".into(), main), ("second".into(), 100 - main)]),
            at_ms: 0,
        };
        assert_eq!(bed.store.weights(Channel::Sms).await.expect("there"), None);
        let (to_50, to_40) = (to(50), to(40));
        let (one, two) = tokio::join!(
            bed.store.move_weight(row(0), &to_50, None),
            other.move_weight(row(0), &to_50, None)
        );
        assert!(one.expect("there") ^ two.expect("there"), "once");
        let in_force = other.weights(Channel::Sms).await.expect("there").expect("moved");
        assert_eq!((&in_force.weights, &in_force.settings), (&to_50.weights, &to_50.settings));
        assert!(other.move_weight(row(60), &to_40, Some(&in_force)).await.expect("there"));
        assert!(!bed.store.move_weight(row(60), &to_40, Some(&in_force)).await.expect("there"));
        assert_eq!(bed.store.weight_moves(9).await.expect("there"), [row(60), row(0)]);
        assert_eq!(bed.store.weights(Channel::Voice).await.expect("there"), None);
    })
    .await;
}

#[tokio::test]
async fn a_channel_is_withdrawn_once_at_a_time() {
    on_both(async |bed| {
        let store = &bed.store;
        let withdrawal = |from_s: i64| Withdrawal {
            since_ms: after_s(from_s).timestamp_millis(),
            until_ms: after_s(from_s + 3_600).timestamp_millis(),
            percent: 70,
            measured: 50,
        };
        assert!(store.withdraw(Channel::Sms, withdrawal(0)).await.expect("there"));
        assert!(!store.withdraw(Channel::Sms, withdrawal(10)).await.expect("there"));
        assert!(store.withdraw(Channel::Sms, withdrawal(3_600)).await.expect("there"));
        let last = store.withdrawals().await.expect("there");
        assert_eq!((last.sms, last.email), (Some(withdrawal(3_600)), None));
    })
    .await;
}

#[tokio::test]
async fn one_provider_is_stopped_and_its_channel_goes_on() {
    on_both(async |bed| {
        let store = &bed.store;
        let target = Target { channel: Channel::Sms, provider: Some("second".into()) };
        assert!(store.drain(target.clone(), "Grace", "a test", monday()).await.expect("there"));
        assert!(!store.drain(target.clone(), "Ada", "again", monday()).await.expect("there"));
        assert_eq!(store.drains().await.expect("there").sms, None);
        let of = store.drains_of_providers().await.expect("there");
        let key = (Channel::Sms, "second".to_owned());
        assert_eq!(of.get(&key).map(|drain| drain.by.as_str()), Some("Grace"));
        assert!(store.drain(Channel::Sms, "Grace", "all of it", monday()).await.expect("there"));
        assert!(store.undrain(target.clone()).await.expect("there"));
        assert!(!store.undrain(target).await.expect("there"));
        assert!(store.drains_of_providers().await.expect("there").is_empty());
        assert!(store.drains().await.expect("there").sms.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_number_has_one_automatic_answer_an_hour() {
    on_both(async |bed| {
        let other = bed.another().await;
        let number = |text: &str| tidings::domain::customer::Address::stored(text.to_owned());
        let (ada, bob) = (number("+447700900001"), number("+447700900002"));
        let (one, two) =
            tokio::join!(bed.store.may_answer(&ada, monday()), other.may_answer(&ada, monday()));
        assert!(one.expect("there") ^ two.expect("there"));
        assert!(bed.store.may_answer(&bob, monday()).await.expect("there"));
        assert!(!bed.store.may_answer(&ada, after_s(3_599)).await.expect("there"));
        assert!(bed.store.may_answer(&ada, after_s(3_600)).await.expect("there"));
    })
    .await;
}

#[tokio::test]
async fn what_a_provider_found_ends_by_itself_and_what_the_owner_said_does_not() {
    on_both(async |bed| {
        let store = bed.another().await.with_found_for(86_400_000);
        know(&store, &["C-1"]).await;
        let address = super::bed::email("ada@example.com");
        let suppressed = async |s: i64| {
            let ada = store.customer(&"C-1".into(), after_s(s)).await.expect("there");
            ada.contact_points[0].suppressed.is_some()
        };
        store.suppress(Channel::Email, &address, "gone", "smtp", monday()).await.expect("there");
        assert!(suppressed(86_399).await);
        assert!(!suppressed(86_400).await, "a day later it may be used again");
        let later = after_s(90_000);
        store.suppress(Channel::Email, &address, "said so", "stop", later).await.expect("there");
        assert!(suppressed(90_000 + 86_400 * 400).await);
    })
    .await;
}
