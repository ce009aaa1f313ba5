//! Questions that were asked, found by what their answer comes with.

use crate::domain::customer::Address;
use crate::domain::{Channel, Notification, NotificationId};

use super::rows::{NotificationRow, notification_columns, notifications};
use super::{Result, Store, StoreError, query};

impl Store {
    /// One notification as the rules see it.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn one_notification(&self, id: &NotificationId) -> Result<Notification> {
        let row: Option<NotificationRow> =
            query(concat!("SELECT ", notification_columns!(), " FROM notification WHERE id = $1"))
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
        let missing = || StoreError::NotFound { what: format!("the notification {id}") };
        row.ok_or_else(missing)?.try_into()
    }

    /// What was handed over to an address, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn told_at(
        &self,
        channel: Channel,
        address: &Address,
        limit: i64,
    ) -> Result<Vec<Notification>> {
        let rows: Vec<NotificationRow> = query(concat!(
            "SELECT ",
            notification_columns!(),
            " FROM notification WHERE customer_id IN
                (SELECT customer_id FROM contact_point WHERE channel = $1 AND address_key = $2)
              AND EXISTS (SELECT 1 FROM attempt WHERE attempt.notification_id = notification.id
                AND attempt.channel = $1 AND attempt.address = $3
                AND attempt.state IN ('sent', 'delivered', 'in_doubt'))
              ORDER BY told_at_ms DESC, planned_at_ms DESC LIMIT $4"
        ))
        .bind(channel.as_str())
        .bind(address.compare_key())
        .bind(address.expose())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        notifications(rows)
    }
}
