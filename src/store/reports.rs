//! Figures over what was said: what it cost, how much each customer got, how long cases were
//! silent, and after which messages customers got in touch all the same.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::FromRow;

use super::balance::Period;
use super::sql::{Readers, ids};
use super::{Result, Store, query};

/// Is the event `e` a customer who got in touch? The name of an event is in its JSON, which
/// the two databases read in two ways; `LIKE` spares them reading most of it.
macro_rules! is_contact {
    (sqlite) => {
        "e.body LIKE '%customer_contacted%' AND e.body ->> 'event' = 'customer_contacted'"
    };
    (postgres) => {
        "e.body LIKE '%customer_contacted%'
         AND CAST(e.body AS JSONB) ->> 'event' = 'customer_contacted'"
    };
}
pub(super) use is_contact;

/// One message and step, and how often customers got in touch after it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StepContacts {
    pub case_type: String,
    pub notice: String,
    pub state: Option<String>,
    pub sent: i64,
    /// Of these, followed by a contact about the same case.
    pub followed: i64,
}

macro_rules! contacts_by_step {
    ($engine:ident) => {
        concat!(
            "SELECT n.case_type, n.notice, n.state, count(*) AS sent, count(f.id) AS followed
             FROM notification AS n LEFT JOIN
                (SELECT DISTINCT m.id FROM event AS e JOIN notification AS m
                    ON m.case_id = e.case_id AND m.customer_id = e.customer_id
                    AND m.told_at_ms <= e.occurred_at_ms AND m.told_at_ms > e.occurred_at_ms - $1
                  WHERE ",
            is_contact!($engine),
            ") AS f ON f.id = n.id
             WHERE n.status IN ('sent', 'delivered', 'folded')
               AND n.told_at_ms >= $2 AND n.told_at_ms < $3
             GROUP BY n.case_type, n.notice, n.state ORDER BY 1, 2, 3"
        )
    };
}

/// All contacts of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, Serialize)]
pub struct Contacts {
    pub contacts: i64,
    /// Of these, in the days after a message about the same case.
    pub after_a_message: i64,
}

macro_rules! contacts {
    ($engine:ident) => {
        concat!(
            "SELECT count(*) AS contacts, count(CASE WHEN EXISTS (SELECT 1 FROM notification AS m
                WHERE m.case_id = e.case_id AND m.customer_id = e.customer_id
                  AND m.status IN ('sent', 'delivered', 'folded')
                  AND m.told_at_ms <= e.occurred_at_ms AND m.told_at_ms > e.occurred_at_ms - $1)
                THEN 1 END) AS after_a_message
             FROM event AS e
             WHERE e.occurred_at_ms >= $2 AND e.occurred_at_ms < $3 AND ",
            is_contact!($engine)
        )
    };
}

/// What a cost is broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostBy {
    Case,
    Channel,
    Message,
}

/// Hand-overs that providers took, of one key and channel to numbers that begin alike.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Handed {
    pub key: String,
    pub channel: String,
    /// The first five characters of the address: a number's country and perhaps its area.
    pub prefix: String,
    pub attempts: i64,
    pub parts: i64,
}

/// What providers took, also where the outcome is in doubt: they may well charge for it.
macro_rules! handed_by {
    ($key:literal) => {
        concat!(
            "SELECT ",
            $key,
            " AS key, a.channel, substr(a.address, 1, 5) AS prefix, count(*) AS attempts,
                CAST(sum(a.parts) AS BIGINT) AS parts
             FROM attempt AS a JOIN notification AS n ON n.id = a.notification_id
             WHERE a.state IN ('sent', 'delivered', 'undelivered', 'in_doubt', 'unknown')
               AND a.opened_at_ms >= $1 AND a.opened_at_ms < $2
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
    };
}

/// How many customers' weeks had so many messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct WeekCount {
    pub messages: i64,
    pub weeks: i64,
}

