//! Addresses that are used again: what was found may be mended, what somebody said stays.

use tidings::domain::Channel;
use tidings::store::consent::Act;

use super::bed::{after_s, email, know, on_both};

fn act() -> Act {
    Act { who: "customer".into(), source: "centre".into(), text_version: "ab12".into() }
}

#[tokio::test]
async fn a_customer_opens_what_a_provider_found_and_nothing_that_was_said() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let address = email("ada@example.com");
        let close = async |source: &str, s: i64| {
            store
                .suppress(Channel::Email, &address, "why", source, after_s(s))
                .await
                .expect("kept");
        };
        let why = async |s: i64| {
            let rows = store.suppressions_of(&"C-1".into(), after_s(s)).await.expect("there");
            rows.into_iter().map(|row| (row.source.clone(), row.was_found())).collect::<Vec<_>>()
        };
        let lift = async |s: i64| {
            store.lift_mended(Channel::Email, &address, &act(), after_s(s)).await.expect("there")
        };
        assert!(why(1).await.is_empty());
        close("smtp", 1).await;
        assert!(why(0).await.is_empty(), "not yet");
        assert_eq!(why(1).await, [("smtp".to_owned(), true)]);
        let revision = store.customer(&"C-1".into(), after_s(1)).await.expect("there").revision;
        assert!(lift(2).await && !lift(2).await);
        let ada = store.customer(&"C-1".into(), after_s(3)).await.expect("there");
        assert_eq!(ada.revision, revision + 1, "decided anew");
        assert!(ada.contact_points.iter().all(|point| point.suppressed.is_none()));
        let line = store.last_consent(&"C-1".into()).await.expect("there").expect("a line");
        assert_eq!((line.who.as_str(), line.source.as_str()), ("customer", "centre"));
        assert_eq!(
            (line.text_version.as_str(), line.what.as_str()),
            ("ab12", r#"{"usable":"email"}"#)
        );
        for (source, s) in [("stop", 10), ("carrier", 20), ("not mine", 30)] {
            close(source, s).await;
            close("smtp", s + 1).await;
            assert!(lift(s + 2).await, "{source}: what was found");
            let left = why(s + 3).await;
            assert!(left.contains(&(source.to_owned(), false)), "{left:?}");
            assert!(left.iter().all(|(_, found)| !found), "{left:?}");
        }
        let left = store.suppressions_of(&"C-2".into(), after_s(99)).await.expect("there");
        assert!(left.is_empty(), "of somebody else");
    })
    .await;
}
