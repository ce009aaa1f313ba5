//! Who is at the console, and what they may do.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::web::Web;
use crate::web::auth::Reader;

/// What an operator may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything; addresses are masked.
    Viewer,
    /// Act on notifications and tasks, write drafts.
    Editor,
    /// Publish what somebody else wrote.
    Publisher,
    /// Providers, suppressions, unmasking.
    Admin,
}

/// Somebody at the console.
#[derive(Debug, Clone, Serialize)]
pub struct Operator {
    pub name: String,
    pub role: Role,
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
