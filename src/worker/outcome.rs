//! What follows from how a hand-over ended.

use std::num::NonZeroU32;

use crate::channel::{SendError, Taken};
use crate::domain::plan::Created;
use crate::domain::reason::Reason;
use crate::domain::time::Instant;
use crate::domain::{Channel, Status};
use crate::planning::Ended;
use crate::planning::retry::{FailedAttempt, Failure, NextStep};
use crate::store::attempts::{AttemptState, Closing, Opened};

use super::Engine;
use super::dispatch::Ready;

/// How long a message waits that could not be started in time.
const START_AGAIN_AFTER_S: i64 = 1;

/// The outcome of one attempt, ready to be recorded.
#[must_use]
pub fn closing(
    engine: &Engine,
    message: &Ready,
    opened: Opened,
    result: Result<Taken, SendError>,
) -> Closing {
    let now = engine.clock.now();
    let channel = message.opening.channel;
    count(channel, message.opening.provider, &result);
    let mut closing = Closing {
        notification: message.notification().clone(),
        no: opened.no,
        attempt: AttemptState::Sent,
        status: Status::Sent,
        next_at: now,
        failed_channels: message.notification().failed_channels.clone(),
        provider_ref: None,
        detail: String::new(),
        reasons: Vec::new(),
        versions: message.opening.versions.clone(),
        task: None,
        suppress: None,
        carries: !message.riders.is_empty(),
        followers: Vec::new(),
    };
    match result {
        Ok(Taken { provider_ref, detail }) => {
            say_how_late(message, now);
            closing.provider_ref = provider_ref;
            closing.detail = detail;
            closing.reasons.push(if engine.behaviour.shadow {
                closing.attempt = AttemptState::NotSent;
                Reason::Shadow { channel }
            } else {
                Reason::HandedOver { channel }
            });
            closing.followers = followers(engine, message, now);
        }
        Err(SendError::NotStarted { reason }) => {
            closing.attempt = AttemptState::NotSent;
            closing.status = Status::Planned;
            closing.next_at = now + chrono::TimeDelta::seconds(START_AGAIN_AFTER_S);
            closing.detail.clone_from(&reason);
            closing.reasons.push(Reason::NotStarted { detail: reason });
        }
        Err(SendError::Unanswered { reason }) => {
            closing.attempt = AttemptState::InDoubt;
            closing.status = Status::InDoubt;
            closing.next_at = now + engine.behaviour.settle_doubt_after;
            closing.detail.clone_from(&reason);
            closing.reasons.push(Reason::Unanswered { channel, detail: reason });
        }
        Err(
            SendError::Deferred { reason, retry_after }
            | SendError::ProviderDown { reason, retry_after },
        ) => {
            closing.attempt = AttemptState::Deferred;
            closing.status = Status::Planned;
            closing.detail.clone_from(&reason);
            let failed = FailedAttempt {
                notification: message.notification().id,
                attempts: attempts(opened),
                failure: Failure::Temporary { retry_after },
                at: now,
                expires_at: message.notification().expires_at,
            };
            match engine.behaviour.retry.get(channel).next_step(&failed) {
                NextStep::RetryAt(retry_at) => {
                    closing.next_at = retry_at;
                    closing.reasons.push(Reason::Deferred { channel, detail: reason, retry_at });
                }
                NextStep::FallBack | NextStep::AwaitReceipt => {
                    give_up(&mut closing, channel, reason);
                }
            }
        }
        Err(SendError::Refused { reason, address: fault }) => {
            closing.attempt = AttemptState::Refused;
            closing.status = Status::Planned;
            closing.detail.clone_from(&reason);
            closing.reasons.push(Reason::Refused { channel, detail: reason.clone() });
            let address = message.opening.address.clone();
            closing.suppress = fault.map(|fault| (channel, address, fault));
            give_up(&mut closing, channel, reason);
        }
    }
    closing
}

fn count(channel: Channel, provider: &'static str, result: &Result<Taken, SendError>) {
    let outcome = match result {
        Ok(_) => "sent",
        Err(SendError::NotStarted { .. }) => "not_started",
        Err(SendError::Deferred { .. } | SendError::ProviderDown { .. }) => "deferred",
        Err(SendError::Refused { .. }) => "refused",
        Err(SendError::Unanswered { .. }) => "unanswered",
    };
    metrics::counter!("tidings_attempts_total", "channel" => channel.as_str(), "provider" => provider, "outcome" => outcome)
        .increment(1);
}

/// How long a message took that could have gone at once: from its plan, or from the instant
/// it was put off to, until the provider has it.
fn say_how_late(message: &Ready, now: Instant) {
    let notification = message.notification();
    let may_go_from = notification.planned_at.max(notification.next_at);
    let late = (now - may_go_from).to_std().unwrap_or_default();
    metrics::histogram!("tidings_hand_over_delay_seconds", "channel" => message.opening.channel.as_str())
        .record(late);
}

/// The channel is done for this notification; the next decision takes the next allowed one,
/// or finds none and asks a person.
fn give_up(closing: &mut Closing, channel: Channel, detail: String) {
    if !closing.failed_channels.contains(&channel) {
        closing.failed_channels.push(channel);
    }
    closing.reasons.push(Reason::NextChannel { after: channel, detail });
}

fn attempts(opened: Opened) -> NonZeroU32 {
    u32::try_from(opened.on_channel).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

/// What is planned because a message and what rides in it were told.
fn followers(engine: &Engine, message: &Ready, left_at: Instant) -> Vec<Created> {
    let how = Ended::Told(message.opening.channel);
    std::iter::once(&message.claimed)
        .chain(message.riders.iter().map(|rider| &rider.claimed))
        .flat_map(|claimed| claimed.followers(engine, &message.live.rules, how, left_at))
        .collect()
}
