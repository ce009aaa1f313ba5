//! What ended while nobody was sending it, and what is planned because of that.

use serde_json::Value;
use sqlx::FromRow;

use crate::domain::plan::Created;
use crate::domain::{Channel, Notification, NotificationId};

use super::plans::insert_created;
use super::rows::{NotificationRow, notification_columns, parse_channel};
use super::{Result, Store, ids, in_tx, query};

pub(super) const WITH_RIDERS: &str = concat!(
    "SELECT ",
    notification_columns!(),
    ", COALESCE((SELECT c.channel FROM notification AS c WHERE c.id = notification.carrier),
                channel) AS last_channel
     FROM notification
     WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
        OR carrier IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x) AND status = 'folded'
     ORDER BY carrier IS NOT NULL, id"
);

impl Store {
    /// These notifications, then what rides in them, each with the channel its words went by.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn with_riders(
        &self,
        wanted: &[NotificationId],
    ) -> Result<Vec<(Notification, Option<Channel>)>> {
        #[derive(FromRow)]
        struct Row {
            #[sqlx(flatten)]
            notification: NotificationRow,
            last_channel: Option<String>,
        }
        let rows: Vec<Row> = query(WITH_RIDERS).bind(ids(wanted)).fetch_all(&self.readers).await?;
        rows.into_iter()
            .map(|row| {
                let channel = row.last_channel.as_deref().map(parse_channel).transpose()?;
                Ok((row.notification.try_into()?, channel))
            })
            .collect()
    }

    /// Plans what follows from notifications that ended, each with the versions it was planned
    /// by. What is planned already is left as it is.
    ///
    /// # Errors
    /// `Unavailable`; nothing was planned then.
    pub async fn plan_followers(&self, followers: Vec<(Created, Value)>) -> Result<()> {
        if followers.is_empty() {
            return Ok(());
        }
        in_tx!(self, |tx| { insert_created(tx, &followers).await })
    }
}
