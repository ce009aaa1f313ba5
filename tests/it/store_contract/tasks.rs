//! Work for a person, versions of what decides, and answers given again.

use std::collections::BTreeMap;

use tidings::domain::plan::{NewTask, TaskKind};
use tidings::store::StoreError;
use tidings::store::journeys::VersionFiles;
use tidings::store::kept_answers::KeptAnswer;

use super::bed::{after_s, ask_for_call, know, monday, on_both};

#[tokio::test]
async fn who_asks_to_be_called_twice_is_called_once_and_may_ask_again_after() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        for _ in 0..2 {
            ask_for_call(store, &"C-1".into(), after_s(1)).await.expect("the store is there");
        }
        ask_for_call(store, &"C-2".into(), after_s(2)).await.expect("the store is there");
        let open = async |after| store.open_tasks(after, 10).await.expect("the store is there");
        let tasks = open(0).await;
        let who: Vec<_> = tasks.iter().map(|task| task.customer_id.as_deref()).collect();
        assert_eq!(who, [Some("C-1"), Some("C-2")]);
        assert_eq!(
            (&*tasks[0].kind, tasks[0].opened_at_ms),
            ("call_back", after_s(1).timestamp_millis())
        );
        assert_eq!(open(tasks[0].seq).await.len(), 1);
        assert_eq!(store.open_tasks(0, 1).await.expect("the store is there").len(), 1);

        store.finish_task(tasks[0].seq, "Grace", after_s(3)).await.expect("it is open");
        let again = store.finish_task(tasks[0].seq, "Grace", after_s(4)).await;
        assert!(matches!(again, Err(StoreError::NotFound { .. })), "{again:?}");
        assert_eq!(store.standing().await.expect("the store is there").tasks_open, 1);
        ask_for_call(store, &"C-1".into(), after_s(5)).await.expect("the store is there");
        assert_eq!(open(0).await.len(), 2);

        let task = NewTask {
            key: "balance/2026-11-23".into(),
            kind: TaskKind::Balance,
            detail: "The balance does not add up.".into(),
        };
        for _ in 0..2 {
            store.open_task(&task, after_s(6)).await.expect("the store is there");
        }
        assert_eq!(open(0).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn the_last_version_published_is_in_force_and_every_one_is_kept() {
    on_both(async |bed| {
        let store = &bed.store;
        assert_eq!(store.published().await.expect("the store is there"), None);
        assert_eq!(store.in_force().await.expect("the store is there"), None);
        let heard = store.foreign_publications();
        let files = |text: &str| VersionFiles {
            files: BTreeMap::from([("journeys/ticket.toml".to_owned(), text.to_owned())]),
        };
        for (n, (hash, text)) in
            [("aa11", "one"), ("bb22", "two"), ("aa11", "one")].into_iter().enumerate()
        {
            let at = after_s(i64::try_from(n).expect("small"));
            let why = format!("because {n}");
            store.publish(hash, &files(text), "Grace", &why, at).await.expect("it is there");
        }
        let other = bed.another().await;
        let in_force = other.published().await.expect("the store is there");
        let names = other.in_force().await.expect("the store is there");
        assert_eq!(names.map(|names| names.hash), in_force.clone().map(|(hash, _)| hash));
        drop(heard);
        assert_eq!(in_force, Some(("aa11".to_owned(), files("one"))));
        assert_eq!(other.version("bb").await.expect("kept"), ("bb22".to_owned(), files("two")));
        let unknown = other.version("cc").await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
        let all = other.publications().await.expect("the store is there");
        let all: Vec<_> = all.iter().map(|p| (&*p.hash, &*p.author, &*p.reason)).collect();
        let told = |hash, why| (hash, "Grace", why);
        assert_eq!(
            all,
            [told("aa11", "because 2"), told("bb22", "because 1"), told("aa11", "because 0")]
        );
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_given_again_for_a_day_and_the_first_one_stays() {
    on_both(async |bed| {
        let store = &bed.store;
        let answer = |status| KeptAnswer {
            fingerprint: "of the request".into(),
            status,
            content_type: "application/json".into(),
            body: "{\"é\":\"\\u0000\"}".into(),
        };
        store.keep_answer("key", answer(202), monday()).await.expect("the store is there");
        store.keep_answer("key", answer(409), after_s(1)).await.expect("the store is there");
        let day_s = 24 * 60 * 60;
        let kept = async |key, at_s| {
            store.kept_answer(key, after_s(at_s)).await.expect("the store is there")
        };
        assert_eq!(kept("key", day_s - 1).await, Some(answer(202)));
        assert_eq!(kept("key", day_s).await, None);
        assert_eq!(kept("other", 0).await, None);
        store.keep_answer("key", answer(409), after_s(day_s)).await.expect("the store is there");
        assert_eq!(kept("key", day_s).await, Some(answer(409)), "the old one was forgotten");
    })
    .await;
}
