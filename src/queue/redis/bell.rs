//! How an idle worker hears of new tickets: a message of Redis for every push, and a look on
//! every tick in case the message was lost.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{PollSnapshot, PollStrategy};
use futures::StreamExt;
use redis::RedisResult;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep};

use super::layout::Keys;
use super::link::{Link, within};

/// When to look again after a ring: a look that was under way may have come too early.
const LOOK_AGAIN: [Duration; 3] =
    [Duration::from_millis(2), Duration::from_millis(10), Duration::from_millis(40)];

/// The wait before the messages are asked for again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long asking for the messages may take.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A lane's bell, heard by every worker of the lane in this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Bell(Arc<Notify>);

impl Bell {
    /// Wakes every worker that listens.
    fn ring(&self) {
        self.0.notify_waiters();
    }

    /// A listener that also looks on every `tick`.
    pub(super) fn listener(&self, tick: Duration) -> Listener {
        Listener {
            bell: self.clone(),
            rung: Box::pin(Arc::clone(&self.0).notified_owned()),
            next_look: Box::pin(sleep(Duration::ZERO)),
            looks: LOOK_AGAIN.len(),
            tick,
        }
    }
}

/// Says when a worker looks for tickets. apalis' own interval forgets to poll the timer it
/// sets and may sleep until the next heartbeat.
#[derive(Debug)]
pub(super) struct Listener {
    bell: Bell,
    rung: Pin<Box<OwnedNotified>>,
    next_look: Pin<Box<Sleep>>,
    /// Looks taken since the bell rang.
    looks: usize,
    tick: Duration,
}

impl PollStrategy for Listener {
    fn poll_drive(&mut self, context: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut heard = Poll::Pending;
        while self.rung.as_mut().poll(context).is_ready() {
            self.rung = Box::pin(Arc::clone(&self.bell.0).notified_owned());
            self.looks = 0;
            self.next_look.as_mut().reset(Instant::now() + LOOK_AGAIN[0]);
            heard = Poll::Ready(Some(()));
        }
        while self.next_look.as_mut().poll(context).is_ready() {
            self.looks = (self.looks + 1).min(LOOK_AGAIN.len());
            let wait = LOOK_AGAIN.get(self.looks).copied().unwrap_or(self.tick);
            self.next_look.as_mut().reset(Instant::now() + wait);
            heard = Poll::Ready(Some(()));
        }
        heard
    }
}

/// Rings the bells as Redis says, over a connection of its own, for as long as it is polled.
pub(super) async fn pass_on(link: Link, bells: [(Keys, Bell); 2]) {
    loop {
        if let Err(error) = pass_on_once(&link, &bells).await {
            tracing::debug!(%error, "the queue's bell is out of reach; its workers look by themselves");
        }
        sleep(PAUSE).await;
    }
}

/// Passes rings on until the connection ends, or the link leads elsewhere.
async fn pass_on_once(link: &Link, bells: &[(Keys, Bell); 2]) -> RedisResult<()> {
    let client = link.client().await?;
    let mut renewals = link.renewals();
    let mut connection = within(SUBSCRIBE_TIMEOUT, client.get_async_pubsub()).await?;
    for (keys, _) in bells {
        within(SUBSCRIBE_TIMEOUT, connection.subscribe(&keys.bell)).await?;
    }
    // What was pushed before we listened.
    for (_, bell) in bells {
        bell.ring();
    }
    let mut messages = connection.on_message();
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return Ok(()) };
                let rung = message.get_channel_name();
                for (keys, bell) in bells {
                    if keys.bell == rung {
                        bell.ring();
                    }
                }
            }
            // The server it was made to may no longer be the one that leads.
            _ = renewals.changed() => return Ok(()),
        }
    }
}
