//! What rides in another message: held until one goes, folded with it, released when it did
//! not leave; caps and digests, counted where they cannot be raced.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::json;
use tidings::domain::{Held, Notification, Reason, Sign, Status};
use tidings::store::Store;
use tidings::store::attempts::{AttemptState, Closing};
use tidings::store::notifications::EndOfClaim;
use tidings::store::opening::{Cap, Opening, Rider};

use super::bed::{
    accepted, after_s, claimed, closing, created, know, monday, notice, on_both, opening, pending,
    plain, planned, planned_case, record, status, told,
};

async fn carrying(store: &Store, carrier: &Notification, riders: &[&Notification]) -> Opening {
    let mut opening = opening(store, carrier, monday()).await;
    for rider in riders {
        let cases = store.cases([&rider.case]).await.expect("the store is there");
        opening.riders.push(Rider {
            id: rider.id,
            epoch: rider.epoch,
            case: rider.case.clone(),
            case_revision: cases[&rider.case].case.revision,
        });
    }
    opening
}

async fn opens(store: &Store, opening: &Opening) -> bool {
    let opened = store.open_attempts(vec![opening.clone()], monday()).await;
    !opened.expect("the store is there").is_empty()
}

#[tokio::test]
async fn riders_are_folded_as_their_carrier_opens_and_told_with_it() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let carrier = claimed(store, "e1", "T-1").await;
        let rider = claimed(store, "e2", "T-2").await;
        let opening = carrying(store, &carrier, &[&rider]).await;
        assert!(opens(store, &opening).await);
        assert_eq!(status(store, &rider.id).await, Status::Folded);
        assert_eq!(store.summary().await.expect("it is there").balance.open, 2, "not told yet");
        let told = Closing { carries: true, ..closing(&carrier, 1) };
        store.close_attempts(vec![told], after_s(1)).await.expect("it is there");
        let balance = store.summary().await.expect("it is there").balance;
        assert_eq!((balance.told, balance.open), (2, 0));
        let words = store.last_words([&rider.case]).await.expect("it is there");
        assert_eq!(words[&rider.case], after_s(1), "what rode along is a word too");
    })
    .await;
}

#[tokio::test]
async fn a_carrier_does_not_open_when_what_rides_in_it_has_changed() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let carrier = claimed(store, "e1", "T-1").await;
        let rider = claimed(store, "e2", "T-2").await;
        let read = carrying(store, &carrier, &[&rider]).await;
        let mut stale = read.clone();
        stale.riders[0].case_revision -= 1;
        assert!(!opens(store, &stale).await, "its case has moved");
        let mut stale = read.clone();
        stale.riders[0].epoch -= 1;
        assert!(!opens(store, &stale).await, "somebody else has it");
        assert_eq!(status(store, &rider.id).await, Status::Claimed);
        assert!(opens(store, &read).await);
    })
    .await;
}

#[tokio::test]
async fn what_rode_in_a_message_that_did_not_leave_is_planned_again() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let carrier = claimed(store, "e1", "T-1").await;
        let rider = claimed(store, "e2", "T-2").await;
        let mut opening = carrying(store, &carrier, &[&rider]).await;
        opening.slot = Some("email 2026-11-23T18:00".into());
        assert!(opens(store, &opening).await);
        let slots = async || {
            let found = store.digests_of([&carrier.customer], monday()).await;
            found.expect("it is there").remove(&carrier.customer).unwrap_or_default()
        };
        assert_eq!(slots().await, ["email 2026-11-23T18:00"]);
        let deferred = Closing {
            attempt: AttemptState::Deferred,
            status: Status::Planned,
            ..closing(&carrier, 1)
        };
        store.close_attempts(vec![deferred], after_s(1)).await.expect("it is there");
        assert_eq!(status(store, &rider.id).await, Status::Planned);
        assert!(slots().await.is_empty(), "the slot is free");
    })
    .await;
}

#[tokio::test]
async fn what_rides_in_a_doubt_is_read_with_it_and_named_in_the_task_about_it() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let carrier = claimed(store, "e1", "T-1").await;
        let rider = claimed(store, "e2", "T-2").await;
        assert!(opens(store, &carrying(store, &carrier, &[&rider]).await).await);
        store.reap(after_s(31), after_s(31)).await.expect("it is there");
        let aboard = store.with_riders(&[carrier.id]).await.expect("it is there");
        let aboard: Vec<_> = aboard.iter().map(|(n, channel)| (n.id, *channel)).collect();
        let by_mail = Some(tidings::domain::Channel::Email);
        assert_eq!(aboard, [(carrier.id, by_mail), (rider.id, by_mail)]);
        let doubt = store.doubts_due(after_s(31), 1).await.expect("it is there").remove(0);
        let (why, task) = (vec![Reason::NoWordInTime], Some("nobody knows"));
        let (doubt, unknown) = (doubt.notification, Status::Unknown);
        let settled = store.settle_doubt(&doubt, unknown, why, task, Vec::new(), after_s(32));
        assert!(settled.await.expect("it is there"));
        let tasks = store.open_tasks(0, 9).await.expect("it is there");
        assert_eq!(
            tasks[0].detail,
            "Tell the customer of case T-1 about \"received\": nobody knows. \
             In the same message: case T-2 (\"received\")."
        );
    })
    .await;
}

