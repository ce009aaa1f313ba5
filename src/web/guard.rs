//! Slows down who guesses links and codes. Behind proxies the client is whom the outermost one
//! we trust has seen.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Web, pages};

/// What can be guessed.
const GUESSED: [&str; 4] = ["/c/{token}", "/u/{token}", "/a/{token}", "/m/{code}"];

/// Every try counts here: the answer is the same whether or not it was right.
const ASKED: &str = "/centre/sign-in";

/// What operators sign in by; a try that was refused counts.
const SIGN_IN: [&str; 2] = ["/console/sign-in", "/console/openid/back"];

/// The way to the OpenID provider, which asks the provider something.
const AWAY: &str = "/console/openid";

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Answers 429 to a client that was wrong too often.
pub async fn limit_guesses(State(web): State<Web>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let posts = request.method() == Method::POST;
    let asks = (path == ASKED && posts) || path == AWAY;
    let signs_in = SIGN_IN.contains(&path) && (posts || path != SIGN_IN[0]);
    if !asks && !signs_in && !GUESSED.contains(&path) {
        return next.run(request).await;
    }
    let from = seen_from(&web, request.extensions(), request.headers());
    let (guesses, now) = (&web.app.guesses, web.app.engine.clock.now());
    if let Some(wait) = guesses.must_wait(from, now) {
        if path.starts_with("/console") {
            return super::console::slow_down(&web, wait);
        }
        let reader = pages::stranger(&web, request.headers());
        let page = pages::note(&web, &reader, "slow_down", false);
        let wait_s = wait.as_secs_f64().ceil().to_string();
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, wait_s)], page)
            .into_response();
    }
    let response = next.run(request).await;
    let wrong = if signs_in { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
    let too_many = signs_in && response.status() == StatusCode::TOO_MANY_REQUESTS;
    if asks || too_many || response.status() == wrong {
        guesses.count(from, now);
    }
    response
}

/// Who sent a request.
pub fn caller(web: &Web, request: &Request) -> IpAddr {
    seen_from(web, request.extensions(), request.headers())
}

fn seen_from(web: &Web, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
    let peer = extensions.get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    client(peer, headers, web.app.settings.http.proxies)
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Seen {
    pub headers: HeaderMap,
    from: IpAddr,
}

impl Seen {
    /// The network, for a log that is to name no person's own address: `192.0.2.*`.
    pub fn network(&self) -> String {
        match self.from.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.*")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:*")
            }
        }
    }
}

impl FromRequestParts<Web> for Seen {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Self::Rejection> {
        let from = seen_from(web, &parts.extensions, &parts.headers);
        Ok(Self { headers: parts.headers.clone(), from })
    }
}

/// Whom the outermost of so many proxies has seen: each adds the other end of its connection
/// at the end of `X-Forwarded-For`. What stands before that anybody can write.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: u8) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter();
    let hops: Vec<IpAddr> = forwarded
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|hop| hop.trim().parse().unwrap_or(peer))
        .collect();
    match usize::from(proxies) {
        0 => peer,
        trusted => hops.len().checked_sub(trusted).map_or(peer, |place| hops[place]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_own_proxies_wrote_says_who_the_client_is() {
        let peer: IpAddr = "10.0.0.1".parse().expect("an address");
        let seen = |value: &'static str, proxies| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", value.parse().expect("a header"));
            client(peer, &headers, proxies).to_string()
        };
        assert_eq!(seen("192.0.2.9", 0), "10.0.0.1", "anybody can write it");
        assert_eq!(seen("203.0.113.5, 192.0.2.9", 1), "192.0.2.9");
        assert_eq!(seen("203.0.113.5, 192.0.2.9, 10.0.0.2", 2), "192.0.2.9");
        assert_eq!(seen("192.0.2.9", 2), "10.0.0.1", "a proxy is missing");
        assert_eq!(seen("nonsense", 1), "10.0.0.1");
        assert_eq!(client(peer, &HeaderMap::new(), 1), peer);
    }
}
