use std::sync::Arc;
use std::time::Instant;

use tidings::worker::seams::{Seam, Seams};
use tokio::sync::Notify;

use crate::support::TestApp;
use crate::support::visitor::Browser;

#[tokio::test]
async fn silence_is_confirmed_at_once_when_nothing_is_on_the_wire() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::visiting(&app).await;
    let began = Instant::now();
    let page = browser.post("/centre", &[("do", "stop_all")]).await.body;
    assert!(began.elapsed().as_secs_f64() < 2.0, "{:?}", began.elapsed());
    assert!(page.contains("Stopped.") && !page.contains("already on its way"), "{page}");
    app.end().await;
}

#[tokio::test]
async fn with_a_message_on_the_wire_silence_is_confirmed_when_nothing_new_can_start() {
    let mut app = TestApp::with("[dispatch]\nhand_over_window_s = 0.5").await;
    app.ada().await;
    let (opened, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let seams = {
        let (opened, go_on) = (Arc::clone(&opened), Arc::clone(&go_on));
        Seams::watched_by(Arc::new(move |seam| {
            let (opened, go_on) = (Arc::clone(&opened), Arc::clone(&go_on));
            Box::pin(async move {
                if seam == Seam::BeforeWire {
                    opened.notify_one();
                    go_on.notified().await;
                }
            })
        }))
    };
    app.restart(None, seams).await;
    app.event("take_in_charge_ticket").await;
    let engine = Arc::clone(&app.app.engine);
    let working = tokio::spawn(async move { engine.run_until_idle().await });
    opened.notified().await;
    // Its attempt is written down and has not left: the window of half a second runs.
    let browser = Browser::visiting(&app).await;
    let began = Instant::now();
    let page = browser.post("/centre", &[("do", "stop_all")]).await.body;
    let waited = began.elapsed().as_secs_f64();
    assert!(waited >= 0.6, "confirmed after {waited} s");
    assert!(page.contains("One message was already on its way"), "{page}");
    go_on.notify_one();
    working.await.expect("no panic").expect("the store is there");
    let mails = app.smtp.taken();
    assert!(mails.iter().all(|mail| !mail.text().contains("T-1")), "nothing began after it");
    app.advance_to("2026-11-23T10:00:05Z").await;
    let why = app.explained("taken-in-charge").await;
    assert_eq!(app.of("taken-in-charge").await.status, "suppressed", "{why}");
    app.end().await;
}
