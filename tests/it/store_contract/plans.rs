//! Events waiting to be planned, and plans as they are recorded.

use std::collections::HashSet;

use serde_json::json;
use tidings::domain::plan::{Moved, NewTask, Settled, TaskKind};
use tidings::domain::{CaseId, NotificationId, Reason, Status};
use tidings::store::console::Filter;
use tidings::store::pending::PendingEvent;
use tidings::store::plans::{LookedAt, PlannedCase};

use super::bed::{
    accepted, after_s, created, event, know, monday, notice, on_both, pending, plain, planned,
    planned_case, record, status,
};

#[tokio::test]
async fn a_case_with_events_to_plan_names_its_next_one_until_it_is_planned() {
    on_both(async |bed| {
        let store = &bed.store;
        let first = accepted(store, plain("e1", "T-1")).await;
        accepted(store, plain("e2", "T-1")).await;
        let other = accepted(store, plain("e3", "T-2")).await;
        let unplanned = async |limit| {
            let mut seqs = store.unplanned_events(monday(), limit).await.expect("it is there");
            seqs.sort_unstable();
            seqs
        };
        assert_eq!(unplanned(10).await, [first, other]);
        assert_eq!(unplanned(1).await.len(), 1);
        assert!(record(store, planned_case(&pending(store, first).await, |_, _| vec![])).await);
        assert_eq!(unplanned(10).await, [other]);
        let seq = accepted(store, plain("e4", "T-1")).await;
        assert_eq!(unplanned(10).await, [other, seq]);
    })
    .await;
}

#[tokio::test]
async fn a_pending_case_comes_with_its_events_in_order_and_what_may_still_change() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let waiting = planned(store, "e1", "T-1", after_s(600)).await;
        let ended = planned(store, "e2", "T-1", after_s(600)).await;
        store.cancel(&ended.id, "agent", monday()).await.expect("planned");
        let facts = json!({"facts": {"weight": 1.5, "tags": ["a", null]}, "state": "wait"});
        let seq = accepted(store, event("e3", "T-1", facts)).await;
        accepted(store, plain("e4", "T-1")).await;
        let found = pending(store, seq).await;
        assert_eq!((found.planned, found.id.as_str()), (2, "T-1"));
        assert_eq!(found.case.as_ref().map(|case| case.revision), Some(2));
        let ids: Vec<_> = found.events.iter().map(|event| event.event.id.as_str()).collect();
        assert_eq!(ids, ["e3", "e4"]);
        assert_eq!(json!(found.events[0].event.facts), json!({"weight": 1.5, "tags": ["a", null]}));
        assert_eq!(found.events[0].accepted_at, monday());
        assert_eq!(found.notifications, [waiting]);
    })
    .await;
}

#[tokio::test]
async fn at_most_a_hundred_events_of_a_case_are_planned_in_one_go() {
    on_both(async |bed| {
        let batch = (0..150).map(|n| plain(&format!("e{n}"), "T-1")).collect();
        bed.store.accept_events(batch, monday()).await.expect("the store is there");
        let seq = bed.store.unplanned_events(monday(), 1).await.expect("the store is there")[0];
        let found = pending(&bed.store, seq).await;
        assert_eq!(found.events.len(), 100);
        assert!(record(&bed.store, planned_case(&found, |_, _| vec![])).await);
        assert_eq!(pending(&bed.store, seq).await.events.len(), 50);
    })
    .await;
}

#[tokio::test]
async fn a_plan_made_on_an_older_reading_is_lost_and_leaves_nothing() {
    on_both(async |bed| {
        let store = &bed.store;
        let seq = accepted(store, plain("e1", "T-1")).await;
        let due = after_s(60);
        let found = pending(store, seq).await;
        let plan = |name: &'static str| {
            planned_case(&found, move |case, seq| vec![created(notice(case, name, seq, due))])
        };
        assert!(record(store, plan("first")).await);
        assert!(!record(&bed.another().await, plan("second")).await);
        let kept = store.of_event(seq).await.expect("the store is there");
        assert_eq!(kept.iter().map(|n| n.notice.as_str()).collect::<Vec<_>>(), ["first"]);
    })
    .await;
}

