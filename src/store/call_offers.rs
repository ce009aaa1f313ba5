//! Times for a call that were offered by text: one offer a number, until it is answered or over.

use sqlx::FromRow;

use crate::domain::CustomerId;
use crate::domain::call::Slot;
use crate::domain::customer::Address;
use crate::domain::time::{Instant, from_ms};

use super::auto_answers::hash_of;
use super::{Result, Store, in_tx, query};

/// What was offered, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOffer {
    pub customer: CustomerId,
    /// In the order of their digits.
    pub slots: Vec<Slot>,
    pub made_at: Instant,
}

#[derive(FromRow)]
struct Row {
    customer_id: String,
    slots: String,
    made_at_ms: i64,
}

impl Store {
    /// Keeps what a number was offered, in place of what it was offered before.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn offer_calls(
        &self,
        number: &Address,
        offer: &CallOffer,
        ends_at: Instant,
    ) -> Result<()> {
        let (hash, customer) = (hash_of(number), offer.customer.0.clone());
        let slots = serde_json::json!(offer.slots).to_string();
        let (made_at_ms, ends_at_ms) =
            (offer.made_at.timestamp_millis(), ends_at.timestamp_millis());
        in_tx!(self, |tx| {
            query("DELETE FROM call_offer WHERE ends_at_ms <= $1 AND number_hash <> $2")
                .bind(made_at_ms)
                .bind(hash.clone())
                .execute(&mut *tx)
                .await?;
            query(
                "INSERT INTO call_offer (number_hash, customer_id, slots, made_at_ms, ends_at_ms)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (number_hash) DO UPDATE SET customer_id = excluded.customer_id,
                    slots = excluded.slots, made_at_ms = excluded.made_at_ms,
                    ends_at_ms = excluded.ends_at_ms",
            )
            .bind(hash)
            .bind(customer)
            .bind(slots)
            .bind(made_at_ms)
            .bind(ends_at_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// What a number is offered at `now`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn call_offer(&self, number: &Address, now: Instant) -> Result<Option<CallOffer>> {
        let row: Option<Row> = query(
            "SELECT customer_id, slots, made_at_ms FROM call_offer
             WHERE number_hash = $1 AND ends_at_ms > $2",
        )
        .bind(hash_of(number))
        .bind(now.timestamp_millis())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let slots = serde_json::from_str(&row.slots)?;
        let customer = CustomerId(row.customer_id);
        Ok(Some(CallOffer { customer, slots, made_at: from_ms(row.made_at_ms) }))
    }

    /// An offer was taken up: it stands no more.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn end_call_offer(&self, number: &Address) -> Result<()> {
        let hash = hash_of(number);
        in_tx!(self, |tx| {
            query("DELETE FROM call_offer WHERE number_hash = $1").bind(hash).execute(tx).await?;
            Ok(())
        })
    }
}
