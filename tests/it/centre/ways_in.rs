use tidings::domain::token::Grant;

use crate::support::visitor::{Browser, path};
use crate::support::{TestApp, ada};

/// Ada, who has been told by e-mail that her ticket was taken in charge; and her link.
async fn told() -> (TestApp, String) {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("take_in_charge_ticket").await;
    app.drain().await;
    let mail = app.smtp.taken().remove(0).text();
    let start = mail.find("https://tidings.example.com/c/").expect("a link");
    let link = mail[start..].split(['#', '\n', '\r', ' ']).next().expect("its end");
    (app, path(link))
}

#[tokio::test]
async fn the_link_of_a_message_opens_a_visit_at_a_clean_address_and_can_be_used_again() {
    let (app, link) = told().await;
    for _ in 0..2 {
        let browser = Browser::new(&app);
        let answer = browser.get(&link).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/centre")));
        let cookie = answer.headers["set-cookie"].to_str().expect("text").to_owned();
        assert!(cookie.starts_with("__Host-tidings=v1."), "{cookie}");
        for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(part), "{part}: {cookie}");
        }
        let page = browser.get("/centre").await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("Your matters with us"), "{}", page.body);
        assert!(!page.body.contains("v1."), "the token stands nowhere on the page");
    }
    let forged = Browser::new(&app).get(&format!("{link}x")).await;
    assert_eq!(forged.status, 404);
    app.end().await;
}

#[tokio::test]
async fn on_loopback_without_https_the_cookie_has_a_plain_name() {
    let app = TestApp::with("[http]\npublic_url = \"http://127.0.0.1:8080\"").await;
    app.ada().await;
    let link = app.app.engine.centre_link(&"C-1".into(), app.now().timestamp() + 60);
    let answer = Browser::new(&app).get(link.trim_start_matches("http://127.0.0.1:8080")).await;
    let cookie = answer.headers["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.starts_with("tidings=v1.") && !cookie.contains("Secure"), "{cookie}");
    app.end().await;
}

#[tokio::test]
async fn a_thousand_visits_of_link_scanners_change_nothing_that_matters() {
    let (app, link) = told().await;
    let mail = app.smtp.taken();
    let before = (app.customer_now().await, app.notifications().await.len());
    let browser = Browser::new(&app);
    let now = app.now();
    let sign_in = app.app.engine.keys.token(&Grant::SignIn {
        customer: "C-1".into(),
        sent_ms: now.timestamp_millis(),
        until_s: now.timestamp() + 900,
    });
    let code = app.of("taken-in-charge").await.code;
    let links = [link.clone(), format!("/c/{sign_in}"), format!("/m/{code}")];
    for round in 0..334 {
        for link in &links {
            assert!(browser.get(link).await.status < 400, "{round} {link}");
        }
    }
    assert_eq!(before, (app.customer_now().await, app.notifications().await.len()));
    assert_eq!(app.smtp.taken().len(), mail.len());
    // The sign-in link still works, once.
    let first = Browser::new(&app).post(&format!("/c/{sign_in}"), &[]).await;
    assert_eq!(first.location.as_deref(), Some("/centre"));
    assert_eq!(Browser::new(&app).post(&format!("/c/{sign_in}"), &[]).await.status, 404);
    app.end().await;
}

#[tokio::test]
async fn the_form_answers_the_same_whether_or_not_the_address_is_known() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::new(&app);
    let ask = async |address: &str| {
        let answer = browser.post("/centre/sign-in", &[("address", address)]).await;
        app.drain().await;
        answer
    };
    let known = ask("ada@example.com").await;
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 1);
    for unknown in ["bob@example.com", "nonsense", "", "+447911123999"] {
        let answer = ask(unknown).await;
        assert_eq!((answer.status, &answer.body), (known.status, &known.body), "{unknown}");
    }
    assert!(app.smtp.taken().len() == 1 && app.twilio.taken().is_empty());
    let text = mails[0].text();
    let start = text.find("https://tidings.example.com/c/").expect("a link");
    let link = path(text[start..].split_whitespace().next().expect("its end"));
    let page = browser.get(&link).await;
    assert_eq!((page.status, page.location.as_deref()), (200, None), "a GET spends nothing");
    assert_eq!(browser.post(&link, &[]).await.location.as_deref(), Some("/centre"));
    assert_eq!(browser.get("/centre/addresses").await.status, 200);
    app.end().await;
}

#[tokio::test]
async fn a_sign_in_link_is_over_after_a_quarter_of_an_hour_and_few_are_sent() {
    let app = TestApp::start().await;
    app.ada().await;
    let browser = Browser::new(&app);
    for _ in 0..10 {
        browser.post("/centre/sign-in", &[("address", "ada@example.com")]).await;
        app.drain().await;
    }
    let mails = app.smtp.taken();
    assert_eq!(mails.len(), 6, "no more within an hour");
    let text = mails[0].text();
    let start = text.find("https://tidings.example.com/c/").expect("a link");
    let link = path(text[start..].split_whitespace().next().expect("its end"));
    app.advance_to("2026-11-23T10:15:00Z").await;
    assert_eq!(browser.get(&link).await.status, 404);
    assert_eq!(browser.post(&link, &[]).await.status, 404);
    app.end().await;
}

