//! After a restore a person looks at what waits, in the console, and lets it go.

use super::{noted, page, post};
use crate::support::TestApp;

#[tokio::test]
async fn what_waits_since_a_restore_is_shown_and_goes_when_an_admin_says_so() {
    let app = TestApp::start().await;
    app.ada().await;
    assert!(page(&app, "/console/restored").await.contains("Nothing waits"));
    app.event("take_in_charge_ticket").await;
    app.store().mark_restored(app.now()).await.expect("the store is there");
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 0);
    assert!(page(&app, "/console").await.contains("/console/restored"), "said where people look");
    let shown = page(&app, "/console/restored").await;
    assert!(shown.contains("1 message was due before"), "{shown}");
    assert!(shown.contains("ticket/taken-in-charge"), "{shown}");

    let odd = post(&app, "/console/restored", &[("older_than", "a while")]).await;
    assert!(odd.contains("could not be read") && odd.contains("1 message was"), "{odd}");
    let gone = post(&app, "/console/restored", &[("older_than", "2 days")]).await;
    assert!(gone.contains("0 cancelled; 1 go now"), "{gone}");
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 1);
    assert_eq!(noted(&app, "restore_confirm").await, 1);
    assert!(!page(&app, "/console").await.contains("/console/restored"));
    app.end().await;
}

#[tokio::test]
async fn what_is_too_old_is_cancelled_and_says_by_whom() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.store().mark_restored(app.now()).await.expect("the store is there");
    app.advance_to("2026-11-23T12:00:00Z").await;
    let gone = post(&app, "/console/restored", &[("older_than", "1 hour")]).await;
    assert!(gone.contains("1 cancelled; 0 go now"), "{gone}");
    app.drain().await;
    assert_eq!(app.smtp.taken().len(), 0);
    assert_eq!(app.of("taken-in-charge").await.reason.as_deref(), Some("not_since_restore"));
    app.end().await;
}

#[tokio::test]
async fn what_was_put_off_past_the_age_was_not_sent_by_then_and_stays() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("assign_seriousness").await;
    app.advance_to("2026-12-03T10:00:00Z").await;
    app.event("take_in_charge_ticket").await;
    // Due on the 4th, it waits for nine more working days of silence.
    app.advance_to("2026-12-07T10:00:00Z").await;
    app.store().mark_restored(app.now()).await.expect("the store is there");
    let gone = post(&app, "/console/restored", &[("older_than", "2 days")]).await;
    assert!(gone.contains("0 cancelled; 1 go now"), "{gone}");
    app.advance_to("2026-12-20T10:00:00Z").await;
    assert_eq!(app.smtp.taken().len(), 2, "taken in charge, and still open");
    app.end().await;
}
