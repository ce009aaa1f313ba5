//! Versions of journeys and messages: listed, read, compared, and published.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::AppError;
use crate::app::publishing::shown::{self, diff};
use crate::app::publishing::{Proposal, Refusal, Say, drafts, has_operators, put_in_force};
use crate::domain::Fault;
use crate::domain::fault::Fields;
use crate::domain::time::from_ms;
use crate::store::drafts::Changes;
use crate::store::journeys::{Publication, VersionFiles};
use crate::web::Web;
use crate::web::auth::{Manager, Reader};
use crate::web::error::{Problem, Result};

use super::body::{Json, Query};
use super::schema;

/// List what is in force and every version that was published, newest first
#[utoipa::path(
    get,
    path = "/v1/journeys",
    tag = "journeys",
    operation_id = "journeys_list",
    responses(
        (status = 200, description = "The versions", body = schema::Document),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(web): State<Web>, _: Reader) -> Result<axum::Json<Value>> {
    let store = &web.app.engine.store;
    let in_force = store.in_force().await?;
    let trial = in_force.as_ref().and_then(|stored| stored.trial.as_ref());
    let publications = store.publications().await?;
    Ok(axum::Json(json!({
        "in_force": in_force.as_ref().map(|stored| &stored.hash),
        "trial": trial.map(|(hash, percent)| json!({ "version": hash, "percent": percent })),
        "versions": publications.iter().map(shape).collect::<Vec<_>>(),
    })))
}

fn shape(p: &Publication) -> Value {
    json!({
        "version": p.hash, "published_at": from_ms(p.at_ms).to_rfc3339(), "author": p.author,
        "reason": p.reason, "approved_by": p.approved_by, "four_eyes": p.four_eyes,
        "percent": p.percent, "draft": p.draft,
    })
}

/// Read a version with its files
#[utoipa::path(
    get,
    path = "/v1/journeys/{version}",
    tag = "journeys",
    operation_id = "journeys_get",
    params(("version" = String, Path, description = "Its name, or the beginning of it")),
    responses(
        (status = 200, description = "The version", body = schema::Document),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(web): State<Web>,
    _: Reader,
    Path(version): Path<String>,
) -> Result<axum::Json<Value>> {
    let (hash, files) = web.app.engine.store.version(&version).await?;
    Ok(axum::Json(json!({ "version": hash, "files": files.files })))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The version it is compared with; the one in force when absent.
    from: Option<String>,
}

