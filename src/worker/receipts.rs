//! What providers report of an attempt, kept and applied: a call that reached nobody is tried
//! again, and one that is over is judged by how far it came.

use std::num::NonZeroU32;

use crate::channel::receipt::Word;
use crate::domain::call::{PickedUp, outcome};
use crate::domain::time::Instant;
use crate::domain::{Channel, NotificationId};
use crate::planning::retry::{FailedAttempt, Failure, NextStep};
use crate::store::receipts::{Receipt, ReceiptOutcome};
use crate::store::{Result, StoreError};

use super::Engine;
use super::followers::follow_up;
use super::seams::Seam;

impl Engine {
    /// Keeps what a provider says of an attempt, then applies it.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be kept.
    pub async fn take_receipt(
        &self,
        (notification, no): (NotificationId, i64),
        provider: &'static str,
        provider_ref: String,
        word: Word,
    ) -> Result<()> {
        let now = self.clock.now();
        let mut again_at = None;
        let (outcome, detail, suppress) = match word {
            Word::Nothing => return Ok(()),
            Word::Taken => (ReceiptOutcome::Taken, String::new(), None),
            Word::Delivered => (ReceiptOutcome::Delivered, String::new(), None),
            Word::Undelivered { detail, address } => (ReceiptOutcome::Undelivered, detail, address),
            Word::NotReached { detail } => {
                again_at = try_again(self, notification, no, now).await?;
                (ReceiptOutcome::Undelivered, detail, None)
            }
            Word::CallOver { by } => {
                let (outcome, detail) = over(self, notification, no, by).await?;
                (outcome, detail, None)
            }
        };
        let receipt = Receipt {
            notification,
            no,
            provider,
            provider_ref,
            outcome,
            detail,
            suppress,
            again_at,
        };
        self.seams.pass(Seam::ReceiptBeforeCommit).await;
        if self.store.keep_receipt(receipt, now).await? {
            self.seams.pass(Seam::AfterReceiptCommit).await;
            apply(self, now).await?;
        }
        Ok(())
    }
}

/// Applies what providers reported. What follows where a doubt ends is planned first: a word
/// that is kept will be applied, by the next process if this one stops in between.
///
/// # Errors
/// `Unavailable` when the store is away; the receipts stay kept.
pub async fn apply(engine: &Engine, now: Instant) -> Result<()> {
    let waiting = engine.store.waiting_receipts().await?;
    let told = waiting.iter().filter(|receipt| receipt.ends_doubt);
    let told: Vec<NotificationId> = told.map(|receipt| receipt.notification).collect();
    follow_up(engine, &told, now).await?;
    if engine.store.apply_receipts(&waiting, now).await? {
        engine.wake.notify_one();
    }
    Ok(())
}

/// When a call is tried again that reached nobody, as `[retry.voice]` says.
async fn try_again(
    engine: &Engine,
    id: NotificationId,
    no: i64,
    now: Instant,
) -> Result<Option<Instant>> {
    let store = &engine.store;
    let call = match store.phone_call(&id, no).await {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        call => call?,
    };
    let attempts = u32::try_from(call.on_channel).ok().and_then(NonZeroU32::new);
    let failed = FailedAttempt {
        notification: id,
        attempts: attempts.unwrap_or(NonZeroU32::MIN),
        failure: Failure::Temporary { retry_after: None },
        at: now,
        expires_at: store.one_notification(&id).await?.expires_at,
    };
    Ok(match engine.behaviour.retry.get(Channel::Voice).next_step(&failed) {
        NextStep::RetryAt(at) => Some(at),
        NextStep::FallBack | NextStep::AwaitReceipt => None,
    })
}

async fn over(
    engine: &Engine,
    id: NotificationId,
    no: i64,
    by: Option<PickedUp>,
) -> Result<(ReceiptOutcome, String)> {
    let progress = match engine.store.phone_call(&id, no).await {
        // A script nobody can answer: the provider's word holds.
        Err(StoreError::NotFound { .. }) => return Ok((ReceiptOutcome::Delivered, String::new())),
        call => call?.progress,
    };
    Ok(match outcome(progress, by) {
        Ok(()) => (ReceiptOutcome::Delivered, String::new()),
        Err(why) => (ReceiptOutcome::Undelivered, why.to_owned()),
    })
}
