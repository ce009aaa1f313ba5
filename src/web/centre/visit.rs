//! A visit: who is on the pages, by a signed cookie and nothing else. No form names a customer.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

use crate::app::centre::{Person, person};
use crate::domain::CustomerId;
use crate::domain::time::Instant;
use crate::domain::token::Grant;
use crate::store::StoreError;
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::pages::in_a_language_of_theirs;

/// How long a visit lasts without a page being opened, in seconds.
const VISIT_S: i64 = 30 * 60;

/// How long a proof holds: the visitor read what we sent to an address of the customer.
pub const PROOF_S: i64 = 15 * 60;

/// Who is on the pages.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub person: Person,
    pub proven: bool,
    pub now: Instant,
    proven_until_s: i64,
}

/// The cookie's name: bound to this host and to https where there is https; on loopback
/// browsers keep no such cookie (RFC 6265bis section 4.1.3.2).
fn name(web: &Web) -> &'static str {
    if is_https(web) { "__Host-tidings" } else { "tidings" }
}

fn is_https(web: &Web) -> bool {
    web.app.settings.http.public_url.starts_with("https://")
}

/// The cookie of a visit that begins or goes on at `now`.
pub fn cookie(web: &Web, customer: &CustomerId, now: Instant, proven_until_s: i64) -> HeaderValue {
    let until_s = now.timestamp() + VISIT_S;
    let grant = Grant::Visit { customer: customer.clone(), until_s, proven_until_s };
    value(web, web.app.engine.keys.token(&grant))
}

/// A cookie that ends the visit.
pub fn no_cookie(web: &Web) -> HeaderValue {
    let mut cookie = bare(web, String::new());
    cookie.make_removal();
    text(&cookie)
}

fn bare(web: &Web, value: String) -> Cookie<'static> {
    Cookie::build((name(web), value))
        .path("/")
        .http_only(true)
        .secure(is_https(web))
        .same_site(SameSite::Lax)
        .build()
}

fn value(web: &Web, token: String) -> HeaderValue {
    text(&bare(web, token))
}

fn text(cookie: &Cookie<'_>) -> HeaderValue {
    cookie.encoded().to_string().parse().expect("a cookie is ASCII")
}

impl Visitor {
    /// An operator who looks at what the customer sees: proven nothing, and no visit.
    pub const fn looking(person: Person, now: Instant) -> Self {
        Self { person, proven: false, now, proven_until_s: 0 }
    }

    /// The answer, with a cookie that lets the visit go on from now.
    pub fn go_on(&self, web: &Web, response: Response) -> Response {
        let mut response = response;
        let id = &self.person.customer.id;
        let cookie = cookie(web, id, self.now, self.proven_until_s);
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response
    }

    /// The same visitor, who has just proven who they are.
    #[must_use]
    pub fn proven(self) -> Self {
        let proven_until_s = self.now.timestamp() + PROOF_S;
        Self { proven: true, proven_until_s, ..self }
    }

    /// The same visitor with what the store holds now.
    ///
    /// # Errors
    /// `NotFound` when the customer is gone.
    pub async fn read_again(self, web: &Web) -> Result<Self, StoreError> {
        let mut person = person(&web.app, &self.person.customer.id, self.now).await?;
        if person.customer.profile.locale.is_none() {
            person.reader.locale = self.person.reader.locale;
        }
        Ok(Self { person, ..self })
    }
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        let away = || {
            let answer = Redirect::to("/centre/sign-in").into_response();
            let mut answer = answer;
            answer.headers_mut().append(header::SET_COOKIE, no_cookie(web));
            answer
        };
        let now = web.app.engine.clock.now();
        let jar = CookieJar::from_headers(&parts.headers);
        let token = jar.get(name(web)).map(Cookie::value).unwrap_or_default();
        let Some(Grant::Visit { customer, proven_until_s, .. }) =
            web.app.engine.keys.read(token, now)
        else {
            return Err(away());
        };
        match person(&web.app, &customer, now).await {
            Ok(person) => {
                let person = in_a_language_of_theirs(web, person, &parts.headers);
                let proven = now.timestamp() < proven_until_s;
                Ok(Self { person, proven, now, proven_until_s })
            }
            Err(StoreError::NotFound { .. }) => Err(away()),
            Err(error) => Err(Problem::from(error).into_response()),
        }
    }
}
