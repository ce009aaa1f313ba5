//! Sessions of operators, and one-time codes.

use tidings::domain::{Operator, Role};
use tidings::store::operators::Session;

use super::bed::{after_s, on_both};

fn session(hash: &str, begun_s: i64) -> Session {
    let at_ms = after_s(begun_s).timestamp_millis();
    Session {
        hash: hash.into(),
        operator: Operator { name: "ada".into(), role: Role::Publisher },
        entry: "e1".into(),
        begun_at_ms: at_ms,
        seen_at_ms: at_ms,
    }
}

#[tokio::test]
async fn a_session_reads_back_until_it_ends_and_takes_the_place_of_the_one_before() {
    on_both(async |bed| {
        let store = &bed.store;
        let read = async |hash: &str| store.session(hash).await.expect("the store is there");
        assert_eq!(read("h1").await, None);
        store.begin_session(session("h1", 0), None).await.expect("the store is there");
        assert_eq!(read("h1").await, Some(session("h1", 0)));
        let again = store.begin_session(session("h1", 9), None).await;
        assert!(again.is_err(), "a hash is taken once");
        let before = Some("h1".to_owned());
        store.begin_session(session("h2", 5), before).await.expect("the store is there");
        assert_eq!((read("h1").await, read("h2").await), (None, Some(session("h2", 5))));
        store.end_session("h2").await.expect("the store is there");
        store.end_session("h2").await.expect("ending twice is no fault");
        assert_eq!(read("h2").await, None);
    })
    .await;
}

#[tokio::test]
async fn a_page_is_noted_once_a_minute_and_never_in_a_session_that_ended() {
    on_both(async |bed| {
        let store = &bed.store;
        let begun = session("h1", 0);
        store.begin_session(begun.clone(), None).await.expect("the store is there");
        let seen_s = async || {
            let session = store.session("h1").await.expect("the store is there");
            session.map(|session| (session.seen_at_ms - after_s(0).timestamp_millis()) / 1_000)
        };
        for (at_s, noted_s) in [(59, 0), (60, 60), (300, 300), (120, 300)] {
            store.see_session(&begun, after_s(at_s)).await.expect("the store is there");
            assert_eq!(seen_s().await, Some(noted_s), "{at_s}");
        }
        store.end_session("h1").await.expect("the store is there");
        store.see_session(&begun, after_s(900)).await.expect("the store is there");
        assert_eq!(seen_s().await, None);
    })
    .await;
}

#[tokio::test]
async fn sessions_that_began_too_long_ago_are_forgotten() {
    on_both(async |bed| {
        let store = &bed.store;
        for (hash, begun_s) in [("old", 0), ("new", 100)] {
            store.begin_session(session(hash, begun_s), None).await.expect("the store is there");
        }
        store.forget_sessions(after_s(100)).await.expect("the store is there");
        assert_eq!(store.session("old").await.expect("the store is there"), None);
        assert!(store.session("new").await.expect("the store is there").is_some());
    })
    .await;
}

#[tokio::test]
async fn a_code_is_used_once_and_none_from_before_it_after_that() {
    on_both(async |bed| {
        let [one, other] = bed.others().await;
        for (operator, step, good) in [
            ("ada", 100, true),
            ("ada", 100, false),
            ("ada", 99, false),
            ("bob", 100, true),
            ("ada", 101, true),
        ] {
            let spent = one.spend_step(operator, step).await.expect("the store is there");
            assert_eq!(spent, good, "{operator} {step}");
        }
        let (one, other) = futures::join!(one.spend_step("ada", 200), other.spend_step("ada", 200));
        let spent = [one.expect("the store is there"), other.expect("the store is there")];
        assert_eq!(spent.into_iter().filter(|spent| *spent).count(), 1, "two at the same time");
    })
    .await;
}
