use super::accounts::{ALL, Kind, SECRET, texted};
use crate::support::at;

#[tokio::test]
async fn a_report_moves_a_text_forward_however_often_it_comes() {
    for kind in ALL {
        let (app, _double, seen) = texted(kind).await;
        let url = kind.report_url(&seen);
        for word in ["underway", "delivered", "delivered", "underway", "failed", "delivered"] {
            let (status, body) = app.http(kind.report(&url, word, SECRET, app.now())).await;
            assert_eq!(status, 204, "{kind:?} {word}: {body}");
            app.drain().await;
        }
        assert_eq!(app.of("taken-in-charge").await.status, "delivered", "{kind:?}");
        for _ in 0..100 {
            app.http(kind.report(&url, "delivered", SECRET, app.now())).await;
        }
        let receipts = app.detail("taken-in-charge").await.receipts;
        assert!(receipts.len() <= 3, "{kind:?}: a hundred replays left {}", receipts.len());
        assert_eq!(app.smtp.taken().len(), 0, "nothing was sent again");
        app.end().await;
    }
}

#[tokio::test]
async fn a_failed_text_goes_by_the_next_channel() {
    for kind in ALL {
        let (app, _double, seen) = texted(kind).await;
        let url = kind.report_url(&seen);
        let (status, _) = app.http(kind.report(&url, "failed", SECRET, app.now())).await;
        assert_eq!(status, 204, "{kind:?}");
        app.drain().await;
        assert_eq!(app.smtp.taken().len(), 1, "{kind:?}");
        assert!(app.customer_now().await.contact_points[1].suppressed.is_none(), "{kind:?}");
        app.end().await;
    }
}

#[tokio::test]
async fn a_forged_report_is_refused_and_changes_nothing() {
    for kind in ALL {
        let (app, _double, seen) = texted(kind).await;
        let url = kind.report_url(&seen);
        let (status, _) = app.http(kind.report(&url, "failed", "guess", app.now())).await;
        assert_eq!(status, 401, "{kind:?}: another secret");
        if matches!(kind, Kind::Vonage | Kind::Sinch) {
            let old = at("2026-11-23T09:54:00Z");
            let (status, _) = app.http(kind.report(&url, "failed", SECRET, old)).await;
            assert_eq!(status, 401, "{kind:?}: replayed after its five minutes");
        }
        if kind != Kind::Kannel {
            // Its own signature, and another body under it.
            let (parts, _) = kind.report(&url, "failed", SECRET, app.now()).into_parts();
            let cut = axum::http::Request::from_parts(parts, "{\"status\":\"x\"}".into());
            assert_eq!(app.http(cut).await.0, 401, "{kind:?}: another body");
        }
        let elsewhere = url.replace("?a=v1.", "?a=v1.x");
        let (status, _) = app.http(kind.report(&elsewhere, "failed", SECRET, app.now())).await;
        assert!(matches!(status, 401 | 404), "{kind:?}: an attempt of somebody's making: {status}");
        app.drain().await;
        assert_eq!(app.of("taken-in-charge").await.status, "sent", "{kind:?}");
        assert!(app.detail("taken-in-charge").await.receipts.is_empty(), "{kind:?}");
        app.end().await;
    }
}

#[tokio::test]
async fn the_doors_of_providers_nobody_configured_are_shut() {
    let app = crate::support::TestApp::start().await;
    app.ada().await;
    app.choose(|chosen| chosen.channel_order = Some(vec![tidings::domain::Channel::Sms])).await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let callback = app.twilio.taken()[0].field("StatusCallback").to_owned();
    let (_, attempt) = callback.split_once("?a=").expect("its tag");
    for kind in ALL {
        let url = format!("https://tidings.example.com/v1/receipts/{}?a={attempt}", kind.name());
        let (status, _) = app.http(kind.report(&url, "delivered", "", app.now())).await;
        assert!(matches!(status, 401 | 404), "{kind:?}: {status}");
        let text = kind.text("+447911123456", "STOP", "t-1", "", app.now());
        let (status, _) = app.http(text).await;
        assert!(matches!(status, 401 | 404), "{kind:?}: {status}");
    }
    app.end().await;
}
