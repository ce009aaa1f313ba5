//! What texts and calls used of their caps, and texts that came in.

use chrono::TimeDelta;
use tidings::domain::quota::{Cap, DAY_MS, HOUR_MS, Most, Quota, Used};
use tidings::domain::{Channel, Status};
use tidings::store::Store;
use tidings::store::attempts::{AttemptState, Closing};
use tidings::store::opening::Opening;
use tidings::store::quotas::GivenBack;

use super::bed::{claimed, closing, know, monday, on_both, opening};

fn quota(name: &str, most: u32) -> Quota {
    let most = Most::Messages(most);
    Quota { cap: Cap::PerPrefixPerHour, name: name.into(), length_ms: HOUR_MS, most }
}

fn cost(most: i64) -> Quota {
    let (cap, most) = (Cap::CostPerDay, Most::Millionths(most));
    Quota { cap, name: "cost".into(), length_ms: DAY_MS, most }
}

async fn asking(store: &Store, n: u32, quotas: &[Quota]) -> Opening {
    let claimed = claimed(store, &format!("e{n}"), &format!("T-{n}")).await;
    let (quotas, channel) = (quotas.to_vec(), Channel::Sms);
    Opening { quotas, cost_millionths: 40, channel, ..opening(store, &claimed, monday()).await }
}

async fn used(store: &Store, quota: &Quota) -> Used {
    let found = store.used_of([(Channel::Sms, quota)], monday()).await.expect("it is there");
    found.into_values().next().unwrap_or_default()
}

#[tokio::test]
async fn a_quota_is_counted_as_attempts_open_whatever_else_opens() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let (range, other) = (quota("range:a", 2), quota("range:b", 9));
        let mut openings = Vec::new();
        for n in 1..=3 {
            openings.push(asking(store, n, &[range.clone(), cost(1_000)]).await);
        }
        openings.push(asking(store, 4, &[other.clone(), cost(1_000)]).await);
        let opened = store.open_attempts(openings.clone(), monday()).await.expect("it is there");
        assert_eq!(opened.len(), 3, "two of one range, and the one of another");
        assert_eq!(used(store, &range).await, Used { messages: 2, millionths: 80 });
        assert_eq!(used(store, &cost(0)).await, Used { messages: 3, millionths: 120 });
        let again = vec![openings[2].clone()];
        let opened = store.open_attempts(again.clone(), monday()).await.expect("it is there");
        assert!(opened.is_empty(), "a new transaction sees the count");
        let next_hour = monday() + TimeDelta::hours(1);
        let left = store.used_of([(Channel::Sms, &range)], next_hour).await.expect("it is there");
        assert!(left.is_empty(), "the next hour counts anew");
    })
    .await;
}

#[tokio::test]
async fn a_days_cost_is_not_overrun_by_one() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let one = asking(store, 1, &[cost(79)]).await;
        let two = asking(store, 2, &[cost(79)]).await;
        let opened = store.open_attempts(vec![one, two], monday()).await.expect("it is there");
        assert_eq!(opened.len(), 1, "40 of 79, and 80 would be over it");
    })
    .await;
}

#[tokio::test]
async fn what_nobody_got_is_given_back_once() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let range = quota("range:a", 5);
        let n = claimed(store, "e1", "T-1").await;
        let asked = Opening {
            quotas: vec![range.clone()],
            cost_millionths: 40,
            channel: Channel::Sms,
            ..opening(store, &n, monday()).await
        };
        let opened = store.open_attempts(vec![asked], monday()).await.expect("it is there");
        assert_eq!(used(store, &range).await.messages, 1);
        let refused = Closing {
            attempt: AttemptState::Refused,
            status: Status::Planned,
            given_back: Some(GivenBack {
                channel: Channel::Sms,
                quotas: vec![range.clone()],
                cost_millionths: 40,
            }),
            ..closing(&n, opened[0].no)
        };
        for _ in 0..2 {
            store.close_attempts(vec![refused.clone()], monday()).await.expect("it is there");
        }
        assert_eq!(used(store, &range).await, Used::default());
    })
    .await;
}

#[tokio::test]
async fn counts_of_days_that_are_over_are_forgotten() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let range = quota("range:a", 5);
        let asked = asking(store, 1, std::slice::from_ref(&range)).await;
        store.open_attempts(vec![asked], monday()).await.expect("it is there");
        store.forget_counts(monday() + TimeDelta::days(1)).await.expect("it is there");
        assert_eq!(used(store, &range).await.messages, 1);
        store.forget_counts(monday() + TimeDelta::days(3)).await.expect("it is there");
        assert_eq!(used(store, &range).await.messages, 0);
    })
    .await;
}

#[tokio::test]
async fn a_text_that_came_in_is_heard_once_by_each_provider() {
    on_both(async |bed| {
        let store = &bed.store;
        let heard = async |provider: &str, id: &str| {
            store.heard_before(provider, id).await.expect("it is there")
        };
        assert!(!heard("plivo", "t-1").await);
        for _ in 0..2 {
            store.note_heard("plivo", "t-1", monday()).await.expect("it is there");
        }
        assert!(heard("plivo", "t-1").await);
        assert!(!heard("vonage", "t-1").await, "ids are the provider's own");
        store.note_heard("plivo", "", monday()).await.expect("it is there");
        assert!(!heard("plivo", "").await, "one without an id is always new");
        let later = monday() + TimeDelta::days(401);
        store.note_heard("plivo", "t-2", later).await.expect("it is there");
        assert!(!heard("plivo", "t-1").await, "forgotten after a year and a month");
    })
    .await;
}
