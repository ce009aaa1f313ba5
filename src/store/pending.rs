//! Events that wait to be planned, with what planning needs to know; and cases as they stand.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::time::{Instant, from_ms};
use crate::domain::{Case, CaseChoice, CaseEvent, CaseId, CustomerId, Notification};

use super::rows::{NotificationRow, notification_columns, notifications, parse_channel};
use super::{Result, Store, batch, ids, query};

/// A case with events to plan, and what planning needs to know of it.
#[derive(Debug, Clone)]
pub struct PendingCase {
    pub id: CaseId,
    /// How many events were planned: what `record_plans` compares.
    pub planned: i64,
    pub case: Option<Case>,
    /// The customer's choice for this case.
    pub choice: CaseChoice,
    /// In their order; events of one case are planned one after the other.
    pub events: Vec<PendingEvent>,
    pub notifications: Vec<Notification>,
}

/// A case as it stands.
#[derive(Debug, Clone)]
pub struct StandingCase {
    pub case: Case,
    /// How many events were accepted; more than the case's revision, and some are unplanned.
    pub head: i64,
    /// The customer's choice for this case.
    pub choice: CaseChoice,
}

#[derive(Debug, Clone)]
pub struct PendingEvent {
    pub seq: i64,
    pub accepted_at: Instant,
    pub event: CaseEvent,
}

#[derive(FromRow)]
struct EventRow {
    seq: i64,
    case_id: String,
    accepted_at_ms: i64,
    body: String,
    planned: i64,
    case_body: Option<String>,
    choice_channel: Option<String>,
    choice_muted: Option<bool>,
}

/// The most events of one case planned in one go.
pub const MAX_EVENTS_PER_CASE: usize = 100;

const SELECT_EVENTS: &str = "
    SELECT e.seq, e.case_id, e.accepted_at_ms, e.body, c.planned, c.body AS case_body,
           (SELECT h.channel FROM case_choice AS h WHERE h.case_id = c.id
             ORDER BY h.at_ms DESC LIMIT 1) AS choice_channel,
           (SELECT h.muted FROM case_choice AS h WHERE h.case_id = c.id
             ORDER BY h.at_ms DESC LIMIT 1) AS choice_muted
    FROM cases AS c
    JOIN event AS e ON e.case_id = c.id AND e.ordinal > c.planned AND e.ordinal <= c.planned + $2
    WHERE c.id IN (SELECT y.case_id FROM jsonb_each($1) AS x
                   JOIN event AS y ON y.seq = CAST(x.value->>'seq' AS BIGINT))
    ORDER BY e.case_id, e.ordinal";

const SELECT_OF_CASES: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification WHERE case_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
        AND (status IN ('planned', 'claimed', 'sending', 'in_doubt') OR keyed)
      ORDER BY case_id, occurrence, id"
);

const SELECT_ONCE: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification WHERE once_customer
        AND customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
      ORDER BY customer_id, occurrence, id"
);

