use std::sync::Arc;

use tidings::worker::seams::{Seam, Seams};
use tokio::sync::Notify;

use crate::support::TestApp;

/// Stops the world at the first passing of a seam: that task never goes on.
fn stop_at(wanted: Seam, reached: &Arc<Notify>) -> Seams {
    let reached = Arc::clone(reached);
    Seams::watched_by(Arc::new(move |seam| {
        let reached = Arc::clone(&reached);
        Box::pin(async move {
            if seam == wanted {
                reached.notify_one();
                std::future::pending::<()>().await;
            }
        })
    }))
}

/// With a cap a message is claimed as it is planned, and opened by its lane.
const CLAIMED_FIRST: &str = "[limits]\ncap_per_day = 50\n";

/// What a process that dies here leaves behind: messages taken by the provider in all, and
/// where the notification ends.
async fn die_at(seam: Seam, settings: &str) -> (usize, String, i64) {
    let mut app = TestApp::with(settings).await;
    app.ada().await;
    let reached = Arc::new(Notify::new());
    app.restart(None, stop_at(seam, &reached)).await;
    app.event("take_in_charge_ticket").await;
    reached.notified().await;
    app.restart(None, Seams::default()).await;
    app.advance_to("2026-11-23T11:00:00Z").await;
    let n = app.of("taken-in-charge").await;
    let tasks = app.tasks().await.len();
    let taken = app.smtp.taken().len() + app.twilio.taken().len();
    app.end().await;
    (taken, n.status, i64::try_from(tasks).expect("few"))
}

#[tokio::test]
async fn a_process_that_dies_before_the_attempt_is_written_down_loses_nothing() {
    for seam in [Seam::AfterPlan, Seam::AfterRender, Seam::BeforeOpen] {
        assert_eq!(die_at(seam, CLAIMED_FIRST).await, (1, "sent".into(), 0), "{seam:?}");
    }
    for seam in [Seam::AfterRender, Seam::BeforeOpen] {
        assert_eq!(die_at(seam, "").await, (1, "sent".into(), 0), "{seam:?}, opened at once");
    }
}

#[tokio::test]
async fn a_process_that_dies_with_an_open_attempt_leaves_a_doubt_and_never_a_second_copy() {
    for settings in ["", CLAIMED_FIRST] {
        assert_eq!(die_at(Seam::AfterOpen, settings).await, (0, "unknown".into(), 1));
        assert_eq!(die_at(Seam::AfterReply, settings).await, (1, "unknown".into(), 1));
    }
}

#[tokio::test]
async fn a_process_that_dies_after_the_outcome_has_lost_nothing() {
    for settings in ["", CLAIMED_FIRST] {
        assert_eq!(die_at(Seam::AfterOutcome, settings).await, (1, "sent".into(), 0));
    }
}

#[tokio::test]
async fn a_claim_whose_holder_keeps_dying_is_set_aside_after_five_times() {
    let mut app = TestApp::at_with("2026-11-23T10:00:00Z", CLAIMED_FIRST).await;
    app.ada().await;
    let reached = Arc::new(Notify::new());
    app.restart(None, stop_at(Seam::BeforeOpen, &reached)).await;
    app.event("take_in_charge_ticket").await;
    reached.notified().await;
    for _ in 0..4 {
        app.restart(None, stop_at(Seam::BeforeOpen, &reached)).await;
        let engine = Arc::clone(&app.app.engine);
        let working = tokio::spawn(async move { engine.run_until_idle().await });
        reached.notified().await;
        working.abort();
    }
    app.restart(None, Seams::default()).await;
    app.drain().await;
    let n = app.of("taken-in-charge").await;
    assert_eq!(n.status, "quarantined");
    assert_eq!(app.tasks().await.len(), 1);
    app.end().await;
}

/// What is opened as it is planned leaves no claim behind to count, so that way ends after some
/// seconds.
#[tokio::test]
async fn an_event_whose_planner_keeps_dying_is_set_aside_too() {
    let mut app = TestApp::at_with("2026-11-23T10:00:00Z", "").await;
    app.ada().await;
    let reached = Arc::new(Notify::new());
    let die_again = async |app: &mut TestApp| {
        app.restart(None, stop_at(Seam::BeforeOpen, &reached)).await;
        let engine = Arc::clone(&app.app.engine);
        let working = tokio::spawn(async move { engine.run_until_idle().await });
        reached.notified().await;
        working.abort();
        app.notifications().await.iter().filter(|n| n.notice == "taken-in-charge").count()
    };
    app.event("take_in_charge_ticket").await;
    assert_eq!(die_again(&mut app).await, 0, "nothing was written before its attempt opens");
    app.app.engine.clock.advance_to(crate::support::at("2026-11-23T10:00:10Z"));
    for _ in 0..5 {
        assert_eq!(die_again(&mut app).await, 1, "claimed first");
    }
    app.restart(None, Seams::default()).await;
    app.drain().await;
    assert_eq!(app.of("taken-in-charge").await.status, "quarantined");
    assert_eq!(app.tasks().await.len(), 1);
    app.end().await;
}