#[tokio::test]
async fn one_digest_opens_per_customer_channel_and_slot() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let slot = Some("email 2026-11-23T18:00".to_owned());
        let (one, two) = (claimed(store, "e1", "T-1").await, claimed(store, "e2", "T-2").await);
        let with_slot = async |n: &Notification| Opening {
            slot: slot.clone(),
            ..opening(store, n, monday()).await
        };
        assert!(opens(store, &with_slot(&one).await).await);
        assert!(!opens(store, &with_slot(&two).await).await);
        assert!(opens(store, &opening(store, &two, monday()).await).await, "without it, yes");
        // Two of one slot in one batch hold up nobody else.
        let (three, four) = (claimed(store, "e3", "T-3").await, claimed(store, "e4", "T-4").await);
        let next = Some("email 2026-11-24T18:00".to_owned());
        let batch = vec![
            Opening { slot: next.clone(), ..opening(store, &three, monday()).await },
            Opening { slot: next, ..opening(store, &four, monday()).await },
        ];
        let opened = store.open_attempts(batch, monday()).await.expect("the store is there");
        assert_eq!(opened.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_cap_is_counted_as_attempts_open() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let mut openings = Vec::new();
        for n in 1..=3 {
            let claimed = claimed(store, &format!("e{n}"), &format!("T-{n}")).await;
            let cap = Cap { limit: 2, since: monday() - TimeDelta::hours(10), beside: Vec::new() };
            openings.push(Opening { cap: Some(cap), ..opening(store, &claimed, monday()).await });
        }
        let opened = store.open_attempts(openings.clone(), monday()).await.expect("it is there");
        assert_eq!(opened.len(), 2, "both in one transaction");
        assert!(!opens(store, &openings[2]).await);
        let since = BTreeMap::from([("C-1".into(), monday() - TimeDelta::hours(10))]);
        let count = async |beside: &[String]| {
            let found = store.messages_since(&since, beside).await.expect("it is there");
            found.get(&"C-1".into()).copied()
        };
        assert_eq!(count(&[]).await, Some(2));
        assert_eq!(count(&["status".to_owned()]).await, None, "mandatory ones do not count");
    })
    .await;
}

#[tokio::test]
async fn what_is_held_is_claimed_for_company_and_put_back_as_it_was() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        planned(store, "e2", "T-2", monday()).await;
        let end = EndOfClaim {
            notification: held.clone(),
            status: Status::Planned,
            next_at: after_s(50_000),
            reasons: vec![Reason::OverCap { cap: 2, until: after_s(50_000) }],
            versions: json!({}),
            task: None,
            held: Some(Held::Cap),
            followers: Vec::new(),
        };
        store.end_claims(vec![end], monday()).await.expect("it is there");
        let claim = async || {
            let found = store.claim_held([&held.customer], "me", monday()).await;
            found.expect("it is there")
        };
        let [company] = &claim().await[..] else { panic!("the one that is held") };
        assert_eq!((company.id, company.held), (held.id, Some(Held::Cap)));
        let back = [(company.id, company.epoch, company.next_at)];
        store.put_back(&back).await.expect("it is there");
        let again = claim().await;
        assert_eq!(again[0].next_at, after_s(50_000));
        assert_eq!(again[0].held, Some(Held::Cap));
    })
    .await;
}

#[tokio::test]
async fn the_newer_steps_of_a_group_are_those_of_the_case_that_stand() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let step = async |id: &str, case: &str, group: Option<&str>| {
            let seq = accepted(store, plain(id, case)).await;
            let pending = pending(store, seq).await;
            let planned = planned_case(&pending, |case, seq| {
                let mut step = notice(case, id, seq, monday());
                step.collapse = group.map(str::to_owned);
                vec![created(step)]
            });
            let id = planned.plans[0].1.create[0].notification.id;
            assert!(record(store, planned).await);
            id
        };
        let older = step("older", "T-1", Some("progress")).await;
        let newer = step("newer", "T-1", Some("progress")).await;
        step("beside", "T-1", None).await;
        step("elsewhere", "T-2", Some("progress")).await;
        let of = async |id| {
            let found = store.newer_steps([id]).await.expect("it is there");
            let steps = found.get(id).into_iter().flatten();
            steps.map(|step| (step.notice.clone(), step.state.clone())).collect::<Vec<_>>()
        };
        assert_eq!(of(&older).await, [("newer".to_owned(), Some("open".to_owned()))]);
        assert_eq!(of(&newer).await, []);
        store.cancel(&newer, "ops", monday()).await.expect("it is there");
        assert_eq!(of(&older).await, [], "what is not said takes nobody's place");
    })
    .await;
}

#[tokio::test]
async fn signs_of_life_are_noted_once_and_read_back() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let nobody = ["C-1".into()];
        assert_eq!(store.never_told(&nobody).await.expect("it is there"), nobody);
        let told = told(store, "e1", "T-1").await;
        assert_eq!(store.never_told(&nobody).await.expect("it is there"), []);
        let sign =
            async || store.signs_of([&told.id]).await.expect("it is there").get(&told.id).copied();
        assert_eq!(sign().await, None);
        store.note_sign(&told.id, false, monday()).await.expect("it is there");
        assert_eq!(sign().await, Some(Sign::Opened));
        store.note_sign(&told.id, true, after_s(1)).await.expect("it is there");
        assert_eq!(sign().await, Some(Sign::Acknowledged));
    })
    .await;
}