/// Weeks begin on Monday, 00:00 UTC: 1970-01-05 was one.
macro_rules! weeks {
    ($told:literal, $at:literal) => {
        concat!(
            "SELECT messages, count(*) AS weeks FROM (
                SELECT customer_id, (",
            $at,
            " - 345600000) / 604800000 AS week, count(*) AS messages
                FROM notification WHERE status IN (",
            $told,
            ") AND ",
            $at,
            " >= $1 AND ",
            $at,
            " < $2
                GROUP BY customer_id, (",
            $at,
            " - 345600000) / 604800000) AS counted
             GROUP BY messages ORDER BY messages"
        )
    };
}

/// A case and the words its customer heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseWords {
    pub id: String,
    pub case_type: String,
    /// The case as JSON.
    pub body: String,
    pub words: i64,
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
    /// The longest time between two words that followed one another.
    pub gap_ms: Option<i64>,
}

/// A case as planning left it.
#[derive(FromRow)]
struct Planned {
    id: String,
    case_type: String,
    body: String,
}

/// The words about one case.
#[derive(FromRow)]
struct Said {
    case_id: String,
    words: i64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    gap_ms: Option<i64>,
}

const WORDS: &str = "
    SELECT case_id, count(*) AS words, min(told) AS first_ms, max(told) AS last_ms,
           max(gap) AS gap_ms
    FROM (SELECT case_id, told, told - LAG(told) OVER (PARTITION BY case_id ORDER BY told) AS gap
          FROM (SELECT case_id, COALESCE(told_at_ms, due_at_ms) AS told FROM notification
                WHERE status IN ('sent', 'delivered', 'folded') AND case_id IN
                    (SELECT x.value->>'id' FROM jsonb_each($1) AS x)) AS spoken) AS gaps
    GROUP BY case_id";

impl Store {
    /// Messages of a period by message and step, with those followed by a contact.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn contacts_by_step(
        &self,
        within_ms: i64,
        period: Period,
    ) -> Result<Vec<StepContacts>> {
        let sql = match self.readers {
            Readers::Sqlite(_) => contacts_by_step!(sqlite),
            Readers::Postgres(_) => contacts_by_step!(postgres),
        };
        Ok(query(sql)
            .bind(within_ms)
            .bind(period.start)
            .bind(period.end)
            .fetch_all(&self.readers)
            .await?)
    }

    /// How often customers got in touch in a period.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn contacts(&self, within_ms: i64, period: Period) -> Result<Contacts> {
        let sql = match self.readers {
            Readers::Sqlite(_) => contacts!(sqlite),
            Readers::Postgres(_) => contacts!(postgres),
        };
        Ok(query(sql)
            .bind(within_ms)
            .bind(period.start)
            .bind(period.end)
            .fetch_one(&self.readers)
            .await?)
    }

    /// What was handed to providers in a period.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn handed_over(&self, by: CostBy, period: Period) -> Result<Vec<Handed>> {
        let sql = match by {
            CostBy::Case => handed_by!("n.case_id"),
            CostBy::Channel => handed_by!("a.channel"),
            CostBy::Message => handed_by!("n.case_type || '/' || n.notice"),
        };
        Ok(query(sql).bind(period.start).bind(period.end).fetch_all(&self.readers).await?)
    }

    /// Weeks of customers by how many messages they had; `alone` counts what rode in another
    /// message as one of its own. Weeks without a message are not counted.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn messages_per_week(&self, alone: bool, period: Period) -> Result<Vec<WeekCount>> {
        let sql = if alone {
            weeks!("'sent', 'delivered', 'folded'", "COALESCE(told_at_ms, due_at_ms)")
        } else {
            weeks!("'sent', 'delivered'", "told_at_ms")
        };
        Ok(query(sql).bind(period.start).bind(period.end).fetch_all(&self.readers).await?)
    }

    /// Decisions that led to no attempt, by what they were: held, moved, ended.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn decisions_by_kind(&self) -> Result<BTreeMap<String, i64>> {
        let counts: Vec<(String, i64)> = query("SELECT what, count(*) FROM decision GROUP BY what")
            .fetch_all(&self.readers)
            .await?;
        Ok(counts.into_iter().collect())
    }

    /// Cases after the id `after`, a page at a time, with the words said about them.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn case_words(&self, after: &str, limit: i64) -> Result<Vec<CaseWords>> {
        let planned: Vec<Planned> = query(
            "SELECT id, case_type, body FROM cases WHERE body IS NOT NULL AND id > $1
             ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let about = ids(planned.iter().map(|case| &case.id));
        let words: Vec<Said> = query(WORDS).bind(about).fetch_all(&self.readers).await?;
        let words: HashMap<&str, &Said> =
            words.iter().map(|words| (words.case_id.as_str(), words)).collect();
        let with_words = |Planned { id, case_type, body }: Planned| {
            let said = words.get(id.as_str());
            CaseWords {
                words: said.map_or(0, |said| said.words),
                first_ms: said.and_then(|said| said.first_ms),
                last_ms: said.and_then(|said| said.last_ms),
                gap_ms: said.and_then(|said| said.gap_ms),
                id,
                case_type,
                body,
            }
        };
        Ok(planned.into_iter().map(with_words).collect())
    }
}
