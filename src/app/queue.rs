//! The queue the settings ask for.

use std::time::Duration;

use crate::config::Settings;
use crate::domain::RedisUrl;
use crate::queue::{Queue, Receivers, RedisQueue, RedisUnusable, Timing};

use super::AppError;

/// The waits before Redis is tried again at start: it may be starting too.
const WAITS: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Builds the queue. `owner` names this process start.
///
/// # Errors
/// What is wrong with `[queue] url`, and how to mend it.
pub async fn queue(settings: &Settings, owner: &str) -> Result<(Queue, Receivers), AppError> {
    match settings.queue.url.as_str() {
        "embedded" => Ok(Queue::embedded()),
        url => Ok(Queue::redis(redis(url, owner).await?)),
    }
}

/// Connects to the Redis of `[queue] url`.
///
/// # Errors
/// What is wrong with it, and how to mend it.
pub async fn redis(url: &str, owner: &str) -> Result<RedisQueue, AppError> {
    let url =
        RedisUrl::parse(url).map_err(|why| AppError::Settings(format!("[queue] url {why}")))?;
    let mut waits = WAITS.into_iter();
    loop {
        let error = match RedisQueue::connect(&url, owner, Timing::default()).await {
            Ok(queue) => return Ok(queue),
            Err(error) => error,
        };
        let may_come =
            matches!(&error, RedisUnusable::OutOfReach { source, .. } if source.is_io_error());
        let Some(wait) = waits.next().filter(|_| may_come) else {
            let mend = how_to_mend(&error);
            return Err(AppError::Settings(format!("[queue] url {error}\n{mend}")));
        };
        tracing::warn!(%error, "waiting for the queue");
        tokio::time::sleep(wait).await;
    }
}

/// What to do about it, in words for ops.
pub(super) fn how_to_mend(error: &RedisUnusable) -> &'static str {
    match error {
        RedisUnusable::OutOfReach { source, .. } if source.is_io_error() => {
            "Start Redis there, or correct url under [queue] in the settings file; \
             TIDINGS__QUEUE__URL in the environment wins over it. \"embedded\" needs none."
        }
        RedisUnusable::OutOfReach { .. } => {
            "Redis is there and refuses: correct user, password, database or service of url \
             under [queue] in the settings file, or of TIDINGS__QUEUE__URL."
        }
        RedisUnusable::Cluster { .. } => {
            "Name a plain server or a service of Sentinel: the queue is small, and nothing is \
             lost with it."
        }
    }
}
