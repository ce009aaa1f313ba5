//! Errors as RFC 9457 problems, with a JSON pointer per fault.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::domain::Fault;
use crate::store::StoreError;

/// A refusal that says what is wrong and how to mend it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    errors: Vec<Fault>,
    /// Members besides the standard ones.
    more: Map<String, Value>,
    retry_after_s: Option<u32>,
}

pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
            errors: Vec::new(),
            more: Map::new(),
            retry_after_s: None,
        }
    }

    /// 422: the request can be read and not be followed.
    #[must_use]
    pub fn faults(errors: Vec<Fault>) -> Self {
        let detail = match errors.len() {
            1 => errors[0].to_string(),
            n => format!("{n} faults; each is listed with where it is"),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Cannot be accepted", detail) }
    }

    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.more.insert(member.to_owned(), value);
        self
    }

    /// With the time after which the caller may try again.
    #[must_use]
    pub fn retry_after(self, wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1).try_into().unwrap_or(u32::MAX);
        Self { retry_after_s: Some(seconds), ..self }
    }

    #[must_use]
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", format!("{what} is not known"))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::Refused(why) => Self::new(StatusCode::CONFLICT, "Not possible now", why),
            StoreError::Unavailable { .. } | StoreError::Conflict { .. } => {
                tracing::error!(%error, "the store is away");
                let detail = "nothing was kept; try again".to_owned();
                Self {
                    retry_after_s: Some(5),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Store not available", detail)
                }
            }
            StoreError::Damaged(_) => {
                tracing::error!(%error, "stored data is damaged");
                let detail = "the log says more";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal fault", detail)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.more;
        body.insert("type".into(), "about:blank".into());
        body.insert("title".into(), self.title.into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("detail".into(), self.detail.into());
        if !self.errors.is_empty() {
            body.insert("errors".into(), json!(self.errors));
        }
        let mut response = (self.status, Json(Value::Object(body))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

pub async fn no_such_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "Not found", "there is nothing at this address")
}

pub async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        "this address answers other methods; the Allow header names them",
    )
}
