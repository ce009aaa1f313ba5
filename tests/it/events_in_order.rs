use proptest::prelude::*;
use serde_json::json;
use tidings::store::intake::Accepted;

use crate::support::TestApp;

#[tokio::test]
async fn the_same_event_is_accepted_once_and_another_under_its_id_is_a_conflict() {
    let app = TestApp::start().await;
    app.ada().await;
    let event = json!({"id": "x", "state": "wait"});
    assert!(matches!(app.event_of(event.clone()).await, Accepted::New { .. }));
    assert_eq!(app.event_of(event).await, Accepted::Duplicate);
    assert_eq!(app.event_of(json!({"id": "x", "state": "closed"})).await, Accepted::Conflict);
    let other = json!({"case_type": "return", "state": "wait"});
    assert_eq!(app.event_of(other).await, Accepted::OtherCaseType { known: "ticket".into() });
    app.drain().await;
    assert_eq!(app.summary().await.balance.accepted, 1);
    app.end().await;
}

#[tokio::test]
async fn a_late_event_is_recorded_and_changes_nothing() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event_of(json!({"state": "resolve_ticket", "version": 3})).await;
    app.event_of(json!({"state": "take_in_charge_ticket", "version": 2})).await;
    app.drain().await;
    let caused = app.notifications().await.into_iter().filter(|n| n.event_seq.is_some());
    assert_eq!(caused.count(), 1);
    let summary = app.summary().await;
    assert_eq!((summary.balance.told, summary.balance.silent), (1, 1));
    assert_eq!(summary.by_reason["behind_head"], 1);
    app.end().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn whatever_the_order_and_however_often_they_come_the_newest_state_stands_and_nothing_older_leaves_after_it(
        order in Just((1..=6_i64).chain(1..=3).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let states = ["insert_ticket", "assign_seriousness", "take_in_charge_ticket", "wait", "resolve_ticket", "verified"];
        tokio::runtime::Runtime::new().expect("threads").block_on(async {
            let app = TestApp::start().await;
            app.ada().await;
            let mut newest = 0;
            for version in order {
                let state = states[usize::try_from(version - 1).expect("small")];
                app.event_of(json!({"id": format!("v{version}"), "version": version, "state": state})).await;
                let before = app.smtp.taken().len() + app.twilio.taken().len();
                app.drain().await;
                let after = app.smtp.taken().len() + app.twilio.taken().len();
                if version < newest {
                    assert_eq!(after, before, "v{version} after v{newest}");
                }
                newest = newest.max(version);
            }
            let cases = app.store().cases([&"T-1".into()]).await.expect("the store is there");
            let case = &cases[&"T-1".into()].case;
            assert_eq!(case.state.as_deref(), Some("verified"));
            assert_eq!(app.summary().await.balance.accepted, 6);
            app.end().await;
        });
    }
}
