//! Addresses that customers add and remove themselves. An import brings none of the removed
//! back, and takes none of the added away.

use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::domain::{Channel, Customer, CustomerId};

use super::consent::{Act, NewConsent, note};
use super::customers::{load, write_version};
use super::row_locks::{Lock, lock, lock_customer};
use super::sql::Tx;
use super::{Result, Store, StoreError, ids, in_tx, query};

impl Store {
    /// Adds an address whose owner has shown that they read it, or marks one there is as
    /// verified.
    ///
    /// # Errors
    /// `NotFound` when nobody told us about the customer.
    pub async fn add_contact_point(
        &self,
        id: &CustomerId,
        channel: Channel,
        address: &Address,
        act: &Act,
        now: Instant,
    ) -> Result<()> {
        let (id, address, act) = (id.clone(), address.clone(), act.clone());
        in_tx!(self, |tx| {
            lock(tx, Lock::Addresses, ids([address.compare_key()])).await?;
            let customer = locked(tx, &id, now).await?;
            query(
                "INSERT INTO contact_point (customer_id, position, channel, address, address_key,
                                            verified, added_by, removed)
                 SELECT $1, (SELECT COALESCE(max(position), 0) + 1 FROM contact_point
                             WHERE customer_id = $1), $2, $3, $4, true, 'customer', false
                 WHERE true
                 ON CONFLICT (customer_id, channel, address_key) DO UPDATE SET
                    verified = true, removed = false, added_by = 'customer'",
            )
            .bind(id.as_str())
            .bind(channel.as_str())
            .bind(address.expose())
            .bind(address.compare_key())
            .execute(&mut *tx)
            .await?;
            let what = serde_json::json!({ "address_added": channel });
            record(tx, customer, &what, &act, now).await
        })
    }

    /// Removes an address, for good.
    ///
    /// # Errors
    /// `NotFound` when the customer has no such address.
    pub async fn remove_contact_point(
        &self,
        id: &CustomerId,
        channel: Channel,
        address: &Address,
        act: &Act,
        now: Instant,
    ) -> Result<()> {
        let (id, address, act) = (id.clone(), address.clone(), act.clone());
        in_tx!(self, |tx| {
            lock(tx, Lock::Addresses, ids([address.compare_key()])).await?;
            let customer = locked(tx, &id, now).await?;
            let removed = query(
                "UPDATE contact_point SET removed = true, verified = false
                 WHERE customer_id = $1 AND channel = $2 AND address_key = $3 AND NOT removed",
            )
            .bind(id.as_str())
            .bind(channel.as_str())
            .bind(address.compare_key())
            .execute(&mut *tx)
            .await?;
            if removed == 0 {
                return Err(StoreError::NotFound { what: "the address".into() });
            }
            let what = serde_json::json!({ "address_removed": channel });
            record(tx, customer, &what, &act, now).await
        })
    }
}

/// The customer, locked until the transaction ends.
async fn locked(tx: &mut Tx, id: &CustomerId, now: Instant) -> Result<Customer> {
    lock_customer(tx, id).await?;
    load(&mut *tx, [id], now.timestamp_millis())
        .await?
        .remove(id)
        .filter(|customer| !customer.erased)
        .ok_or_else(|| StoreError::NotFound { what: format!("the customer {id}") })
}

/// The customer's next version, with the addresses as they are now.
async fn record(
    tx: &mut Tx,
    customer: Customer,
    what: &serde_json::Value,
    act: &Act,
    now: Instant,
) -> Result<()> {
    let now_ms = now.timestamp_millis();
    let id = customer.id.clone();
    let chosen = customer.chosen.clone();
    let contact_points = load(&mut *tx, [&id], now_ms)
        .await?
        .remove(&id)
        .map(|customer| customer.contact_points)
        .unwrap_or_default();
    write_version(tx, Customer { contact_points, ..customer }, &chosen, &act.source, now_ms)
        .await?;
    let line = NewConsent { customer_id: id.0, what: what.to_string() };
    note(tx, vec![line], act, now_ms).await
}
