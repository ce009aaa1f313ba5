//! Who is at the console, and what they may do.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::web::Web;
use crate::web::auth::is_local;
use crate::web::error::Problem;

use super::cookies::Kept;
use super::doors::to_the_form;
use super::{closed, forbidden, note_forbidden};

pub use crate::domain::{Operator, Role};

/// An operator who has at least a role. `ROLE` is the position in [`Role::ALL`]. Others are
/// shown which role it takes.
#[derive(Debug, Clone)]
pub struct At<const ROLE: usize>(pub Operator);

/// Acts on notifications and tasks, writes drafts.
pub type Editor = At<1>;
/// Publishes.
pub type Publisher = At<2>;
/// Providers, suppressions, unmasking.
pub type Admin = At<3>;

impl<const ROLE: usize> FromRequestParts<Web> for At<ROLE> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        let operator = Operator::from_request_parts(parts, web).await?;
        let needed = Role::ALL[ROLE];
        if operator.may(needed) {
            return Ok(Self(operator));
        }
        note_forbidden(web, &operator, needed, parts).await;
        Err(forbidden(web, &operator, needed))
    }
}

impl FromRequestParts<Web> for Operator {
    type Rejection = Response;

    /// Without anybody who could sign in, only this machine is served. API keys open nothing
    /// here.
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        let door = &web.app.door;
        if door.is_open_here() {
            return if is_local(&parts.headers, parts.extensions.get(), web) {
                Ok(Self { name: "local".into(), role: Role::Admin })
            } else {
                Err(closed(web))
            };
        }
        let Some(token) = Kept::Session.read(web, &parts.headers) else {
            return Err(to_the_form(parts));
        };
        match door.who(&web.app, &token).await {
            Ok(Some(operator)) => Ok(operator),
            Ok(None) => {
                let mut response = to_the_form(parts);
                response.headers_mut().append(header::SET_COOKIE, Kept::Session.remove(web));
                Err(response)
            }
            Err(error) => Err(Problem::from(error).into_response()),
        }
    }
}
