//! Drafts, and what is in force beside what is tried.

use serde_json::json;
use tidings::store::StoreError;
use tidings::store::drafts::{Changes, Draft, DraftStatus};
use tidings::store::journeys::{InForce, NewPublication, VersionFiles};

use super::bed::{after_s, know, on_both};

fn changes(text: &str) -> Changes {
    [("journeys/a.toml".to_owned(), Some(text.to_owned())), ("journeys/b.toml".to_owned(), None)]
        .into()
}

fn publication(hash: &str, percent: u8) -> NewPublication {
    NewPublication {
        hash: hash.into(),
        files: VersionFiles::default(),
        author: "Ada".into(),
        reason: "because".into(),
        percent,
        ..NewPublication::default()
    }
}

fn is_conflict<T: std::fmt::Debug>(done: &Result<T, StoreError>) {
    assert!(matches!(done, Err(StoreError::Conflict { .. })), "{done:?}");
}

#[tokio::test]
async fn a_draft_is_changed_by_who_read_it_last_and_keeps_everybody_who_wrote_it() {
    on_both(async |bed| {
        let store = &bed.store;
        let begun = store.begin_draft("v1", &changes("one"), "Ada", "why", after_s(1)).await;
        let seq = begun.expect("the store");
        let read = async || store.draft(seq).await.expect("known");
        let first = read().await;
        assert_eq!((first.revision, first.status), (1, DraftStatus::Open));
        assert_eq!((&first.changes, &first.authors), (&changes("one"), &vec!["Ada".to_owned()]));

        let effect = json!({"touched": 3});
        store.keep_effect(seq, 1, &effect, "<p>").await.expect("of this revision");
        store.ask_approval(seq, 1, after_s(2)).await.expect("open");
        assert_eq!(read().await.effect, Some(effect.clone()));
        assert_eq!(store.draft_report(seq).await.expect("the store").as_deref(), Some("<p>"));

        let next = Draft { changes: changes("two"), reason: "more".into(), ..first.clone() };
        store.change_draft(&next, "Grace", after_s(3)).await.expect("as it was read");
        is_conflict(&store.change_draft(&next, "Ada", after_s(4)).await);
        let second = read().await;
        assert_eq!((second.revision, second.authors.join(" ")), (2, "Ada Grace".to_owned()));
        assert_eq!((second.effect, second.asked_at_ms), (None, None), "they were of the first");
        assert_eq!(store.draft_report(seq).await.expect("the store"), None);
        is_conflict(&store.keep_effect(seq, 1, &effect, "<p>").await);
        is_conflict(&store.ask_approval(seq, 1, after_s(4)).await);

        store.withdraw_draft(seq, "Grace", after_s(5)).await.expect("open");
        is_conflict(&store.withdraw_draft(seq, "Grace", after_s(6)).await);
        is_conflict(&store.change_draft(&read().await, "Ada", after_s(6)).await);
        let other = store.begin_draft("v1", &Changes::new(), "Ada", "", after_s(7)).await;
        let other = other.expect("the store");
        let all = store.drafts(10).await.expect("the store");
        let all: Vec<i64> = all.iter().map(|draft| draft.seq).collect();
        assert_eq!(all, [other, seq], "the open one first");
        let missing = store.draft(99).await;
        assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
    })
    .await;
}

#[tokio::test]
async fn a_version_comes_into_force_with_its_draft_or_not_at_all() {
    on_both(async |bed| {
        let store = &bed.store;
        assert_eq!(store.in_force().await.expect("the store"), None);
        store.put_in_force(publication("aa", 100), after_s(1)).await.expect("the first");
        let in_force = async || store.in_force().await.expect("the store").expect("published");
        assert_eq!(in_force().await, InForce { hash: "aa".into(), trial: None, seq: 1 });

        let begun = store.begin_draft("aa", &changes("x"), "Ada", "why", after_s(2)).await;
        let draft = begun.expect("the store");
        let of = |revision| NewPublication {
            draft: Some((draft, revision)),
            after: Some(1),
            approved_by: Some("Grace".into()),
            four_eyes: "it touches many".into(),
            ..publication("bb", 30)
        };
        is_conflict(&store.put_in_force(of(2), after_s(3)).await);
        assert_eq!(in_force().await.trial, None, "nothing of it was kept");
        store.put_in_force(of(1), after_s(3)).await.expect("as it was judged");
        let now = in_force().await;
        assert_eq!((&*now.hash, now.trial), ("aa", Some(("bb".to_owned(), 30))));
        let (base, _) = store.published().await.expect("the store").expect("published");
        assert_eq!(base, "aa", "the rest of the cases keeps it");
        let published = store.draft(draft).await.expect("known");
        assert_eq!(published.status, DraftStatus::Published);
        assert_eq!(
            (published.version.as_deref(), published.ended_by.as_deref()),
            (Some("bb"), Some("Grace"))
        );

        let late = NewPublication { after: Some(1), ..publication("cc", 100) };
        is_conflict(&store.put_in_force(late, after_s(4)).await);
        store.put_in_force(publication("bb", 100), after_s(5)).await.expect("for all");
        let now = in_force().await;
        assert_eq!((&*now.hash, now.trial), ("bb", None));
        let all = store.publications().await.expect("the store");
        let all: Vec<_> = all.iter().map(|p| (&*p.hash, p.percent, p.draft)).collect();
        assert_eq!(all, [("bb", 100, None), ("bb", 30, Some(draft)), ("aa", 100, None)]);
    })
    .await;
}

#[tokio::test]
async fn the_zones_of_most_customers_come_first() {
    on_both(async |bed| {
        let store = &bed.store;
        assert_eq!(store.common_zones(3).await.expect("the store"), Vec::<String>::new());
        know(store, &["C-1", "C-2"]).await;
        assert_eq!(store.common_zones(3).await.expect("the store"), ["Europe/London"]);
    })
    .await;
}
