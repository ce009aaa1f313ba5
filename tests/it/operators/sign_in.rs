//! By name, password and one-time code, each of which must be right, and the code new.

use serde_json::Value;

use crate::support::{TestApp, at};

use super::{Desk, PASSWORD, entry, everybody, noted, secret};

#[tokio::test]
async fn whoever_is_signed_in_sees_the_page_they_asked_for() {
    let app = TestApp::with(&everybody()).await;
    let desk = Desk::new(&app);
    let sent = desk.get("/console/audit?who=ada").await;
    let form = "/console/sign-in?next=%2Fconsole%2Faudit%3Fwho%3Dada";
    assert_eq!((sent.status, sent.location.as_deref()), (303, Some(form)));
    let page = desk.get(form).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("value=\"&#x2f;console&#x2f;audit?who=ada\""), "{}", page.body);
    let code = secret("ada").code(app.now());
    let answer = desk.sign_in("Ada", PASSWORD, &code, "/console/audit?who=ada").await;
    let next = "/console/audit?who=ada";
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some(next)));
    let [cookie] = &answer.cookies[..] else { panic!("{:?}", answer.cookies) };
    for part in ["__Host-tidings-console=", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let page = desk.get(next).await;
    assert!(page.body.contains("You are ada (admin)"), "{}", page.body);
    assert!(page.body.contains("sign in") && page.body.contains("0.0.0.*"), "{}", page.body);
    let entry = &noted(&app).await[0];
    assert_eq!((&*entry.who, &*entry.role, &*entry.action), ("ada", "admin", "sign_in"));
    let elsewhere = Desk::new(&app);
    let code = secret("vera").code(app.now());
    let answer = elsewhere.sign_in("vera", PASSWORD, &code, "https://evil.example/").await;
    assert_eq!(answer.location.as_deref(), Some("/console"), "never to another site");
    app.end().await;
}

