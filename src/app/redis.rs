//! How connections to the Redis of `[queue] url` are made for what is no queue: limits and
//! breakers, and the stream door.

use std::time::Duration;

use ::redis::{AsyncConnectionConfig, Client};
use futures::FutureExt;

use crate::channel::health::Connect;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a command may take; the longest block on the server besides.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Does this address name a Redis?
#[must_use]
pub fn is_redis(url: &str) -> bool {
    url.starts_with("redis://")
}

/// Makes connections to the Redis at `url`, when they are wanted.
///
/// # Errors
/// A sentence that says what an address looks like; it never holds the password.
pub fn connector(url: &str) -> Result<Connect, String> {
    let client = Client::open(url).map_err(
        |_| "is no Redis; write redis://host:6379, or redis://user:password@host:6379/0",
    )?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    Ok(std::sync::Arc::new(move || {
        let (client, config) = (client.clone(), config.clone());
        async move { client.get_multiplexed_async_connection_with_config(&config).await }.boxed()
    }))
}
