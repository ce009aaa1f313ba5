//! What the console's pages ask the store for, and what operators do by them.

use chrono::TimeDelta;
use tidings::domain::{Case, Channel, Status};
use tidings::store::Store;
use tidings::store::drains::Drain;
use tidings::store::filling::Invented;
use tidings::store::listing::{By, Position, Wanted};
use tidings::store::operations::OnMany;

use super::bed::{
    accepted, after_s, claimed, closing, email, event, know, monday, on_both, opened, planned,
    status, told,
};
use serde_json::json;
use tidings::store::attempts::AttemptState;

#[tokio::test]
async fn a_glance_counts_what_goes_on_and_what_ended_badly() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let glance = store.glance(monday()).await.expect("the store is there");
        assert_eq!(glance, tidings::store::glance::Glance::default());
        planned(store, "e1", "T-1", monday()).await;
        planned(store, "e2", "T-2", after_s(60)).await;
        claimed(store, "e3", "T-3").await;
        told(store, "e4", "T-4").await;
        accepted(store, event("e5", "T-5", json!({}))).await;
        let glance = store.glance(monday()).await.expect("the store is there");
        assert_eq!((glance.due, glance.sending, glance.unplanned), (1, 1, 1));
        assert_eq!(glance.first_due_ms, Some(monday().timestamp_millis()));
        let since = monday() - TimeDelta::hours(1);
        let attempts = store.last_attempts(since).await.expect("the store is there");
        assert_eq!(attempts.len(), 1);
        assert_eq!((&*attempts[0].provider, &*attempts[0].state), ("smtp", "sent"));
        assert_eq!(store.last_attempts(monday()).await.expect("there").len(), 0, "none after");
        assert_eq!(store.latencies(since).await.expect("there"), [0]);
        assert_eq!(store.trouble_since(since).await.expect("there"), []);
    })
    .await;
}

#[tokio::test]
async fn what_is_planned_is_counted_by_hour_and_by_message() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for (n, due) in [(1, 0), (2, 10), (3, 3_600)] {
            planned(store, &format!("e{n}"), &format!("T-{n}"), after_s(due)).await;
        }
        let hours = [(monday(), after_s(3_600)), (after_s(3_600), after_s(7_200))];
        for message in [None, Some(("ticket", "received"))] {
            let counts = store.planned_by_hour(&hours, message).await.expect("there");
            assert_eq!(counts, [2, 1], "{message:?}");
        }
        let other = store.planned_by_hour(&hours, Some(("ticket", "other"))).await.expect("there");
        assert_eq!(other, [0, 0]);
        let messages = [("ticket".into(), "other".into()), ("ticket".into(), "received".into())];
        let counts = store.planned_by_message(&messages, monday(), after_s(60)).await;
        assert_eq!(counts.expect("there"), [0, 2]);
        let next = store.next_planned(after_s(5)).await.expect("there");
        let cases: Vec<&str> = next.iter().map(|n| n.case.as_str()).collect();
        assert_eq!(cases, ["T-2", "T-3"]);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_walked_by_whatever_is_asked_for() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let first = planned(store, "e1", "T-1", after_s(60)).await;
        let second = planned(store, "e2", "T-2", after_s(30)).await;
        told(store, "e3", "T-3").await;
        claimed(store, "e4", "T-4").await;
        let list = async |wanted: Wanted| {
            let listed = store.list(&wanted, None).await.expect("the store is there");
            assert_eq!(listed.next, None);
            listed.rows.into_iter().map(|n| n.case_id).collect::<Vec<_>>()
        };
        let by = |status| Wanted { status: Some(status), ..Wanted::default() };
        assert_eq!(list(Wanted::default()).await.len(), 4);
        assert_eq!(list(by(Status::Planned)).await, ["T-2", "T-1"], "the first due first");
        let message = Wanted {
            case_type: Some("ticket".into()),
            notice: Some("received".into()),
            ..by(Status::Planned)
        };
        assert_eq!(list(message.clone()).await, ["T-2", "T-1"]);
        assert_eq!(list(by(Status::Claimed)).await, ["T-4"]);
        assert_eq!(list(by(Status::Sent)).await, ["T-3"]);
        assert!(
            list(by(Status::Failed)).await.is_empty() && list(by(Status::InDoubt)).await.is_empty()
        );
        let of = |case: &str| Wanted { case: Some(case.into()), ..Wanted::default() };
        assert_eq!(list(of("T-1")).await, ["T-1"]);
        let customer = Wanted { customer: Some("C-1".into()), ..by(Status::Sent) };
        assert_eq!(list(customer).await, ["T-3"]);
        let until = Wanted { to_ms: Some(after_s(60).timestamp_millis()), ..by(Status::Planned) };
        assert_eq!(list(until).await, ["T-2"]);
        let channel = Wanted { channel: Some("email".into()), ..Wanted::default() };
        assert_eq!(list(channel).await, ["T-3"]);
        let after =
            Position { at_ms: second.next_at.timestamp_millis(), id: second.id.to_string() };
        let rest = store.list(&by(Status::Planned), Some(&after)).await.expect("there").rows;
        assert_eq!(rest.iter().map(|n| &*n.id).collect::<Vec<_>>(), [first.id.to_string()]);
        assert_eq!(by(Status::Planned).instant(), By::Due);
        let found = store.find(&message).await.expect("there");
        assert_eq!(
            (found.ids, found.more),
            (vec![second.id.to_string(), first.id.to_string()], false)
        );
        let named = store.named(&[first.id.to_string()]).await.expect("there");
        assert_eq!(named[0].case_id, "T-1");
    })
    .await;
}