impl Store {
    /// The next event of each case that has one to plan at `now`, longest waiting first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn unplanned_events(&self, now: Instant, limit: i64) -> Result<Vec<i64>> {
        let rows: Vec<(i64,)> = query(
            "SELECT e.seq FROM cases AS c
             JOIN event AS e ON e.case_id = c.id AND e.ordinal = c.planned + 1
             WHERE c.head > c.planned AND c.wait_until_ms <= $1
             ORDER BY c.wait_until_ms LIMIT $2",
        )
        .bind(now.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.into_iter().map(|(seq,)| seq).collect())
    }

    /// Cases as they stand, for dispatch. Cases of which nothing is planned yet are left out.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn cases(
        &self,
        wanted: impl IntoIterator<Item = &CaseId>,
    ) -> Result<HashMap<CaseId, StandingCase>> {
        #[derive(FromRow)]
        struct Row {
            body: String,
            head: i64,
            choice_channel: Option<String>,
            choice_muted: Option<bool>,
        }
        let rows: Vec<Row> = query(
            "SELECT c.body, c.head,
                    (SELECT h.channel FROM case_choice AS h WHERE h.case_id = c.id
                      ORDER BY h.at_ms DESC LIMIT 1) AS choice_channel,
                    (SELECT h.muted FROM case_choice AS h WHERE h.case_id = c.id
                      ORDER BY h.at_ms DESC LIMIT 1) AS choice_muted
             FROM jsonb_each($1) AS x
             JOIN cases AS c ON c.id = x.value->>'id' WHERE c.body IS NOT NULL",
        )
        .bind(ids(wanted))
        .fetch_all(&self.readers)
        .await?;
        let mut cases = HashMap::with_capacity(rows.len());
        for row in rows {
            let case: Case = serde_json::from_str(&row.body)?;
            let channel = row.choice_channel.as_deref().map(parse_channel).transpose()?;
            let choice = CaseChoice { channel, muted: row.choice_muted.unwrap_or(false) };
            cases.insert(case.id.clone(), StandingCase { case, head: row.head, choice });
        }
        Ok(cases)
    }

    /// What planning needs of the cases of these events: everything each still has to plan.
    /// `once_per_customer` asks for what is said once per customer, whatever the case.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn pending_cases(
        &self,
        events: &[i64],
        once_per_customer: bool,
    ) -> Result<Vec<PendingCase>> {
        #[derive(Serialize)]
        struct Seq {
            seq: i64,
        }
        let rows: Vec<EventRow> = query(SELECT_EVENTS)
            .bind(batch(events.iter().map(|seq| Seq { seq: *seq })))
            .bind(i64::try_from(MAX_EVENTS_PER_CASE).expect("100"))
            .fetch_all(&self.readers)
            .await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut pending: BTreeMap<String, PendingCase> = BTreeMap::new();
        let mut customers: HashSet<CustomerId> = HashSet::new();
        for row in rows {
            let event: CaseEvent = serde_json::from_str(&row.body)?;
            customers.insert(event.customer.clone());
            let accepted_at = from_ms(row.accepted_at_ms);
            let event = PendingEvent { seq: row.seq, accepted_at, event };
            if let Some(case) = pending.get_mut(&row.case_id) {
                case.events.push(event);
                continue;
            }
            let case = row.case_body.as_deref().map(serde_json::from_str).transpose()?;
            let channel = row.choice_channel.as_deref().map(parse_channel).transpose()?;
            let choice = CaseChoice { channel, muted: row.choice_muted.unwrap_or(false) };
            let id = CaseId(row.case_id.clone());
            let events = vec![event];
            let notifications = Vec::new();
            let planned = row.planned;
            let case = PendingCase { id, planned, case, choice, events, notifications };
            pending.insert(row.case_id, case);
        }
        let of_cases: Vec<NotificationRow> =
            query(SELECT_OF_CASES).bind(ids(pending.keys())).fetch_all(&self.readers).await?;
        for notification in notifications(of_cases)? {
            if let Some(case) = pending.get_mut(notification.case.as_str()) {
                case.notifications.push(notification);
            }
        }
        if once_per_customer {
            self.add_said_once(&mut pending, &customers).await?;
        }
        Ok(pending.into_values().collect())
    }

    /// Adds what was said once to the customers named, in whichever case.
    async fn add_said_once(
        &self,
        pending: &mut BTreeMap<String, PendingCase>,
        customers: &HashSet<CustomerId>,
    ) -> Result<()> {
        let once: Vec<NotificationRow> =
            query(SELECT_ONCE).bind(ids(customers)).fetch_all(&self.readers).await?;
        for said in notifications(once)? {
            for case in pending.values_mut() {
                let named = case.events.iter().any(|event| event.event.customer == said.customer);
                if named && !case.notifications.iter().any(|known| known.id == said.id) {
                    case.notifications.push(said.clone());
                }
            }
        }
        Ok(())
    }
}
