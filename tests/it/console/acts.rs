//! What operators do to messages, tasks and suppressed addresses: each does what it says, is
//! read back, and is noted.

use serde_json::json;

use super::{full, id_of, noted, page, post};
use crate::support::TestApp;
use crate::support::smtp::Reply;
use crate::support::visitor::value_of;

async fn act(app: &TestApp, id: &str, what: &str) -> String {
    post(app, &format!("/console/notifications/{id}"), &[("do", what), ("why", "asked")]).await
}

#[tokio::test]
async fn a_planned_one_is_cancelled_and_a_failed_one_tried_once_more() {
    let app = full().await;
    let planned = id_of(&app, "T-2", "planned").await;
    let body = act(&app, &planned, "cancel").await;
    assert!(body.contains("The message is cancelled.") && body.contains("Decided by"), "{body}");
    assert_eq!(app.of_id(&planned).await.status, "cancelled");
    let again = act(&app, &planned, "cancel").await;
    assert!(again.contains("Nothing was done"), "{again}");
    let failed = id_of(&app, "T-4", "failed").await;
    assert!(act(&app, &failed, "retry").await.contains("planned again"));
    app.drain().await;
    assert_eq!(app.of_id(&failed).await.status, "sent", "by text: the mail address is dead");
    assert_eq!((noted(&app, "cancel").await, noted(&app, "retry").await), (1, 1));
    app.end().await;
}

#[tokio::test]
async fn a_doubt_is_settled_by_who_knows() {
    for (what, mails, status) in [("arrived", 0, "sent"), ("not_sent", 1, "sent")] {
        let app = full().await;
        let before = app.smtp.taken().len();
        let doubt = id_of(&app, "T-3", "in_doubt").await;
        act(&app, &doubt, what).await;
        app.drain().await;
        assert_eq!(app.of_id(&doubt).await.status, status, "{what}");
        assert_eq!(app.smtp.taken().len() - before, mails, "{what}");
        app.advance_to("2026-11-23T12:00:00Z").await;
        assert_eq!(app.of_id(&doubt).await.status, status, "{what}: settled for good");
        app.end().await;
    }
}

#[tokio::test]
async fn what_somebody_knows_arrived_is_followed_up() {
    let parcel = "[journeys]\ndir = \"tests/fixtures/parcel/journeys\"\n\
                  [templates]\ndir = \"tests/fixtures/parcel/templates\"\n";
    let app = TestApp::with(parcel).await;
    app.ada().await;
    app.smtp.will([Reply::TakeAndVanish]);
    app.event_of(json!({"case": "P-1", "case_type": "parcel", "state": "ready"})).await;
    app.advance_to("2026-11-23T10:30:00Z").await;
    let unknown = id_of(&app, "P-1", "unknown").await;
    act(&app, &unknown, "arrived").await;
    app.drain().await;
    assert_eq!(app.of_id(&unknown).await.status, "sent");
    app.advance_to("2026-11-23T20:00:00Z").await;
    assert_eq!((app.smtp.taken().len(), app.twilio.taken().len()), (1, 1), "the next channel");
    app.end().await;
}

/// Many reminders are planned, one per case.
async fn many_planned(app: &TestApp, cases: std::ops::Range<u32>) {
    for n in cases {
        app.event_of(json!({"case": format!("M-{n}"), "state": "wait"})).await;
    }
    app.drain().await;
}

const ALL: &str = "/console/notifications/many";

#[tokio::test]
async fn an_act_on_many_says_how_many_first_and_is_refused_when_many_more_have_come() {
    let app = TestApp::start().await;
    app.ada().await;
    many_planned(&app, 0..20).await;
    let filter = "status=planned&message=ticket%2Fstill-waiting-for-you";
    let body = page(&app, &format!("{ALL}?do=cancel&{filter}")).await;
    assert!(body.contains("<strong>20</strong> messages fit"), "{body}");
    let count = value_of(&body, "name=\"count\" value=\"").expect("a count");
    assert_eq!(count, "20");
    let confirm = async |count: &str, why: &str| {
        let form = [
            ("do", "cancel"),
            ("status", "planned"),
            ("message", "ticket/still-waiting-for-you"),
            ("count", count),
            ("why", why),
        ];
        post(&app, ALL, &form).await
    };
    assert!(confirm(&count, "").await.contains("Say why"));
    many_planned(&app, 20..23).await;
    let refused = confirm(&count, "a wrong promise").await;
    assert!(refused.contains("23 fit now, and you saw 20"), "{refused}");
    let planned = async || {
        let all = app.notifications().await;
        let of = all.iter().filter(|n| n.notice == "still-waiting-for-you");
        of.filter(|n| n.status == "planned").count()
    };
    assert_eq!(planned().await, 23, "nothing was done");
    let done = confirm("22", "a wrong promise").await;
    assert!(done.contains("23 cancelled."), "within a tenth: {done}");
    assert_eq!((planned().await, noted(&app, "cancel").await), (0, 1));
    app.end().await;
}

#[tokio::test]
async fn an_act_is_offered_only_on_what_it_can_be_done_to() {
    let app = full().await;
    for query in
        ["do=cancel&status=sent", "do=retry&status=planned", "do=explode&status=planned", ""]
    {
        let body = page(&app, &format!("{ALL}?{query}")).await;
        assert!(body.contains("Nothing was done."), "{query}: {body}");
    }
    app.end().await;
}

#[tokio::test]
async fn a_task_is_done_once_and_by_whom() {
    let app = full().await;
    let body = page(&app, "/console/tasks").await;
    let task = value_of(&body, "name=\"task\" value=\"").expect("a task");
    let form = [("do", "done"), ("task", task.as_str()), ("after", "0")];
    let body = post(&app, "/console/tasks", &form).await;
    assert!(body.contains("is done") && body.contains("No task is open"), "{body}");
    assert!(app.tasks().await.is_empty());
    assert!(post(&app, "/console/tasks", &form).await.contains("somebody was quicker"));
    assert_eq!(noted(&app, "task_done").await, 1);
    app.end().await;
}

#[tokio::test]
async fn what_a_provider_found_is_lifted_and_what_an_owner_refused_is_not() {
    let app = full().await;
    let lift = async |why: &str| {
        let body = page(&app, "/console/suppressions").await;
        let field = |name: &str| value_of(&body, &format!("name=\"{name}\" value=\""));
        let (since, mark) = (field("since").expect("one"), field("mark").expect("one"));
        let form = [("since", since.as_str()), ("mark", mark.as_str()), ("why", why)];
        post(&app, "/console/suppressions", &form).await
    };
    assert!(lift("").await.contains("Say why"));
    let suppressed = async || {
        let bob = app.store().customer(&"C-2".into(), app.now()).await.expect("known");
        bob.contact_points.iter().filter(|point| point.suppressed.is_some()).count()
    };
    let before = suppressed().await;
    assert!(before >= 1);
    assert!(lift("they mended it").await.contains("may be used again"));
    assert_eq!((suppressed().await, noted(&app, "lift_suppression").await), (before - 1, 1));
    let stopped = tidings::domain::customer::Address::stored("+447911123456".into());
    let channel = tidings::domain::Channel::Sms;
    let now = app.now();
    app.store().suppress(channel, &stopped, "STOP", "stop", now).await.expect("the store is there");
    let body = page(&app, "/console/suppressions").await;
    assert!(body.contains("Its owner's own word."), "{body}");
    assert!(!app.store().lift_found(channel, &stopped, "Grace", now).await.expect("there"));
    app.end().await;
}
