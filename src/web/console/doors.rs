//! The ways in and out: the form for a name, a password and a one-time code, the way to the
//! OpenID provider and back, and signing out.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use crate::app::console::door::{Credentials, NotLetIn};
use crate::app::console::openid::{Answer, OpenIdDoor, OpenIdError};
use crate::web::Web;
use crate::web::error::Problem;
use crate::web::guard;
use crate::web::receipts::pairs;

use super::cookies::Kept;
use super::{Said, show_stranger, slow_down};

/// The page of the console somebody may be sent to: one of ours, and nothing else.
fn safe_next(asked: &str) -> &str {
    let plain = asked.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let tail = asked.strip_prefix("/console").unwrap_or("?");
    let ours = asked.starts_with("/console") && (tail.is_empty() || tail.starts_with(['/', '?']));
    let not_a_door =
        ["/sign-in", "/sign-out", "/openid"].iter().all(|door| !tail.starts_with(door));
    if plain && ours && not_a_door && asked.len() <= 1_000 { asked } else { "/console" }
}

/// Sends somebody to the form, who is shown the page they asked for afterwards.
pub fn to_the_form(request: &axum::http::request::Parts) -> Response {
    let asked = request.uri.path_and_query().map_or("", |path| path.as_str());
    let read = request.method == axum::http::Method::GET;
    let next = if read { safe_next(asked) } else { "/console" };
    if next == "/console" {
        return Redirect::to("/console/sign-in").into_response();
    }
    let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
    Redirect::to(&format!("/console/sign-in?next={next}")).into_response()
}

fn value_of(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

fn form(web: &Web, next: &str, name: &str, said: &[Said]) -> Response {
    let door = &web.app.door;
    let values = context! {
        next, name, by_password => door.asks_for_password(),
        provider => door.openid().map(OpenIdDoor::host),
        onward => percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC)
            .to_string(),
    };
    show_stranger(web, "Sign in", "sign_in.html", values, said)
}

/// `GET /console/sign-in`.
pub async fn sign_in_form(State(web): State<Web>, request: Request) -> Response {
    if web.app.door.is_open_here() {
        return Redirect::to("/console").into_response();
    }
    let fields = pairs(request.uri().query().unwrap_or_default().as_bytes());
    let next = value_of(&fields, "next").unwrap_or_default();
    form(&web, safe_next(&next), "", &[])
}

/// `POST /console/sign-in`. What is wrong is not said.
pub async fn sign_in(State(web): State<Web>, seen: guard::Seen, body: Bytes) -> Response {
    let door = &web.app.door;
    if door.is_open_here() {
        return Redirect::to("/console").into_response();
    }
    let fields = pairs(&body);
    let field = |name: &str| value_of(&fields, name).unwrap_or_default();
    let asked = field("next");
    let (next, name) = (safe_next(&asked), field("name").trim().to_owned());
    let given = Credentials {
        name: name.clone(),
        password: field("password"),
        code: field("code"),
        from: seen.network(),
    };
    let before = Kept::Session.read(&web, &seen.headers);
    match door.sign_in(&web.app, given, before.as_deref()).await {
        Ok(token) => enter(next, Kept::Session.set(&web, token), None),
        Err(NotLetIn::SlowDown(wait)) => slow_down(&web, wait),
        Err(NotLetIn::Store(error)) => Problem::from(error).into_response(),
        Err(NotLetIn::Wrong) => {
            let text = "The name, the password or the code is not right. A code is good once: wait for the next one if you have just used this one.";
            let said = [Said { kind: "fault", text: text.into() }];
            (StatusCode::FORBIDDEN, form(&web, next, &name, &said)).into_response()
        }
    }
}

/// To a page, with cookies.
fn enter(next: &str, cookie: HeaderValue, other: Option<HeaderValue>) -> Response {
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    if let Some(other) = other {
        response.headers_mut().append(header::SET_COOKIE, other);
    }
    response
}

