//! People at the console: how they come in, how long they stay, what each may do.

mod command;
mod faults;
mod openid;
mod roles;
mod session;
mod sign_in;

use std::cell::RefCell;
use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, header};
use tidings::domain::{OneTimeSecret, PasswordHash};
use tidings::store::audit::{AuditFilter, AuditRow};
use tower::ServiceExt;

use crate::support::TestApp;

/// The password of everybody here.
pub const PASSWORD: &str = "a long walk in the rain";

/// The secret of somebody's authenticator app.
pub fn secret(name: &str) -> OneTimeSecret {
    OneTimeSecret::new([name.as_bytes()[0]; 20])
}

/// An entry of the settings.
pub fn entry(name: &str, role: &str) -> String {
    let hash = PasswordHash::of(PASSWORD, [7; 16]);
    let (hash, totp) = (hash.as_str(), secret(name).base32());
    format!(
        "[[console.operators]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"{hash}\"\ntotp = \"{totp}\"\n"
    )
}

/// Settings with one operator of each role.
pub fn everybody() -> String {
    [("vera", "viewer"), ("edda", "editor"), ("pia", "publisher"), ("ada", "admin")]
        .map(|(name, role)| entry(name, role))
        .concat()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub cookies: Vec<String>,
    pub body: String,
}

/// An operator's browser.
pub struct Desk<'a> {
    app: &'a TestApp,
    pub cookies: RefCell<BTreeMap<String, String>>,
    /// Headers of every request, such as those a proxy adds.
    pub headers: Vec<(&'static str, String)>,
    /// `Origin` and `Sec-Fetch-Site` of its forms.
    pub from: (&'static str, &'static str),
}

impl<'a> Desk<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        let from = ("https://tidings.example.com", "same-origin");
        Self { app, cookies: RefCell::default(), headers: Vec::new(), from }
    }

    /// The same, signed in.
    pub async fn signed_in(app: &'a TestApp, name: &str) -> Self {
        let desk = Self::new(app);
        let answer = desk.sign_in(name, PASSWORD, &secret(name).code(app.now()), "").await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/console")));
        desk
    }

    pub async fn sign_in(&self, name: &str, password: &str, code: &str, next: &str) -> Answer {
        let fields = [("name", name), ("password", password), ("code", code), ("next", next)];
        self.post("/console/sign-in", &fields).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = reqwest::Url::parse("form:x").expect("a URL");
        form.query_pairs_mut().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, self.from.0)
            .header("sec-fetch-site", self.from.1)
            .header(header::HOST, "tidings.example.com")
            .body(body.into());
        self.send(request.expect("a request")).await
    }

    async fn send(&self, mut request: Request<Body>) -> Answer {
        let headers = request.headers_mut();
        let cookies = self.cookies.borrow().clone();
        if !cookies.is_empty() {
            let pairs: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            headers.insert(header::COOKIE, pairs.join("; ").parse().expect("cookies"));
        }
        for (name, value) in &self.headers {
            headers.insert(*name, value.parse().expect("a header"));
        }
        let response = self.app.router().oneshot(request).await.expect("answered");
        let (parts, body) = response.into_parts();
        let set = parts.headers.get_all(header::SET_COOKIE).iter();
        let cookies: Vec<String> = set.map(|it| it.to_str().expect("text").to_owned()).collect();
        for set in &cookies {
            let (name, value) =
                set.split(';').next().unwrap_or_default().split_once('=').expect("a pair");
            if set.contains("Max-Age=0") {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
        }
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
        let location = parts.headers.get(header::LOCATION);
        Answer {
            status: parts.status.as_u16(),
            location: location.map(|location| location.to_str().expect("text").to_owned()),
            cookies,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    /// The token it has.
    pub fn token(&self) -> Option<String> {
        self.cookies.borrow().get("__Host-tidings-console").cloned()
    }

    pub fn take_token(&self, token: &str) {
        let name = "__Host-tidings-console".to_owned();
        self.cookies.borrow_mut().insert(name, token.to_owned());
    }
}

/// What is noted, the newest first.
pub async fn noted(app: &TestApp) -> Vec<AuditRow> {
    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    app.store().audit_log(&all).await.expect("the store is there")
}
