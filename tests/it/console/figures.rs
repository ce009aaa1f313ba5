//! The same question has the same answer however much lies beside it.

use serde_json::json;

use super::page;
use crate::support::TestApp;

#[tokio::test]
async fn the_list_goes_on_page_by_page_until_everything_was_shown_once() {
    let app = TestApp::start().await;
    app.ada().await;
    for n in 0..60 {
        app.event_of(json!({"case": format!("M-{n}"), "state": "wait"})).await;
    }
    app.drain().await;
    for (query, all) in [("", app.notifications().await.len()), ("status=planned&channel=", 60)] {
        let mut path = format!("/console/notifications?{query}");
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let body = page(&app, &path).await;
            for part in body.split("<th scope=\"row\"><a href=\"/console/notifications/").skip(1) {
                let id = part.split('"').next().expect("an id");
                assert!(seen.insert(id.to_owned()), "{id} twice");
            }
            let Some((_, next)) = body.split_once("<p><a href=\"/console/notifications?") else {
                break;
            };
            let next = next.split('"').next().expect("a link").replace("&amp;", "&");
            path = format!("/console/notifications?{next}");
        }
        // Planned are more than the reminders: the words after a silence too.
        assert!(seen.len() >= all, "{query}: {} of {all}", seen.len());
    }
    app.end().await;
}

#[tokio::test]
async fn the_week_counts_each_planned_one_in_its_hour() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.drain().await;
    // Three working days after Monday 10:00, which is Thursday.
    let body = page(&app, "/console/planned?message=ticket/still-waiting-for-you").await;
    assert!(body.contains("<title>Thu 26 Nov 10:00: 1</title>"), "{body}");
    assert!(body.contains("<title>Thu 26 Nov 11:00: 0</title>"), "{body}");
    app.end().await;
}
