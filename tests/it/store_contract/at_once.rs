//! What is opened as it is planned, in one transaction.

use std::collections::HashSet;

use tidings::domain::message::Script;
use tidings::domain::quota::{Cap, HOUR_MS, Most, Quota};
use tidings::domain::{Channel, Notification, Status};
use tidings::store::Store;
use tidings::store::opening::{Opened, Opening};
use tidings::store::plans::{PlannedCase, Recorded};

use super::bed::{
    accepted, after_s, bare_opening, closing, created, know, monday, notice, on_both, opened,
    opening, pending, plain, planned_case, status,
};

/// The plan of one event of a case, and the attempt at what it says, as decided now.
pub async fn due_at_once(store: &Store, id: &str, case: &str) -> (PlannedCase, Notification) {
    let seq = accepted(store, plain(id, case)).await;
    let mut planned = planned_case(&pending(store, seq).await, |case, seq| {
        vec![created(notice(case, "received", seq, monday()))]
    });
    let (_, plan, _) = &planned.plans[0];
    let planned_one = plan.create[0].notification.clone();
    let claimed = Notification { epoch: 1, claims: 1, ..planned_one };
    let customers = store.customers([&claimed.customer], monday()).await.expect("it is there");
    planned.opening = Some(Opening {
        case_revision: plan.case.revision,
        customer_revision: customers[&claimed.customer].revision,
        ..bare_opening(&claimed)
    });
    (planned, claimed)
}

pub async fn record(store: &Store, planned: Vec<PlannedCase>, claim: &[&Notification]) -> Recorded {
    let claim = claim.iter().map(|n| n.id).collect::<HashSet<_>>();
    store.record_plans(planned, claim, "me", monday()).await.expect("the store is there")
}

#[tokio::test]
async fn an_attempt_opened_with_its_plan_is_as_one_opened_later() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let (mut planned, at_once) = due_at_once(store, "e1", "T-1").await;
        let opening_of_it = planned.opening.as_mut().expect("it has one");
        opening_of_it.channel = Channel::Voice;
        opening_of_it.script = Some(Script::default());
        let recorded = record(store, vec![planned], &[&at_once]).await;
        assert_eq!(recorded.opened, [Opened { id: at_once.id, no: 1, on_channel: 1 }]);
        let (planned, later) = due_at_once(store, "e2", "T-2").await;
        let planned = PlannedCase { opening: None, ..planned };
        assert_eq!(record(store, vec![planned], &[&later]).await.opened, []);
        let opening = Opening {
            channel: Channel::Voice,
            script: Some(Script::default()),
            ..opening(store, &later, monday()).await
        };
        store.open_attempts(vec![opening], monday()).await.expect("it is there");
        for n in [&at_once, &later] {
            let row = store.one_notification(&n.id).await.expect("it is there");
            let seen = (row.status, row.epoch, row.claims, row.attempts);
            assert_eq!(seen, (Status::Sending, 1, 0, 1), "{}", n.case);
            let attempts = store.notification(&n.id).await.expect("it is there").attempts;
            let attempt = &attempts[0];
            let seen = (attempts.len(), attempt.no, attempt.state.as_str());
            assert_eq!(seen, (1, 1, "open"));
            let call = store.phone_call(&n.id, 1).await.expect("its script is kept");
            assert_eq!(call.on_channel, 1);
            assert!(store.any_on_the_wire(&n.customer).await.expect("it is there"));
            store.close_attempts(vec![closing(n, 1)], monday()).await.expect("it is there");
            assert_eq!(status(store, &n.id).await, Status::Sent);
        }
    })
    .await;
}

#[tokio::test]
async fn what_changed_since_the_decision_is_claimed_and_not_opened() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let (chosen, first) = due_at_once(store, "e1", "T-1").await;
        let customer = "C-1".into();
        let chose = store.choose(&customer, "centre", monday(), |c| c.discreet = Some(true));
        chose.await.expect("the customer is known");
        let (moved_on, second) = due_at_once(store, "e2", "T-2").await;
        accepted(store, plain("e3", "T-2")).await;
        let (full, third) = due_at_once(store, "e4", "T-4").await;
        let (alone, fourth) = due_at_once(store, "e5", "T-5").await;
        let most = Most::Messages(1);
        let quota =
            Quota { cap: Cap::PerPrefixPerHour, name: "range:a".into(), length_ms: HOUR_MS, most };
        let with_quota = |planned: PlannedCase| PlannedCase {
            opening: planned
                .opening
                .map(|opening| Opening { quotas: vec![quota.clone()], ..opening }),
            ..planned
        };
        let planned = vec![chosen, moved_on, with_quota(alone), with_quota(full)];
        let all = [&first, &second, &third, &fourth];
        let recorded = record(store, planned, &all).await;
        let ids: Vec<_> = recorded.opened.iter().map(|opened| opened.id).collect();
        assert_eq!(ids, [fourth.id], "the others: a choice, news, a cap that is reached");
        assert_eq!(recorded.claimed.len(), 4);
        for (n, expected) in all.into_iter().zip([
            Status::Claimed,
            Status::Claimed,
            Status::Claimed,
            Status::Sending,
        ]) {
            assert_eq!(status(store, &n.id).await, expected, "{}", n.case);
        }
        let used = store.used_of([(Channel::Email, &quota)], monday()).await.expect("it is there");
        assert_eq!(used.into_values().map(|used| used.messages).sum::<i64>(), 1);
        let again = opened(store, &third).await;
        assert_eq!(again.no, 1, "what was claimed opens later");
    })
    .await;
}

#[tokio::test]
async fn nothing_opens_that_somebody_else_planned_or_that_a_restore_holds_back() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let (mine, first) = due_at_once(store, "e1", "T-1").await;
        let theirs = PlannedCase { opening: None, ..mine.clone() };
        record(store, vec![theirs], &[]).await;
        assert_eq!(record(store, vec![mine], &[&first]).await, Recorded::default());
        assert_eq!(status(store, &first.id).await, Status::Planned);
        let (held, second) = due_at_once(store, "e2", "T-2").await;
        store.mark_restored(after_s(1)).await.expect("the store is there");
        let recorded = record(store, vec![held], &[&second]).await;
        assert_eq!((recorded.claimed.len(), recorded.opened.len()), (0, 0));
        assert_eq!(status(store, &second.id).await, Status::Planned);
    })
    .await;
}

#[tokio::test]
async fn what_may_have_been_opened_is_taken_back_by_who_asked_and_by_nobody_else() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let (planned, n) = due_at_once(store, "e1", "T-1").await;
        let (claims, cases) = ([(n.id, n.epoch)], [n.case.clone()]);
        let take_back = async |owner| {
            let done = store.take_back_plans(&claims, &cases, owner, after_s(1)).await;
            done.expect("the store is there");
        };
        take_back("me").await;
        assert_eq!(record(store, vec![planned], &[&n]).await.opened.len(), 1, "nothing was there");
        take_back("you").await;
        assert_eq!(status(store, &n.id).await, Status::Sending, "it is not theirs");
        take_back("me").await;
        assert_eq!(status(store, &n.id).await, Status::Planned);
        let attempts = store.notification(&n.id).await.expect("it is there").attempts;
        assert_eq!(attempts[0].state, "not_sent");
    })
    .await;
}
