//! Several processes on one database at once.

use std::collections::HashMap;

use serde_json::json;
use tidings::domain::notification::Lane;
use tidings::domain::{CaseChoice, Channel, NotificationId, Status};
use tidings::store::Store;
use tidings::store::receipts::{Receipt, ReceiptOutcome};

use super::bed::{
    accepted, after_s, apply_receipts, claimed, closing, created, customer, email, know, monday,
    notice, on_both, opened, opening, pending, plain, planned_case, record, status, told,
};

/// Plans `count` notices of C-1, due on Monday, each in a case of its own.
async fn many_planned(store: &Store, count: usize) -> Vec<NotificationId> {
    let mut ids = Vec::with_capacity(count);
    for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
        let events = chunk.iter().map(|n| plain(&format!("e{n}"), &format!("T-{n}"))).collect();
        store.accept_events(events, monday()).await.expect("the store is there");
        let seqs = store.unplanned_events(monday(), 500).await.expect("the store is there");
        let found = store.pending_cases(&seqs, false).await.expect("the store is there");
        let plans: Vec<_> = found
            .iter()
            .map(|case| {
                planned_case(case, |case, seq| {
                    vec![created(notice(case, "received", seq, monday()))]
                })
            })
            .collect();
        ids.extend(plans.iter().map(|plan| plan.plans[0].1.create[0].notification.id));
        let won = store.record_plans(plans, [].into(), "nobody", monday()).await;
        assert_eq!(won.expect("the store is there").won.len(), chunk.len());
    }
    ids
}

#[tokio::test]
async fn a_thousand_rows_are_claimed_once_each_by_eight_tasks_in_four_processes() {
    on_both(async |bed| {
        let ids = many_planned(&bed.store, 1_000).await;
        let [two, three, four] = bed.others().await;
        let stores = [&bed.store, &two, &three, &four];
        let claims = (0..8).map(|task| {
            let (store, mut ids) = (stores[task % 4], ids.clone());
            // Everybody wants everything, each from another end.
            ids.rotate_left(task * 125);
            async move {
                let mut mine = Vec::new();
                for wanted in ids.chunks(50) {
                    let owner = format!("task {task}");
                    let claimed = store.claim(wanted, &owner, monday()).await;
                    mine.extend(claimed.expect("never a fault of the store"));
                }
                mine
            }
        });
        let all = futures::future::join_all(claims).await.concat();
        let mut times: HashMap<NotificationId, usize> = HashMap::new();
        for claimed in &all {
            assert_eq!(claimed.epoch, 1);
            *times.entry(claimed.id).or_default() += 1;
        }
        assert!(times.values().all(|times| *times == 1), "claimed twice");
        assert_eq!(times.len(), 1_000);
    })
    .await;
}

#[tokio::test]
async fn two_schedulers_never_ring_for_the_same_row() {
    on_both(async |bed| {
        many_planned(&bed.store, 300).await;
        let other = bed.another().await;
        let take = |store: Store| async move {
            let mut taken = Vec::new();
            loop {
                let more = store.take_due(Lane::Bulk, monday(), 7).await;
                let more = more.expect("never a fault of the store");
                if more.is_empty() {
                    return taken;
                }
                taken.extend(more);
            }
        };
        let (mut one, two) = tokio::join!(take(bed.store.clone()), take(other));
        one.extend(two);
        let count = one.len();
        one.sort_unstable();
        one.dedup();
        assert_eq!((one.len(), count), (300, 300));
    })
    .await;
}

