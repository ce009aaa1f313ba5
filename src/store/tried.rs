//! Which providers a notification was with before.

use std::collections::HashMap;

use sqlx::FromRow;

use crate::domain::{Channel, NotificationId};

use super::rows::parse_channel;
use super::{Result, Store, StoreError, ids, query};

/// One earlier attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub channel: Channel,
    pub provider: String,
    /// It said no, for now or for ever.
    pub declined: bool,
    /// It never said whether it took it.
    pub in_doubt: bool,
}

#[derive(FromRow)]
struct Row {
    notification_id: String,
    channel: String,
    provider: String,
    state: String,
}

impl Store {
    /// The attempts of these notifications so far, first to last.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn tried(
        &self,
        of: &[NotificationId],
    ) -> Result<HashMap<NotificationId, Vec<Tried>>> {
        let rows: Vec<Row> = query(
            "SELECT notification_id, channel, provider, state FROM attempt
             WHERE notification_id IN (SELECT value->>'id' FROM jsonb_each($1))
             ORDER BY notification_id, no",
        )
        .bind(ids(of))
        .fetch_all(&self.readers)
        .await?;
        let mut tried: HashMap<NotificationId, Vec<Tried>> = HashMap::new();
        for row in rows {
            let id = NotificationId::parse(&row.notification_id)
                .map_err(|_| StoreError::Damaged(format!("no id: {}", row.notification_id)))?;
            tried.entry(id).or_default().push(Tried {
                channel: parse_channel(&row.channel)?,
                provider: row.provider,
                declined: matches!(row.state.as_str(), "deferred" | "refused"),
                in_doubt: row.state == "in_doubt",
            });
        }
        Ok(tried)
    }
}
