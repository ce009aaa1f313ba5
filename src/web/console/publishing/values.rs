//! The values of one journey in forms: delays, windows, repeats, channels, on and off; with
//! when each notice would be due next.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde_json::json;

use crate::app::console::audit::note;
use crate::app::publishing::drafts::{self, Whole};
use crate::app::publishing::due_times::{InZone, next_five};
use crate::app::publishing::{Refusal, shown, tune};
use crate::domain::Operator;
use crate::store::StoreError;
use crate::web::Web;
use crate::web::console::{At, Editor};

use super::draft::frame;
use super::{Form, done, refused, said, show};

/// Zones in which due times are shown.
const MAX_ZONES: usize = 3;

fn file_of(case_type: &str) -> String {
    format!("journeys/{case_type}.toml")
}

/// `GET /console/drafts/{id}/values/{case_type}`.
pub async fn page(
    State(web): State<Web>,
    operator: Operator,
    Path((seq, case_type)): Path<(i64, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Form::read(query.unwrap_or_default().as_bytes());
    let read = async {
        let whole = drafts::read(&web.app, seq).await?;
        values(&web, &operator, &whole, &case_type).await
    };
    match read.await {
        Ok(values) => {
            let title = format!("Draft {seq}: the values of {case_type}");
            show(&web, &operator, "journeys", &title, "draft-values.html", values, &said(&query))
        }
        Err(refusal) => refused(&web, &operator, refusal, &format!("/console/drafts/{seq}")),
    }
}

async fn values(
    web: &Web,
    operator: &Operator,
    whole: &Whole,
    case_type: &str,
) -> Result<Value, Refusal> {
    let file = file_of(case_type);
    let missing = || StoreError::NotFound { what: format!("the journey {case_type:?}") };
    let text = whole.files.files.get(&file).ok_or_else(missing)?;
    let panels = tune::panels(text).map_err(|why| Refusal::Bad(why.to_string()))?;
    let compiled = whole.compile(&web.app)?;
    let (due, zones) = due_times(web, &compiled, case_type).await?;
    let findings: Vec<_> =
        compiled.findings.into_iter().filter(|finding| finding.file() == file).collect();
    let faults = findings.iter().filter(|finding| finding.is_error()).count();
    Ok(context! {
        case_type, panels => Serde(panels), due => Serde(due), faults, zones,
        findings => Serde(shown::findings(&findings)), ..frame(operator, whole)
    })
}

/// When each notice is due next, in the zones of the house and of most customers.
async fn due_times(
    web: &Web,
    compiled: &crate::app::content::Compiled,
    case_type: &str,
) -> Result<(BTreeMap<String, Vec<InZone>>, Vec<String>), Refusal> {
    let app = &web.app;
    let mut zones = vec![app.settings.locales.time_zone.clone()];
    for zone in app.engine.store.common_zones(MAX_ZONES).await? {
        if !zones.contains(&zone) && zones.len() < MAX_ZONES {
            zones.push(zone);
        }
    }
    let rules = &compiled.live.rules;
    let now = app.engine.clock.now();
    let due = rules.journeys.get(case_type).map(|journey| {
        let notices = journey.notices.iter();
        let each = notices.map(|n| (n.id.clone(), next_five(journey, n, rules, &zones, now)));
        each.collect()
    });
    Ok((due.unwrap_or_default(), zones))
}

/// `POST /console/drafts/{id}/values/{case_type}`: the values of one notice.
pub async fn set(
    State(web): State<Web>,
    At(operator): Editor,
    Path((seq, case_type)): Path<(i64, String)>,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let here = format!("/console/drafts/{seq}/values/{case_type}");
    let notice = form.field("notice").to_owned();
    let acted = async {
        let whole = drafts::read(&web.app, seq).await?;
        whole.must_be_revision(form.number("revision"))?;
        let file = file_of(&case_type);
        let missing = || StoreError::NotFound { what: format!("the journey {case_type:?}") };
        let text = whole.files.files.get(&file).ok_or_else(missing)?;
        let panels = tune::panels(text).map_err(|why| Refusal::Bad(why.to_string()))?;
        let panel = panels.iter().find(|panel| panel.notice == notice);
        let panel = panel.ok_or_else(|| StoreError::NotFound { what: format!("{notice:?}") })?;
        let entered: Vec<(String, String)> = panel
            .knobs
            .iter()
            .map(|knob| match knob.input {
                // A box that is not ticked is not sent.
                tune::Input::YesNo => {
                    let ticked = form.field(knob.key) == "true";
                    (knob.key.to_owned(), ticked.to_string())
                }
                _ => (knob.key.to_owned(), form.field(knob.key).to_owned()),
            })
            .collect();
        whole.tune(&web.app, &file, &notice, &entered, &operator.name).await?;
        let changed: Vec<&(String, String)> = entered
            .iter()
            .zip(&panel.knobs)
            .filter(|((_, value), knob)| value.trim() != knob.value)
            .map(|(entered, _)| entered)
            .collect();
        let detail = json!({ "notice": format!("{case_type}/{notice}"), "values": changed });
        note(&web.app, &operator, "draft_value", &seq.to_string(), detail).await?;
        Ok::<_, Refusal>(())
    };
    match acted.await {
        Ok(()) => {
            let mut response = done(&here, "saved");
            if let Some(place) = response.headers_mut().get_mut("location")
                && let Ok(text) = place.to_str()
                && let Ok(anchored) = format!("{text}#{notice}").parse()
            {
                *place = anchored;
            }
            response
        }
        Err(refusal) => refused(&web, &operator, refusal, &here),
    }
}