#[tokio::test]
async fn of_a_batch_of_plans_the_lost_ones_do_not_take_the_others_along() {
    on_both(async |bed| {
        let store = &bed.store;
        let mut plans = Vec::new();
        for n in 0..4 {
            let seq = accepted(store, plain(&format!("e{n}"), &format!("T-{n}"))).await;
            let found = pending(store, seq).await;
            let plan = planned_case(&found, |case, seq| {
                vec![created(notice(case, "received", seq, after_s(60)))]
            });
            if n % 2 == 0 {
                assert!(record(store, plan.clone()).await);
            }
            plans.push(plan);
        }
        plans.push(PlannedCase { id: "T-9".into(), expected: 0, plans: Vec::new(), opening: None });
        let won = store.record_plans(plans, HashSet::new(), "me", monday()).await;
        let mut won: Vec<_> = won.expect("the store is there").won.into_iter().collect();
        won.sort_unstable();
        assert_eq!(won, ["T-1".into(), "T-3".into()]);
        assert_eq!(store.summary().await.expect("the store is there").by_status["planned"], 4);
    })
    .await;
}

#[tokio::test]
async fn a_plan_made_twice_is_the_same_plan() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let first = planned(store, "e1", "T-1", after_s(60)).await;
        let seq = accepted(store, plain("e2", "T-1")).await;
        let again = planned_case(&pending(store, seq).await, |_, _| vec![created(first.clone())]);
        assert!(record(store, again).await);
        assert_eq!(store.of_event(seq).await.expect("the store is there").len(), 0);
        assert_eq!(status(store, &first.id).await, Status::Planned);
    })
    .await;
}

#[tokio::test]
async fn a_notification_is_read_back_as_it_was_planned() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let planned = planned(store, "e1", "T-1", after_s(60)).await;
        let known = store.one_notification(&planned.id).await.expect("it is there");
        assert_eq!(known, planned);
        let detail = store.notification(&planned.id).await.expect("it is there");
        assert_eq!(detail.notification.versions, r#"{"journeys":"v1"}"#);
        let because: Vec<Reason> =
            serde_json::from_str(&detail.notification.because).expect("reasons");
        assert_eq!(because, [Reason::HourFits]);
    })
    .await;
}

#[tokio::test]
async fn a_plan_settles_and_moves_what_has_not_left_yet_and_nothing_else() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let gone = super::bed::told(store, "e1", "T-1").await;
        let held = super::bed::claimed(store, "e2", "T-1").await;
        let late = planned(store, "e3", "T-1", after_s(60)).await;
        let seq = accepted(store, plain("e4", "T-1")).await;
        let mut plan = planned_case(&pending(store, seq).await, |_, _| vec![]);
        let settled = |id: NotificationId| Settled {
            id,
            status: Status::Superseded,
            reasons: vec![Reason::Superseded { by: "closed".into() }],
        };
        plan.plans[0].1.settle = vec![settled(gone.id), settled(held.id)];
        plan.plans[0].1.moved = vec![Moved {
            id: late.id,
            due_at: after_s(120),
            next_at: after_s(150),
            expires_at: after_s(500),
            reasons: vec![Reason::FactChanged { fact: "visit".into(), due: after_s(120) }],
        }];
        assert!(record(store, plan).await);
        assert_eq!(status(store, &gone.id).await, Status::Sent, "what was said was said");
        let held_now = store.one_notification(&held.id).await.expect("it is there");
        assert_eq!((held_now.status, held_now.epoch), (Status::Superseded, held.epoch + 1));
        let late = store.one_notification(&late.id).await.expect("it is there");
        assert_eq!(late.status, Status::Planned);
        assert_eq!(
            (late.due_at, late.next_at, late.expires_at),
            (after_s(120), after_s(150), after_s(500))
        );
        let decided = store.notification(&late.id).await.expect("it is there").decisions;
        assert_eq!(decided.iter().map(|d| d.what.as_str()).collect::<Vec<_>>(), ["moved"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_due_at_once_is_claimed_as_it_is_planned() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let seq = accepted(store, plain("e1", "T-1")).await;
        let planned = planned_case(&pending(store, seq).await, |case, seq| {
            vec![created(notice(case, "received", seq, monday()))]
        });
        let id = planned.plans[0].1.create[0].notification.id;
        let claim = HashSet::from([id]);
        let done = store.record_plans(vec![planned], claim, "me", monday()).await;
        let claimed = done.expect("it is there").claimed;
        assert_eq!(claimed.into_iter().collect::<Vec<_>>(), [(id, "T-1".into())]);
        let held = store.one_notification(&id).await.expect("it is there");
        assert_eq!((held.status, held.epoch, held.claims), (Status::Claimed, 1, 1));
        assert!(store.claim(&[id], "you", after_s(1)).await.expect("it is there").is_empty());
        super::bed::opened(store, &held).await;
        assert_eq!(status(store, &id).await, Status::Sending);
    })
    .await;
}

