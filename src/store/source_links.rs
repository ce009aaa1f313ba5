//! Whose an order or a case is, as a help desk's earlier payload said.

use crate::domain::CustomerId;
use crate::domain::time::Instant;

use super::{Result, Store, in_tx, query};

impl Store {
    /// Remembers a customer under a name of the source's own. The last word holds.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn remember_customer(
        &self,
        source: &str,
        name: &str,
        customer: &CustomerId,
        now: Instant,
    ) -> Result<()> {
        let (source, name, customer) = (source.to_owned(), name.to_owned(), customer.0.clone());
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            query(
                "INSERT INTO source_link (source, name, customer_id, at_ms)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (source, name) DO UPDATE
                 SET customer_id = excluded.customer_id, at_ms = excluded.at_ms",
            )
            .bind(source)
            .bind(name)
            .bind(customer)
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// The customer remembered under this name.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn remembered_customer(
        &self,
        source: &str,
        name: &str,
    ) -> Result<Option<CustomerId>> {
        let found: Option<(String,)> =
            query("SELECT customer_id FROM source_link WHERE source = $1 AND name = $2")
                .bind(source)
                .bind(name)
                .fetch_optional(&self.readers)
                .await?;
        Ok(found.map(|(customer,)| CustomerId(customer)))
    }
}
