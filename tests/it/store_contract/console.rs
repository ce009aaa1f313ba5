//! Reading back what happened, and what operators do about it.

use serde_json::json;
use tidings::domain::{Channel, NotificationId, Reason, Status};
use tidings::store::StoreError;
use tidings::store::attempts::AttemptState;
use tidings::store::console::Filter;

use super::bed::{
    accepted, after_s, ask_for_call, claimed, closing, email, event, know, monday, on_both, opened,
    plain, planned, status, told,
};

#[tokio::test]
async fn the_sums_add_up_over_open_told_silent_and_task() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        told(store, "e1", "T-1").await;
        planned(store, "e2", "T-2", after_s(60)).await;
        let ended = planned(store, "e3", "T-3", after_s(60)).await;
        store.cancel(&ended.id, "agent", monday()).await.expect("planned");
        accepted(store, plain("e4", "T-4")).await;
        let summary = store.summary().await.expect("the store is there");
        let balance = summary.balance;
        assert!(balance.adds_up());
        assert_eq!(
            (balance.accepted, balance.open, balance.told, balance.silent, balance.task),
            (4, 2, 1, 1, 0)
        );
        let statuses: Vec<_> = summary.by_status.iter().map(|(s, n)| (s.as_str(), *n)).collect();
        assert_eq!(statuses, [("cancelled", 1), ("planned", 1), ("sent", 1)]);
        assert_eq!(summary.by_reason.into_iter().collect::<Vec<_>>(), [("by_operator".into(), 1)]);
        assert_eq!(summary.by_channel.into_iter().collect::<Vec<_>>(), [("email".into(), 1)]);
    })
    .await;
}

#[tokio::test]
async fn the_figures_of_this_moment_count_what_is_not_settled() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let figures = async || {
            let now = store.standing().await.expect("the store is there");
            (now.first_due_ms, now.in_doubt, now.tasks_open, now.unplanned)
        };
        assert_eq!(figures().await, (None, 0, 0, 0));
        let due = planned(store, "e1", "T-1", after_s(60)).await;
        accepted(store, plain("e2", "T-2")).await;
        ask_for_call(store, &"C-1".into(), monday()).await.expect("the store is there");
        assert_eq!(figures().await, (Some(due.due_at.timestamp_millis()), 0, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn news_are_what_came_after_three_points_in_the_logs() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let told = told(store, "e1", "T-1").await;
        let ended = planned(store, "e2", "T-2", after_s(60)).await;
        store.cancel(&ended.id, "agent", after_s(2)).await.expect("planned");
        let news = store.news(0, 0, 0).await.expect("the store is there");
        let events: Vec<_> = news.events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(events, ["e1", "e2"]);
        let [held] = &news.held[..] else { panic!("{:?}", news.held) };
        assert_eq!(
            (&*held.customer_id, &*held.notice, &*held.what),
            ("C-1", "received", "cancelled")
        );
        assert_eq!(held.at_ms, after_s(2).timestamp_millis());
        let [sent] = &news.sent[..] else { panic!("{:?}", news.sent) };
        assert_eq!((&*sent.channel, sent.detail.as_deref()), ("email", Some("250 OK")));
        assert_eq!(sent.notice, told.notice);
        let (event, attempt, decision) = (news.events[1].seq, sent.seq, held.seq);
        let after = store.news(event, attempt, decision).await.expect("the store is there");
        assert!(after.events.is_empty() && after.held.is_empty() && after.sent.is_empty());
    })
    .await;
}