#[tokio::test]
async fn a_case_planned_by_two_processes_at_once_is_planned_by_one() {
    on_both(async |bed| {
        let other = bed.another().await;
        for round in 0..20 {
            let seq = accepted(&bed.store, plain(&format!("e{round}"), "T-1")).await;
            let plan = planned_case(&pending(&bed.store, seq).await, |case, seq| {
                vec![created(notice(case, "received", seq, after_s(60)))]
            });
            let (one, two) = tokio::join!(record(&bed.store, plan.clone()), record(&other, plan));
            assert!(one ^ two, "exactly one of two");
        }
        let statuses = bed.store.summary().await.expect("the store is there").by_status;
        assert_eq!(statuses["planned"], 20);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_is_opened_by_one_however_many_hold_the_claim() {
    on_both(async |bed| {
        know(&bed.store, &["C-1"]).await;
        let [two, three, four] = bed.others().await;
        for round in 0..10 {
            let held = claimed(&bed.store, &format!("e{round}"), "T-1").await;
            let opening = opening(&bed.store, &held, monday()).await;
            let open = [&bed.store, &two, &three, &four].map(|store| {
                let opening = opening.clone();
                async move { store.open_attempts(vec![opening], monday()).await }
            });
            let opened: usize = futures::future::join_all(open)
                .await
                .into_iter()
                .map(|opened| opened.expect("never a fault of the store").len())
                .sum();
            assert_eq!(opened, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn an_attempt_is_closed_or_left_in_doubt_and_never_both() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let other = bed.another().await;
        for round in 0..20 {
            let held = claimed(store, &format!("e{round}"), &format!("T-{round}")).await;
            let no = opened(store, &held).await.no;
            let late = after_s(31);
            let (closed, reaped) = tokio::join!(
                store.close_attempts(vec![closing(&held, no)], late),
                other.reap(late, after_s(600)),
            );
            closed.expect("never a fault of the store");
            let (_, doubtful) = reaped.expect("never a fault of the store");
            let detail = store.notification(&held.id).await.expect("it is there");
            let wanted = if doubtful == 1 { "in_doubt" } else { "sent" };
            assert_eq!(detail.notification.status, wanted);
            assert_eq!(detail.attempts[0].state, wanted);
            assert_eq!(detail.notification.told_at_ms.is_some(), doubtful == 0);
        }
    })
    .await;
}

#[tokio::test]
async fn receipts_applied_by_two_processes_at_once_are_applied_once() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let other = bed.another().await;
        let mut all = Vec::new();
        for n in 0..30 {
            let told = told(store, &format!("e{n}"), &format!("T-{n}")).await;
            for outcome in [ReceiptOutcome::Taken, ReceiptOutcome::Undelivered] {
                let receipt = Receipt {
                    notification: told.id,
                    no: 1,
                    provider: "smtp",
                    provider_ref: "ref-1".into(),
                    outcome,
                    detail: String::new(),
                    suppress: None,
                    again_at: None,
                };
                let (one, two) = tokio::join!(
                    store.keep_receipt(receipt.clone(), monday()),
                    other.keep_receipt(receipt, monday()),
                );
                assert!(one.expect("it is there") ^ two.expect("it is there"), "kept once");
            }
            all.push(told);
        }
        // Who comes second may skip what the first has in hand.
        let (one, two) =
            tokio::join!(apply_receipts(store, monday()), apply_receipts(&other, monday()));
        assert!(one.expect("it is there") | two.expect("it is there"));
        while store.needs_housekeeping(monday()).await.expect("it is there") {
            apply_receipts(store, monday()).await.expect("it is there");
        }
        for told in all {
            let detail = store.notification(&told.id).await.expect("it is there");
            assert_eq!(detail.notification.status, "planned");
            let decided: Vec<_> = detail.decisions.iter().map(|d| d.what.as_str()).collect();
            assert_eq!(decided, ["undelivered"]);
            let again = store.one_notification(&told.id).await.expect("it is there");
            assert_eq!(
                (again.epoch, again.failed_channels),
                (told.epoch + 1, vec![Channel::Email])
            );
        }
    })
    .await;
}

#[tokio::test]
async fn no_revision_is_lost_when_choices_suppressions_and_imports_meet() {
    on_both(async |bed| {
        know(&bed.store, &["C-1"]).await;
        let [two, three] = bed.others().await;
        let id = "C-1".into();
        let address = email("ada@example.com");
        let rounds = 0..15;
        let choosing = async {
            for n in rounds.clone() {
                let chosen = bed.store.choose(&id, "centre", after_s(n), move |chosen| {
                    chosen.cap_per_day = Some(u32::try_from(n).expect("small") + 1);
                });
                chosen.await.expect("never a fault of the store");
            }
        };
        let suppressing = async {
            for n in rounds.clone() {
                let done = two.suppress(Channel::Email, &address, "stop", "stop", after_s(n));
                done.await.expect("never a fault of the store");
            }
        };
        let importing = async {
            for n in rounds.clone() {
                let record = customer("C-1", json!({"name": format!("Ada {n}")}));
                let done = three.import_customers(vec![record], "crm", after_s(n));
                done.await.expect("never a fault of the store");
            }
        };
        tokio::join!(choosing, suppressing, importing);
        let known = bed.store.customer(&id, after_s(60)).await.expect("known");
        assert_eq!(known.revision, 1 + 3 * 15);
        assert_eq!(known.preferences.cap_per_day, Some(15));
        assert_eq!(known.profile.name, "Ada 14");
        assert!(known.contact_points[0].suppressed.is_some());
    })
    .await;
}

#[tokio::test]
async fn imports_of_the_same_customers_in_any_order_wait_for_one_another() {
    on_both(async |bed| {
        let [two, three, four] = bed.others().await;
        for round in 0..6 {
            let imports =
                [&bed.store, &two, &three, &four].into_iter().enumerate().map(|(n, store)| {
                    let mut records: Vec<_> = (0..20)
                        .map(|c| {
                            customer(&format!("C-{round}-{c}"), json!({"name": format!("Ada {n}")}))
                        })
                        .collect();
                    if n % 2 == 1 {
                        records.reverse();
                    }
                    async move {
                        let done = store.import_customers(records, "crm", monday()).await;
                        done.expect("never a fault of the store")
                    }
                });
            let done = futures::future::join_all(imports).await;
            let (new, changed) =
                done.iter().fold((0, 0), |(new, changed), d| (new + d.new, changed + d.changed));
            assert_eq!((new, changed), (20, 60));
        }
    })
    .await;
}

#[tokio::test]
async fn a_customer_who_arrives_always_releases_the_case_that_waits() {
    on_both(async |bed| {
        let other = bed.another().await;
        let far = after_s(1_000_000);
        for round in 0..25 {
            let (who, case) = (format!("C-{round}"), format!("T-{round}"));
            let told = super::bed::event(&format!("e{round}"), &case, json!({"customer": who}));
            let seq = accepted(&bed.store, told).await;
            let waiting = pending(&bed.store, seq).await.events.remove(0);
            let id = case.as_str().into();
            let (waits, arrives) = tokio::join!(
                bed.store.wait_for_customer(&id, &waiting, far, None, monday()),
                other.import_customers(vec![customer(&who, json!({}))], "crm", monday()),
            );
            waits.expect("never a fault of the store");
            arrives.expect("never a fault of the store");
            let unplanned = other.unplanned_events(monday(), 500).await.expect("it is there");
            assert!(unplanned.contains(&seq), "round {round}: the case waits for ever");
        }
    })
    .await;
}

#[tokio::test]
async fn after_an_opt_out_was_answered_nothing_opens_that_was_decided_before() {
    on_both(async |bed| {
        let store = &bed.store;
        let other = bed.another().await;
        let (id, case) = ("C-1".into(), "T-1".into());
        let address = email("ada@example.com");
        for (n, opt_out) in OptOut::ALL.into_iter().enumerate() {
            let n = i64::try_from(n).expect("few");
            know(store, &["C-1"]).await;
            let held = claimed(store, &format!("e{n}"), "T-1").await;
            let read = opening(store, &held, monday()).await;
            opt_out.run(&other, &id, &case, &address, n).await;
            let opened = store.open_attempts(vec![read], monday()).await.expect("it is there");
            assert_eq!(opened, [], "{opt_out:?}");
            assert!(matches!(status(store, &held.id).await, Status::Claimed | Status::Cancelled));
        }
    })
    .await;
}

/// Everything that changes what consent reads.
#[derive(Debug, Clone, Copy)]
pub enum OptOut {
    Choose,
    Mute,
    Suppress,
    Lift,
    Import,
    Event,
    Erase,
}

impl OptOut {
    pub const ALL: [Self; 7] = [
        Self::Choose,
        Self::Mute,
        Self::Suppress,
        Self::Lift,
        Self::Import,
        Self::Event,
        Self::Erase,
    ];

    /// Does it, for C-1 and their case T-1; `n` makes it differ from the one before.
    pub async fn run(
        self,
        store: &Store,
        id: &tidings::domain::CustomerId,
        case: &tidings::domain::CaseId,
        address: &tidings::domain::customer::Address,
        n: i64,
    ) {
        let now = after_s(n);
        let cap = u32::try_from(n).expect("small") + 1;
        let done = match self {
            Self::Choose => {
                store.choose(id, "centre", now, move |c| c.cap_per_day = Some(cap)).await
            }
            Self::Mute => {
                let choice = CaseChoice { channel: None, muted: true };
                store.choose_for_case(case, choice, "centre", now).await
            }
            Self::Suppress => store.suppress(Channel::Email, address, "no", "stop", now).await,
            Self::Lift => store.lift_suppression(Channel::Email, address, "stop", now).await,
            Self::Import => {
                let record = customer(id.as_str(), json!({"name": format!("Ada {n}")}));
                store.import_customers(vec![record], "crm", now).await.map(drop)
            }
            Self::Event => {
                let event = plain(&format!("later-{n}"), case.as_str());
                store.accept_events(vec![event], now).await.map(drop)
            }
            Self::Erase => store.erase(id, "agent", now).await,
        };
        done.unwrap_or_else(|error| panic!("{self:?}: {error}"));
    }
}
