//! What a customer may see of their own matters: what is planned, what became of each
//! message, and which cases are open.

use sqlx::FromRow;

use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::domain::{Case, CaseId, CustomerId, Notification, Reason};

use super::rows::{NotificationRow, notification_columns, notifications};
use super::{Result, Store, query};

/// One message in a customer's history.
#[derive(Debug, Clone)]
pub struct Past {
    pub notification: Notification,
    /// When it was told, else when it was last decided about.
    pub at_ms: i64,
    pub channel: Option<String>,
    pub reason: Option<String>,
    /// The address of the last attempt; it masks itself.
    pub address: Option<Address>,
    /// The reasons of the last decision or attempt.
    pub reasons: Vec<Reason>,
}

#[derive(FromRow)]
struct PastRow {
    id: String,
    at_ms: i64,
    channel: Option<String>,
    reason: Option<String>,
    address: Option<String>,
    because: Option<String>,
}

/// What settled it, the newest first: an attempt's reasons where it was told, else the last
/// decision's, else those of the plan.
const PAST: &str = "
    SELECT n.id, COALESCE(n.told_at_ms,
               (SELECT max(d.at_ms) FROM decision AS d WHERE d.notification_id = n.id),
               n.next_at_ms) AS at_ms,
           n.channel, n.reason,
           (SELECT a.address FROM attempt AS a WHERE a.notification_id = n.id
             ORDER BY a.no DESC LIMIT 1) AS address,
           COALESCE(
               CASE WHEN n.told_at_ms IS NULL THEN
                   (SELECT d.reasons FROM decision AS d WHERE d.notification_id = n.id
                     ORDER BY d.seq DESC LIMIT 1) END,
               (SELECT a.because FROM attempt AS a WHERE a.notification_id = n.id
                 ORDER BY a.no DESC LIMIT 1),
               n.because) AS because
    FROM notification AS n
    WHERE n.customer_id = $1 AND n.status NOT IN ('planned', 'claimed') AND n.planned_at_ms > $2
      AND n.planned_at_ms <= $3
      AND COALESCE((SELECT c.reason FROM notification AS c WHERE c.id = n.carrier),
                   n.reason, '') <> 'shadow'
    ORDER BY n.planned_at_ms DESC, n.id LIMIT $4";

const OF_CUSTOMER: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification WHERE customer_id = $1 AND status NOT IN ('planned', 'claimed')
        AND planned_at_ms > $2 AND planned_at_ms <= $3
        AND COALESCE((SELECT c.reason FROM notification AS c WHERE c.id = notification.carrier),
                     notification.reason, '') <> 'shadow'
      ORDER BY planned_at_ms DESC, id LIMIT $4"
);

impl Store {
    /// What is planned for a customer, soonest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn planned_for(&self, id: &CustomerId, limit: i64) -> Result<Vec<Notification>> {
        let rows: Vec<NotificationRow> = query(concat!(
            "SELECT ",
            notification_columns!(),
            " FROM notification WHERE customer_id = $1 AND status IN ('planned', 'claimed')
              ORDER BY next_at_ms, id LIMIT $2"
        ))
        .bind(id.as_str())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        notifications(rows)
    }

    /// What became of a customer's messages planned after `since` and up to `until`, newest
    /// first; without what was decided in shadow mode and told to nobody.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn history_of(
        &self,
        id: &CustomerId,
        since: Instant,
        until: Instant,
        limit: i64,
    ) -> Result<Vec<Past>> {
        let bound = |sql| {
            query(sql)
                .bind(id.as_str())
                .bind(since.timestamp_millis())
                .bind(until.timestamp_millis())
                .bind(limit)
        };
        let more: Vec<PastRow> = bound(PAST).fetch_all(&self.readers).await?;
        let rows: Vec<NotificationRow> = bound(OF_CUSTOMER).fetch_all(&self.readers).await?;
        let mut history = Vec::with_capacity(rows.len());
        for notification in notifications(rows)? {
            // A row that moved on between the two statements waits for the next look.
            let Some(row) = more.iter().find(|row| row.id == notification.id.to_string()) else {
                continue;
            };
            let reasons = row.because.as_deref().map(serde_json::from_str).transpose()?;
            history.push(Past {
                notification,
                at_ms: row.at_ms,
                channel: row.channel.clone(),
                reason: row.reason.clone(),
                address: row.address.clone().filter(|a| !a.is_empty()).map(Address::stored),
                reasons: reasons.unwrap_or_default(),
            });
        }
        Ok(history)
    }

    /// A customer's cases, the one with the newest event first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn cases_of(&self, id: &CustomerId, limit: i64) -> Result<Vec<Case>> {
        let bodies: Vec<(String,)> = query(
            "SELECT body FROM cases WHERE customer_id = $1 AND body IS NOT NULL
             ORDER BY (SELECT max(e.seq) FROM event AS e WHERE e.case_id = cases.id) DESC LIMIT $2",
        )
        .bind(id.as_str())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        bodies.iter().map(|(body,)| Ok(serde_json::from_str(body)?)).collect()
    }

    /// Is the case this customer's?
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn is_case_of(&self, case: &CaseId, id: &CustomerId) -> Result<bool> {
        let (found,): (i64,) =
            query("SELECT count(*) FROM cases WHERE id = $1 AND customer_id = $2")
                .bind(case.as_str())
                .bind(id.as_str())
                .fetch_one(&self.readers)
                .await?;
        Ok(found > 0)
    }
}
