//! Kept receipts applied in order of rank: attempts and notifications move forward, never back.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::time::{Instant, from_ms};
use crate::domain::{Channel, Reason};

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::receipts::{ReceiptOutcome, WaitingReceipt};
use super::row_locks::{Either, either};
use super::rows::{json, parse_channel};
use super::sql::Tx;
use super::{Result, Store, batch, escalations, in_tx, query, riders};

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
    WHERE r.seq IN (SELECT CAST(x.value->>'seq' AS BIGINT) FROM jsonb_each($1) AS x)
      AND r.applied_at_ms IS NULL AND n.status <> 'sending' ORDER BY r.seq ",
    lock,
    ""
);

impl Store {
    /// Applies these receipts, but for those that somebody else has in hand. Answers whether
    /// any notification must be looked at again now.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; the receipts stay stored.
    pub async fn apply_receipts(&self, waiting: &[WaitingReceipt], now: Instant) -> Result<bool> {
        #[derive(Serialize)]
        struct Seq {
            seq: i64,
        }
        if waiting.is_empty() {
            return Ok(false);
        }
        let wanted = batch(waiting.iter().map(|receipt| Seq { seq: receipt.seq }));
        let now_ms = now.timestamp_millis();
        let unapplied = self.pick(UNAPPLIED);
        in_tx!(self, |tx| {
            let receipts: Vec<Unapplied> =
                query(unapplied).bind(wanted).fetch_all(&mut *tx).await?;
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

/// Moves attempt and notification forward, never back: taken < delivered, undelivered. What was
/// planned again after a doubt is told once the provider has it; a claim finds another epoch.
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
    if !last_attempt || !outcome.moves(&receipt.status) {
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
                owner = NULL, claims = 0, held = CASE WHEN $3 = 'planned' THEN held END,
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
    let carrier = &receipt.notification_id;
    if status == "planned" {
        // On the same channel what follows stays as it is.
        if receipt.again_at_ms.is_none() {
            escalations::cancel(tx, carrier, now_ms).await?;
        }
        riders::release(tx, [carrier].into_iter(), now_ms).await?;
    } else if receipt.status != "sent" {
        if matches!(receipt.status.as_str(), "planned" | "claimed") {
            riders::fold_again(tx, carrier, receipt.no, now_ms).await?;
        }
        riders::tell(tx, [carrier].into_iter(), now_ms).await?;
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
