//! Whoever guesses links and codes finds none, and is slowed down.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tidings::domain::token::{Grant, Keyring};
use tower::ServiceExt;

use crate::support::visitor::{Browser, path};
use crate::support::{TestApp, answered, at};

/// Behind one proxy, so that a test has many clients.
const BEHIND_A_PROXY: &str = "[http]\npublic_url = \"https://tidings.example.com\"\nproxies = 1";

/// What a client at this address gets.
async fn get(app: &TestApp, from: &str, path: &str) -> u16 {
    let request = Request::get(path).header("x-forwarded-for", from).body(Body::empty());
    answered(app.router(), request.expect("a request")).await.0
}

#[tokio::test]
async fn random_links_and_codes_open_nothing_and_who_goes_on_has_to_wait() {
    let app = TestApp::with(BEHIND_A_PROXY).await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let real = format!("/m/{}", app.of("taken-in-charge").await.code);
    let mut chance = StdRng::seed_from_u64(6);
    let mut answers = std::collections::BTreeMap::new();
    for n in 0..400 {
        let letters: String = (0..40).map(|_| chance.random_range('a'..='z')).collect();
        let guess = match n % 4 {
            0 => format!("/c/v1.{letters}.{}", &letters[..24]),
            1 => format!("/u/v1.{letters}.{}", &letters[..24]),
            2 => format!("/a/{letters}"),
            _ => format!("/m/{}", &letters[..10]),
        };
        *answers.entry(get(&app, "192.0.2.1", &guess).await).or_insert(0) += 1;
    }
    assert_eq!(answers, [(404, 30), (429, 370)].into());
    assert_eq!(get(&app, "192.0.2.1", &real).await, 429, "a hit would not be seen either");
    assert_eq!(get(&app, "192.0.2.2", &real).await, 200, "others are not held up");
    let request = Request::get(&real).header("x-forwarded-for", "192.0.2.1").body(Body::empty());
    let answer = app.router().oneshot(request.expect("a request")).await.expect("answered");
    assert_eq!(answer.headers()["retry-after"], "2");
    app.app.engine.clock.advance_to(at("2026-11-23T10:00:02Z"));
    assert_eq!(get(&app, "192.0.2.1", &real).await, 200, "after a while it is open again");
    app.end().await;
}

#[tokio::test]
async fn who_is_right_is_never_held_up_however_often() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::new(&app);
    let link = path(&app.app.engine.centre_link(&"C-1".into(), app.now().timestamp() + 60));
    for _ in 0..100 {
        assert_eq!(browser.get(&link).await.status, 303);
    }
    app.end().await;
}

#[tokio::test]
async fn the_form_that_sends_links_slows_everybody_down_alike() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::new(&app);
    let mut answers = Vec::new();
    for n in 0..40 {
        let address = if n % 2 == 0 { "ada@example.com" } else { "nobody@example.com" };
        answers.push(browser.post("/centre/sign-in", &[("address", address)]).await.status);
    }
    assert!(answers[..30].iter().all(|status| *status == 200), "{answers:?}");
    assert!(answers[30..].iter().all(|status| *status == 429), "{answers:?}");
    app.end().await;
}

#[tokio::test]
async fn one_changed_letter_makes_any_link_worthless() {
    let app = TestApp::with(BEHIND_A_PROXY).await;
    app.ada().await;
    let keys = &app.app.engine.keys;
    let until_s = app.now().timestamp() + 600;
    let customer = || "C-1".into();
    let topic = "status".to_owned();
    let channel = tidings::domain::Channel::Email;
    let doors = [
        ("c", Grant::Centre { customer: customer(), until_s }),
        ("c", Grant::SignIn { customer: customer(), sent_ms: 1, until_s }),
        ("u", Grant::Unsubscribe { customer: customer(), topic, channel }),
    ];
    for (place, (door, grant)) in doors.into_iter().enumerate() {
        let token = keys.token(&grant);
        let from = format!("192.0.2.{place}");
        assert!(get(&app, &from, &format!("/{door}/{token}")).await < 400);
        for at in [4, token.len() / 2, token.len() - 1] {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("text");
            assert_eq!(get(&app, &from, &format!("/{door}/{forged}")).await, 404, "{door} {at}");
        }
    }
    app.end().await;
}

#[test]
fn random_tokens_grant_nothing() {
    let keys = Keyring::new([7; 32]);
    let now = at("2026-11-23T10:00:00Z");
    let mut chance = StdRng::seed_from_u64(7);
    let count: u32 = std::env::var("TIDINGS_GUESSES").map_or(20_000, |n| n.parse().expect("n"));
    let payload = keys.token(&Grant::Centre { customer: "C-1".into(), until_s: i64::MAX });
    let payload = payload.split('.').nth(1).expect("a payload");
    for _ in 0..count {
        let mac: [u8; 18] = chance.random();
        let mac = data_encoding::BASE64URL_NOPAD.encode(&mac);
        assert_eq!(keys.read(&format!("v1.{payload}.{mac}"), now), None);
    }
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_link_code_or_cookie_is_logged_however_much_is() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let code = app.of("taken-in-charge").await.code;
    let link = path(&app.app.engine.centre_link(&"C-1".into(), app.now().timestamp() + 60));
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(tidings::cli::log_filter("trace"))
        .with_writer(move || writer.clone())
        .finish();
    let browser = Browser::new(&app);
    {
        let _logging = tracing::subscriber::set_default(subscriber);
        browser.get(&link).await;
        browser.get("/centre").await;
        browser.get(&format!("/m/{code}")).await;
    }
    let said = String::from_utf8(log.0.lock().expect("lock").clone()).expect("text");
    let token = link.trim_start_matches("/c/");
    let cookie = browser.cookie();
    let cookie = cookie.split_once('=').expect("a pair").1;
    for secret in [token, cookie, &code, "ada@example.com"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    app.end().await;
}

#[tokio::test]
async fn what_a_case_system_writes_is_shown_and_never_run() {
    let app = TestApp::start().await;
    app.ada().await;
    let script = "<script>alert(1)</script> \u{202e}javascript:alert(1)";
    let facts = json!({"item": script, "expected_on": "2026-12-10", "answer_by": "2026-12-04",
        "amount": "49.90", "currency": "EUR"});
    let event = json!({"case": "R-<b>1", "case_type": "return", "state": "out_of_stock",
        "facts": facts});
    app.event_of(event).await;
    app.drain().await;
    let browser = Browser::visiting(&app).await;
    for page in ["/centre", "/centre/history"] {
        let page = browser.get(page).await.body;
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("R-<b>"), "{page}");
        assert!(!page.contains("href=\"javascript:"), "{page}");
    }
    let html = app.smtp.taken().remove(0).html();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script>alert"), "{html}");
    app.end().await;
}
