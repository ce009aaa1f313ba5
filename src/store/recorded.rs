//! What happened, as it was recorded: events, customers as they were, and what became of each
//! notification. For who plays it again.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use sqlx::FromRow;

use crate::domain::customer::Profile;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{
    CaseChoice, CaseEvent, CaseId, Channel, ContactPoint, Customer, CustomerId, NotificationId,
    Preferences, Sign,
};

use super::rows::{parse_channel, parse_id};
use super::{Result, Store, query};

/// Rows read at a time.
const PAGE: i64 = 5_000;

/// Each key with what held from an instant on, oldest first.
pub type Since<K, V> = HashMap<K, Vec<(Instant, V)>>;

/// An event and when it was accepted; nothing is left of it where its customer was erased.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    pub seq: i64,
    pub at: Instant,
    pub event: Option<CaseEvent>,
}

/// What became of a notification.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RecordedOutcome {
    pub id: String,
    pub case_id: String,
    pub notice: String,
    pub occurrence: i64,
    pub status: String,
    pub reason: Option<String>,
    pub channel: Option<String>,
    pub told_at_ms: Option<i64>,
}

/// An address that must not be used, from when until when, and why.
#[derive(FromRow)]
struct SuppressionRow {
    channel: String,
    address_key: String,
    since_ms: i64,
    until_ms: i64,
    reason: String,
}

/// A version as [`super::customers`] writes it.
#[derive(Deserialize)]
struct VersionBody {
    profile: String,
    chosen: String,
    imported: String,
    contact_points: Vec<ContactPoint>,
}

type Suppressions = BTreeMap<(Channel, String), Vec<SuppressionRow>>;

impl Store {
    /// The next five thousand events after the number `after` that were accepted before
    /// `until`, in the order of acceptance.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn recorded_events(&self, after: i64, until: Instant) -> Result<Vec<RecordedEvent>> {
        let rows: Vec<(i64, i64, String)> = query(
            "SELECT seq, accepted_at_ms, body FROM event
             WHERE seq > $1 AND accepted_at_ms < $2 ORDER BY seq LIMIT $3",
        )
        .bind(after)
        .bind(until.timestamp_millis())
        .bind(PAGE)
        .fetch_all(&self.readers)
        .await?;
        let read = |(seq, at_ms, body): (i64, i64, String)| {
            let event = match body.as_str() {
                "{}" => None,
                body => Some(serde_json::from_str(body)?),
            };
            Ok(RecordedEvent { seq, at: from_ms(at_ms), event })
        };
        rows.into_iter().map(read).collect()
    }

    /// When the newest event was accepted; `None` where there is none.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn newest_event_at(&self) -> Result<Option<Instant>> {
        let row: Option<(i64,)> =
            query("SELECT accepted_at_ms FROM event ORDER BY seq DESC LIMIT 1")
                .fetch_optional(&self.readers)
                .await?;
        Ok(row.map(|(at_ms,)| from_ms(at_ms)))
    }

    /// The number of the last event accepted before `from`, 0 for none: found by halving,
    /// since numbers rise with time but for what several processes accept at once.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn events_before(&self, from: Instant) -> Result<i64> {
        let newest: Option<(i64,)> = query("SELECT seq FROM event ORDER BY seq DESC LIMIT 1")
            .fetch_optional(&self.readers)
            .await?;
        let (mut before, mut after) = (0, newest.map_or(0, |(seq,)| seq) + 1);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let row: Option<(i64, i64)> =
                query("SELECT seq, accepted_at_ms FROM event WHERE seq >= $1 ORDER BY seq LIMIT 1")
                    .bind(middle)
                    .fetch_optional(&self.readers)
                    .await?;
            match row {
                Some((seq, at_ms)) if at_ms < from.timestamp_millis() => {
                    before = seq.min(after - 1);
                }
                _ => after = middle,
            }
        }
        Ok(before)
    }

    /// How often each notice of each case type was told since `from`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn told_since(&self, from: Instant) -> Result<Vec<(String, String, i64)>> {
        Ok(query(
            "SELECT case_type, notice, count(*) AS told FROM notification
             WHERE told_at_ms >= $1 GROUP BY case_type, notice ORDER BY case_type, notice",
        )
        .bind(from.timestamp_millis())
        .fetch_all(&self.readers)
        .await?)
    }

    /// Every customer as they were from each instant on: profile, choices, addresses, and which
    /// of these were suppressed.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn recorded_customers(&self) -> Result<Since<CustomerId, Customer>> {
        let suppressions = self.suppressions().await?;
        let mut customers: Since<CustomerId, Customer> = HashMap::new();
        let mut after = (String::new(), 0);
        loop {
            let rows: Vec<(String, i64, i64, String)> = query(
                "SELECT customer_id, revision, at_ms, body FROM customer_version
                 WHERE customer_id > $1 OR customer_id = $1 AND revision > $2
                 ORDER BY customer_id, revision LIMIT $3",
            )
            .bind(after.0)
            .bind(after.1)
            .bind(PAGE)
            .fetch_all(&self.readers)
            .await?;
            let Some((id, revision, ..)) = rows.last() else { break };
            after = (id.clone(), *revision);
            for (id, revision, at_ms, body) in rows {
                let id = CustomerId(id);
                let version = version_of(&id, revision, &body)?;
                customers.entry(id).or_default().push((from_ms(at_ms), version));
            }
        }
        for versions in customers.values_mut() {
            *versions = with_suppressions(versions, &suppressions);
        }
        Ok(customers)
    }

    async fn suppressions(&self) -> Result<Suppressions> {
        let rows: Vec<SuppressionRow> = query(
            "SELECT channel, address_key, since_ms, until_ms, reason FROM suppression
             ORDER BY since_ms",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut found = Suppressions::new();
        for row in rows {
            let key = (parse_channel(&row.channel)?, row.address_key.clone());
            found.entry(key).or_default().push(row);
        }
        Ok(found)
    }

    /// Choices for one case, from each instant on.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn recorded_choices(&self) -> Result<Since<CaseId, CaseChoice>> {
        let rows: Vec<(String, i64, Option<String>, bool)> = query(
            "SELECT case_id, at_ms, channel, muted FROM case_choice
             WHERE source <> 'the case began again' ORDER BY at_ms",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut choices: Since<CaseId, CaseChoice> = HashMap::new();
        for (case, at_ms, channel, muted) in rows {
            let channel = channel.as_deref().map(parse_channel).transpose()?;
            let choice = (from_ms(at_ms), CaseChoice { channel, muted });
            choices.entry(CaseId(case)).or_default().push(choice);
        }
        Ok(choices)
    }

    /// Signs that a message reached somebody, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn recorded_signs(&self) -> Result<Since<NotificationId, Sign>> {
        let mut signs: Since<NotificationId, Sign> = HashMap::new();
        for (sign, sql) in [
            (
                Sign::Delivered,
                "SELECT notification_id, received_at_ms FROM receipt WHERE outcome = 'delivered'",
            ),
            (
                Sign::Opened,
                "SELECT id, opened_at_ms FROM notification WHERE opened_at_ms IS NOT NULL",
            ),
            (
                Sign::Acknowledged,
                "SELECT id, acknowledged_at_ms FROM notification
                 WHERE acknowledged_at_ms IS NOT NULL",
            ),
            (
                Sign::Answered,
                "SELECT n.id, e.accepted_at_ms FROM event AS e
                 JOIN notification AS n ON e.id = 'answer-' || n.id WHERE e.source = 'tidings'",
            ),
        ] {
            let rows: Vec<(String, i64)> = query(sql).fetch_all(&self.readers).await?;
            for (id, at_ms) in rows {
                signs.entry(parse_id(&id)?).or_default().push((from_ms(at_ms), sign));
            }
        }
        Ok(signs)
    }

    /// How often planning was silent about an event, by reason.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn silent_reasons(&self) -> Result<BTreeMap<String, i64>> {
        let rows: Vec<(String, i64)> =
            query("SELECT silent, count(*) FROM event WHERE silent IS NOT NULL GROUP BY silent")
                .fetch_all(&self.readers)
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// What became of the next five thousand notifications after the id `after`, by id.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn recorded_outcomes(&self, after: &str) -> Result<Vec<RecordedOutcome>> {
        Ok(query(
            "SELECT id, case_id, notice, occurrence, status, reason, channel, told_at_ms
             FROM notification WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(&self.readers)
        .await?)
    }
}

