//! A provider's later word about an attempt: stored first, then applied in order of rank
//! ([`super::applying`]), so that late, doubled and reordered receipts change nothing they should
//! not.

use crate::domain::customer::AddressFault;
use crate::domain::time::Instant;
use crate::domain::{NotificationId, Status};

use super::address_faults::{Fault, count_fault};
use super::rows::{parse_channel, parse_id, reference};
use super::{Result, Store, in_tx, query};

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

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Taken, Self::Delivered, Self::Undelivered].into_iter().find(|o| o.as_str() == name)
    }

    /// May it move a notification that stands so, where it is about its last attempt?
    pub(super) fn moves(self, status: &str) -> bool {
        let next = match self {
            Self::Taken => Status::Sent,
            Self::Delivered => Status::Delivered,
            Self::Undelivered => Status::Undelivered,
        };
        Status::from_name(status).is_some_and(|from| from.may_become(next))
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

/// A stored receipt that is still to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingReceipt {
    pub seq: i64,
    pub notification: NotificationId,
    /// Nobody knew it was told: what follows from that is still to be planned.
    pub ends_doubt: bool,
}

/// Those of an attempt whose own outcome is not recorded yet wait.
const WAITING: &str = "
    SELECT r.seq, r.notification_id,
           r.outcome IN ('taken', 'delivered') AND r.no = n.attempts
               AND n.status IN ('in_doubt', 'unknown', 'planned', 'claimed')
               AND a.state NOT IN ('delivered', 'undelivered')
    FROM receipt AS r
    JOIN notification AS n ON n.id = r.notification_id
    JOIN attempt AS a ON a.notification_id = r.notification_id AND a.no = r.no
    WHERE r.applied_at_ms IS NULL AND n.status <> 'sending' ORDER BY r.seq LIMIT 500";

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

    /// Receipts that can be applied now, oldest first: 500 at most. Those of an attempt whose
    /// own outcome is not recorded yet wait.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn waiting_receipts(&self) -> Result<Vec<WaitingReceipt>> {
        let rows: Vec<(i64, String, bool)> = query(WAITING).fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|(seq, id, ends_doubt)| {
                Ok(WaitingReceipt { seq, notification: parse_id(&id)?, ends_doubt })
            })
            .collect()
    }
}
