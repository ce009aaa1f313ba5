//! Who calls: API keys with scopes. A key is `tdk_<name>_<secret>`; only its hash is kept.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{ApiKey, Scope};

use super::Web;
use super::error::Problem;
use super::guard::Peer;

/// A caller who may do what the scope says. `SCOPE` is the position in `SCOPES`.
#[derive(Debug, Clone)]
pub struct Caller<const SCOPE: usize> {
    pub name: String,
}

const SCOPES: [Scope; 3] = [Scope::Ingest, Scope::Read, Scope::Manage];

/// Sends events.
pub type Ingester = Caller<0>;
/// Reads customers, cases and notifications.
pub type Reader = Caller<1>;
/// Changes customers and acts on notifications.
pub type Manager = Caller<2>;

impl<const SCOPE: usize> FromRequestParts<Web> for Caller<SCOPE> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let settings = &web.app.settings;
        let keys = &settings.auth.api_keys;
        if keys.is_empty() {
            return open_on_loopback(parts, web).map(|()| Self { name: "local".into() });
        }
        let unauthorised = |detail: &str| {
            Problem::new(StatusCode::UNAUTHORIZED, "Unauthorised", detail.to_owned())
        };
        let presented = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| unauthorised("send the API key as Authorization: Bearer tdk_…"))?;
        let key = find(keys, presented.trim())
            .ok_or_else(|| unauthorised("the API key is not known here"))?;
        if !key.scopes.contains(&SCOPES[SCOPE]) {
            let wanted = serde_json::to_value(SCOPES[SCOPE]).expect("a scope is plain data");
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "Forbidden",
                format!("the API key {:?} has not the scope {wanted}", key.name),
            ));
        }
        Ok(Self { name: key.name.clone() })
    }
}

/// Does a request come from this machine, as far as can be told? A forwarded one comes from
/// elsewhere, and so does whatever a proxy in the settings passes on.
pub(super) fn is_local(headers: &HeaderMap, peer: Option<&Peer>, web: &Web) -> bool {
    let http = &web.app.settings.http;
    let from_here = peer.is_none_or(|peer| peer.0.to_canonical().is_loopback());
    http.listen.ip().is_loopback()
        && from_here
        && http.proxies == 0
        && !is_forwarded(headers)
        && names_this_machine(headers)
}

/// Is it asked for by a name of this machine? Any other name was made to lead here by somebody
/// else's page (DNS rebinding), or is a proxy's.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return !headers.contains_key(header::HOST);
    };
    let url = reqwest::Url::parse(&format!("http://{host}"));
    let Some(asked) = url.ok().and_then(|url| url.host_str().map(str::to_owned)) else {
        return false;
    };
    let address = asked.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    asked == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Without any key configured, only this machine is served.
fn open_on_loopback(parts: &Parts, web: &Web) -> Result<(), Problem> {
    if is_local(&parts.headers, parts.extensions.get(), web) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "Unauthorised",
        "no API key is configured, so only requests from this machine are answered; `tidings key new` prints one",
    ))
}

/// Did a proxy pass this request on?
fn is_forwarded(headers: &HeaderMap) -> bool {
    let marks = ["forwarded", "via", "x-real-ip"];
    let is_mark = |name: &str| marks.contains(&name) || name.starts_with("x-forwarded-");
    headers.keys().any(|name| is_mark(name.as_str()))
}

/// Looks at every key, whichever fits, so that the time taken tells nothing.
fn find<'a>(keys: &'a [ApiKey], presented: &str) -> Option<&'a ApiKey> {
    let hash = hash(presented);
    let mut found = None;
    for key in keys {
        if bool::from(key.hash.as_bytes().ct_eq(hash.as_bytes())) {
            found = Some(key);
        }
    }
    found
}

/// What is kept of a key: SHA-256 in hex. A random key needs no slow hash.
#[must_use]
pub fn hash(key: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(key.as_bytes()))
}

/// A new key: what the caller keeps, and the hash for the settings.
#[must_use]
pub fn new_key(name: &str) -> (String, String) {
    let secret: [u8; 32] = rand::random();
    let key = format!("tdk_{name}_{}", data_encoding::BASE64URL_NOPAD.encode(&secret));
    let hash = hash(&key);
    (key, hash)
}
