//! By OpenID Connect, against a real provider.

use serde_json::{Value, json};
use tidings::clock::Clock;

use crate::support::TestApp;
use crate::support::openid::Provider;

use super::{Answer, Desk, entry, noted};

fn accounts() -> Value {
    json!({
        "u-1": {"email": "grace@example.com", "email_verified": true, "roles": ["staff", "ops"]},
        "u-2": {"email": "lead@example.com", "email_verified": true, "roles": ["ops", "leads"]},
        "u-3": {"email": "eve@example.com", "email_verified": true, "roles": ["staff"]},
        "u-4": {"email": "new@example.com", "email_verified": false, "roles": ["ops"]},
        "u-5": {"email": "ada@example.com", "email_verified": true, "roles": ["ops"]},
    })
}

fn settings(issuer: &str, more: &str) -> String {
    format!(
        "[console.openid]\nissuer = \"{issuer}\"\nclient_id = \"tidings\"\nclient_secret = \"a secret of the tests\"\nscopes = [\"email\", \"roles\"]\nname_claim = \"email\"\nroles = {{ ops = \"editor\", leads = \"publisher\" }}\n{more}"
    )
}

/// The provider's clock is the machine's.
async fn app(provider: &Provider, more: &str) -> TestApp {
    let now = Clock::System.now().to_rfc3339();
    TestApp::at_with(&now, &settings(&provider.issuer, more)).await
}

/// Where the console sends a browser that wants to sign in.
async fn leave(desk: &Desk<'_>, next: &str) -> String {
    let answer = desk.get(&format!("/console/openid?next={next}")).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location.expect("to the provider")
}

fn changed(url: &str, name: &str, value: &str) -> String {
    let mut parsed = reqwest::Url::parse("https://tidings.example.com")
        .and_then(|base| base.join(url))
        .expect("an address");
    let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
    assert!(pairs.iter().any(|(key, _)| key == name), "{url} has no {name}");
    let pairs = pairs.into_iter().map(|(key, old)| {
        let new = if key == name { value.to_owned() } else { old };
        (key, new)
    });
    let pairs: Vec<_> = pairs.collect();
    parsed.query_pairs_mut().clear().extend_pairs(pairs);
    parsed.to_string().trim_start_matches("https://tidings.example.com").to_owned()
}

async fn through(provider: &Provider, desk: &Desk<'_>, account: &str) -> Answer {
    let url = leave(desk, "%2Fconsole%2Faudit").await;
    let back = provider.sign_in(&url, Some(account)).await;
    desk.get(&back).await
}

