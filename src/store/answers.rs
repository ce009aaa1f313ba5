//! Questions that were asked, found by what their answer comes with, and how they were answered.

use sqlx::FromRow;

use crate::domain::customer::Address;
use crate::domain::{Channel, Notification, NotificationId};

use super::balance::Period;
use super::rows::{NotificationRow, notification_columns, notifications};
use super::sql::Readers;
use super::{Result, Store, StoreError, query};

/// How often a message was said and one answer to it given, or none.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Answered {
    pub case_type: String,
    pub notice: String,
    pub answer: Option<String>,
    pub times: i64,
    /// From the hand-over to the answer, on average, in milliseconds.
    pub mean_ms: Option<i64>,
}

macro_rules! answered {
    ($answer:literal) => {
        concat!(
            "SELECT n.case_type, n.notice, ",
            $answer,
            " AS answer, count(*) AS times,
                CAST(avg(e.occurred_at_ms - n.told_at_ms) AS BIGINT) AS mean_ms
             FROM notification AS n
             LEFT JOIN event AS e ON e.source = 'tidings' AND e.id = 'answer-' || n.id
             WHERE (n.status IN ('sent', 'delivered', 'folded', 'unknown') OR e.seq IS NOT NULL)
               AND n.told_at_ms >= $1 AND n.told_at_ms < $2
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
    };
}

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

    /// How the messages of a period were answered; `answer` is `None` for those that were not.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn answered(&self, period: Period) -> Result<Vec<Answered>> {
        let sql = match self.readers {
            Readers::Sqlite(_) => answered!("e.body ->> '$.facts.answer'"),
            Readers::Postgres(_) => answered!("CAST(e.body AS JSONB) #>> '{facts,answer}'"),
        };
        Ok(query(sql).bind(period.start).bind(period.end).fetch_all(&self.readers).await?)
    }

    /// What was handed over to an address, or may have been, newest first: where nobody knows
    /// when, by when it was planned.
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
              ORDER BY COALESCE(told_at_ms, planned_at_ms) DESC, planned_at_ms DESC, id LIMIT $4"
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
