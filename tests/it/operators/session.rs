//! A session has a new token, ends by itself, and ends when what let somebody in changes.

use tidings::app::App;
use tidings::config::Settings;
use tidings::store::Store;

use crate::support::TestApp;

use super::{Desk, PASSWORD, entry, everybody, noted, secret};

#[tokio::test]
async fn a_cookie_from_before_signing_in_is_never_promoted() {
    let app = TestApp::with(&everybody()).await;
    let desk = Desk::new(&app);
    let planted = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    desk.take_token(planted);
    let code = secret("ada").code(app.now());
    assert_eq!(desk.sign_in("ada", PASSWORD, &code, "").await.status, 303);
    let first = desk.token().expect("a token");
    assert_ne!(first, planted);
    let thief = Desk::new(&app);
    thief.take_token(planted);
    assert_eq!(thief.get("/console").await.status, 303, "what was planted opens nothing");
    assert_eq!(thief.token(), None, "and is taken away");
    // Signing in anew ends the session before it in the same browser.
    let code = secret("pia").code(app.now());
    assert_eq!(desk.sign_in("pia", PASSWORD, &code, "").await.status, 303);
    assert_ne!(desk.token().expect("a token"), first);
    thief.take_token(&first);
    assert_eq!(thief.get("/console").await.status, 303);
    assert!(desk.get("/console").await.body.contains("You are pia"));
    app.end().await;
}

#[tokio::test]
async fn a_session_ends_after_a_quarter_of_an_hour_without_a_page() {
    let app = TestApp::with(&everybody()).await;
    let desk = Desk::signed_in(&app, "ada").await;
    for at in ["2026-11-23T10:14:59Z", "2026-11-23T10:29:58Z"] {
        app.advance_to(at).await;
        assert_eq!(desk.get("/console").await.status, 200, "{at}");
    }
    app.advance_to("2026-11-23T10:44:58Z").await;
    let ended = desk.get("/console").await;
    assert_eq!((ended.status, desk.token()), (303, None));
    app.end().await;
}

#[tokio::test]
async fn a_session_ends_after_eight_hours_whatever_is_done_in_it() {
    let app = TestApp::with(&everybody()).await;
    let desk = Desk::signed_in(&app, "ada").await;
    let began = app.now();
    for minutes in (10..480).step_by(10) {
        app.app.engine.clock.advance_to(began + chrono::TimeDelta::minutes(minutes));
        assert_eq!(desk.get("/console").await.status, 200, "after {minutes} minutes");
    }
    app.app.engine.clock.advance_to(began + chrono::TimeDelta::minutes(480));
    assert_eq!(desk.get("/console").await.status, 303);
    app.end().await;
}

#[tokio::test]
async fn signing_out_ends_the_session_and_not_only_the_cookie() {
    let app = TestApp::with(&everybody()).await;
    let desk = Desk::signed_in(&app, "ada").await;
    let token = desk.token().expect("a token");
    assert!(desk.get("/console").await.body.contains("Sign out"));
    let answer = desk.post("/console/sign-out", &[]).await;
    assert_eq!(answer.location.as_deref(), Some("/console/sign-in"));
    assert_eq!(desk.token(), None);
    desk.take_token(&token);
    assert_eq!(desk.get("/console").await.status, 303);
    assert_eq!(&*noted(&app).await[0].action, "sign_out");
    let stored = app.store().session(&token).await.expect("the store is there");
    assert!(stored.is_none(), "the token itself is never kept");
    app.end().await;
}

#[tokio::test]
async fn sessions_end_when_the_entry_in_the_settings_changes() {
    let app = TestApp::with(&everybody()).await;
    let desk = Desk::signed_in(&app, "ada").await;
    let token = desk.token().expect("a token");
    let after = async |operators: &str| {
        let settings = Settings {
            console: Settings::read(
                "f",
                &format!("[sender]\nname = \"S\"\nmail_from = \"s@example.com\"\n{operators}"),
                [],
            )
            .unwrap_or_else(|finding| panic!("{finding}"))
            .console,
            ..(*app.app.settings).clone()
        };
        let store = Store::open(&settings.store.url).await.expect("a store");
        let clock = app.app.engine.clock.clone();
        let other = App::build(settings, clock, store).await.expect("built");
        other.door.who(&other, &token).await.expect("the store is there")
    };
    let same = after(&everybody()).await.expect("still signed in");
    assert_eq!(same.name, "ada");
    let others = [("the others", entry("pia", "publisher")), ("a role", entry("ada", "viewer"))];
    for (what, operators) in others {
        assert!(after(&operators).await.is_none(), "{what}");
    }
    assert!(after(&everybody()).await.is_none(), "ended is ended");
    app.end().await;
}
