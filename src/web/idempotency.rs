//! `Idempotency-Key` on POST: the same request under one key is answered once, for a day
//! (draft-ietf-httpapi-idempotency-key-header-07).

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::store::kept_answers::KeptAnswer;

use super::api::body::bytes;
use super::error::Problem;
use super::{MAX_BODY, Web};

/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// The largest answer that is kept, in bytes.
const MAX_ANSWER: usize = 4 * MAX_BODY;

/// Keys whose first request is still being answered.
pub type Pending = Arc<Mutex<HashSet<String>>>;

/// A key among the pending ones, until dropped.
struct Turn {
    pending: Pending,
    key: String,
}

impl Turn {
    fn take(pending: &Pending, key: &str) -> Option<Self> {
        let mut keys = pending.lock().expect("no panic while it is held");
        let turn = || Self { pending: Arc::clone(pending), key: key.to_owned() };
        keys.insert(key.to_owned()).then(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pending.lock().expect("no panic while it is held").remove(&self.key);
    }
}

/// Answers a POST with a key as it was answered the first time.
pub async fn answer_once(
    State((web, pending)): State<(Web, Pending)>,
    request: Request,
    next: Next,
) -> Response {
    let wanted = request.method() == Method::POST;
    let key = request.headers().get("idempotency-key").filter(|_| wanted).cloned();
    match key {
        None => next.run(request).await,
        Some(key) => keyed(&web, &pending, &key, request, next)
            .await
            .unwrap_or_else(IntoResponse::into_response),
    }
}

async fn keyed(
    web: &Web,
    pending: &Pending,
    key: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = read_key(key)?;
    let (parts, body) = request.into_parts();
    let key_hash = hash(&[credentials(&parts.headers), key.as_bytes()]);
    let body = bytes(Request::from_parts(parts.clone(), body), web).await?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let fingerprint = hash(&[parts.method.as_str().as_bytes(), target.as_bytes(), &body]);

    let Some(_turn) = Turn::take(pending, &key_hash) else {
        let detail = "the first request with this Idempotency-Key is still being answered";
        return Err(Problem::new(StatusCode::CONFLICT, "Being answered", detail));
    };
    let (store, now) = (&web.app.engine.store, web.app.engine.clock.now());
    if let Some(kept) = store.kept_answer(&key_hash, now).await? {
        if kept.fingerprint != fingerprint {
            let detail = "another request was sent with this Idempotency-Key; give each its own";
            let title = "Key used for another request";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title, detail));
        }
        return Ok(again(kept));
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !is_final(response.status()) {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = to_bytes(body, MAX_ANSWER).await.map_err(|_| {
        let detail = "the answer is too large to be kept; send it without an Idempotency-Key";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal fault", detail)
    })?;
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let answer = KeptAnswer {
        fingerprint,
        status: i64::from(head.status.as_u16()),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    store.keep_answer(&key_hash, answer, now).await?;
    Ok(Response::from_parts(head, Body::from(body)))
}

/// A structured-field string, or the bare text that most callers send.
fn read_key(value: &HeaderValue) -> Result<String, Problem> {
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || key.len() > MAX_KEY {
        let detail = format!("Idempotency-Key: expected 1 to {MAX_KEY} visible characters");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Bad request", detail));
    }
    Ok(key.to_owned())
}

/// Would the same request be answered the same way again? Not when it was refused for who
/// sent it, or because something was away.
fn is_final(status: StatusCode) -> bool {
    let passing = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    !status.is_server_error() && !passing.contains(&status)
}

fn again(kept: KeptAnswer) -> Response {
    let status =
        u16::try_from(kept.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = (status.unwrap_or(StatusCode::OK), Bytes::from(kept.body)).into_response();
    let headers = response.headers_mut();
    match HeaderValue::from_str(&kept.content_type) {
        Ok(content_type) if !content_type.is_empty() => {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        _ => drop(headers.remove(header::CONTENT_TYPE)),
    }
    headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

/// Who sends it: one caller's keys are nothing to another.
fn credentials(headers: &HeaderMap) -> &[u8] {
    headers.get(header::AUTHORIZATION).map_or(&[], HeaderValue::as_bytes)
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    HEXLOWER.encode(&hasher.finalize())
}
