//! The texts of a draft: each in a field of its own, with how it reads on every channel.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::context;
use minijinja::value::Serde;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::app::console::audit::note;
use crate::app::publishing::preview::{html, previews};
use crate::app::publishing::{Refusal, drafts, shown};
use crate::domain::Operator;
use crate::store::StoreError;
use crate::web::Web;
use crate::web::console::{At, Editor};

use super::draft::{SANDBOX, frame};
use super::{Form, done, refused, said, show};

/// This page shows a mail inside it, and nothing else from anywhere.
const WITH_FRAMES: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// The message and language of a file: `return/post-it` and `en`.
fn named(file: &str) -> Option<(&str, &str)> {
    file.strip_prefix("messages/")?.strip_suffix(".j2")?.rsplit_once('.')
}

fn unknown(file: &str) -> Refusal {
    StoreError::NotFound { what: format!("the text {file:?}") }.into()
}

/// `GET /console/drafts/{id}/texts`.
pub async fn list(State(web): State<Web>, operator: Operator, Path(seq): Path<i64>) -> Response {
    match drafts::read(&web.app, seq).await {
        Ok(whole) => {
            let mut texts: BTreeMap<&str, Vec<(&str, &String, bool)>> = BTreeMap::new();
            for file in whole.files.files.keys() {
                if let Some((message, locale)) = named(file) {
                    let changed = whole.draft.changes.contains_key(file);
                    texts.entry(message).or_default().push((locale, file, changed));
                }
            }
            let texts: Vec<_> = texts.into_iter().collect();
            let values = context! { texts => Serde(texts), ..frame(&operator, &whole) };
            let title = format!("Draft {seq}: the texts");
            show(&web, &operator, "journeys", &title, "draft-texts.html", values, &[])
        }
        Err(refusal) => refused(&web, &operator, refusal, "/console/journeys"),
    }
}

/// `GET /console/drafts/{id}/text?file=…`.
pub async fn page(
    State(web): State<Web>,
    operator: Operator,
    Path(seq): Path<i64>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    let file = query.field("file");
    let read = async {
        let whole = drafts::read(&web.app, seq).await?;
        let (message, locale) = named(file).ok_or_else(|| unknown(file))?;
        let text = whole.files.files.get(file).ok_or_else(|| unknown(file))?;
        let compiled = whole.compile(&web.app)?;
        let previews = previews(&compiled, message, locale);
        let findings: Vec<_> = compiled
            .findings
            .into_iter()
            .filter(|finding| file.ends_with(finding.file()) || finding.file() == file)
            .collect();
        let faults = findings.iter().filter(|finding| finding.is_error()).count();
        Ok::<_, Refusal>(context! {
            file, message, locale, text => text.as_str(), faults,
            address => utf8_percent_encode(file, NON_ALPHANUMERIC).to_string(),
            previews => Serde(previews), findings => Serde(shown::findings(&findings)),
            ..frame(&operator, &whole)
        })
    };
    match read.await {
        Ok(values) => {
            let title = format!("Draft {seq}: a text");
            let page = "draft-text.html";
            let page = show(&web, &operator, "journeys", &title, page, values, &said(&query));
            ([(header::CONTENT_SECURITY_POLICY, WITH_FRAMES)], page).into_response()
        }
        Err(refusal) => refused(&web, &operator, refusal, &format!("/console/drafts/{seq}/texts")),
    }
}

/// `POST /console/drafts/{id}/text`.
pub async fn set(
    State(web): State<Web>,
    At(operator): Editor,
    Path(seq): Path<i64>,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let file = form.field("file");
    let address = utf8_percent_encode(file, NON_ALPHANUMERIC).to_string();
    let here = format!("/console/drafts/{seq}/text?file={address}");
    let acted = async {
        let whole = drafts::read(&web.app, seq).await?;
        whole.must_be_revision(form.number("revision"))?;
        named(file).ok_or_else(|| unknown(file))?;
        whole.rewrite(&web.app, file, form.field("text"), &operator.name).await?;
        let detail = json!({ "file": file });
        note(&web.app, &operator, "draft_text", &seq.to_string(), detail).await?;
        Ok::<_, Refusal>(())
    };
    match acted.await {
        Ok(()) => done(&here, "saved"),
        Err(refusal) => refused(&web, &operator, refusal, &here),
    }
}

/// `GET /console/drafts/{id}/mail?file=…&sample=1`: the mail itself, shut in.
pub async fn mail(
    State(web): State<Web>,
    operator: Operator,
    Path(seq): Path<i64>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    let file = query.field("file");
    let read = async {
        let whole = drafts::read(&web.app, seq).await?;
        let compiled = whole.compile(&web.app)?;
        let (message, locale) = named(file).ok_or_else(|| unknown(file))?;
        let sample = usize::try_from(query.number("sample")).unwrap_or(1).max(1);
        let page = html(&compiled, message, locale, sample).ok_or_else(|| unknown(file))?;
        Ok::<_, Refusal>(page.to_owned())
    };
    match read.await {
        Ok(page) => ([(header::CONTENT_SECURITY_POLICY, SANDBOX)], Html(page)).into_response(),
        Err(refusal) => refused(&web, &operator, refusal, &format!("/console/drafts/{seq}/texts")),
    }
}