/// `GET /console/openid`: to the provider. A link, since a form may lead to this site only.
pub async fn openid_leave(State(web): State<Web>, request: Request) -> Response {
    let Some(openid) = web.app.door.openid() else {
        return Redirect::to("/console/sign-in").into_response();
    };
    let fields = pairs(request.uri().query().unwrap_or_default().as_bytes());
    let next = value_of(&fields, "next").unwrap_or_default();
    let next = safe_next(&next);
    match openid.leave(&web.app, next).await {
        Ok(leaving) => enter(&leaving.url, Kept::Keepsake.set(&web, leaving.keepsake), None),
        Err(error) => not_let_in(&web, next, error),
    }
}

/// `GET /console/openid/back`: from the provider.
pub async fn openid_back(State(web): State<Web>, seen: guard::Seen, request: Request) -> Response {
    let Some(openid) = web.app.door.openid() else {
        return Redirect::to("/console/sign-in").into_response();
    };
    let fields = pairs(request.uri().query().unwrap_or_default().as_bytes());
    let answer = Answer {
        code: value_of(&fields, "code"),
        state: value_of(&fields, "state"),
        error: value_of(&fields, "error"),
    };
    let keepsake = Kept::Keepsake.read(&web, &seen.headers);
    let before = Kept::Session.read(&web, &seen.headers);
    let (keepsake, before) = (keepsake.as_deref(), before.as_deref());
    match openid.arrive(&web.app, keepsake, answer, before, &seen.network()).await {
        Ok(arrived) => {
            let session = Kept::Session.set(&web, arrived.token);
            enter(safe_next(&arrived.next), session, Some(Kept::Keepsake.remove(&web)))
        }
        Err(error) => {
            let mut response = not_let_in(&web, "/console", error);
            response.headers_mut().append(header::SET_COOKIE, Kept::Keepsake.remove(&web));
            response
        }
    }
}

fn not_let_in(web: &Web, next: &str, error: OpenIdError) -> Response {
    let host = web.app.door.openid().map(OpenIdDoor::host).unwrap_or_default();
    let (status, text) = match error {
        OpenIdError::Store(error) => return Problem::from(error).into_response(),
        OpenIdError::Away(why) => {
            tracing::warn!(provider = host, why, "the OpenID provider cannot be used");
            let text = format!(
                "{host} cannot be used to sign in at the moment; the log says why. Please try again later."
            );
            (StatusCode::BAD_GATEWAY, text)
        }
        OpenIdError::Refused(why) => {
            tracing::warn!(provider = host, why, "a sign-in by OpenID was refused");
            let text = "You were not signed in: what came back does not prove who you are, or it took too long. Please try again.";
            (StatusCode::FORBIDDEN, text.to_owned())
        }
        OpenIdError::NoRole { name } => {
            let text = format!(
                "You are known to {host} as {name}, and have no role at this console. Whoever looks after its settings can give you one."
            );
            (StatusCode::FORBIDDEN, text)
        }
    };
    let said = [Said { kind: "fault", text }];
    (status, form(web, next, "", &said)).into_response()
}

/// `POST /console/sign-out`.
pub async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Response {
    if let Some(token) = Kept::Session.read(&web, &headers)
        && let Err(error) = web.app.door.sign_out(&web.app, &token).await
    {
        return Problem::from(error).into_response();
    }
    enter("/console/sign-in", Kept::Session.remove(&web), None)
}

#[cfg(test)]
mod tests {
    use super::safe_next;

    #[test]
    fn only_pages_of_the_console_are_remembered() {
        for fine in ["/console", "/console/audit", "/console/n/1?a=%2F", "/console?x=1"] {
            assert_eq!(safe_next(fine), fine);
        }
        let long = format!("/console/{}", "a".repeat(1_000));
        for other in [
            "",
            "/",
            "/centre",
            "//evil.example",
            "https://evil.example/console",
            "/consolex",
            "/console.evil.example",
            "/console/\\evil",
            "/console/a b",
            "/console/\r\nx",
            "/console/sign-in",
            "/console/sign-out",
            "/console/openid/back",
            &long,
        ] {
            assert_eq!(safe_next(other), "/console", "{other:?}");
        }
    }
}