#[tokio::test]
async fn a_visit_ends_with_time_with_signing_out_and_with_any_change_to_its_cookie() {
    let app = TestApp::start().await;
    app.ada().await;
    let away = Some("/centre/sign-in");
    assert_eq!(Browser::new(&app).get("/centre").await.location.as_deref(), away);
    let browser = Browser::visiting(&app).await;
    let cookie = browser.cookie();
    let mut forged = cookie.clone().into_bytes();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    browser.take_cookie(&String::from_utf8(forged).expect("text"));
    assert_eq!(browser.get("/centre").await.location.as_deref(), away);
    browser.take_cookie(&cookie);
    app.advance_to("2026-11-23T10:29:00Z").await;
    assert_eq!(browser.get("/centre").await.status, 200, "used, it goes on");
    app.advance_to("2026-11-23T10:58:00Z").await;
    assert_eq!(browser.get("/centre").await.status, 200);
    app.advance_to("2026-11-23T11:28:00Z").await;
    assert_eq!(browser.get("/centre").await.location.as_deref(), away, "unused, it ends");
    let browser = Browser::visiting(&app).await;
    assert_eq!(browser.post("/centre/sign-out", &[]).await.location.as_deref(), away);
    assert_eq!(browser.get("/centre").await.location.as_deref(), away);
    app.end().await;
}

#[tokio::test]
async fn a_form_of_another_site_is_refused_and_none_can_name_another_customer() {
    let app = TestApp::start().await;
    app.ada().await;
    let mut bob = ada();
    bob["id"] = "C-2".into();
    bob["contact_points"][0]["address"] = "bob@example.com".into();
    app.customer(bob).await;
    let mut browser = Browser::visiting(&app).await;
    let form = [("do", "cap"), ("cap", "3"), ("customer", "C-2"), ("id", "C-2")];
    browser.from = ("https://evil.example.net", "cross-site");
    assert_eq!(browser.post("/centre/choices", &form).await.status, 403);
    browser.from = ("https://evil.example.net", "");
    assert_eq!(browser.post("/centre/choices", &form).await.status, 403);
    assert_eq!(app.customer_now().await.chosen.cap_per_day, None);
    browser.from = ("https://tidings.example.com", "same-origin");
    assert_eq!(browser.post("/centre/choices", &form).await.status, 200);
    assert_eq!(app.customer_now().await.chosen.cap_per_day, Some(3));
    let bob = app.store().customer(&"C-2".into(), app.now()).await.expect("known");
    assert_eq!(bob.chosen.cap_per_day, None, "the cookie says who it is");
    app.end().await;
}

#[tokio::test]
async fn pages_are_kept_nowhere_load_nothing_from_elsewhere_and_tell_nobody_where_one_was() {
    let (app, link) = told().await;
    let browser = Browser::visiting(&app).await;
    let pages = [
        "/centre",
        "/centre/choices",
        "/centre/history",
        "/centre/addresses",
        "/centre/call",
        "/centre/data",
        "/centre/sign-in",
        link.as_str(),
    ];
    let style = browser.get("/centre/style.css").await.body;
    for page in pages {
        let answer = browser.get(page).await;
        let header = |name: &str| answer.headers[name].to_str().expect("text");
        assert_eq!(header("cache-control"), "no-store", "{page}");
        assert_eq!(header("referrer-policy"), "same-origin", "{page}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{page}: {policy}");
        assert!(!policy.contains("unsafe"), "{page}: {policy}");
        let body = &answer.body;
        assert!(!body.contains("<script") && !body.contains("style=\"") && !body.contains("src="));
        assert!(body.len() + style.len() < 30_000, "{page}: {} bytes", body.len() + style.len());
    }
    app.end().await;
}

#[tokio::test]
async fn what_a_customer_is_called_is_shown_and_never_run() {
    let app = TestApp::start().await;
    let mut mallory = ada();
    mallory["name"] = "<img src=x onerror=alert(1)> {{ 7*7 }}".into();
    app.customer(mallory).await;
    let page = Browser::visiting(&app).await.get("/centre").await.body;
    assert!(page.contains("&lt;img") && page.contains("{{ 7*7 }}"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    app.end().await;
}

#[tokio::test]
async fn pages_speak_the_customers_language_and_to_strangers_that_of_their_browser() {
    let app = TestApp::start().await;
    let mut customer = ada();
    customer["locale"] = "fr-FR".into();
    app.customer(customer).await;
    let browser = Browser::visiting(&app).await;
    let page = browser.get("/centre/choices").await.body;
    assert!(page.contains(r#"<html lang="fr-FR" dir="ltr">"#), "{page}");
    assert!(page.contains("Retours et remplacements") && page.contains("Enregistrer"), "{page}");
    let mut stranger = Browser::new(&app);
    stranger.language = "de-AT,de;q=0.9,en;q=0.5";
    let page = stranger.get("/centre/sign-in").await.body;
    assert!(page.contains("Ihre Anliegen bei uns"), "{page}");
    app.end().await;
}