#[tokio::test]
async fn notifications_are_listed_by_filter_a_page_at_a_time() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let mut ids = Vec::new();
        for n in 0..5 {
            let due = after_s(60);
            ids.push(planned(store, &format!("e{n}"), &format!("T-{n}"), due).await.id.to_string());
        }
        ids.sort_unstable();
        let list = async |filter: Filter| {
            let page = store.notifications(&filter).await.expect("the store is there");
            page.into_iter().map(|n| n.id).collect::<Vec<_>>()
        };
        let all = Filter { limit: 10, ..Filter::default() };
        assert_eq!(list(all.clone()).await, ids);
        let mut pages = list(Filter { limit: 3, ..all.clone() }).await;
        let after = pages.last().cloned();
        pages.extend(list(Filter { after, limit: 3, ..all.clone() }).await);
        assert_eq!(pages, ids);
        let with = |customer: Option<&str>, case: Option<&str>, status: Option<&str>| Filter {
            customer: customer.map(str::to_owned),
            case: case.map(str::to_owned),
            status: status.map(str::to_owned),
            ..all.clone()
        };
        assert_eq!(list(with(Some("C-1"), Some("T-3"), Some("planned"))).await.len(), 1);
        assert_eq!(list(with(Some("C-2"), None, None)).await.len(), 0);
        assert_eq!(list(with(None, None, Some("sent"))).await.len(), 0);
        assert_eq!(list(Filter { limit: 0, ..all.clone() }).await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_message_is_verified_by_its_code_once_it_was_handed_over() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let waiting = planned(store, "e1", "T-1", after_s(60)).await;
        let unknown = store.by_code(&waiting.code).await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
        let told = told(store, "e2", "T-2").await;
        assert_eq!(store.by_code(&told.code).await.expect("told").id, told.id.to_string());
    })
    .await;
}

#[tokio::test]
async fn an_event_is_found_by_its_id_with_what_it_caused() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let caused = planned(store, "e1", "T-1", after_s(60)).await;
        accepted(store, event("e1", "T-2", json!({"source": "shop"}))).await;
        let named = store.events_named("e1").await.expect("the store is there");
        let from: Vec<_> = named.iter().map(|e| (&*e.source, &*e.case_id)).collect();
        assert_eq!(from, [("desk", "T-1"), ("shop", "T-2")]);
        assert_eq!(named[0].occurred_at_ms, after_s(-60).timestamp_millis());
        let of_it = store.of_event(named[0].seq).await.expect("the store is there");
        assert_eq!(of_it.iter().map(|n| n.id.clone()).collect::<Vec<_>>(), [caused.id.to_string()]);
        assert!(store.of_event(named[1].seq).await.expect("the store is there").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_timeline_tells_one_thing_after_the_other_causes_first() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        told(store, "e1", "T-1").await;
        let ended = planned(store, "e2", "T-2", after_s(60)).await;
        store.cancel(&ended.id, "agent", after_s(2)).await.expect("planned");
        let kinds = |entries: Vec<tidings::store::timeline::Entry>| {
            entries
                .into_iter()
                .map(|e| format!("{} {} {}", e.case, e.kind, e.what))
                .collect::<Vec<_>>()
        };
        let case = store.case_timeline(&"T-1".into(), 100).await.expect("the store is there");
        assert_eq!(kinds(case), ["T-1 event open", "T-1 planned received", "T-1 attempt received"]);
        let customer = store.customer_timeline(&"C-1".into(), 100).await.expect("it is there");
        assert!(customer.iter().map(|entry| &entry.at).is_sorted());
        assert_eq!(customer.last().map(|e| e.what.as_str()), Some("received: cancelled"));
        assert_eq!(customer.len(), 6);
        assert!(store.case_timeline(&"T-9".into(), 100).await.expect("it is there").is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_an_address_was_told_is_found_newest_first() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let first = told(store, "e1", "T-1").await;
        let second = told(store, "e2", "T-2").await;
        let held = claimed(store, "e3", "T-3").await;
        opened(store, &held).await;
        let address = email("ada@example.com");
        let found = async |channel, limit| {
            let found = store.told_at(channel, &address, limit).await.expect("the store is there");
            found.into_iter().map(|n| n.id).collect::<Vec<_>>()
        };
        let mut both = found(Channel::Email, 9).await;
        assert_eq!(found(Channel::Email, 1).await, both[..1]);
        both.sort_unstable();
        let mut wanted = [first.id, second.id];
        wanted.sort_unstable();
        assert_eq!(both, wanted, "and not what is still on the wire");
        assert_eq!(found(Channel::Sms, 9).await, []);
    })
    .await;
}