#[tokio::test]
async fn many_are_moved_as_far_as_each_still_can() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let waits = planned(store, "e1", "T-1", after_s(60)).await;
        let gone = told(store, "e2", "T-2").await;
        let act = async |ids: &[String], what| {
            store.act_on_many(ids, what, "Grace", monday()).await.expect("the store is there")
        };
        let both = [waits.id.to_string(), gone.id.to_string()];
        assert_eq!(act(&both, OnMany::Cancel).await, 1);
        assert_eq!(status(store, &waits.id).await, Status::Cancelled);
        assert_eq!(status(store, &gone.id).await, Status::Sent);
        assert_eq!(act(&both, OnMany::Retry).await, 0);
        for (n, what, ends, attempt) in [
            (3, OnMany::Arrived, Status::Sent, "sent"),
            (4, OnMany::NotSent, Status::Planned, "not_sent"),
        ] {
            let doubt = claimed(store, &format!("e{n}"), &format!("T-{n}")).await;
            let opened = opened(store, &doubt).await;
            let mut closing = closing(&doubt, opened.no);
            (closing.attempt, closing.status) = (AttemptState::InDoubt, Status::InDoubt);
            store.close_attempts(vec![closing], monday()).await.expect("the store is there");
            assert_eq!(act(&[doubt.id.to_string()], what).await, 1);
            assert_eq!(status(store, &doubt.id).await, ends);
            let detail = store.notification(&doubt.id).await.expect("there");
            assert_eq!(detail.attempts[0].state, attempt);
            assert_eq!(act(&[doubt.id.to_string()], what).await, 0, "once");
        }
    })
    .await;
}

#[tokio::test]
async fn a_channel_is_stopped_once_and_goes_on_once() {
    on_both(async |bed| {
        let store = &bed.store;
        let (sms, horizon) = (Channel::Sms, after_s(600));
        assert!(!store.undrain(sms).await.expect("there"));
        assert_eq!(store.release_drained(sms, monday(), horizon).await.expect("there"), 0);
        assert!(store.drain(sms, "Grace", "moves house", monday()).await.expect("there"));
        assert!(!store.drain(sms, "Ada", "again", after_s(1)).await.expect("there"));
        let drains = bed.another().await.drains().await.expect("there");
        let told = |drain: &Drain| (drain.by.clone(), drain.reason.clone(), drain.since_ms);
        let first = ("Grace".to_owned(), "moves house".to_owned(), monday().timestamp_millis());
        assert_eq!(drains.sms.as_ref().map(told), Some(first));
        assert_eq!((drains.email, drains.voice), (None, None));
        assert!(store.undrain(sms).await.expect("there"));
        assert_eq!(store.release_drained(sms, monday(), horizon).await.expect("there"), 0);
        assert_eq!(store.drains().await.expect("there").sms, None);
    })
    .await;
}

