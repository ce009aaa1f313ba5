//! Customers, their addresses and choices; whatever consent reads moves the revision.

use serde_json::json;
use tidings::domain::{CaseChoice, CaseId, Channel, CustomerId};
use tidings::store::customers::Imported;
use tidings::store::{Store, StoreError};

use super::bed::{
    accepted, after_s, customer, email, event, know, monday, on_both, plain, planned,
};
use super::bed::{claimed, opened, pending, planned_case, record, status, told};

async fn revision(store: &Store, id: &str) -> i64 {
    store.customer(&id.into(), monday()).await.expect("known").revision
}

#[tokio::test]
async fn an_import_tells_new_from_changed_from_unchanged() {
    on_both(async |bed| {
        let store = &bed.store;
        let import = async |records| {
            store.import_customers(records, "crm", monday()).await.expect("the store is there")
        };
        let both = || vec![customer("C-1", json!({})), customer("C-2", json!({}))];
        assert_eq!(import(both()).await, Imported { new: 2, ..Imported::default() });
        assert_eq!(import(both()).await, Imported { unchanged: 2, ..Imported::default() });
        let renamed = customer("C-2", json!({"name": "Ada King"}));
        let done = import(vec![customer("C-1", json!({})), renamed]).await;
        assert_eq!(done, Imported { unchanged: 1, changed: 1, ..Imported::default() });
        assert_eq!((revision(store, "C-1").await, revision(store, "C-2").await), (1, 2));
        assert_eq!(import(Vec::new()).await, Imported::default());
    })
    .await;
}

#[tokio::test]
async fn a_customer_is_read_back_as_it_was_told_with_its_addresses_in_their_order() {
    on_both(async |bed| {
        let told = customer(
            "C-1",
            json!({
                "name": "Zoë \"Ada\" O'Byron\\ 😀 日本", "attributes": {"tier": {"since": 2019}},
                "contact_points": [
                    {"channel": "sms", "address": "+447911123456", "verified": true},
                    {"channel": "email", "address": "Zoe@example.com"},
                    {"channel": "email", "address": "ada@example.com", "verified": true},
                ],
                "preferences": {"quiet_hours": "21:00-08:00", "digest": {"status": "daily 18:00"}},
            }),
        );
        let records = vec![told.clone()];
        bed.store.import_customers(records, "crm", monday()).await.expect("the store is there");
        let known = bed.another().await.customer(&"C-1".into(), monday()).await.expect("known");
        assert_eq!(known.profile, told.profile);
        assert_eq!(known.contact_points, told.contact_points);
        assert_eq!(known.imported, told.preferences);
        assert_eq!(known.preferences, told.preferences);
        assert_eq!((known.erased, known.revision), (false, 1));
    })
    .await;
}

#[tokio::test]
async fn customers_nobody_told_us_about_are_left_out() {
    on_both(async |bed| {
        know(&bed.store, &["C-1", "C-2"]).await;
        let wanted: Vec<CustomerId> = ["C-2", "C-9", "C-1", "C-2"].map(Into::into).to_vec();
        let known = bed.store.customers(&wanted, monday()).await.expect("the store is there");
        let mut ids: Vec<_> = known.keys().map(CustomerId::as_str).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["C-1", "C-2"]);
    })
    .await;
}

#[tokio::test]
async fn a_choice_moves_the_revision_once_and_outlives_an_import() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let id: CustomerId = "C-1".into();
        for _ in 0..2 {
            let done = store.choose(&id, "centre", after_s(1), |chosen| {
                chosen.channel_order = Some(vec![Channel::Sms]);
            });
            done.await.expect("known");
        }
        assert_eq!(revision(store, "C-1").await, 2, "choosing the same again changes nothing");
        let told = customer("C-1", json!({"preferences": {"channel_order": ["email"]}}));
        store.import_customers(vec![told], "crm", after_s(2)).await.expect("the store is there");
        let known = store.customer(&"C-1".into(), monday()).await.expect("known");
        assert_eq!(known.preferences.channel_order, Some(vec![Channel::Sms]));
        let versions = store.customer_versions(&"C-1".into()).await.expect("the store is there");
        let versions: Vec<_> =
            versions.iter().map(|v| (v.revision, v.at_ms, v.source.as_str())).collect();
        let ms = monday().timestamp_millis();
        assert_eq!(versions, [(1, ms, "test"), (2, ms + 1_000, "centre"), (3, ms + 2_000, "crm")]);
        let unknown = store.choose(&"C-9".into(), "centre", monday(), |_| {}).await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    })
    .await;
}

#[tokio::test]
async fn a_choice_for_a_case_is_the_last_one_made_and_moves_the_revision() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        planned(store, "e1", "T-1", after_s(60)).await;
        let choice = |muted| CaseChoice { channel: Some(Channel::Sms), muted };
        let id: CaseId = "T-1".into();
        // The second choice of one instant takes the place of the first.
        for (at_s, muted) in [(1, false), (2, false), (2, true)] {
            let done = store.choose_for_case(&id, choice(muted), "agent", after_s(at_s));
            done.await.expect("known");
        }
        let standing = store.cases([&"T-1".into()]).await.expect("the store is there");
        assert_eq!(standing[&"T-1".into()].choice, choice(true));
        assert_eq!(revision(store, "C-1").await, 4);
        let seq = accepted(store, plain("e2", "T-1")).await;
        let pending = store.pending_cases(&[seq], false).await.expect("the store is there");
        assert_eq!(pending[0].choice, choice(true));
        let chosen = store.case_choices([&id, &"T-2".into()]).await.expect("the store is there");
        assert_eq!(chosen.into_iter().collect::<Vec<_>>(), [(id, choice(true))], "the last one");
        let unknown = store.choose_for_case(&"T-9".into(), choice(true), "agent", monday()).await;
        assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    })
    .await;
}

