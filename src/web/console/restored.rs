//! After a restore: what waits for a person, and the form by which one lets it go.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use serde_json::json;

use crate::app::console::audit;
use crate::app::console::now::thousands;
use crate::app::restored::{confirm as let_go, waiting};
use crate::domain::Span;
use crate::store::StoreError;
use crate::web::Web;

use super::forms::Form;
use super::{Admin, At, Operator, Said, refuse, show};

/// `GET /console/restored`
pub async fn page(State(web): State<Web>, operator: Operator) -> Response {
    listed(&web, &operator, &[]).await
}

async fn listed(web: &Web, operator: &Operator, said: &[Said]) -> Response {
    match waiting(&web.app.engine.store).await {
        Ok(waiting) => {
            let values = context! {
                at => waiting.as_ref().map(|waiting| waiting.restored_at.to_rfc3339()),
                waiting => waiting.map(Serde),
            };
            show(web, operator, "home", "After a restore", "restored.html", values, said)
        }
        Err(error) => refuse(web, operator, error),
    }
}

/// `POST /console/restored`: what waits goes, but for what is too old.
pub async fn confirm(State(web): State<Web>, At(operator): Admin, body: Bytes) -> Response {
    match confirmed(&web, &operator, &Form::read(&body)).await {
        Ok(said) => listed(&web, &operator, &[said]).await,
        Err(StoreError::Refused(why)) => {
            let said = Said::fault(&format!("Nothing was done: {why}."));
            listed(&web, &operator, &[said]).await
        }
        Err(error) => refuse(&web, &operator, error),
    }
}

async fn confirmed(web: &Web, operator: &Operator, form: &Form) -> Result<Said, StoreError> {
    let older_than = form.given("older_than");
    let Ok(span) = older_than.as_deref().map(str::parse::<Span>).transpose() else {
        let said = "The age could not be read; write it like “2 days”. Nothing was done.";
        return Ok(Said::fault(said));
    };
    let engine = &web.app.engine;
    let done = let_go(&engine.store, span, &operator.name, engine.clock.now()).await?;
    let detail = json!({
        "older_than": older_than, "cancelled": done.cancelled, "released": done.released,
    });
    audit::note(&web.app, operator, "restore_confirm", "", detail).await?;
    engine.wake.notify_one();
    let cancelled = thousands(i64::try_from(done.cancelled).unwrap_or(i64::MAX));
    let released = thousands(done.released);
    Ok(Said::done(&format!("{cancelled} cancelled; {released} go now, each decided again.")))
}
