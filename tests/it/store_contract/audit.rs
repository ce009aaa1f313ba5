//! The audit log of the console.

use tidings::domain::{Operator, Role};
use tidings::store::audit::{AuditFilter, Noted};

use super::bed::{after_s, on_both};

#[tokio::test]
async fn actions_are_listed_newest_first_by_filter_a_page_at_a_time() {
    on_both(async |bed| {
        let store = &bed.store;
        let ada = Operator { name: "ada".into(), role: Role::Editor };
        let bob = Operator { name: "bob".into(), role: Role::Admin };
        for (n, (by, action, subject)) in [
            (&ada, "cancel", "n-1"),
            (&bob, "unmask", "n-1"),
            (&ada, "retry", "n-2"),
            (&ada, "cancel", "n-3"),
            (&bob, "cancel", "n-3"),
        ]
        .into_iter()
        .enumerate()
        {
            let now = after_s(i64::try_from(n).expect("small"));
            let noted = Noted::new(by, action, subject, format!("{{\"n\":{n}}}"), now);
            store.note_audit(noted).await.expect("the store is there");
        }
        let list = async |filter: AuditFilter| {
            let rows = store.audit_log(&filter).await.expect("the store is there");
            let told = |row: &tidings::store::audit::AuditRow| {
                format!("{} {} {} {}", row.who, row.role, row.action, row.subject)
            };
            (rows.iter().map(told).collect::<Vec<_>>(), rows.last().map(|row| row.seq))
        };
        let all = AuditFilter { limit: 10, ..AuditFilter::default() };
        let (every, _) = list(all.clone()).await;
        assert_eq!(
            every,
            [
                "bob admin cancel n-3",
                "ada editor cancel n-3",
                "ada editor retry n-2",
                "bob admin unmask n-1",
                "ada editor cancel n-1"
            ]
        );
        let (mut pages, before) = list(AuditFilter { limit: 3, ..all.clone() }).await;
        pages.extend(list(AuditFilter { before, limit: 3, ..all.clone() }).await.0);
        assert_eq!(pages, every);
        let some = |text: &str| Some(text.to_owned());
        let (ada, _) = list(AuditFilter { who: some("ada"), ..all.clone() }).await;
        assert_eq!(ada.len(), 3);
        let both = AuditFilter { action: some("cancel"), subject: some("n-3"), ..all.clone() };
        assert_eq!(list(both).await.0, ["bob admin cancel n-3", "ada editor cancel n-3"]);
        let (none, _) = list(AuditFilter { who: some("' OR 1=1"), ..all.clone() }).await;
        assert!(none.is_empty());
        let rows = store.audit_log(&all).await.expect("the store is there");
        assert_eq!((rows[4].at_ms, &*rows[4].detail), (after_s(0).timestamp_millis(), "{\"n\":0}"));
    })
    .await;
}
