//! Hooks of other systems: built from the settings, tried, looked at, told again.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::channel::webhook::{Answer, Hook, Lookup, Target, system_lookup};
use crate::clock::Clock;
use crate::config::{Settings, Webhook};
use crate::domain::webhook::{SigningKey, TEST};
use crate::store::webhooks::HookFigures;
use crate::store::{Result, Store};
use crate::worker::webhooks::{Outlet, run_once};

use super::{App, AppError};

/// A hook, and how it is doing.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    pub name: String,
    /// `None` for a hook that is no longer in the settings.
    pub url: Option<String>,
    pub events: Vec<String>,
    /// Two while one secret takes the place of another.
    pub secrets: usize,
    /// Of the last thousand deliveries.
    pub delivered: i64,
    pub failed: i64,
    /// `delivered` of both, from 0 to 1; `None` when nothing ended.
    pub rate: Option<f64>,
    pub pending: i64,
    pub oldest_pending_ms: Option<i64>,
    pub stopped_at_ms: Option<i64>,
    pub why: Option<String>,
}

/// The outlets of the settings.
///
/// # Errors
/// When no HTTP client can be made.
pub fn outlets(settings: &Settings) -> std::result::Result<Vec<Arc<Outlet>>, AppError> {
    let lookup = system_lookup();
    settings.webhooks.iter().map(|hook| outlet(hook, &lookup).map(Arc::new)).collect()
}

/// One of them, with a way to look names up.
///
/// # Errors
/// As [`outlets`].
pub fn outlet(webhook: &Webhook, lookup: &Lookup) -> std::result::Result<Outlet, AppError> {
    let timeout = Duration::from_secs(u64::from(webhook.timeout_s));
    let target = Target {
        url: webhook.url.clone(),
        keys: webhook.keys(),
        timeout,
        allow_private: webhook.allow_private,
    };
    let wrong = |why| AppError::Settings(format!("[[webhooks]] {}: {why}", webhook.name));
    let hook = Hook::new(target, Arc::clone(lookup)).map_err(wrong)?;
    let concurrency = usize::try_from(webhook.concurrency).unwrap_or(1);
    let name = webhook.name.clone();
    Ok(Outlet::new(name, hook, timeout, i64::from(webhook.max_attempts), concurrency))
}

/// Tells every hook what is due now. Answers how many requests were made.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn tell_all(app: &App) -> Result<usize> {
    let mut made = 0;
    for outlet in &app.outlets {
        made += run_once(&app.engine.store, &app.engine.clock, outlet, None).await?;
    }
    Ok(made)
}

/// Sends a `tidings.test` to a hook, beside everything that waits for it; it is not kept.
/// `None` when there is no such hook.
pub async fn test(outlets: &[Arc<Outlet>], name: &str) -> Option<Answer> {
    let outlet = outlets.iter().find(|outlet| outlet.name == name)?;
    let now = Clock::System.now();
    let id: [u8; 16] = rand::random();
    let id = format!("msg_{}", data_encoding::HEXLOWER.encode(&id));
    let body = json!({ "type": TEST, "timestamp": now.to_rfc3339(), "data": { "hook": name } });
    Some(outlet.hook.post(&id, now.timestamp(), &body.to_string()).await)
}

/// A new secret, as it goes into a file.
#[must_use]
pub fn secret() -> String {
    SigningKey::written(rand::random())
}

/// Every hook of the settings, then those that were taken out and still have rows.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn standing(store: &Store, settings: &Settings) -> Result<Vec<Standing>> {
    let mut figures = store.hook_figures().await?;
    let mut standing = Vec::new();
    for hook in &settings.webhooks {
        let place = figures.iter().position(|figures| figures.hook == hook.name);
        let figures = place.map(|place| figures.remove(place));
        standing.push(of(hook.name.clone(), Some(hook), figures));
    }
    standing
        .extend(figures.into_iter().map(|figures| of(figures.hook.clone(), None, Some(figures))));
    Ok(standing)
}

fn of(name: String, hook: Option<&Webhook>, figures: Option<HookFigures>) -> Standing {
    let (delivered, failed) = figures.as_ref().map_or((0, 0), |f| (f.delivered, f.failed));
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    let rate = (delivered + failed > 0).then(|| delivered as f64 / (delivered + failed) as f64);
    Standing {
        name,
        url: hook.map(|hook| hook.url.clone()),
        events: hook.map(|hook| hook.events.clone()).unwrap_or_default(),
        secrets: hook.map_or(0, |hook| hook.secrets.len()),
        delivered,
        failed,
        rate,
        pending: figures.as_ref().map_or(0, |f| f.pending),
        oldest_pending_ms: figures.as_ref().and_then(|f| f.oldest_pending_ms),
        stopped_at_ms: figures.as_ref().and_then(|f| f.stopped_at_ms),
        why: figures.and_then(|f| f.why),
    }
}
