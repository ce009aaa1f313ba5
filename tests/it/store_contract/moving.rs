//! A store can be filled from another, of either kind, and says so while it is half full.

use serde_json::json;
use tidings::store::Store;

use super::bed::{Bed, Engine, accepted, event, know, monday, on_both};

/// A store of each kind, both ways round.
async fn each_way(test: impl AsyncFn(&Bed, &Bed)) {
    for (from, to) in [(Engine::Sqlite, Engine::Postgres), (Engine::Postgres, Engine::Sqlite)] {
        test(&Bed::new(from).await, &Bed::new(to).await).await;
    }
}

#[tokio::test]
async fn every_table_has_the_same_contents_once_it_is_copied() {
    each_way(async |from, to| {
        know(&from.store, &["C-1"]).await;
        let odd = json!({"facts": {"note": "\"q\" \\ ' | \u{1f69a} \u{7}"}});
        accepted(&from.store, event("e1", "T-1", odd)).await;
        from.store.installation_key().await.expect("made");
        let (here, there) = (from.store.tables().await, to.store.tables().await);
        let (here, there) = (here.expect("tables"), there.expect("tables"));
        assert!(here.len() > 12, "{here:?}");
        assert_eq!(here.len(), there.len());
        let target = Store::open_to_fill(&to.url).await.expect("empty");
        target.begin_move().await.expect("empty");
        for table in &here {
            target.copy_from(&from.store, table, |_| {}).await.expect("copied");
        }
        let mut rows = 0;
        for table in &here {
            let before = from.store.contents(table, |_| {}).await.expect("read");
            assert_eq!(before, target.contents(table, |_| {}).await.expect("read"));
            rows += from.store.count_rows(table).await.expect("counted");
        }
        assert!(rows > 5, "{rows}");
        target.end_move().await.expect("ended");
        let later = accepted(&target, event("e2", "T-2", json!({}))).await;
        assert!(later > target.events_named("e1").await.expect("there")[0].seq);
    })
    .await;
}

#[tokio::test]
async fn a_store_in_use_is_not_filled_and_a_half_full_one_is_not_used() {
    on_both(async |bed| {
        let begun = bed.another().await;
        begun.begin_move().await.expect("empty");
        let refused = Store::open(&bed.url).await.expect_err("half full");
        assert!(refused.to_string().contains("was not finished"), "{refused}");
        begun.begin_move().await.expect("begun again");
        begun.end_move().await.expect("ended");
        know(&bed.store, &["C-1"]).await;
        let refused = bed.store.begin_move().await.expect_err("in use");
        assert!(refused.to_string().contains("is not empty"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_scratch_store_is_empty_and_leaves_the_one_beside_it_alone() {
    on_both(async |bed| {
        let scratch = Store::scratch(&bed.url).await.expect("made");
        if bed.engine == Engine::Postgres {
            know(&bed.store, &["C-1"]).await;
            let store = Store::open(&scratch).await.expect("a store of its own");
            let found = store.customers([&"C-1".into()], monday()).await.expect("there");
            assert!(found.is_empty());
        }
        Store::drop_scratch(&scratch).await.expect("dropped");
        assert!(Store::open(&bed.url).await.is_ok());
    })
    .await;
}
