//! The two cookies of the console: a session's token, and what a browser keeps while somebody
//! is at the OpenID provider. Scripts cannot read them, and another site's forms send neither.

use axum::http::{HeaderMap, HeaderValue};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

use crate::web::Web;

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Session,
    Keepsake,
}

impl Kept {
    /// Bound to this host and to https where there is https; on loopback browsers keep no such
    /// cookie (RFC 6265bis section 4.1.3.2).
    fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::Session, true) => "__Host-tidings-console",
            (Self::Session, false) => "tidings-console",
            (Self::Keepsake, true) => "__Host-tidings-openid",
            (Self::Keepsake, false) => "tidings-openid",
        }
    }

    /// What the browser sent.
    pub fn read(self, web: &Web, headers: &HeaderMap) -> Option<String> {
        let jar = CookieJar::from_headers(headers);
        jar.get(self.name(is_https(web))).map(|cookie| cookie.value().to_owned())
    }

    /// Sets it. It goes with the browser; how long it is good the store and its text know.
    pub fn set(self, web: &Web, value: String) -> HeaderValue {
        text(&self.bare(web, value))
    }

    /// Takes it away.
    pub fn remove(self, web: &Web) -> HeaderValue {
        let mut cookie = self.bare(web, String::new());
        cookie.make_removal();
        text(&cookie)
    }

    fn bare(self, web: &Web, value: String) -> Cookie<'static> {
        let https = is_https(web);
        // Lax: the provider's redirect and links in alarms come from elsewhere and must find it.
        Cookie::build((self.name(https), value))
            .path("/")
            .http_only(true)
            .secure(https)
            .same_site(SameSite::Lax)
            .build()
    }
}

fn is_https(web: &Web) -> bool {
    web.app.settings.http.public_url.starts_with("https://")
}

fn text(cookie: &Cookie<'_>) -> HeaderValue {
    cookie.encoded().to_string().parse().expect("a cookie is ASCII")
}