/// Why the last one was refused, as it was noted.
async fn why(app: &TestApp) -> String {
    let entry = noted(app).await.remove(0);
    assert_eq!((&*entry.who, &*entry.action), ("nobody", "sign_in_refused"));
    let detail: Value = serde_json::from_str(&entry.detail).expect("JSON");
    detail["why"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn who_comes_back_with_a_role_is_signed_in_and_sees_the_page_they_asked_for() {
    for in_token in [false, true] {
        let provider = Provider::start(&accounts(), in_token);
        let app = app(&provider, "").await;
        let desk = Desk::new(&app);
        let form = desk.get("/console/sign-in").await.body;
        assert!(form.contains("Sign in with 127.0.0.1") && !form.contains("type=\"password\""));
        let url = leave(&desk, "%2Fconsole%2Faudit").await;
        for part in [
            "response_type=code",
            "code_challenge_method=S256",
            "state=",
            "nonce=",
            "scope=openid+email+roles",
        ] {
            assert!(url.contains(part), "{url}");
        }
        let back = provider.sign_in(&url, Some("u-2")).await;
        let answer = desk.get(&back).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/console/audit")));
        let page = desk.get("/console/audit").await.body;
        assert!(page.contains("You are lead@example.com (publisher)"), "{page}");
        let kept: Vec<_> = desk.cookies.borrow().keys().cloned().collect();
        assert_eq!(kept, ["__Host-tidings-console"], "the keepsake is gone");
        app.end().await;
    }
}

#[tokio::test]
async fn an_answer_that_proves_nothing_lets_nobody_in() {
    let provider = Provider::start(&accounts(), false);
    let app = app(&provider, "").await;
    let desk = Desk::new(&app);
    let refused = async |desk: &Desk<'_>, back: &str, word: &str| {
        let answer = desk.get(back).await;
        assert_eq!(answer.status, 403, "{word}: {}", answer.body);
        assert!(answer.body.contains("does not prove who you are"), "{}", answer.body);
        assert!(desk.token().is_none(), "{word}");
        let why = why(&app).await;
        assert!(why.contains(word), "{word}: {why}");
    };
    let url = leave(&desk, "").await;
    let back = provider.sign_in(&url, Some("u-1")).await;
    refused(&desk, &changed(&back, "state", "another"), "state").await;
    refused(&desk, &back, "kept nothing").await;

    let url = leave(&desk, "").await;
    let back = provider.sign_in(&changed(&url, "nonce", "another"), Some("u-1")).await;
    refused(&desk, &back, "nonce").await;

    let url = leave(&desk, "").await;
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let back = provider.sign_in(&changed(&url, "code_challenge", challenge), Some("u-1")).await;
    refused(&desk, &back, "not accepted").await;

    let url = leave(&desk, "").await;
    let back = provider.sign_in(&url, None).await;
    refused(&desk, &back, "access_denied").await;

    // Another browser was sent there: whoever is handed its way back is not signed in.
    let other = Desk::new(&app);
    let url = leave(&desk, "").await;
    leave(&other, "").await;
    let back = provider.sign_in(&url, Some("u-1")).await;
    refused(&other, &back, "state").await;

    // The way back is good once.
    let url = leave(&desk, "").await;
    let keepsake = desk.cookies.borrow().clone();
    let back = provider.sign_in(&url, Some("u-1")).await;
    assert_eq!(desk.get(&back).await.status, 303);
    let again = Desk::new(&app);
    *again.cookies.borrow_mut() = keepsake;
    refused(&again, &back, "not accepted").await;
    app.end().await;
}

#[tokio::test]
async fn who_has_no_role_here_is_told_so() {
    let provider = Provider::start(&accounts(), false);
    let app = app(&provider, &entry("ada@example.com", "admin")).await;
    let desk = Desk::new(&app);
    let answer = through(&provider, &desk, "u-3").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("eve@example.com, and have no role"), "{}", answer.body);
    assert!(why(&app).await.contains("has no role here"));
    let answer = through(&provider, &desk, "u-4").await;
    assert_eq!(answer.status, 403, "an address nobody verified is no name");
    assert!(why(&app).await.contains("verified"));
    let answer = through(&provider, &desk, "u-5").await;
    assert_eq!(answer.status, 403, "an operator of the settings has that name");
    assert!(desk.token().is_none());
    app.end().await;
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute_and_the_way_there_and_back_take_ten() {
    let provider = Provider::start(&accounts(), false);
    for (behind_s, good) in [(50, true), (120, false)] {
        let now = Clock::System.now() - chrono::TimeDelta::seconds(behind_s);
        let app = TestApp::at_with(&now.to_rfc3339(), &settings(&provider.issuer, "")).await;
        let desk = Desk::new(&app);
        let answer = through(&provider, &desk, "u-1").await;
        assert_eq!(answer.status, if good { 303 } else { 403 }, "{behind_s}: {}", answer.body);
        app.end().await;
    }
    let app = app(&provider, "").await;
    let desk = Desk::new(&app);
    let url = leave(&desk, "").await;
    let back = provider.sign_in(&url, Some("u-1")).await;
    let clock = &app.app.engine.clock;
    clock.advance_to(clock.now() + chrono::TimeDelta::minutes(11));
    assert_eq!(desk.get(&back).await.status, 403);
    assert!(why(&app).await.contains("too long"));
    app.end().await;
}

#[tokio::test]
async fn a_provider_that_is_away_stops_only_those_who_sign_in_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let app = TestApp::with(&settings(&nobody, &entry("ada", "admin"))).await;
    let desk = Desk::new(&app);
    let answer = desk.get("/console/openid").await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("cannot be used to sign in"), "{}", answer.body);
    assert!(answer.body.contains("type=\"password\""), "the other way is offered");
    Desk::signed_in(&app, "ada").await;
    app.end().await;
}
