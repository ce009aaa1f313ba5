//! How connections to the Redis of `[queue] url` are made for what is no queue: limits and
//! breakers, and the stream door.

use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use futures::FutureExt;

use crate::channel::health::Connect;
use crate::domain::RedisUrl;
use crate::queue::Link;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a command may take, its wait on the server included.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes connections to the Redis at `url`, or to the server its Sentinels take for the
/// leader at that moment.
///
/// # Errors
/// What is wrong with the address and how one is written; never the password.
pub fn connector(url: &str) -> Result<Connect, String> {
    let link =
        Link::new(&RedisUrl::parse(url)?, RESPONSE_TIMEOUT).map_err(|error| error.to_string())?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    Ok(Arc::new(move || {
        let (link, config) = (link.clone(), config.clone());
        async move { link.client().await?.get_multiplexed_async_connection_with_config(&config).await }
            .boxed()
    }))
}
