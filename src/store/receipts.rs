//! A provider's later word about an attempt: stored first, applied in order of rank, so that
//! late, doubled and reordered receipts change nothing they should not.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::domain::customer::AddressFault;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Channel, NotificationId, Reason};

use super::address_faults::{Fault, count_fault};
use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Either, either};
use super::rows::{json, parse_channel, reference};
use super::sql::Tx;
use super::{Result, Store, batch, in_tx, query};

/// What a provider says became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// It has it: whatever was in doubt is settled.
    Taken,
    Delivered,
    Undelivered,
}

impl ReceiptOutcome {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Taken, Self::Delivered, Self::Undelivered].into_iter().find(|o| o.as_str() == name)
    }
}

/// A verified receipt.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub notification: NotificationId,
    /// Which attempt it is about.
    pub no: i64,
    /// The kind of the provider that says so.
    pub provider: &'static str,
    pub provider_ref: String,
    pub outcome: ReceiptOutcome,
    pub detail: String,
    /// What it says against the address.
    pub suppress: Option<AddressFault>,
    /// Nobody was there: the same channel is tried again then.
    pub again_at: Option<Instant>,
}

#[derive(FromRow)]
struct Unapplied {
    seq: i64,
    notification_id: String,
    no: i64,
    outcome: String,
    detail: String,
    status: String,
    attempts: i64,
    failed_channels: String,
    channel: String,
    state: String,
    again_at_ms: Option<i64>,
}

const UNAPPLIED: Either = either!(
    |lock| "
    SELECT r.seq, r.notification_id, r.no, r.outcome, r.detail, n.status, n.attempts,
           n.failed_channels, a.channel, a.state, r.again_at_ms
    FROM receipt AS r
    JOIN notification AS n ON n.id = r.notification_id
    JOIN attempt AS a ON a.notification_id = r.notification_id AND a.no = r.no
    WHERE r.applied_at_ms IS NULL AND n.status <> 'sending' ORDER BY r.seq LIMIT 500 ",
    lock,
    ""
);

impl Store {
    /// Stores a receipt. Answers false when the same was stored before, or when there is no
    /// such attempt.
    ///
    /// # Errors
    /// `Unavailable`; the provider should try again.
    pub async fn keep_receipt(&self, receipt: Receipt, now: Instant) -> Result<bool> {
        let (now_ms, found_for_ms) = (now.timestamp_millis(), self.found_for_ms);
        in_tx!(self, |tx| {
            let kept = query(
                "INSERT INTO receipt (notification_id, no, provider, provider_ref, outcome, detail,
                                      received_at_ms, again_at_ms)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8
                 WHERE EXISTS (SELECT 1 FROM attempt
                               WHERE notification_id = $1 AND no = $2
                                 AND COALESCE(kind, provider) = $3)
                 ON CONFLICT (notification_id, no, provider_ref, outcome) DO NOTHING",
            )
            .bind(receipt.notification.to_string())
            .bind(receipt.no)
            .bind(receipt.provider)
            .bind(reference(&receipt.provider_ref))
            .bind(receipt.outcome.as_str())
            .bind(&receipt.detail)
            .bind(now_ms)
            .bind(receipt.again_at.map(|at| at.timestamp_millis()))
            .execute(&mut *tx)
            .await?;
            if kept == 0 {
                return Ok(false);
            }
            // Who has the address is locked before the attempt, as where attempts close.
            if let Some(fault) = receipt.suppress {
                let found: Option<(String, String)> = query(
                    "SELECT channel, address FROM attempt WHERE notification_id = $1 AND no = $2",
                )
                .bind(receipt.notification.to_string())
                .bind(receipt.no)
                .fetch_optional(&mut *tx)
                .await?;
                if let Some((channel, address)) = found {
                    let (channel, key) = (parse_channel(&channel)?, address.to_lowercase());
                    let counted =
                        Fault { channel, key: &key, what: fault, detail: &receipt.detail };
                    count_fault(tx, counted, receipt.provider, (now_ms, found_for_ms)).await?;
                }
            }
            if receipt.outcome != ReceiptOutcome::Taken {
                query(
                    "UPDATE attempt SET word_at_ms = COALESCE(word_at_ms, $3)
                     WHERE notification_id = $1 AND no = $2",
                )
                .bind(receipt.notification.to_string())
                .bind(receipt.no)
                .bind(now_ms)
                .execute(&mut *tx)
                .await?;
            }
            Ok(true)
        })
    }

    /// Applies stored receipts. Those of an attempt whose own outcome is not recorded yet
    /// wait. Answers whether any notification must be looked at again now.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; the receipts stay stored.
    pub async fn apply_receipts(&self, now: Instant) -> Result<bool> {
        let (waiting,): (bool,) =
            query("SELECT EXISTS (SELECT 1 FROM receipt WHERE applied_at_ms IS NULL)")
                .fetch_one(&self.readers)
                .await?;
        if !waiting {
            return Ok(false);
        }
        let now_ms = now.timestamp_millis();
        let unapplied = self.pick(UNAPPLIED);
        in_tx!(self, |tx| {
            let receipts: Vec<Unapplied> = query(unapplied).fetch_all(&mut *tx).await?;
            let mut look_again = false;
            let mut moved = Moved::default();
            for mut receipt in receipts {
                moved.bring_up_to_date(&mut receipt);
                look_again |= apply(tx, &mut receipt, now_ms).await?;
                query("UPDATE receipt SET applied_at_ms = $2 WHERE seq = $1")
                    .bind(receipt.seq)
                    .bind(now_ms)
                    .execute(&mut *tx)
                    .await?;
                moved.note(receipt);
            }
            Ok(look_again)
        })
    }
}

