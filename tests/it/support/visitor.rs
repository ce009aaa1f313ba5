//! A customer's browser, as far as the pages need one: a cookie, forms, and no script.

use axum::body::Body;
use axum::http::{Request, header};
use tower::ServiceExt;

use super::TestApp;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub headers: axum::http::HeaderMap,
    pub body: String,
}

/// Somebody on the pages, with the cookie they were given.
pub struct Browser<'a> {
    app: &'a TestApp,
    cookie: std::cell::RefCell<String>,
    /// `Accept-Language`.
    pub language: &'static str,
    /// `Origin` and `Sec-Fetch-Site` of its forms.
    pub from: (&'static str, &'static str),
    /// `Host` of its forms.
    pub host: &'static str,
}

impl<'a> Browser<'a> {
    /// A browser without a cookie.
    pub fn new(app: &'a TestApp) -> Self {
        let cookie = std::cell::RefCell::default();
        let host = "tidings.example.com";
        let from = ("https://tidings.example.com", "same-origin");
        Self { app, cookie, language: "en", from, host }
    }

    /// One on the machine itself, which has the console open where nobody signs in.
    pub fn here(app: &'a TestApp) -> Self {
        let from = ("http://localhost:8080", "same-origin");
        Self { from, host: "localhost:8080", ..Self::new(app) }
    }

    /// The same after following the link of a message to C-1.
    pub async fn visiting(app: &'a TestApp) -> Self {
        let browser = Self::new(app);
        let until = app.now().timestamp() + 60 * 60;
        let link = app.app.engine.centre_link(&"C-1".into(), until);
        let answer = browser.get(&path(&link)).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/centre")));
        browser
    }

    /// The same, having proven that it reads what is sent to C-1.
    pub async fn proven(app: &'a TestApp) -> Self {
        let browser = Self::visiting(app).await;
        let page = browser.get("/centre/addresses").await.body;
        let key = value_of(&page, "<option value=\"").expect("an address to send a code to");
        let sent = browser.post("/centre/addresses", &[("do", "send_code"), ("key", &key)]).await;
        assert!(sent.body.contains("A code is on its way"), "{}", sent.body);
        let digits = app.digits().await;
        let form = [("do", "prove"), ("digits", digits.as_str())];
        let answer = browser.post("/centre/addresses", &form).await;
        assert!(answer.body.contains("For 15 minutes"), "{}", answer.body);
        browser
    }

    pub async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        self.send(request).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = reqwest::Url::parse("form:x").expect("a URL");
        form.query_pairs_mut().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, self.from.0)
            .header("sec-fetch-site", self.from.1)
            .header(header::HOST, self.host)
            .body(body.into());
        self.send(request.expect("a request")).await
    }

    async fn send(&self, mut request: Request<Body>) -> Answer {
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT_LANGUAGE, self.language.parse().expect("a language"));
        let cookie = self.cookie.borrow().clone();
        if !cookie.is_empty() {
            headers.insert(header::COOKIE, cookie.parse().expect("a cookie"));
        }
        let response = self.app.router().oneshot(request).await.expect("answered");
        let (parts, body) = response.into_parts();
        if let Some(set) = parts.headers.get(header::SET_COOKIE) {
            let set = set.to_str().expect("text").to_owned();
            let pair = set.split(';').next().unwrap_or_default();
            let ended = set.contains("Max-Age=0");
            *self.cookie.borrow_mut() = if ended { String::new() } else { pair.to_owned() };
        }
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
        let location = parts.headers.get(header::LOCATION);
        Answer {
            status: parts.status.as_u16(),
            location: location.map(|location| location.to_str().expect("text").to_owned()),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }

    /// The cookie it has, as `name=value`.
    pub fn cookie(&self) -> String {
        self.cookie.borrow().clone()
    }

    pub fn take_cookie(&self, cookie: &str) {
        cookie.clone_into(&mut self.cookie.borrow_mut());
    }
}

/// The path of one of our links.
pub fn path(link: &str) -> String {
    link.trim_start_matches("https://tidings.example.com").to_owned()
}

/// What stands between `before` and the next quotation mark, the first time.
pub fn value_of(page: &str, before: &str) -> Option<String> {
    let start = page.find(before)? + before.len();
    page[start..].split('"').next().map(str::to_owned)
}

impl TestApp {
    /// The six digits of the last mail.
    pub async fn digits(&self) -> String {
        self.drain().await;
        let mails = self.smtp.taken();
        let text = mails.last().expect("a mail").text();
        let digits = text
            .lines()
            .map(str::trim)
            .find(|line| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit()));
        digits.unwrap_or_else(|| panic!("no digits in {text}")).to_owned()
    }
}
