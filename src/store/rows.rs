//! Rows as they lie in the tables, and the values they stand for.

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::domain::customer::{Address, Profile};
use crate::domain::plan::Created;
use crate::domain::time::from_ms;
use crate::domain::{
    Channel, ContactPoint, Customer, Held, Notification, NotificationId, Preferences, Reason,
    Status, Urgency,
};

use super::plans::Claim;
use super::{Result, StoreError};

/// The columns of [`NotificationRow`], for every statement that reads notifications.
macro_rules! notification_columns {
    () => {
        "id, case_id, case_type, customer_id, notice, topic, urgency, trigger_key, occurrence, \
         event_seq, state, happened_at_ms, collapse, held, escalates, status, planned_at_ms, due_at_ms, next_at_ms, \
         expires_at_ms, failed_channels, skipped, version, code, epoch, claims, attempts"
    };
}
pub(super) use notification_columns;

#[derive(Debug, FromRow, Serialize)]
pub(super) struct NotificationRow {
    pub id: String,
    pub case_id: String,
    pub case_type: String,
    pub customer_id: String,
    pub notice: String,
    pub topic: String,
    pub urgency: i64,
    pub trigger_key: String,
    pub occurrence: i64,
    pub event_seq: Option<i64>,
    pub state: Option<String>,
    pub happened_at_ms: i64,
    pub collapse: Option<String>,
    pub held: Option<String>,
    pub escalates: Option<String>,
    pub status: String,
    pub planned_at_ms: i64,
    pub due_at_ms: i64,
    pub next_at_ms: i64,
    pub expires_at_ms: i64,
    pub failed_channels: String,
    pub skipped: String,
    pub version: String,
    pub code: String,
    pub epoch: i64,
    pub claims: i64,
    pub attempts: i64,
}

pub(super) fn parse_id(text: &str) -> Result<NotificationId> {
    NotificationId::parse(text)
        .map_err(|_| StoreError::Damaged(format!("notification id {text:?}")))
}

pub(super) fn parse_status(text: &str) -> Result<Status> {
    Status::from_name(text).ok_or_else(|| StoreError::Damaged(format!("status {text:?}")))
}

pub(super) fn parse_channel(text: &str) -> Result<Channel> {
    text.parse().map_err(StoreError::Damaged)
}

impl TryFrom<NotificationRow> for Notification {
    type Error = StoreError;

    fn try_from(row: NotificationRow) -> Result<Self> {
        Ok(Self {
            id: parse_id(&row.id)?,
            case: row.case_id.as_str().into(),
            case_type: row.case_type,
            customer: row.customer_id.as_str().into(),
            notice: row.notice,
            topic: row.topic,
            urgency: Urgency::from_rank(row.urgency),
            trigger_key: row.trigger_key,
            occurrence: u32::try_from(row.occurrence).unwrap_or(u32::MAX),
            event_seq: row.event_seq,
            state: row.state,
            happened_at: from_ms(row.happened_at_ms),
            collapse: row.collapse,
            held: row.held.as_deref().and_then(Held::from_name),
            escalates: row.escalates.as_deref().map(parse_id).transpose()?,
            status: parse_status(&row.status)?,
            planned_at: from_ms(row.planned_at_ms),
            due_at: from_ms(row.due_at_ms),
            next_at: from_ms(row.next_at_ms),
            expires_at: from_ms(row.expires_at_ms),
            failed_channels: serde_json::from_str(&row.failed_channels)?,
            skipped: serde_json::from_str(&row.skipped)?,
            version: row.version,
            code: row.code,
            epoch: row.epoch,
            claims: row.claims,
            attempts: row.attempts,
        })
    }
}

pub(super) fn notifications(rows: Vec<NotificationRow>) -> Result<Vec<Notification>> {
    rows.into_iter().map(TryInto::try_into).collect()
}

/// A notification on its way into the table.
#[derive(Debug, Serialize)]
pub(super) struct NewNotification {
    #[serde(flatten)]
    row: NotificationRow,
    reason: Option<String>,
    owner: Option<String>,
    lease_until_ms: i64,
    because: String,
    versions: String,
    keyed: bool,
    once_customer: bool,
    channel: Option<&'static str>,
    on_channel: i64,
}