#[tokio::test]
async fn what_may_have_been_told_long_ago_is_not_the_last_that_was_told() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let old = claimed(store, "e1", "T-1").await;
        let no = opened(store, &old).await.no;
        let mut doubt = closing(&old, no);
        (doubt.attempt, doubt.status) = (AttemptState::InDoubt, Status::InDoubt);
        store.close_attempts(vec![doubt], monday()).await.expect("the store is there");
        bed.damage("UPDATE notification SET status = 'unknown', planned_at_ms = planned_at_ms - 9")
            .await;
        let told = told(store, "e2", "T-2").await;
        let found = store.told_at(Channel::Email, &email("ada@example.com"), 9).await;
        let found: Vec<_> = found.expect("it is there").into_iter().map(|n| n.id).collect();
        assert_eq!(found, [told.id, old.id]);
    })
    .await;
}

#[tokio::test]
async fn what_has_not_left_can_be_cancelled_and_what_failed_tried_again() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let waiting = planned(store, "e1", "T-1", after_s(60)).await;
        store.cancel(&waiting.id, "Grace", after_s(1)).await.expect("planned");
        assert_eq!(status(store, &waiting.id).await, Status::Cancelled);
        let detail = store.notification(&waiting.id).await.expect("it is there");
        assert_eq!(detail.notification.reason.as_deref(), Some("by_operator"));
        let reasons: Vec<Reason> =
            serde_json::from_str(&detail.decisions[0].reasons).expect("reasons");
        assert_eq!(reasons, [Reason::ByOperator { who: "Grace".into() }]);
        for refused in [
            store.cancel(&waiting.id, "Grace", after_s(2)).await,
            store.retry(&waiting.id, "Grace", after_s(2)).await,
        ] {
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        }
        let unknown = NotificationId::derive("T-9", "received", "x", 0);
        let missing = store.cancel(&unknown, "Grace", monday()).await;
        assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
        let missing = store.one_notification(&unknown).await;
        assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
        let missing = store.notification(&unknown).await;
        assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");

        let held = claimed(store, "e2", "T-2").await;
        let no = opened(store, &held).await.no;
        let mut failed = super::bed::closing(&held, no);
        failed.status = Status::Failed;
        failed.attempt = tidings::store::attempts::AttemptState::Refused;
        failed.failed_channels = vec![Channel::Email];
        store.close_attempts(vec![failed], after_s(3)).await.expect("the store is there");
        store.retry(&held.id, "Grace", after_s(9)).await.expect("failed");
        let again = store.one_notification(&held.id).await.expect("it is there");
        assert_eq!((again.status, again.next_at), (Status::Planned, after_s(9)));
        assert_eq!((again.failed_channels, again.claims), (vec![], 0));
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_an_operator_cancels_never_opens() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let held = claimed(store, "e1", "T-1").await;
        let opening = super::bed::opening(store, &held, monday()).await;
        bed.another().await.cancel(&held.id, "Grace", monday()).await.expect("claimed");
        let opened = store.open_attempts(vec![opening], monday()).await.expect("it is there");
        assert_eq!(opened, []);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_play_cancels_what_is_still_planned() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        told(store, "e1", "T-1").await;
        for n in 2..5 {
            planned(store, &format!("e{n}"), &format!("T-{n}"), after_s(60)).await;
        }
        let cancel = async || {
            store.cancel_planned(Reason::EndOfPlay, after_s(1)).await.expect("the store is there")
        };
        assert_eq!(cancel().await, 3);
        assert_eq!(cancel().await, 0);
        let by_reason = store.summary().await.expect("the store is there").by_reason;
        assert_eq!(by_reason["end_of_play"], 3);
    })
    .await;
}
