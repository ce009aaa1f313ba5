//! What is in force and what was; going back; a map of each journey.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde_json::json;

use crate::app::console::audit::note;
use crate::app::journey_map::{self, Month};
use crate::app::publishing::shown::diff;
use crate::app::publishing::{Proposal, Refusal, Say, put_in_force, roll_back as go_back};
use crate::domain::{Operator, Role};
use crate::store::StoreError;
use crate::store::drafts::DraftStatus;
use crate::store::journeys::Publication;
use crate::web::Web;
use crate::web::console::{At, Publisher};

use super::{Form, at, done, refused, said, show};

const HERE: &str = "/console/journeys";

/// The most versions and drafts listed.
const MAX_SHOWN: usize = 50;

/// `GET /console/journeys`.
pub async fn list(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    match values(&web, &operator).await {
        Ok(values) => {
            show(&web, &operator, "journeys", "Journeys", "journeys.html", values, &said(&query))
        }
        Err(refusal) => refused(&web, &operator, refusal, "/console"),
    }
}

async fn values(web: &Web, operator: &Operator) -> Result<Value, Refusal> {
    let store = &web.app.engine.store;
    let in_force = store.in_force().await?;
    let base = in_force.as_ref().map(|stored| stored.hash.clone());
    let trial = in_force.and_then(|stored| stored.trial);
    let publications = store.publications().await?;
    let versions: Vec<Value> =
        publications.iter().take(MAX_SHOWN).map(|p| publication(p, base.as_deref())).collect();
    let drafts = store.drafts(20).await?;
    let drafts: Vec<Value> = drafts
        .iter()
        .filter(|draft| draft.status == DraftStatus::Open)
        .map(|draft| {
            context! {
                seq => draft.seq, reason => draft.reason.as_str(),
                authors => draft.authors.join(", "), changed_at => at(draft.changed_at_ms),
                asked => draft.asked_at_ms.is_some(),
            }
        })
        .collect();
    let live = web.app.engine.live.load();
    let journeys: Vec<String> =
        live.rules.journeys.iter().map(|journey| journey.case_type.clone()).collect();
    Ok(context! {
        in_force => base, versions, drafts, journeys,
        trial => trial.map(|(hash, percent)| context! { hash, percent }),
        may_edit => operator.may(Role::Editor), may_publish => operator.may(Role::Publisher),
    })
}

fn publication(p: &Publication, in_force: Option<&str>) -> Value {
    context! {
        hash => p.hash.as_str(), at => at(p.at_ms), author => p.author.as_str(),
        reason => p.reason.as_str(), approved_by => p.approved_by.as_deref(),
        four_eyes => p.four_eyes.as_str(), percent => p.percent, draft => p.draft,
        in_force => in_force == Some(p.hash.as_str()),
    }
}

/// `POST /console/journeys/rollback`: an earlier version, for all cases.
pub async fn roll_back(State(web): State<Web>, At(operator): Publisher, body: Bytes) -> Response {
    let form = Form::read(&body);
    let (version, reason) = (form.field("version").to_owned(), form.field("reason").trim());
    if reason.is_empty() {
        let why = Refusal::Bad("say why, for the record".into());
        return refused(&web, &operator, why, HERE);
    }
    let acted = async {
        let published = go_back(&web.app, &version, &operator.name, reason).await?;
        let detail = json!({ "reason": reason });
        note(&web.app, &operator, "rollback", &published.hash, detail).await?;
        Ok::<_, Refusal>(())
    };
    match acted.await {
        Ok(()) => done(HERE, "rolled-back"),
        Err(refusal) => refused(&web, &operator, refusal, HERE),
    }
}

/// `POST /console/journeys/share`: the version that is tried, for another share of the cases.
pub async fn share(State(web): State<Web>, At(operator): Publisher, body: Bytes) -> Response {
    let form = Form::read(&body);
    let acted = async {
        let percent = form.percent()?;
        let store = &web.app.engine.store;
        let trial = store.in_force().await?.and_then(|stored| stored.trial);
        let Some((hash, before)) = trial else {
            return Err(Refusal::Stale("no version is being tried any more".into()));
        };
        let (hash, files) = store.version(&hash).await?;
        let proposal = Proposal {
            files,
            authors: vec![operator.name.clone()],
            reason: format!("from {before} % of the cases to {percent} %"),
            percent,
            draft: None,
            effect: None,
        };
        put_in_force(&web.app, proposal, Say { by: None, alone_ok: false }).await?;
        let detail = json!({ "from": before, "to": percent });
        note(&web.app, &operator, "share", &hash, detail).await?;
        Ok(())
    };
    match acted.await {
        Ok(()) => done(HERE, "shared"),
        Err(refusal) => refused(&web, &operator, refusal, HERE),
    }
}

/// `GET /console/journeys/map/{case_type}`.
pub async fn map(
    State(web): State<Web>,
    operator: Operator,
    Path(case_type): Path<String>,
) -> Response {
    let engine = &web.app.engine;
    let live = engine.live.load_full();
    let journeys = &live.rules.journeys;
    let drawn = async {
        let Some(journey) = journeys.get(&case_type) else {
            let what = format!("a journey about {case_type:?} cases");
            return Err(Refusal::from(StoreError::NotFound { what }));
        };
        let (store, now) = (engine.store.clone(), engine.clock.now());
        let counted = async move { journey_map::last_month(&store).await };
        let month = web.app.traffic.look(now, counted).await.map(|(_, month)| month);
        let map = month.as_deref().unwrap_or(&Month::default()).map_of(journey);
        let picture = map
            .picture()
            .map_err(|error| Refusal::Bad(format!("the picture cannot be drawn: {error}")))?;
        Ok((map, picture, month))
    };
    match drawn.await {
        Ok((map, picture, month)) => {
            let from = month.as_ref().and_then(|month| month.from);
            let silent: Vec<String> = map
                .states
                .iter()
                .filter(|state| state.unsaid)
                .map(|state| state.name.clone())
                .collect();
            let values = context! {
                picture => Value::from_safe_string(picture), map => Serde(&map), silent,
                from => from.map(|from| from.to_rfc3339()), counting => month.is_none(), version => journeys.version.as_str(),
            };
            let title = format!("Journey of a {case_type}");
            show(&web, &operator, "journeys", &title, "journey-map.html", values, &[])
        }
        Err(refusal) => refused(&web, &operator, refusal, HERE),
    }
}

/// `GET /console/journeys/versions/{hash}`: how the version in force differs from it.
pub async fn version(
    State(web): State<Web>,
    operator: Operator,
    Path(hash): Path<String>,
) -> Response {
    let store = &web.app.engine.store;
    let read = async {
        let (hash, files) = store.version(&hash).await?;
        let (in_force, now) = store.published().await?.unwrap_or_default();
        Ok::<_, Refusal>((hash, in_force, diff(&files, &now)))
    };
    match read.await {
        Ok((hash, in_force, diff)) => {
            let title = format!("Version {hash}");
            let values = context! {
                hash, in_force, diff => Serde(diff), may_publish => operator.may(Role::Publisher),
            };
            show(&web, &operator, "journeys", &title, "version.html", values, &[])
        }
        Err(refusal) => refused(&web, &operator, refusal, HERE),
    }
}