/// See how a version differs from another, line by line
#[utoipa::path(
    get,
    path = "/v1/journeys/{version}/diff",
    tag = "journeys",
    operation_id = "journeys_diff",
    params(("version" = String, Path, description = "Its name, or the beginning of it"), From),
    responses(
        (status = 200, description = "The files that differ", body = schema::Document),
        (status = 400, description = "The query cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 404, description = "Not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn differences(
    State(web): State<Web>,
    _: Reader,
    Path(version): Path<String>,
    Query(query): Query<From>,
) -> Result<axum::Json<Value>> {
    let store = &web.app.engine.store;
    let (hash, files) = store.version(&version).await?;
    let (from, before) = match query.from {
        Some(from) => store.version(&from).await?,
        None => store.published().await?.unwrap_or_default(),
    };
    Ok(axum::Json(json!({ "version": hash, "from": from, "files": diff(&before, &files) })))
}

/// Publish a version: the one in force with some files replaced
///
/// The author is the name of the key. Where `[publishing]` asks for a second person, the change
/// waits as a draft for an operator of the console (202); without operators `approved_by` names
/// who else looked at it.
#[utoipa::path(
    post,
    path = "/v1/journeys",
    tag = "journeys",
    operation_id = "journeys_publish",
    request_body = schema::NewVersion,
    responses(
        (status = 200, description = "In force", body = schema::Document),
        (status = 202, description = "It waits as a draft for a second person", body = schema::Document),
        (status = 400, description = "Cannot be read", body = schema::Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another version is in force than the named base, nothing differs, or a second person is needed", body = schema::Problem, content_type = "application/problem+json"),
        (status = 413, description = "More than 256 kB", body = schema::Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = schema::Problem, content_type = "application/problem+json"),
        (status = 422, description = "Faults, each with its pointer", body = schema::Problem, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or one that is not known", body = schema::Problem, content_type = "application/problem+json"),
        (status = 403, description = "The key lacks the scope", body = schema::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn publish(
    State(web): State<Web>,
    caller: Manager,
    Json(body): Json,
) -> Result<Response> {
    let app = &web.app;
    let wanted = Wanted::read(&body)?;
    let store = &app.engine.store;
    let (hash, base) = store.published().await?.unwrap_or_default();
    if wanted.base.as_ref().is_some_and(|base| *base != hash) {
        let why = format!("{hash} is in force by now; look at what it changes, and send again");
        return Err(Problem::new(StatusCode::CONFLICT, "Another version is in force", why));
    }
    let mut files = base.files.clone();
    for (name, text) in wanted.files {
        match text {
            Some(text) => drop(files.insert(name, text)),
            None => drop(files.remove(&name)),
        }
    }
    let files = VersionFiles { files };
    if files == base {
        let why = "it says what the version in force says";
        return Err(Problem::new(StatusCode::CONFLICT, "Nothing differs", why));
    }
    let console = has_operators(&app.settings);
    if console && wanted.approved_by.is_some() {
        let why = "is a name anybody may send; here operators approve in the console";
        return Err(Problem::faults(vec![Fault::new("/approved_by", why)]));
    }
    let proposal = Proposal {
        files: files.clone(),
        authors: vec![caller.name.clone()],
        reason: wanted.reason.clone(),
        percent: wanted.percent,
        draft: None,
        effect: None,
    };
    let say = Say { by: wanted.approved_by.as_deref(), alone_ok: false };
    match put_in_force(app, proposal, say).await {
        Ok(published) => {
            let body = json!({ "version": published.hash, "percent": published.percent });
            Ok(axum::Json(body).into_response())
        }
        Err(Refusal::FourEyes(why)) if console => {
            let waits = async {
                let seq = drafts::begin(app, Some(&files), &caller.name, &wanted.reason).await?;
                let revision = drafts::read(app, seq).await?.draft.revision;
                store.ask_approval(seq, revision, app.engine.clock.now()).await?;
                Ok::<_, Refusal>(seq)
            };
            let seq = waits.await.map_err(problem)?;
            let url = app.settings.http.public_url.trim_end_matches('/');
            let body = json!({
                "draft": seq, "url": format!("{url}/console/drafts/{seq}"), "why": why,
            });
            Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
        }
        Err(refusal) => Err(problem(refusal)),
    }
}

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::App(AppError::Store(error)) => error.into(),
        Refusal::App(AppError::Findings(findings)) => {
            let faults = shown::findings(&findings).into_iter().filter(|found| found.is_error);
            let fault = |found: shown::Shown| {
                let line = found.line.map(|line| format!("line {line}: ")).unwrap_or_default();
                let file = found.file.replace('~', "~0").replace('/', "~1");
                Fault::new(format!("/files/{file}"), format!("{line}{}", found.message))
            };
            Problem::faults(faults.map(fault).collect())
        }
        Refusal::Bad(why) => Problem::faults(vec![Fault::new("", why)]),
        Refusal::FourEyes(why) => {
            let detail = format!(
                "{}; name who else looked at it in `approved_by`",
                Refusal::FourEyes(why.clone())
            );
            Problem::new(StatusCode::CONFLICT, "A second person is needed", detail)
                .with("why", json!(why))
        }
        refusal => Problem::new(StatusCode::CONFLICT, "Not as it stands", refusal.to_string()),
    }
}

/// What was sent.
struct Wanted {
    files: Changes,
    reason: String,
    base: Option<String>,
    percent: u8,
    approved_by: Option<String>,
}

impl Wanted {
    fn read(body: &Value) -> Result<Self> {
        let mut faults = Vec::new();
        let mut wanted = Self {
            files: Changes::new(),
            reason: String::new(),
            base: None,
            percent: 100,
            approved_by: None,
        };
        if let Some(mut fields) = Fields::of(body, "", &mut faults) {
            fields.require("files");
            wanted.reason = fields.required_text("reason", 500).unwrap_or_default();
            wanted.base = fields.text("base", 100);
            wanted.approved_by = fields.text("approved_by", 100);
            if let Some(percent) = fields.integer("percent") {
                match u8::try_from(percent) {
                    Ok(percent @ 1..=100) => wanted.percent = percent,
                    _ => fields.fault("percent", "is a number from 1 to 100"),
                }
            }
            let pointer = fields.pointer("files");
            for (name, value) in fields.object("files").into_iter().flatten() {
                let text = match value {
                    Value::Null => None,
                    Value::String(text) => Some(text.clone()),
                    _ => {
                        let name = name.replace('~', "~0").replace('/', "~1");
                        let why = "is the text of a file, or null for one that goes";
                        fields.faults().push(Fault::new(format!("{pointer}/{name}"), why));
                        continue;
                    }
                };
                if !known_name(name) {
                    let at = name.replace('~', "~0").replace('/', "~1");
                    let why = "is no file of a version: journeys/<case type>.toml, messages/<case type>/<notice>.<language>.j2 or .sample.json";
                    fields.faults().push(Fault::new(format!("{pointer}/{at}"), why));
                    continue;
                }
                wanted.files.insert(name.clone(), text);
            }
            fields.refuse_unknown();
        }
        if faults.is_empty() { Ok(wanted) } else { Err(Problem::faults(faults)) }
    }
}

fn known_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let parts: Vec<&str> = name.split('/').collect();
    let fits = match parts[..] {
        ["journeys", file] => file.strip_suffix(".toml").is_some(),
        ["messages", _, file] => {
            file.strip_suffix(".j2").or_else(|| file.strip_suffix(".sample.json")).is_some()
        }
        _ => false,
    };
    fits && parts.iter().all(|part| plain(part))
}
