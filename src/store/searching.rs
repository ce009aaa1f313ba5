//! Looking things up by what a customer on the phone has at hand.

use crate::domain::customer::Address;
use crate::domain::{Channel, CustomerId};

use super::{Result, Store, query};

pub(super) const BY_REFERENCE: &str =
    "SELECT notification_id FROM attempt WHERE provider = $1 AND provider_ref = $2 LIMIT 20";

pub(super) const CUSTOMERS_WITH: &str = "
    SELECT DISTINCT customer_id FROM contact_point
    WHERE channel = $1 AND address_key = $2 AND NOT removed ORDER BY customer_id LIMIT 20";

impl Store {
    /// The notifications a provider knows by this reference; twenty at most.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn by_reference(&self, provider: &str, reference: &str) -> Result<Vec<String>> {
        let found: Vec<(String,)> = query(BY_REFERENCE)
            .bind(provider)
            .bind(reference)
            .fetch_all(&self.readers)
            .await?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// Everyone who has this address, verified or not; twenty at most.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn customers_with(
        &self,
        channel: Channel,
        address: &Address,
    ) -> Result<Vec<CustomerId>> {
        let found: Vec<(String,)> = query(CUSTOMERS_WITH)
            .bind(channel.as_str())
            .bind(address.compare_key())
            .fetch_all(&self.readers)
            .await?;
        Ok(found.into_iter().map(|(id,)| CustomerId(id)).collect())
    }
}