#[tokio::test]
async fn a_suppressed_address_is_that_of_everybody_who_has_it_from_then_on() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1", "C-2"]).await;
        let alone = json!({"contact_points": [{"channel": "email", "address": "eve@example.com"}]});
        let records = vec![customer("C-3", alone)];
        store.import_customers(records, "test", monday()).await.expect("the store is there");
        let address = email("ADA@example.com");
        let done = store.suppress(Channel::Email, &address, "hard bounce", "provider", after_s(5));
        done.await.expect("the store is there");
        let suppressed = async |id: &str, at_s| {
            let known = store.customer(&id.into(), after_s(at_s)).await.expect("known");
            known.contact_points[0].suppressed.clone()
        };
        for id in ["C-1", "C-2"] {
            assert_eq!(suppressed(id, 4).await, None);
            assert_eq!(suppressed(id, 5).await.as_deref(), Some("hard bounce"));
            assert_eq!(revision(store, id).await, 2);
        }
        assert_eq!((suppressed("C-3", 9).await, revision(store, "C-3").await), (None, 1));
    })
    .await;
}

#[tokio::test]
async fn a_suppression_is_lifted_by_the_way_it_was_asked_for_only() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let address = email("ada@example.com");
        for source in ["stop", "provider"] {
            let at = after_s(if source == "stop" { 2 } else { 1 });
            let done = store.suppress(Channel::Email, &address, source, source, at);
            done.await.expect("the store is there");
        }
        let why = async |at_s| {
            let known = store.customer(&"C-1".into(), after_s(at_s)).await.expect("known");
            known.contact_points[0].suppressed.clone()
        };
        assert_eq!(why(5).await.as_deref(), Some("stop"));
        let lifted = store.lift_suppression(Channel::Email, &address, "stop", after_s(4));
        lifted.await.expect("the store is there");
        assert_eq!(why(3).await.as_deref(), Some("stop"), "it held until it was lifted");
        assert_eq!(why(5).await.as_deref(), Some("provider"), "what a provider found stays");
        assert_eq!(revision(store, "C-1").await, 4);
    })
    .await;
}

#[tokio::test]
async fn a_message_is_on_the_wire_from_its_opening_to_its_closing() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let any = async || store.any_on_the_wire(&"C-1".into()).await.expect("the store is there");
        let claimed = claimed(store, "e1", "T-1").await;
        assert!(!any().await);
        let opened = opened(store, &claimed).await;
        assert!(any().await);
        assert!(!store.any_on_the_wire(&"C-2".into()).await.expect("the store is there"));
        let closing = super::bed::closing(&claimed, opened.no);
        store.close_attempts(vec![closing], monday()).await.expect("the store is there");
        assert!(!any().await);
    })
    .await;
}

#[tokio::test]
async fn who_is_erased_is_forgotten_in_every_version_and_what_was_planned_is_cancelled() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1", "C-2"]).await;
        let marker = json!({"facts": {"secret": "marker"}, "state": "wait"});
        accepted(store, event("e0", "T-1", marker)).await;
        let told = told(store, "e1", "T-1").await;
        let waiting = planned(store, "e2", "T-2", after_s(600)).await;
        store.erase(&"C-1".into(), "agent", after_s(60)).await.expect("known");

        let gone = store.customer(&"C-1".into(), after_s(61)).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
        let again = store.erase(&"C-1".into(), "agent", after_s(61)).await;
        assert!(matches!(again, Err(StoreError::NotFound { .. })), "{again:?}");
        let chosen = store.choose(&"C-1".into(), "centre", after_s(61), |_| {}).await;
        assert!(matches!(chosen, Err(StoreError::NotFound { .. })), "{chosen:?}");
        let left = store.customers([&"C-1".into()], after_s(61)).await.expect("the store is there");
        let left = &left[&"C-1".into()];
        assert!(left.erased && left.profile.name.is_empty() && left.contact_points.is_empty());
        for version in store.customer_versions(&"C-1".into()).await.expect("the store is there") {
            assert_eq!(version.body, "{}");
        }
        let cases = store.cases([&"T-1".into()]).await.expect("the store is there");
        assert!(cases[&"T-1".into()].case.facts.is_empty());
        for event in store.events_named("e0").await.expect("the store is there") {
            assert!(!event.body.contains("marker"), "{}", event.body);
        }
        let detail = store.notification(&told.id).await.expect("it is there");
        assert_eq!((&*detail.attempts[0].address, &detail.attempts[0].detail), ("", &None));
        assert_eq!(status(store, &waiting.id).await.as_str(), "cancelled");
        assert_eq!(store.customer(&"C-2".into(), monday()).await.expect("known").revision, 1);
    })
    .await;
}

#[tokio::test]
async fn a_plan_made_before_its_customer_was_erased_writes_nothing_of_them_down_again() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1"]).await;
        let marker = json!({"facts": {"secret": "marker"}});
        let seq = accepted(store, event("e1", "T-1", marker)).await;
        let plan = planned_case(&pending(store, seq).await, |_, _| vec![]);
        bed.another().await.erase(&"C-1".into(), "agent", after_s(1)).await.expect("known");
        assert!(record(store, plan).await);
        let standing = store.cases([&"T-1".into()]).await.expect("the store is there");
        assert!(standing[&"T-1".into()].case.facts.is_empty());
        let kept = store.events_named("e1").await.expect("the store is there");
        assert!(!kept[0].body.contains("marker"), "{}", kept[0].body);
    })
    .await;
}
