//! What customers heard before, for decisions that ask for it.

use std::collections::{BTreeMap, HashMap};

use crate::domain::time::{Instant, from_ms};
use crate::domain::{CaseId, CustomerId, NotificationId, Sign, Step};

use super::riders::{COUNT_TODAY, CountRow};
use super::rows::parse_id;
use super::{Result, Store, batch, ids, query};

impl Store {
    /// When anything was last said about each of these cases.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn last_words(
        &self,
        cases: impl IntoIterator<Item = &CaseId>,
    ) -> Result<HashMap<CaseId, Instant>> {
        let rows: Vec<(String, i64)> = query(
            "SELECT case_id, max(told_at_ms) AS told_at_ms FROM notification
             WHERE case_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
               AND told_at_ms IS NOT NULL GROUP BY case_id",
        )
        .bind(ids(cases))
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(case, ms)| (CaseId(case), from_ms(ms))).collect())
    }

    /// How many messages each customer got since the instant beside them that count against
    /// their cap.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn messages_since(
        &self,
        customers: &BTreeMap<CustomerId, Instant>,
        mandatory: &[String],
    ) -> Result<HashMap<CustomerId, u32>> {
        let rows = customers.iter().map(|(customer, since)| CountRow {
            customer: customer.0.clone(),
            since_ms: since.timestamp_millis(),
        });
        let counted: Vec<(String, i64)> = query(COUNT_TODAY)
            .bind(batch(rows))
            .bind(ids(mandatory))
            .fetch_all(&self.readers)
            .await?;
        Ok(counted
            .into_iter()
            .map(|(customer, n)| (CustomerId(customer), u32::try_from(n).unwrap_or(u32::MAX)))
            .collect())
    }

    /// The digests each customer has had since, or has on its way: channel and local time.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn digests_of(
        &self,
        customers: impl IntoIterator<Item = &CustomerId>,
        since: Instant,
    ) -> Result<HashMap<CustomerId, Vec<String>>> {
        let rows: Vec<(String, String)> = query(
            "SELECT customer_id, slot FROM notification
             WHERE customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
               AND slot IS NOT NULL AND next_at_ms >= $2",
        )
        .bind(ids(customers))
        .bind(since.timestamp_millis())
        .fetch_all(&self.readers)
        .await?;
        let mut found: HashMap<CustomerId, Vec<String>> = HashMap::new();
        for (customer, slot) in rows {
            found.entry(CustomerId(customer)).or_default().push(slot);
        }
        Ok(found)
    }

    /// For each of these notifications the newer steps of its collapse group that were said, or
    /// are to be said.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn newer_steps(
        &self,
        notifications: impl IntoIterator<Item = &NotificationId>,
    ) -> Result<HashMap<NotificationId, Vec<Step>>> {
        let rows: Vec<(String, String, Option<String>)> = query(
            "SELECT n.id, newer.notice, newer.state
             FROM jsonb_each($1) AS x
             JOIN notification AS n ON n.id = x.value->>'id'
             JOIN notification AS newer ON newer.case_id = n.case_id
             WHERE newer.case_type = n.case_type AND newer.customer_id = n.customer_id
               AND newer.collapse = n.collapse AND newer.event_seq > n.event_seq
               AND newer.status IN ('planned', 'claimed', 'sending', 'in_doubt',
                                    'sent', 'delivered', 'unknown', 'folded')
             ORDER BY newer.event_seq, newer.id",
        )
        .bind(ids(notifications))
        .fetch_all(&self.readers)
        .await?;
        let mut found: HashMap<NotificationId, Vec<Step>> = HashMap::new();
        for (id, notice, state) in rows {
            found.entry(parse_id(&id)?).or_default().push(Step { notice, state });
        }
        Ok(found)
    }

    /// The strongest sign that each of these messages reached somebody; none where there is
    /// none.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn signs_of(
        &self,
        notifications: impl IntoIterator<Item = &NotificationId>,
    ) -> Result<HashMap<NotificationId, Sign>> {
        let rows: Vec<(String, bool, bool, bool, bool)> = query(
            "SELECT n.id, EXISTS (SELECT 1 FROM event AS e
                                   WHERE e.source = 'tidings' AND e.id = 'answer-' || n.id),
                    n.acknowledged_at_ms IS NOT NULL, n.opened_at_ms IS NOT NULL,
                    n.status = 'delivered'
             FROM jsonb_each($1) AS x JOIN notification AS n ON n.id = x.value->>'id'",
        )
        .bind(ids(notifications))
        .fetch_all(&self.readers)
        .await?;
        let mut found = HashMap::new();
        for (id, answered, acknowledged, opened, delivered) in rows {
            let signs = [
                (answered, Sign::Answered),
                (acknowledged, Sign::Acknowledged),
                (opened, Sign::Opened),
                (delivered, Sign::Delivered),
            ];
            let strongest = signs.into_iter().find_map(|(is, sign)| is.then_some(sign));
            if let Some(sign) = strongest {
                found.insert(parse_id(&id)?, sign);
            }
        }
        Ok(found)
    }

    /// Notes a sign of life: a link in a message was used, or a key pressed. The first one
    /// counts.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn note_sign(
        &self,
        notification: &NotificationId,
        acknowledged: bool,
        now: Instant,
    ) -> Result<()> {
        let id = notification.to_string();
        let now_ms = now.timestamp_millis();
        super::in_tx!(self, |tx| {
            let sql = if acknowledged {
                "UPDATE notification SET acknowledged_at_ms = $2
                 WHERE id = $1 AND acknowledged_at_ms IS NULL"
            } else {
                "UPDATE notification SET opened_at_ms = $2
                 WHERE id = $1 AND opened_at_ms IS NULL"
            };
            query(sql).bind(id).bind(now_ms).execute(tx).await?;
            Ok(())
        })
    }

    /// Which of these customers have never been told anything.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn never_told(
        &self,
        customers: impl IntoIterator<Item = &CustomerId>,
    ) -> Result<Vec<CustomerId>> {
        let rows: Vec<(String,)> = query(
            "SELECT DISTINCT x.value->>'id' FROM jsonb_each($1) AS x
             WHERE NOT EXISTS (SELECT 1 FROM notification AS n
                                WHERE n.customer_id = x.value->>'id' AND n.told_at_ms IS NOT NULL)",
        )
        .bind(ids(customers))
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(id,)| CustomerId(id)).collect())
    }
}