#[tokio::test]
async fn a_suppressed_address_is_listed_and_lifted_unless_its_owner_refused() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let (found, refused) = (email("ada@example.com"), email("eve@example.com"));
        for (address, source, at) in [(&found, "smtp", 1), (&refused, "stop", 2)] {
            let done = store.suppress(Channel::Email, address, "a reason", source, after_s(at));
            done.await.expect("the store is there");
        }
        let list = async |until_ms, skip| {
            let rows = store.suppressed_addresses(after_s(5), until_ms, skip).await;
            rows.expect("there").into_iter().map(|row| row.address).collect::<Vec<_>>()
        };
        assert_eq!(list(i64::MAX, 0).await, ["eve@example.com", "ada@example.com"]);
        assert_eq!(list(i64::MAX, 1).await, ["ada@example.com"]);
        assert_eq!(list(after_s(1).timestamp_millis(), 0).await, ["ada@example.com"]);
        let lift = async |address| {
            store.lift_found(Channel::Email, address, "Grace", after_s(5)).await.expect("there")
        };
        let revision =
            async || store.customer(&"C-1".into(), after_s(5)).await.expect("there").revision;
        let before = revision().await;
        assert!(lift(&found).await && !lift(&found).await && !lift(&refused).await);
        assert_eq!(revision().await, before + 1, "decided anew");
        assert_eq!(list(i64::MAX, 0).await, ["eve@example.com"]);
    })
    .await;
}

#[tokio::test]
async fn things_are_found_by_what_is_at_hand() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1", "C-2"]).await;
        let told = told(store, "e1", "T-1").await;
        let found = store.by_reference("smtp", "ref-1").await.expect("there");
        assert_eq!(found, [told.id.to_string()]);
        assert!(store.by_reference("twilio", "ref-1").await.expect("there").is_empty());
        let address = email("ADA@example.com");
        let who = store.customers_with(Channel::Email, &address).await.expect("there");
        assert_eq!(who, ["C-1".into(), "C-2".into()]);
        assert!(store.riders_of(&told.id).await.expect("there").is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_invented_store_reads_like_any_other() {
    on_both(async |bed| {
        let store = &bed.store;
        let incoming = event("e1", "@CASE@", json!({"customer": "@CUSTOMER@"}));
        let (case, _) = Case::after(None, &incoming.event);
        let about = Invented {
            case_type: "ticket".into(),
            notices: ["a", "b", "c", "d"].map(str::to_owned),
            case: serde_json::to_string(&case).expect("plain data"),
            now_ms: monday().timestamp_millis(),
        };
        store.invent(25_000, &about, |_| {}).await.expect("an empty store");
        let glance = store.glance(monday()).await.expect("there");
        assert!(glance.due > 0 && glance.in_doubt > 0 && glance.tasks_open > 0, "{glance:?}");
        let sent = Wanted { status: Some(Status::Sent), ..Wanted::default() };
        let listed = store.list(&sent, None).await.expect("there");
        assert!(listed.rows.len() == 50 && listed.next.is_some());
        let rare = Wanted { reason: Some("erased".into()), ..Wanted::default() };
        let rare = store.list(&rare, None).await.expect("there");
        assert!(rare.rows.is_empty() && rare.next.is_some(), "it says how far it looked");
        let planned = Wanted { status: Some(Status::Planned), ..Wanted::default() };
        let found = store.find(&planned).await.expect("there");
        assert_eq!((found.ids.len(), found.more), (2_500, false));
        let size = store.size(&planned).await.expect("there");
        assert_eq!((size.count, size.sample.len(), size.more), (2_500, 10, false));
        let id = Store::invented_id(7);
        assert_eq!(store.named(std::slice::from_ref(&id)).await.expect("there")[0].id, id);
        assert_eq!(store.cases_of(&"C-3".into(), 10).await.expect("there").len(), 2);
    })
    .await;
}