#[tokio::test]
async fn a_wrong_name_password_or_code_get_one_answer_and_are_noted_for_what_they_are() {
    let app = TestApp::with(&everybody()).await;
    let desk = Desk::new(&app);
    let code = secret("ada").code(app.now());
    let stale = secret("ada").code(at("2026-11-23T09:58:00Z"));
    let mut bodies = Vec::new();
    for (name, password, code, why, subject) in [
        ("ada", "a long walk in the sun", &*code, "wrong password", "ada"),
        ("ada", PASSWORD, "000000", "wrong code", "ada"),
        ("ada", PASSWORD, "", "wrong code", "ada"),
        ("ada", PASSWORD, &*stale, "wrong code", "ada"),
        ("vera", PASSWORD, &*code, "wrong code", "vera"),
        ("mallory", PASSWORD, &*code, "unknown name", ""),
        (PASSWORD, "", &*code, "unknown name", ""),
        ("", "", "", "unknown name", ""),
    ] {
        let answer = desk.sign_in(name, password, code, "").await;
        assert_eq!((answer.status, answer.cookies.len()), (403, 0), "{name} {why}");
        bodies.push(answer.body.replace(&format!("value=\"{name}\""), "value=\"\""));
        let entry = noted(&app).await.remove(0);
        let detail: Value = serde_json::from_str(&entry.detail).expect("JSON");
        assert_eq!((&*entry.who, &*entry.action), ("nobody", "sign_in_refused"));
        assert_eq!((detail["why"].as_str(), &*entry.subject), (Some(why), subject));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the page tells which it was");
    let all = format!("{:?}", noted(&app).await);
    assert!(!all.contains(PASSWORD), "a password typed in the wrong field is not kept");
    assert_eq!(desk.get("/console").await.status, 303, "nobody is signed in");
    app.end().await;
}

#[tokio::test]
async fn a_code_is_good_once_and_a_little_early_or_late() {
    let app = TestApp::with(&everybody()).await;
    let code = secret("ada").code(at("2026-11-23T10:00:00Z"));
    let desk = Desk::signed_in(&app, "ada").await;
    let again = Desk::new(&app);
    assert_eq!(again.sign_in("ada", PASSWORD, &code, "").await.status, 403);
    let entry = noted(&app).await.remove(0);
    assert!(entry.detail.contains("code used before"), "{}", entry.detail);
    let before = secret("ada").code(at("2026-11-23T09:59:30Z"));
    assert_eq!(again.sign_in("ada", PASSWORD, &before, "").await.status, 403, "an earlier one");
    let next = secret("ada").code(at("2026-11-23T10:00:30Z"));
    assert_eq!(again.sign_in("ada", PASSWORD, &next, "").await.status, 303, "half a minute early");
    assert_eq!(desk.get("/console").await.status, 200, "the other browser is signed in still");
    let vera = secret("vera").code(at("2026-11-23T09:59:30Z"));
    let late = Desk::new(&app).sign_in("vera", PASSWORD, &vera, "").await;
    assert_eq!(late.status, 303, "half a minute late");
    app.end().await;
}

#[tokio::test]
async fn who_tries_too_often_waits_by_name_and_by_client() {
    let behind = "[http]\npublic_url = \"https://tidings.example.com\"\nproxies = 1\n";
    let app = TestApp::with(&format!("{behind}{}", entry("ada", "admin"))).await;
    let from = |address: &str| {
        let mut desk = Desk::new(&app);
        desk.headers.push(("x-forwarded-for", address.to_owned()));
        desk
    };
    // One name from many clients.
    for n in 0..10 {
        let desk = from(&format!("192.0.2.{n}"));
        assert_eq!(desk.sign_in("ada", "wrong", "000000", "").await.status, 403, "{n}");
    }
    let code = secret("ada").code(app.now());
    let waits = from("192.0.2.99").sign_in("ada", PASSWORD, &code, "").await;
    assert_eq!(waits.status, 429, "even with the right password");
    assert!(waits.body.contains("10 seconds"), "{}", waits.body);
    let unknown = from("192.0.2.99").sign_in("mallory", "x", "000000", "").await;
    assert_eq!(unknown.status, 403, "others are not held up");
    app.advance_to("2026-11-23T10:00:10Z").await;
    let code = secret("ada").code(app.now());
    assert_eq!(from("192.0.2.99").sign_in("ada", PASSWORD, &code, "").await.status, 303);
    // Many names from one client.
    let desk = from("203.0.113.5");
    for n in 0..30 {
        let answer = desk.sign_in(&format!("name-{n}"), "wrong", "000000", "").await;
        assert_eq!(answer.status, 403, "{n}");
    }
    assert_eq!(desk.sign_in("name-x", "wrong", "000000", "").await.status, 429);
    assert_eq!(from("203.0.113.6").get("/console/sign-in").await.status, 200);
    app.end().await;
}

#[tokio::test]
async fn nobody_keeps_another_out_by_their_name_and_codes_are_guessed_ten_times_from_anywhere() {
    let behind = "[http]\npublic_url = \"https://tidings.example.com\"\nproxies = 1\n";
    let app = TestApp::with(&format!("{behind}{}", entry("ada", "admin"))).await;
    let from = |address: &str| {
        let mut desk = Desk::new(&app);
        desk.headers.push(("x-forwarded-for", address.to_owned()));
        desk
    };
    for _ in 0..10 {
        from("192.0.2.1").sign_in("ada", "wrong", "000000", "").await;
    }
    assert_eq!(from("192.0.2.1").sign_in("ada", "wrong", "000000", "").await.status, 429);
    let code = secret("ada").code(app.now());
    let own = from("198.51.100.7").sign_in("ada", PASSWORD, &code, "").await;
    assert_eq!(own.status, 303, "from her own network she comes in");
    app.advance_to("2026-11-23T10:01:00Z").await;
    // Somebody has her password, and many networks.
    for n in 0..10 {
        let tried = from(&format!("203.0.{n}.1")).sign_in("ada", PASSWORD, "000000", "").await;
        assert_eq!(tried.status, 403, "{n}");
    }
    let code = secret("ada").code(app.now());
    let lucky = from("203.0.99.1").sign_in("ada", PASSWORD, &code, "").await;
    assert_eq!(lucky.status, 403, "the eleventh code is not even looked at");
    app.advance_to("2026-11-23T10:02:00Z").await;
    let code = secret("ada").code(app.now());
    assert_eq!(from("198.51.100.7").sign_in("ada", PASSWORD, &code, "").await.status, 303);
    app.end().await;
}

#[tokio::test]
async fn forms_of_another_site_are_refused() {
    let app = TestApp::with(&everybody()).await;
    let mut desk = Desk::signed_in(&app, "ada").await;
    desk.from = ("https://evil.example", "cross-site");
    let code = secret("pia").code(app.now());
    assert_eq!(desk.sign_in("pia", PASSWORD, &code, "").await.status, 403);
    assert_eq!(desk.post("/console/sign-out", &[]).await.status, 403);
    assert!(desk.get("/console").await.body.contains("You are ada"), "still signed in");
    app.end().await;
}

#[tokio::test]
async fn with_nobody_named_only_this_machine_is_let_in() {
    let app = TestApp::with("").await;
    let desk = Desk::new(&app);
    let page = desk.get("/console").await;
    assert!(page.body.contains("You are local (admin)"), "{}", page.body);
    assert!(!page.body.contains("Sign out"), "{}", page.body);
    let form = desk.get("/console/sign-in").await;
    assert_eq!(form.location.as_deref(), Some("/console"));
    for (name, value) in [
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("via", "1.1 proxy.example"),
        ("x-forwarded-proto", "https"),
        ("host", "evil.example:8080"),
        // The name of the world outside comes through a proxy.
        ("host", "tidings.example.com"),
    ] {
        let mut desk = Desk::new(&app);
        desk.headers.push((name, value.to_owned()));
        let page = desk.get("/console").await;
        assert_eq!(page.status, 403, "{name}");
        assert!(page.body.contains("tidings operator new"), "{}", page.body);
    }
    for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
        let mut desk = Desk::new(&app);
        desk.headers.push(("host", host.to_owned()));
        assert_eq!(desk.get("/console").await.status, 200, "{host}");
    }
    app.end().await;
    let app = TestApp::with("[http]\nproxies = 1\n").await;
    assert_eq!(Desk::new(&app).get("/console").await.status, 403, "behind a proxy");
    assert_eq!(app.get("/v1/notifications").await.0, 401, "and so is the API");
    app.end().await;
    let open = "[http]\nlisten = \"0.0.0.0:8080\"\npublic_url = \"https://tidings.example.com\"\n";
    let app = TestApp::with(open).await;
    assert_eq!(Desk::new(&app).get("/console").await.status, 403);
    app.end().await;
}

#[tokio::test]
async fn an_api_key_opens_no_page() {
    let (key, hash) = tidings::web::auth::new_key("desk");
    let keys = format!(
        "[auth]\napi_keys = [{{ name = \"desk\", hash = \"{hash}\", scopes = [\"read\", \"manage\"] }}]\n"
    );
    let app = TestApp::with(&format!("{keys}{}", everybody())).await;
    let mut desk = Desk::new(&app);
    desk.headers.push(("authorization", format!("Bearer {key}")));
    let answer = desk.get("/console").await;
    assert_eq!(answer.location.as_deref(), Some("/console/sign-in"));
    app.end().await;
}
