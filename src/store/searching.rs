//! Looking things up by what a customer on the phone has at hand.

use crate::domain::customer::Address;
use crate::domain::{Channel, CustomerId, NotificationId};

use super::console::{NotificationView, view_columns};
use super::{Result, Store, ids, query};

pub(super) const BY_REFERENCE: &str =
    "SELECT notification_id FROM attempt WHERE provider = $1 AND provider_ref = $2 LIMIT 20";

pub(super) const CUSTOMERS_WITH: &str = "
    SELECT DISTINCT customer_id FROM contact_point
    WHERE channel = $1 AND address_key = $2 AND NOT removed ORDER BY customer_id LIMIT 20";

pub(super) const RIDERS: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM notification WHERE carrier = $1 ORDER BY planned_at_ms, id LIMIT 100"
);

pub(super) const NAMED: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM notification WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x) ORDER BY id"
);

impl Store {
    /// What rode in this message; a hundred at most.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn riders_of(&self, carrier: &NotificationId) -> Result<Vec<NotificationView>> {
        Ok(query(RIDERS).bind(carrier.to_string()).fetch_all(&self.readers).await?)
    }

    /// The notifications with these ids.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn named(&self, wanted: &[String]) -> Result<Vec<NotificationView>> {
        Ok(query(NAMED).bind(ids(wanted)).fetch_all(&self.readers).await?)
    }

    /// The notifications a provider knows by this reference; twenty at most.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn by_reference(&self, provider: &str, reference: &str) -> Result<Vec<String>> {
        let found: Vec<(String,)> =
            query(BY_REFERENCE).bind(provider).bind(reference).fetch_all(&self.readers).await?;
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
