//! What follows from how a hand-over ended.

use std::num::NonZeroU32;

use chrono::TimeDelta;

use crate::channel::health::Call;
use crate::channel::{SendError, Taken};
use crate::domain::customer::AddressFault;
use crate::domain::plan::{Created, NewTask, TaskKind};
use crate::domain::reason::Reason;
use crate::domain::time::Instant;
use crate::domain::{Channel, Notification, Provider, Status};
use crate::planning::Ended;
use crate::planning::retry::{FailedAttempt, Failure, NextStep};
use crate::store::attempts::{AttemptState, Closing};
use crate::store::opening::Opened;
use crate::store::quotas::GivenBack;

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
    count(channel, &message.opening.provider, &result);
    let mut closing = Closing {
        notification: message.notification().clone(),
        no: opened.no,
        attempt: AttemptState::Sent,
        status: Status::Sent,
        next_at: now,
        failed_channels: message.notification().failed_channels.clone(),
        provider_ref: None,
        detail: String::new(),
        fault: Call::of(&result) == Call::Fault,
        reasons: Vec::new(),
        versions: message.opening.versions.clone(),
        task: None,
        alert: None,
        suppress: None,
        carries: !message.riders.is_empty(),
        followers: Vec::new(),
        given_back: None,
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
            closing.next_at = now + TimeDelta::seconds(START_AGAIN_AFTER_S);
            closing.detail.clone_from(&reason);
            closing.reasons.push(Reason::NotStarted { detail: reason });
        }
        Err(SendError::Unanswered { reason }) => {
            closing.attempt = AttemptState::InDoubt;
            closing.status = Status::InDoubt;
            let gateway = engine.gateways.get(channel).get(message.way.place);
            let asked_after = gateway.and_then(|gateway| gateway.provider.asked_after());
            let settle_after = engine.behaviour.settle_doubt_after;
            let settle_after = asked_after.map_or(settle_after, |asked| asked.min(settle_after));
            closing.next_at = now + settle_after;
            closing.detail.clone_from(&reason);
            closing.reasons.push(Reason::Unanswered { channel, detail: reason });
        }
        Err(
            SendError::Deferred { reason, retry_after }
            | SendError::ProviderDown { reason, retry_after },
        ) => put_off(engine, &mut closing, message, opened, reason, retry_after),
        Err(SendError::MailboxFull { reason }) => {
            closing.suppress = Some((channel, message.opening.address.clone(), AddressFault::Full));
            put_off(engine, &mut closing, message, opened, reason, None);
        }
        Err(SendError::Stuck { reason, mend }) => {
            closing.alert = Some(stuck(message.opening.provider.name(), mend, &reason));
            put_off(engine, &mut closing, message, opened, reason, None);
        }
        Err(SendError::Refused { reason, address: fault }) => {
            let address = message.opening.address.clone();
            closing.suppress = fault.map(|fault| (channel, address, fault));
            refuse(&mut closing, channel, reason);
        }
        Err(SendError::Unfit { reason }) => {
            closing.alert = Some(unfit(message.notification(), channel, &reason));
            refuse(&mut closing, channel, reason);
        }
        Err(SendError::Unwelcome { reason, domain }) => {
            closing.alert = Some(unwelcome(&domain, &reason));
            refuse(&mut closing, channel, reason);
        }
    }
    // Nobody got it: it does not count. In shadow mode it counts as it would.
    let told = closing.status == Status::Sent || closing.attempt == AttemptState::InDoubt;
    if !told && !message.opening.quotas.is_empty() {
        closing.given_back = Some(GivenBack {
            channel,
            quotas: message.opening.quotas.clone(),
            cost_millionths: message.opening.cost_millionths,
        });
    }
    closing
}

/// Tried again on this channel, while its policy has waits left and the message is of worth.
fn put_off(
    engine: &Engine,
    closing: &mut Closing,
    message: &Ready,
    opened: Opened,
    reason: String,
    retry_after: Option<TimeDelta>,
) {
    let channel = message.opening.channel;
    let at = closing.next_at;
    closing.attempt = AttemptState::Deferred;
    closing.status = Status::Planned;
    closing.detail.clone_from(&reason);
    let failed = FailedAttempt {
        notification: message.notification().id,
        attempts: attempts(opened),
        failure: Failure::Temporary { retry_after },
        at,
        expires_at: message.notification().expires_at,
    };
    match engine.behaviour.retry.get(channel).next_step(&failed) {
        NextStep::RetryAt(retry_at) => {
            closing.next_at = retry_at;
            closing.reasons.push(Reason::Deferred { channel, detail: reason, retry_at });
        }
        NextStep::FallBack | NextStep::AwaitReceipt => give_up(closing, channel, reason),
    }
}

/// Not on this channel.
fn refuse(closing: &mut Closing, channel: Channel, reason: String) {
    closing.attempt = AttemptState::Refused;
    closing.status = Status::Planned;
    closing.detail.clone_from(&reason);
    closing.reasons.push(Reason::Refused { channel, detail: reason.clone() });
    give_up(closing, channel, reason);
}

/// Work for whoever runs this installation: nobody is served until it is done. One task for
/// all messages it holds up.
fn stuck(provider: &str, mend: &str, reason: &str) -> NewTask {
    NewTask {
        kind: TaskKind::Provider,
        key: format!("provider/{provider}/{mend}"),
        detail: format!("{mend}. It said: {reason}"),
    }
}

/// Work for the author of a message: one task for all that is sent of it.
fn unfit(notification: &Notification, channel: Channel, reason: &str) -> NewTask {
    let message = format!("{}/{}", notification.case_type, notification.notice);
    NewTask {
        kind: TaskKind::Template,
        key: format!("template/{channel}/{message}"),
        detail: format!(
            "Change the message {message:?}: by {} it is refused for what it contains, or for its size. The provider said: {reason}",
            channel.spoken()
        ),
    }
}

/// Work for whoever answers for our standing as a sender: one task a domain.
fn unwelcome(domain: &str, reason: &str) -> NewTask {
    NewTask {
        kind: TaskKind::Provider,
        key: format!("standing/{domain}"),
        detail: format!(
            "Find out why {domain} does not want our mail (SPF, DKIM, DMARC, block lists); what goes there waits meanwhile. It said: {reason}"
        ),
    }
}

fn count(channel: Channel, provider: &Provider, result: &Result<Taken, SendError>) {
    let outcome = match result {
        Ok(_) => "sent",
        Err(SendError::NotStarted { .. }) => "not_started",
        Err(
            SendError::Deferred { .. }
            | SendError::ProviderDown { .. }
            | SendError::MailboxFull { .. }
            | SendError::Stuck { .. },
        ) => "deferred",
        Err(SendError::Refused { .. } | SendError::Unfit { .. } | SendError::Unwelcome { .. }) => {
            "refused"
        }
        Err(SendError::Unanswered { .. }) => "unanswered",
    };
    metrics::counter!("tidings_attempts_total", "channel" => channel.as_str(), "provider" => provider.label(), "outcome" => outcome)
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
