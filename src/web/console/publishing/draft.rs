//! A draft as a whole: what it changes, what is wrong with it, what it would have done.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde_json::json;

use crate::app::console::audit::note;
use crate::app::content::ageing;
use crate::app::publishing::drafts::{self, Whole};
use crate::app::publishing::{Refusal, has_operators, shown};
use crate::domain::{Finding, Operator, Role};
use crate::store::StoreError;
use crate::store::drafts::DraftStatus;
use crate::web::Web;
use crate::web::console::{At, Editor};

use super::{Form, at, done, refused, said, show};

/// A page that is shown inside another: its own style and pictures, and nothing else.
pub(super) const SANDBOX: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'",
);

/// `GET /console/drafts/new`.
pub async fn new(State(web): State<Web>, At(operator): Editor) -> Response {
    show(&web, &operator, "journeys", "A new draft", "draft-new.html", context! {}, &[])
}

/// `POST /console/drafts/new`.
pub async fn begin(State(web): State<Web>, At(operator): Editor, body: Bytes) -> Response {
    let form = Form::read(&body);
    let reason = form.field("reason").trim().to_owned();
    let acted = async {
        let seq = drafts::begin(&web.app, None, &operator.name, &reason).await?;
        let detail = json!({ "reason": reason });
        note(&web.app, &operator, "draft_begin", &seq.to_string(), detail).await?;
        Ok::<_, Refusal>(seq)
    };
    match acted.await {
        Ok(seq) => done(&format!("/console/drafts/{seq}"), "begun"),
        Err(refusal) => refused(&web, &operator, refusal, "/console/journeys"),
    }
}

/// `GET /console/drafts/{id}`.
pub async fn show_draft(
    State(web): State<Web>,
    operator: Operator,
    Path(seq): Path<i64>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    let read = async {
        let whole = drafts::read(&web.app, seq).await?;
        values(&web, &operator, &whole).await
    };
    match read.await {
        Ok(values) => {
            let title = format!("Draft {seq}");
            show(&web, &operator, "journeys", &title, "draft.html", values, &said(&query))
        }
        Err(refusal) => refused(&web, &operator, refusal, "/console/journeys"),
    }
}

/// What every page of a draft shows.
pub(super) fn frame(operator: &Operator, whole: &Whole) -> Value {
    let draft = &whole.draft;
    let open = draft.status == DraftStatus::Open;
    context! {
        draft => context! {
            seq => draft.seq, base => draft.base.as_str(), reason => draft.reason.as_str(),
            authors => draft.authors.join(", "), revision => draft.revision,
            status => Serde(draft.status), created_at => at(draft.created_at_ms),
            changed_at => at(draft.changed_at_ms), asked_at => draft.asked_at_ms.map(at),
            version => draft.version.as_deref(), ended_at => draft.ended_at_ms.map(at),
            ended_by => draft.ended_by.as_deref(), changes => draft.changes.len(),
        },
        open, is_stale => open && whole.is_stale, may_edit => open && operator.may(Role::Editor),
        may_publish => open && operator.may(Role::Publisher),
    }
}

async fn values(web: &Web, operator: &Operator, whole: &Whole) -> Result<Value, Refusal> {
    let app = &web.app;
    let mut compiled = whole.compile(app)?;
    let journeys = &compiled.live.rules.journeys;
    let old = ageing(journeys, &whole.files, app.engine.clock.now());
    compiled.findings.extend(old);
    let faults = compiled.findings.iter().filter(|finding| finding.is_error()).count();
    let case_types: Vec<String> = whole
        .files
        .files
        .keys()
        .filter_map(|name| name.strip_prefix("journeys/")?.strip_suffix(".toml"))
        .map(str::to_owned)
        .collect();
    let needs = if faults == 0 && whole.draft.status == DraftStatus::Open {
        drafts::needs(app, whole).await?
    } else {
        Vec::new()
    };
    let wrote = whole.draft.authors.contains(&operator.name);
    let nobody_else = !has_operators(&app.settings);
    Ok(context! {
        faults, case_types, needs, wrote, nobody_else,
        findings => Serde(shown::findings(&worth_showing(compiled.findings))),
        diff => Serde(shown::diff(&whole.base, &whole.files)),
        effect => whole.effect().map(Serde),
        ..frame(operator, whole)
    })
}

/// Faults, and the first warnings.
fn worth_showing(findings: Vec<Finding>) -> Vec<Finding> {
    const MAX_WARNINGS: usize = 10;
    let (faults, mut warnings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(Finding::is_error);
    warnings.truncate(MAX_WARNINGS);
    faults.into_iter().chain(warnings).collect()
}

/// `GET /console/drafts/{id}/report`: the effect with all its plots.
pub async fn report(State(web): State<Web>, operator: Operator, Path(seq): Path<i64>) -> Response {
    match web.app.engine.store.draft_report(seq).await {
        Ok(Some(report)) => {
            ([(header::CONTENT_SECURITY_POLICY, SANDBOX)], Html(report)).into_response()
        }
        Ok(None) => {
            let what = format!("the effect of draft {seq}");
            let back = format!("/console/drafts/{seq}");
            refused(&web, &operator, StoreError::NotFound { what }.into(), &back)
        }
        Err(error) => refused(&web, &operator, error.into(), "/console/journeys"),
    }
}