/// What earlier receipts of the same transaction made of attempts and notifications: all were
/// read before the first was applied.
#[derive(Default)]
struct Moved {
    attempts: HashMap<(String, i64), String>,
    notifications: HashMap<String, (String, String)>,
}

impl Moved {
    fn bring_up_to_date(&self, receipt: &mut Unapplied) {
        let attempt = (receipt.notification_id.clone(), receipt.no);
        if let Some(state) = self.attempts.get(&attempt) {
            receipt.state.clone_from(state);
        }
        if let Some((status, failed)) = self.notifications.get(&attempt.0) {
            receipt.status.clone_from(status);
            receipt.failed_channels.clone_from(failed);
        }
    }

    fn note(&mut self, receipt: Unapplied) {
        let id = receipt.notification_id;
        self.attempts.insert((id.clone(), receipt.no), receipt.state);
        self.notifications.insert(id, (receipt.status, receipt.failed_channels));
    }
}

/// Moves attempt and notification forward, never back: taken < delivered, undelivered.
async fn apply(tx: &mut Tx, receipt: &mut Unapplied, now_ms: i64) -> Result<bool> {
    let Some(outcome) = ReceiptOutcome::from_name(&receipt.outcome) else { return Ok(false) };
    let final_already = matches!(receipt.state.as_str(), "delivered" | "undelivered");
    let known_taken = receipt.state == "sent";
    if final_already || (outcome == ReceiptOutcome::Taken && known_taken) {
        return Ok(false);
    }
    let state = match outcome {
        ReceiptOutcome::Taken => "sent",
        ReceiptOutcome::Delivered => "delivered",
        ReceiptOutcome::Undelivered => "undelivered",
    };
    query("UPDATE attempt SET state = $3, detail = $4 WHERE notification_id = $1 AND no = $2")
        .bind(&receipt.notification_id)
        .bind(receipt.no)
        .bind(state)
        .bind(&receipt.detail)
        .execute(&mut *tx)
        .await?;
    state.clone_into(&mut receipt.state);
    let last_attempt = receipt.no == receipt.attempts;
    if !last_attempt || !matches!(receipt.status.as_str(), "sent" | "in_doubt" | "unknown") {
        return Ok(false);
    }
    let said = Reason::ReceiptSaid {
        outcome: outcome.as_str().to_owned(),
        detail: receipt.detail.clone(),
    };
    let mut reasons = vec![said];
    let mut failed: Vec<Channel> = serde_json::from_str(&receipt.failed_channels)?;
    let (status, next_at_ms) = match outcome {
        ReceiptOutcome::Taken => ("sent", None),
        ReceiptOutcome::Delivered => ("delivered", None),
        ReceiptOutcome::Undelivered => {
            let channel = parse_channel(&receipt.channel)?;
            if let Some(again_at_ms) = receipt.again_at_ms {
                let (detail, retry_at) = (receipt.detail.clone(), from_ms(again_at_ms));
                reasons.push(Reason::Deferred { channel, detail, retry_at });
            } else {
                failed.push(channel);
            }
            ("planned", Some(receipt.again_at_ms.unwrap_or(now_ms)))
        }
    };
    let failed = json(&failed);
    query(
        "UPDATE notification SET status = $3, reason = $4, epoch = epoch + 1,
                next_at_ms = COALESCE($5, next_at_ms), failed_channels = $6, ring_again_at_ms = 0,
                told_at_ms = CASE WHEN $3 = 'planned' THEN NULL ELSE COALESCE(told_at_ms, $7) END
         WHERE id = $1 AND status = $2",
    )
    .bind(&receipt.notification_id)
    .bind(&receipt.status)
    .bind(status)
    .bind(reasons[0].code())
    .bind(next_at_ms)
    .bind(&failed)
    .bind(now_ms)
    .execute(&mut *tx)
    .await?;
    if status == "planned" {
        super::riders::release(tx, [&receipt.notification_id].into_iter(), now_ms).await?;
    }
    status.clone_into(&mut receipt.status);
    receipt.failed_channels = failed;
    let decision = DecisionRow {
        id: receipt.notification_id.clone(),
        what: state,
        reasons: json(&reasons),
        versions: "{}".into(),
    };
    query(INSERT_DECISIONS).bind(batch([decision])).bind(now_ms).execute(&mut *tx).await?;
    if outcome == ReceiptOutcome::Undelivered {
        facts::undelivered(tx, &receipt.notification_id, now_ms).await?;
    } else {
        facts::notifications(tx, [&receipt.notification_id], now_ms).await?;
    }
    Ok(status == "planned")
}
