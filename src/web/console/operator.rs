//! Who is at the console, and what they may do.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::web::Web;
use crate::web::auth::Reader;

use super::forbidden;

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
            Ok(Self(operator))
        } else {
            Err(forbidden(web, &operator, needed))
        }
    }
}

impl FromRequestParts<Web> for Operator {
    type Rejection = Response;

    /// Without any operator configured, only this machine is served, as with API keys.
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        let local = Reader::from_request_parts(parts, web).await;
        let Reader { name } = local.map_err(IntoResponse::into_response)?;
        Ok(Self { name, role: Role::Admin })
    }
}
