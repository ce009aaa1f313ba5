//! Providers: how they are, and the switch that stops a channel or one of them.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;

use crate::app::console::drains;
use crate::app::console::moved::moved;
use crate::app::console::now::{lines, thousands};
use crate::domain::Channel;
use crate::store::StoreError;
use crate::store::drains::Target;
use crate::web::Web;

use super::forms::Form;
use super::{Admin, At, Operator, Said, refuse, show};

/// `GET /console/providers`
pub async fn page(State(web): State<Web>, operator: Operator) -> Response {
    listed(&web, &operator, &[]).await
}

async fn listed(web: &Web, operator: &Operator, said: &[Said]) -> Response {
    let now = web.app.engine.clock.now();
    let read = async || Ok((lines(&web.app, now).await?, moved(&web.app, now).await?));
    match read().await {
        Ok((lines, moved)) => {
            let values = context! { lines => Serde(lines), moved => Serde(moved) };
            show(web, operator, "providers", "Providers", "providers.html", values, said)
        }
        Err(error) => refuse(web, operator, error),
    }
}

/// `POST /console/providers`: a channel stops, or goes on.
pub async fn switch(State(web): State<Web>, At(operator): Admin, body: Bytes) -> Response {
    match switched(&web, &operator, &Form::read(&body)).await {
        Ok(said) => listed(&web, &operator, &[said]).await,
        Err(error) => refuse(&web, &operator, error),
    }
}

async fn switched(web: &Web, operator: &Operator, form: &Form) -> Result<Said, StoreError> {
    let now = web.app.engine.clock.now();
    let Ok(channel) = form.field("channel").parse::<Channel>() else { return Ok(Said::unknown()) };
    let lines = web.app.engine.health.lines(channel);
    if lines.is_empty() {
        return Ok(Said::fault("This channel is not offered here."));
    }
    let provider = form.given("provider");
    if let Some(name) = &provider
        && !lines.iter().any(|line| line.provider.name() == name)
    {
        return Ok(Said::fault("The settings name no such provider."));
    }
    let target = Target { channel, provider };
    let (spoken, by) = (channel.spoken(), target.provider.clone());
    match (form.field("do"), form.given("why")) {
        ("drain", None) => {
            Ok(Said::fault("Say why the channel is stopped: everybody sees it while it is."))
        }
        ("drain", Some(why)) => {
            let stopped = drains::stop(&web.app, operator, target, &why, now).await?;
            Ok(if stopped {
                let by = by.map(|name| format!(" by {name}")).unwrap_or_default();
                Said::done(&format!(
                    "Stopped: no {spoken} is handed over{by} any more; what is on the wire ends as it does."
                ))
            } else {
                Said::fault("The channel was stopped before.")
            })
        }
        ("undrain", _) => {
            let waited = drains::go_on(&web.app, operator, target, now).await?;
            Ok(waited.map_or_else(
                || Said::fault("The channel was not stopped."),
                |n| {
                    let n = thousands(i64::try_from(n).unwrap_or(i64::MAX));
                    Said::done(&format!("It goes on; {n} waited and may go now."))
                },
            ))
        }
        _ => Ok(Said::unknown()),
    }
}
