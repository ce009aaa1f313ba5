//! Times for a call that were offered by text.

use tidings::domain::Channel;
use tidings::domain::call::Slot;
use tidings::domain::customer::Address;
use tidings::store::call_offers::CallOffer;

use super::bed::{after_s, know, monday, on_both};

#[tokio::test]
async fn an_offer_stands_until_it_is_answered_replaced_or_over_and_is_forgotten_with_its_customer()
{
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let number = Address::parse(Channel::Sms, "+447911123456").expect("a number");
        let offer = |slots: &[Slot], s: i64| CallOffer {
            customer: "C-1".into(),
            slots: slots.to_vec(),
            made_at: after_s(s),
        };
        let at = async |s: i64| store.call_offer(&number, after_s(s)).await.expect("there");
        let make = async |offer: &CallOffer| {
            let ends_at = offer.made_at + chrono::TimeDelta::hours(1);
            store.offer_calls(&number, offer, ends_at).await.expect("kept");
        };
        assert_eq!(at(0).await, None);
        let first = offer(&[Slot::At(monday().timestamp_millis()), Slot::Soon], 0);
        make(&first).await;
        assert_eq!(at(3_599).await.as_ref(), Some(&first));
        assert_eq!(at(3_600).await, None, "it is over");
        let second = offer(&[Slot::Soon], 60);
        make(&second).await;
        assert_eq!(at(3_600).await, Some(second), "in place of the first");
        store.end_call_offer(&number).await.expect("ended");
        assert_eq!(at(61).await, None);
        make(&first).await;
        store.erase(&"C-1".into(), "agent", after_s(1)).await.expect("known");
        assert_eq!(at(2).await, None, "forgotten");
    })
    .await;
}
