//! `tidings serve` and `tidings work`.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::app::App;
use crate::app::roles::Roles;
use crate::clock::Clock;
use crate::config::{DispatchMode, Settings};
use crate::store::Beside;
use crate::web::{Metrics, Web, router, serve, vital_signs};

use super::stop::Stop;
use super::{BadInput, Context, ExitCode, Outcome, print};

/// Serve the API and do the work, until Ctrl-C
#[derive(Debug, Args)]
pub struct Serve {
    /// What this process does
    #[arg(long, value_delimiter = ',', default_value = "api,worker,scheduler")]
    roles: Vec<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Api,
    Worker,
    Scheduler,
}

/// Do what is due, without serving
#[derive(Debug, Args)]
pub struct Work {
    /// Exit once nothing is due
    #[arg(long)]
    until_idle: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Serve {
    fn roles(&self) -> Roles {
        Roles {
            api: self.roles.contains(&Role::Api),
            worker: self.roles.contains(&Role::Worker),
            scheduler: self.roles.contains(&Role::Scheduler),
        }
    }

    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let roles = self.roles();
        if roles.worker != roles.scheduler && settings.queue.url == "embedded" {
            return Err(BadInput(
                "the roles worker and scheduler belong together while [queue] url is \"embedded\"; a queue in Redis parts them".into(),
            )
            .into());
        }
        // Bound first: a port that is taken is better known before anything is claimed.
        let listener = listen(&settings, roles).await?;
        let store = context.store_in_time(&settings).await?;
        let lock = if roles.dispatches() {
            Some(store.lock_dispatch("serve", Beside::Others).await?)
        } else {
            None
        };
        say_what_is_set(&settings);
        let metrics = Metrics::install();
        let clock = if store.place().is_shared() { Clock::corrected() } else { Clock::System };
        let app = Arc::new(context.app(settings, clock, store).await?);
        if app.files_differ {
            tracing::warn!(
                "the journeys and messages on disk differ from the published version, which is in force; `tidings journeys publish` publishes them"
            );
        }
        if let Some(lock) = &lock {
            app.recover(lock).await?;
        }
        let stop = Stop::listen()?;
        let workers = app.start(roles);
        let door = if roles.api { app.open_stream_door()? } else { None };
        if let Some(listener) = listener {
            let url = format!("http://{}", listener.local_addr()?);
            tracing::info!(%url, "serving");
            let web = Web { app: Arc::clone(&app), metrics };
            let routes = if roles.api { router(web) } else { vital_signs(web) };
            serve(listener, routes, stop.asked()).await;
        } else {
            stop.asked().await;
        }
        tracing::info!("stopping; what is on the wire is finished first");
        if let Some(door) = door {
            door.close().await;
        }
        workers.stop().await;
        drop(lock);
        Ok(ExitCode::Done)
    }
}

/// Without the API only health and figures are served; where their port is taken the work is
/// done all the same.
async fn listen(
    settings: &Settings,
    roles: Roles,
) -> Result<Option<tokio::net::TcpListener>, anyhow::Error> {
    let listen = settings.http.listen;
    match tokio::net::TcpListener::bind(listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if roles.api => {
            Err(error).with_context(|| format!("[http] listen {listen} cannot be had"))
        }
        Err(error) => {
            tracing::warn!(%listen, %error, "health and figures are not served; TIDINGS__HTTP__LISTEN gives this process a port of its own");
            Ok(None)
        }
    }
}

impl Work {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let lock = store.lock_dispatch("work", Beside::Others).await?;
        let app = Arc::new(context.app(settings, Clock::System, store).await?);
        app.recover(&lock).await?;
        if !self.until_idle {
            let stop = Stop::listen()?;
            let workers = app.start(Roles::ALL);
            stop.asked().await;
            workers.stop().await;
            return Ok(ExitCode::Done);
        }
        let before = app.engine.store.summary().await?;
        let began = Instant::now();
        let workers = app.start_driven();
        app.engine.run_until_idle().await?;
        crate::app::webhooks::tell_all(&app).await?;
        workers.stop().await;
        let duration_s = began.elapsed().as_secs_f64();
        finish(&app, &before, duration_s, self.json).await
    }
}

async fn finish(
    app: &App,
    before: &crate::store::console::Summary,
    duration_s: f64,
    json: bool,
) -> Outcome {
    let summary = app.engine.store.summary().await?;
    let sum = |summary: &crate::store::console::Summary| summary.by_channel.values().sum::<i64>();
    let told = sum(&summary) - sum(before);
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_second = told as f64 / duration_s.max(0.001);
    if json {
        print::json(&json!({
            "events": {},
            "balance": summary.balance,
            "by_status": summary.by_status,
            "by_reason": summary.by_reason,
            "by_channel": summary.by_channel,
            "duration_s": duration_s,
            "per_second": per_second,
        }))?;
    } else {
        print::summary(&summary);
        println!("{told} messages told in {duration_s:.1} s, {per_second:.0} a second");
    }
    Ok(ExitCode::Done)
}

/// What an operator should know at a glance.
fn say_what_is_set(settings: &Settings) {
    if settings.auth.api_keys.is_empty() {
        if settings.http.listen.ip().is_loopback() {
            tracing::warn!(
                "no API key is configured: requests from this machine are answered, others are refused"
            );
        } else {
            tracing::warn!(
                "no API key is configured: every request to /v1 is refused; `tidings key new` prints one"
            );
        }
    }
    if settings.console.is_open_here() {
        if settings.http.listen.ip().is_loopback() {
            tracing::warn!(
                "nobody is named who may sign in: the console is open to this machine; `tidings operator new` prints an entry"
            );
        } else {
            tracing::warn!(
                "nobody is named who may sign in: the console is closed; `tidings operator new` prints an entry"
            );
        }
    }
    if settings.dispatch.mode == DispatchMode::Shadow {
        tracing::warn!(
            "shadow mode: everything is decided and recorded, and nothing is handed over"
        );
        return;
    }
    let channels = &settings.channels;
    let outbox = |name: &str, dir: &std::path::Path| {
        tracing::warn!(channel = name, dir = %dir.display(), "messages are captured as files; nothing leaves");
    };
    for email in channels.email.each() {
        if email.provider == crate::config::EmailProvider::Outbox {
            outbox("email", &email.dir);
        }
    }
    for (name, channel) in [("sms", &channels.sms), ("voice", &channels.voice)] {
        for telephone in channel.each() {
            if telephone.provider == crate::config::TelephoneProvider::Outbox {
                outbox(name, &telephone.dir);
            }
        }
    }
}
