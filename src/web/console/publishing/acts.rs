//! What is done with a draft: simulated, asked for, published, withdrawn.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use crate::app::console::audit::note;
use crate::app::publishing::drafts::{self, Whole};
use crate::app::publishing::{Refusal, Say, has_operators};
use crate::domain::{Operator, Role};
use crate::web::Web;
use crate::web::console::{At, Editor, forbidden};

use super::{Form, done, refused};

/// How long a page waits for a simulation; a longer one goes on without it.
const PATIENCE: Duration = Duration::from_secs(20);

/// `POST /console/drafts/{id}`: the form says what in `do`.
pub async fn act(
    State(web): State<Web>,
    At(operator): Editor,
    Path(seq): Path<i64>,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let wanted = form.field("do");
    if wanted == "publish" && !operator.may(Role::Publisher) {
        return forbidden(&web, &operator, Role::Publisher);
    }
    let here = format!("/console/drafts/{seq}");
    let acted = async {
        let whole = drafts::read(&web.app, seq).await?;
        whole.must_be_open()?;
        whole.must_be_revision(form.number("revision"))?;
        match wanted {
            "reason" => {
                whole.explain(&web.app, form.field("reason"), &operator.name).await?;
                noted(&web, &operator, "draft_reason", seq, json!({})).await?;
                Ok("saved")
            }
            "rebase" => {
                let both = whole.rebase(&web.app, &operator.name).await?;
                noted(&web, &operator, "draft_rebase", seq, json!({ "both": both })).await?;
                Ok("rebased")
            }
            "simulate" => simulate(&web, &operator, whole).await,
            "ask" => {
                let now = web.app.engine.clock.now();
                web.app.engine.store.ask_approval(seq, whole.draft.revision, now).await?;
                noted(&web, &operator, "draft_ask", seq, json!({})).await?;
                Ok("asked")
            }
            "withdraw" => {
                let now = web.app.engine.clock.now();
                web.app.engine.store.withdraw_draft(seq, &operator.name, now).await?;
                noted(&web, &operator, "draft_withdraw", seq, json!({})).await?;
                Ok("withdrawn")
            }
            "publish" => publish(&web, &operator, &whole, &form).await,
            other => Err(Refusal::Bad(format!("{other:?} is nothing that is done with a draft"))),
        }
    };
    match acted.await {
        Ok(what) => done(&here, what),
        Err(refusal) => refused(&web, &operator, refusal, &here),
    }
}

async fn noted(
    web: &Web,
    operator: &Operator,
    action: &'static str,
    seq: i64,
    detail: serde_json::Value,
) -> Result<(), Refusal> {
    Ok(note(&web.app, operator, action, &seq.to_string(), detail).await?)
}

async fn simulate(web: &Web, operator: &Operator, whole: Whole) -> Result<&'static str, Refusal> {
    noted(web, operator, "draft_simulate", whole.draft.seq, json!({})).await?;
    let app = Arc::clone(&web.app);
    let working = tokio::spawn(async move { whole.simulate(&app).await });
    match tokio::time::timeout(PATIENCE, working).await {
        Ok(Ok(done)) => done.map(|_| "simulated"),
        Ok(Err(error)) => Err(Refusal::Bad(format!("the simulation stopped: {error}"))),
        Err(_) => Ok("working"),
    }
}

async fn publish(
    web: &Web,
    operator: &Operator,
    whole: &Whole,
    form: &Form,
) -> Result<&'static str, Refusal> {
    let percent = form.percent()?;
    if whole.effect().is_none() && !whole.is_stale {
        // Faults are told first, with their places.
        crate::app::publishing::compile_whole(&web.app, &whole.files)?;
        return Err(Refusal::Bad("work out its effect first, and look at it".into()));
    }
    let say = Say { by: Some(&operator.name), alone_ok: !has_operators(&web.app.settings) };
    let published = whole.publish(&web.app, percent, say).await?;
    let detail = json!({
        "version": published.hash, "percent": published.percent, "authors": whole.draft.authors,
        "alone": published.alone,
    });
    noted(web, operator, "publish", whole.draft.seq, detail).await?;
    Ok("published")
}