impl NewNotification {
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// `claim` names who claims it in the same breath, and whether its attempt is opened.
    pub fn new(created: &Created, versions: &Value, claim: Option<&Claim>) -> Self {
        let n = &created.notification;
        let by = claim.and_then(|claim| claim.open.get(&n.id)).copied();
        let opened = i64::from(by.is_some());
        let status = match claim {
            Some(_) if by.is_some() => Status::Sending,
            Some(_) => Status::Claimed,
            None => n.status,
        };
        let settled = !n.status.is_open();
        Self {
            row: NotificationRow {
                id: n.id.to_string(),
                case_id: n.case.0.clone(),
                case_type: n.case_type.clone(),
                customer_id: n.customer.0.clone(),
                notice: n.notice.clone(),
                topic: n.topic.clone(),
                urgency: n.urgency.rank(),
                trigger_key: n.trigger_key.clone(),
                occurrence: i64::from(n.occurrence),
                event_seq: n.event_seq,
                state: n.state.clone(),
                happened_at_ms: n.happened_at.timestamp_millis(),
                collapse: n.collapse.clone(),
                held: n.held.map(|held| held.as_str().to_owned()),
                escalates: n.escalates.map(|id| id.to_string()),
                status: status.as_str().to_owned(),
                planned_at_ms: n.planned_at.timestamp_millis(),
                due_at_ms: n.due_at.timestamp_millis(),
                next_at_ms: n.next_at.timestamp_millis(),
                expires_at_ms: n.expires_at.timestamp_millis(),
                failed_channels: json(&n.failed_channels),
                skipped: json(&n.skipped),
                version: n.version.clone(),
                code: n.code.clone(),
                epoch: n.epoch + i64::from(claim.is_some()),
                claims: n.claims + i64::from(claim.is_some()) - opened,
                attempts: n.attempts + opened,
            },
            reason: created.reasons.last().filter(|_| settled).map(Reason::code),
            owner: claim.map(|claim| claim.owner.clone()),
            lease_until_ms: claim.map_or(0, |claim| claim.lease_until_ms),
            because: json(&created.reasons),
            versions: versions.to_string(),
            keyed: created.keyed,
            once_customer: created.once_per_customer,
            channel: by.map(Channel::as_str),
            on_channel: opened,
        }
    }
}

/// Plain data as JSON text.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data")
}

/// The longest reference of a provider that is kept, in characters. It is part of an index,
/// whose entries PostgreSQL bounds (manual, section 11.2: a third of a page).
const MAX_REFERENCE: usize = 200;

/// A provider's reference as it is kept.
pub(super) fn reference(text: &str) -> String {
    text.chars().take(MAX_REFERENCE).collect()
}

/// A customer and one of its addresses.
#[derive(Debug, FromRow)]
pub(super) struct CustomerRow {
    pub id: String,
    pub revision: i64,
    pub profile: String,
    pub chosen: String,
    pub imported: String,
    pub erased: bool,
    channel: Option<String>,
    address: Option<String>,
    verified: Option<bool>,
    suppressed: Option<String>,
}

#[derive(Debug)]
pub(super) struct ContactPointRow {
    channel: String,
    address: String,
    verified: bool,
    suppressed: Option<String>,
}

impl CustomerRow {
    /// The address of this row, taken out of it.
    pub fn point(&mut self) -> Option<ContactPointRow> {
        Some(ContactPointRow {
            channel: self.channel.take()?,
            address: self.address.take()?,
            verified: self.verified.unwrap_or(false),
            suppressed: self.suppressed.take(),
        })
    }

    /// `points` are those of this customer, in their order.
    pub fn customer(self, points: Vec<ContactPointRow>) -> Result<Customer> {
        let profile: Profile = serde_json::from_str(&self.profile)?;
        let chosen: Preferences = serde_json::from_str(&self.chosen)?;
        let imported: Preferences = serde_json::from_str(&self.imported)?;
        let mut contact_points = Vec::with_capacity(points.len());
        for point in points {
            contact_points.push(ContactPoint {
                channel: parse_channel(&point.channel)?,
                address: Address::stored(point.address),
                verified: point.verified,
                suppressed: point.suppressed,
            });
        }
        Ok(Customer {
            id: self.id.as_str().into(),
            profile,
            preferences: Preferences::effective(&chosen, &imported),
            chosen,
            imported,
            contact_points,
            erased: self.erased,
            revision: self.revision,
        })
    }
}