fn version_of(id: &CustomerId, revision: i64, body: &str) -> Result<Customer> {
    if body == "{}" {
        return Ok(Customer {
            id: id.clone(),
            profile: Profile::default(),
            chosen: Preferences::default(),
            imported: Preferences::default(),
            preferences: Preferences::default(),
            contact_points: Vec::new(),
            erased: true,
            revision,
        });
    }
    let body: VersionBody = serde_json::from_str(body)?;
    let chosen: Preferences = serde_json::from_str(&body.chosen)?;
    let imported: Preferences = serde_json::from_str(&body.imported)?;
    Ok(Customer {
        id: id.clone(),
        profile: serde_json::from_str(&body.profile)?,
        preferences: Preferences::effective(&chosen, &imported),
        chosen,
        imported,
        contact_points: body.contact_points,
        erased: false,
        revision,
    })
}

/// The versions, and one more wherever a suppression begins or ends between two of them.
fn with_suppressions(
    versions: &[(Instant, Customer)],
    suppressions: &Suppressions,
) -> Vec<(Instant, Customer)> {
    let mut found = Vec::with_capacity(versions.len());
    for (n, (from, customer)) in versions.iter().enumerate() {
        let rows = |point: &ContactPoint| {
            let key = (point.channel, point.address.compare_key());
            suppressions.get(&key).map_or(&[][..], Vec::as_slice)
        };
        let until = versions.get(n + 1).map_or(Instant::MAX_UTC, |(next, _)| *next);
        let edges = customer.contact_points.iter().flat_map(rows);
        let edges = edges.flat_map(|row| [row.since_ms, row.until_ms]);
        let later = (from.timestamp_millis() + 1)..until.timestamp_millis();
        let mut edges: Vec<i64> = edges.filter(|edge| later.contains(edge)).collect();
        edges.push(from.timestamp_millis());
        edges.sort_unstable();
        edges.dedup();
        for edge in edges {
            let mut version = customer.clone();
            for point in &mut version.contact_points {
                let holds = |row: &&SuppressionRow| row.since_ms <= edge && edge < row.until_ms;
                point.suppressed = rows(point).iter().rev().find(holds).map(|r| r.reason.clone());
            }
            found.push((from_ms(edge), version));
        }
    }
    found
}