#[tokio::test]
async fn why_an_event_led_to_nothing_is_kept_with_it() {
    on_both(async |bed| {
        let store = &bed.store;
        let seq = accepted(store, plain("e1", "T-1")).await;
        let mut planned = planned_case(&pending(store, seq).await, |_, _| vec![]);
        let plan = &mut planned.plans[0].1;
        plan.silent = Some(Reason::NoNotice { state: Some("open".into()) });
        plan.skipped = vec![("received".into(), Reason::BehindHead)];
        plan.task = Some(NewTask {
            key: "unknown_state/ticket/open".into(),
            kind: TaskKind::UnknownState,
            detail: "Write a journey.".into(),
        });
        let looked_at = LookedAt { silent: plan.silent.clone(), skipped: plan.skipped.clone() };
        assert!(record(store, planned).await);
        let kept = store.events_named("e1").await.expect("it is there").remove(0);
        assert_eq!(kept.silent.as_deref(), Some("no_notice"));
        assert_eq!(kept.planned_at_ms, Some(monday().timestamp_millis()));
        let kept = kept.looked_at.expect("it was looked at");
        assert_eq!(serde_json::from_str::<LookedAt>(&kept).expect("as it was written"), looked_at);
        let tasks = store.open_tasks(0, 10).await.expect("it is there");
        assert_eq!(tasks[0].detail, "Write a journey.");
        assert_eq!(store.summary().await.expect("it is there").by_reason["no_notice"], 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_said_once_per_customer_is_seen_from_every_case_of_theirs() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let seq = accepted(store, plain("e1", "T-1")).await;
        let planned = planned_case(&pending(store, seq).await, |case, seq| {
            let mut welcome = created(notice(case, "welcome", seq, after_s(60)));
            welcome.once_per_customer = true;
            welcome.keyed = true;
            vec![welcome]
        });
        assert!(record(store, planned).await);
        let mine = accepted(store, plain("e2", "T-2")).await;
        let theirs = accepted(store, event("e3", "T-3", json!({"customer": "C-2"}))).await;
        let asked = [mine, theirs];
        let seen = async |once| {
            let found = store.pending_cases(&asked, once).await.expect("it is there");
            found.iter().map(|case| case.notifications.len()).collect::<Vec<_>>()
        };
        assert_eq!(seen(true).await, [1, 0]);
        assert_eq!(seen(false).await, [0, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_case_waits_for_an_unknown_customer_until_they_arrive() {
    on_both(async |bed| {
        let store = &bed.store;
        let seq = accepted(store, plain("e1", "T-1")).await;
        let waiting: PendingEvent = pending(store, seq).await.events.remove(0);
        let task = NewTask {
            key: "unknown_customer/C-1".into(),
            kind: TaskKind::UnknownCustomer,
            detail: "Who is C-1?".into(),
        };
        let (id, until): (CaseId, _) = ("T-1".into(), after_s(3_600));
        let wait = store.wait_for_customer(&id, &waiting, until, Some(task), monday());
        wait.await.expect("it is there");
        let unplanned =
            async |at_s| store.unplanned_events(after_s(at_s), 10).await.expect("it is there");
        assert_eq!(unplanned(60).await, [0_i64; 0]);
        assert_eq!(unplanned(3_600).await, [seq], "the wait is over");
        assert_eq!(store.summary().await.expect("it is there").balance.task, 1);

        let record = super::bed::customer("C-1", json!({}));
        let done = bed.another().await.import_customers(vec![record], "crm", after_s(60)).await;
        assert!(done.expect("it is there").released);
        assert_eq!(unplanned(60).await, [seq], "released");
        assert!(store.open_tasks(0, 10).await.expect("it is there").is_empty());
        assert_eq!(store.summary().await.expect("it is there").balance.open, 1);

        let wait = store.wait_for_customer(&id, &waiting, until, None, after_s(61));
        wait.await.expect("it is there");
        assert_eq!(unplanned(61).await, [seq], "who is known is not waited for");
    })
    .await;
}

#[tokio::test]
async fn what_two_cases_say_once_is_claimed_by_the_one_that_wrote_it() {
    on_both(async |bed| {
        let [two, three] = bed.others().await;
        know(&bed.store, &["C-1"]).await;
        for round in 0..10 {
            let mut plans = Vec::new();
            for n in 0..4 {
                let case = format!("T-{round}-{n}");
                let seq = accepted(&bed.store, plain(&format!("e{round}-{n}"), &case)).await;
                plans.push(planned_case(&pending(&bed.store, seq).await, |case, seq| {
                    let mut welcome = created(notice(case, "welcome", seq, monday()));
                    welcome.notification.id =
                        NotificationId::derive("C-1", "welcome", &round.to_string(), 0);
                    vec![welcome]
                }));
            }
            let id = plans[0].plans[0].1.create[0].notification.id;
            // Two cases in one batch, and one each in two other processes.
            let rest = plans.split_off(2);
            let record = async |store: &tidings::store::Store, plans| {
                let done = store.record_plans(plans, HashSet::from([id]), "me", monday()).await;
                done.expect("never a fault of the store")
            };
            let (one, two, three) = tokio::join!(
                record(&bed.store, plans),
                record(&two, rest[..1].to_vec()),
                record(&three, rest[1..].to_vec()),
            );
            assert_eq!(one.won.len() + two.won.len() + three.won.len(), 4);
            let claimed: Vec<_> =
                [one.claimed, two.claimed, three.claimed].into_iter().flatten().collect();
            let held = bed.store.one_notification(&id).await.expect("it is there");
            assert_eq!(claimed, [(id, held.case)]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_case_is_watched_by_one_word_of_a_notice_whichever_message_it_follows_from() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let first = super::bed::told(store, "e1", "T-1").await;
        let watch = |key: &str, occurrence| {
            let mut next = first.clone();
            next.id = NotificationId::derive("T-1", "received", key, occurrence);
            (next.status, next.event_seq) = (Status::Planned, None);
            (next.trigger_key, next.occurrence) = (key.to_owned(), occurrence);
            (created(next), json!({}))
        };
        let open = async || {
            let filter = Filter { limit: 9, ..Filter::default() };
            let all = store.notifications(&filter).await.expect("it is there");
            all.iter().filter(|n| n.status == "planned").count()
        };
        let plan = async |follower| {
            store.plan_followers(vec![follower]).await.expect("the store is there");
        };
        plan(watch("slot 3", 3)).await;
        assert_eq!(open().await, 1);
        for (key, occurrence) in [("slot 3", 3), ("slot 3", 2), ("slot 4", 3), ("silence/1", 1)] {
            plan(watch(key, occurrence)).await;
            assert_eq!(open().await, 1, "{key} {occurrence}");
        }
        // The word it follows from may be open still.
        plan(watch("slot 4", 4)).await;
        assert_eq!(open().await, 2);
    })
    .await;
}
