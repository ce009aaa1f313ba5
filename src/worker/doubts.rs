//! Doubts whose time has come. A provider that can be asked is asked; what it knows goes the way
//! of a receipt, and what it never heard of is sent again. Where nobody can be asked, or nobody
//! answers in time, the topic says whether better twice or not.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use futures::StreamExt;

use crate::channel::lookup::{Doubt, Found, SETTLED_AFTER};
use crate::channel::receipt::Word;
use crate::domain::reason::Reason;
use crate::domain::time::Instant;
use crate::domain::{Notification, Status};
use crate::planning::is_unsaid;
use crate::planning::rules::InDoubt as Policy;
use crate::store::Result;
use crate::store::leases::InDoubt;

use super::followers::{DoubtEnded, following};
use super::seams::Seam;
use super::{Engine, Stopping, stopped};

/// Doubts looked at in one go, and providers asked at once.
const AT_ONCE: i64 = 500;
const ASKED_AT_ONCE: usize = 8;

/// How long one question may take, with all pages of its answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often what is due is looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// How long after a question without an answer it is asked again.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(60);

/// Settles what is due on a period. A task of its own: a provider that is slow to say what it
/// knows holds up no repair.
pub async fn run(engine: Arc<Engine>, mut stopping: Stopping) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = stopped(&mut stopping) => return,
        }
        tokio::select! {
            settled = settle(&engine, engine.clock.now()) => {
                if let Err(error) = settled {
                    tracing::warn!(%error, "doubts could not be looked at");
                }
            }
            () = stopped(&mut stopping) => return,
        }
    }
}

/// Settles what is due. A provider that does not answer is asked for nothing more this time.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn settle(engine: &Engine, now: Instant) -> Result<()> {
    let mut due = engine.store.doubts_due(now, AT_ONCE).await?;
    // Of two to one address the second is asked for once it is known which was the first.
    let mut addresses = HashSet::new();
    due.retain(|doubt| addresses.insert(doubt.address.expose().to_owned()));
    let mute = &Mutex::new(HashSet::new());
    // Each is asked for and ended in one future: one that waits for its turn while another is
    // ended would hold a connection of the store that this one needs.
    let mut ended = futures::stream::iter(due)
        .map(|doubt| async move {
            let found = ask(engine, &doubt, mute, now).await?;
            end(engine, &doubt, found, now).await
        })
        .buffer_unordered(ASKED_AT_ONCE);
    while let Some(ended) = ended.next().await {
        ended?;
        engine.wake.notify_one();
    }
    Ok(())
}

async fn end(engine: &Engine, doubt: &InDoubt, found: Option<Found>, now: Instant) -> Result<()> {
    engine.seams.pass(Seam::BeforeSettling).await;
    let ends_at = doubt.opened_at + engine.behaviour.settle_doubt_after;
    match found {
        Some(Found::Taken { provider_ref, word }) => told(engine, doubt, provider_ref, word).await,
        Some(Found::Absent) if now - doubt.opened_at >= SETTLED_AFTER => {
            let why = vec![Reason::NotFoundThere { provider: doubt.provider.clone() }];
            engine.store.never_taken(&doubt.notification, why, now).await.map(drop)
        }
        // Its receipt may still come, or an answer, until its time is up.
        Some(Found::Absent | Found::Unknown) | None if now < ends_at => {
            let again_at = (now + ASK_AGAIN).min(ends_at);
            engine.store.ask_again(&doubt.notification, again_at).await.map(drop)
        }
        Some(Found::Absent | Found::Unknown) | None => by_policy(engine, doubt, now).await,
    }
}

fn wire<'a>(engine: &'a Engine, doubt: &InDoubt) -> Option<&'a dyn crate::channel::Wire> {
    let gateways = engine.gateways.get(doubt.channel);
    let gateway = gateways.iter().find(|gateway| gateway.name.name() == doubt.provider)?;
    Some(&*gateway.provider)
}

/// What the provider knows of it; `None` where it cannot be asked, or does not answer.
async fn ask(
    engine: &Engine,
    doubt: &InDoubt,
    mute: &Mutex<HashSet<String>>,
    now: Instant,
) -> Result<Option<Found>> {
    let is_mute = || mute.lock().expect("no panic while held").contains(&doubt.provider);
    let Some(wire) = wire(engine, doubt).filter(|wire| wire.asked_after().is_some() && !is_mute())
    else {
        return Ok(None);
    };
    let provider = doubt.provider.clone();
    let known = engine.store.references_of(&doubt.notification.customer, doubt.opened_at).await?;
    let doubt = Doubt {
        notification: doubt.notification.id,
        no: doubt.notification.attempts,
        channel: doubt.channel,
        to: doubt.address.clone(),
        body_hash: doubt.body_hash.clone(),
        opened_at: doubt.opened_at,
        known,
    };
    let answer = tokio::time::timeout(PATIENCE, wire.settle(&doubt, now)).await;
    match answer.unwrap_or_else(|_| Err("it did not answer in time".to_owned())) {
        Ok(found) => Ok(Some(found)),
        Err(error) => {
            tracing::warn!(provider, error, "a provider did not say what became of a message");
            mute.lock().expect("no panic while held").insert(provider);
            Ok(None)
        }
    }
}

/// What a provider says when asked is what its receipt would have said.
async fn told(engine: &Engine, doubt: &InDoubt, provider_ref: String, word: Word) -> Result<()> {
    let Some(kind) = wire(engine, doubt).map(crate::channel::Wire::name) else { return Ok(()) };
    let of = (doubt.notification.id, doubt.notification.attempts);
    let word = if word == Word::Nothing { Word::Taken } else { word };
    engine.take_receipt(of, kind, provider_ref, word).await
}

/// Better twice or not? What rides in it is said twice with it, so all of it has a say.
async fn by_policy(engine: &Engine, doubt: &InDoubt, now: Instant) -> Result<()> {
    let live = engine.live.load_full();
    let carrier = &doubt.notification;
    let may_be_twice = |notification: &Notification| {
        let topic = live.rules.topics.get(&notification.topic);
        topic.is_some_and(|topic| topic.in_doubt == Policy::AtLeastOnce)
    };
    let aboard = engine.store.with_riders(&[carrier.id]).await?;
    let again = aboard.iter().all(|(notification, _)| may_be_twice(notification))
        && now < carrier.expires_at
        && carrier.attempts < 2;
    let (status, reason, task) = if again {
        (Status::Planned, Reason::SentAgainInDoubt, None)
    } else {
        let task = Some("nobody can tell whether the message arrived");
        (Status::Unknown, Reason::NoWordInTime, task)
    };
    let reasons = vec![reason];
    let followers = if is_unsaid(status, &reasons) {
        following(engine, &[carrier.id], DoubtEnded::Unknown, now).await?
    } else {
        Vec::new()
    };
    engine.store.settle_doubt(carrier, status, reasons, task, followers, now).await?;
    Ok(())
}
