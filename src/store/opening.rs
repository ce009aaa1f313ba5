//! An attempt is written down before the provider hears of it.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::customer::Address;
use crate::domain::message::Script;
use crate::domain::quota::Quota;
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, CustomerId, NotificationId, Provider, Reason};

use super::calls;
use super::quotas;
use super::riders;
use super::row_locks::{Lock, lock};
use super::rows::json;
use super::sql::Tx;
use super::{Result, Store, batch, ids, in_tx, query};

/// Nothing may change between the comparison and the commit: customers and cases are locked
/// before it. Each row is found by its id, its status looked at in a CASE (see `attempts`).
/// What was due before a restore does not open, whoever claimed it when.
const OPEN: &str = "
    UPDATE notification SET status = 'sending', attempts = attempts + 1, claims = 0,
        on_channel = CASE WHEN channel = x.by_channel THEN on_channel + 1 ELSE 1 END,
        lease_until_ms = $2, channel = x.by_channel, slot = x.digest
    FROM (SELECT value->>'id' AS row_id, CAST(value->>'epoch' AS BIGINT) AS row_epoch,
                 value->>'channel' AS by_channel, value->>'slot' AS digest,
                 CAST(value->>'case_revision' AS BIGINT) AS case_seen,
                 CAST(value->>'customer_revision' AS BIGINT) AS customer_seen
          FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.epoch = x.row_epoch
      AND CASE notification.status WHEN 'claimed' THEN notification.lease_until_ms > $3
               ELSE false END
      AND x.case_seen = (SELECT cases.head FROM cases WHERE cases.id = notification.case_id
                           AND cases.planned = cases.head)
      AND x.customer_seen = (SELECT customer.revision FROM customer
                              WHERE customer.id = notification.customer_id)
      AND notification.due_at_ms > COALESCE((SELECT CAST(meta.value AS BIGINT) FROM meta
                                              WHERE meta.key = 'restored_at_ms'), -4102444800000)
      AND (x.digest IS NULL OR NOT EXISTS
            (SELECT 1 FROM notification AS other WHERE other.customer_id = notification.customer_id
               AND other.slot = x.digest AND other.id <> notification.id))
    RETURNING id, attempts, on_channel";

const INSERT_ATTEMPTS: &str = "
    INSERT INTO attempt (notification_id, no, channel, provider, kind, address, opened_at_ms,
                         because, versions, body_hash, parts, state)
    SELECT value->>'id', CAST(value->>'no' AS BIGINT), value->>'channel', value->>'provider',
           value->>'kind', value->>'address', $2, value->>'because', value->>'versions', value->>'body_hash',
           CAST(value->>'parts' AS BIGINT), 'open'
    FROM jsonb_each($1)";

/// What an attempt is opened with.
#[derive(Debug, Clone)]
pub struct Opening {
    pub id: NotificationId,
    pub epoch: i64,
    pub case: CaseId,
    pub customer: CustomerId,
    pub channel: Channel,
    pub provider: Provider,
    pub address: Address,
    /// The revisions the decision read; the attempt opens only if they still hold.
    pub case_revision: i64,
    pub customer_revision: i64,
    pub because: Vec<Reason>,
    pub versions: Value,
    pub body_hash: String,
    pub parts: u32,
    /// The digest it carries: channel and local time of its slot.
    pub slot: Option<String>,
    /// The cap it counts against.
    pub cap: Option<Cap>,
    /// What it counts against besides, whoever it is for.
    pub quotas: Vec<Quota>,
    /// What it costs, in millionths of the currency of the prices.
    pub cost_millionths: i64,
    /// What rides in it: all of them as they were read, or it does not open.
    pub riders: Vec<Rider>,
    /// What a call says.
    pub script: Option<Script>,
}

/// A notification that rides in another.
#[derive(Debug, Clone)]
pub struct Rider {
    pub id: NotificationId,
    pub epoch: i64,
    pub case: CaseId,
    pub case_revision: i64,
}

/// At most so many messages since the beginning of the customer's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    pub limit: u32,
    pub since: Instant,
    /// Topics that do not count: the mandatory ones.
    pub beside: Vec<String>,
}

/// An attempt that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    pub id: NotificationId,
    /// Its number among all attempts, from 1.
    pub no: i64,
    /// Its number among the attempts on this channel, from 1.
    pub on_channel: i64,
}

#[derive(Serialize)]
struct OpenRow {
    id: String,
    epoch: i64,
    channel: &'static str,
    case_revision: i64,
    customer_revision: i64,
    slot: Option<String>,
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    id: String,
    no: i64,
    channel: &'static str,
    provider: &'a str,
    kind: &'static str,
    address: &'a str,
    because: String,
    versions: String,
    body_hash: &'a str,
    parts: u32,
}

impl Store {
    /// Opens attempts: in one transaction, consent and case are compared with what the
    /// decision read, and the attempt is written down. Answers which opened; the others must
    /// be decided again.
    ///
    /// # Errors
    /// `Unavailable`; nothing was opened then.
    pub async fn open_attempts(&self, openings: Vec<Opening>, now: Instant) -> Result<Vec<Opened>> {
        let (now_ms, lease_ms) = (now.timestamp_millis(), self.lease_ms);
        in_tx!(self, |tx| {
            quotas::lock_counts(tx, openings.iter()).await?;
            let customers = ids(openings.iter().map(|opening| &opening.customer));
            // Who counts against a cap counts alone.
            let capped = openings.iter().any(|opening| opening.cap.is_some());
            let share = if capped { Lock::Customers } else { Lock::ShareCustomers };
            lock(tx, share, customers).await?;
            let riders = || openings.iter().flat_map(|opening| &opening.riders);
            let cases = openings.iter().map(|opening| &opening.case);
            lock(tx, Lock::ShareCases, ids(cases.chain(riders().map(|r| &r.case)))).await?;
            let named = openings.iter().map(|opening| opening.id);
            lock(tx, Lock::Notifications, ids(named.chain(riders().map(|r| r.id)))).await?;
            let fit = riders::that_fit(tx, &openings, now_ms).await?;
            let fit = quotas::that_fit(tx, fit, now).await?;
            let rows = fit.iter().map(|opening| OpenRow {
                id: opening.id.to_string(),
                epoch: opening.epoch,
                channel: opening.channel.as_str(),
                case_revision: opening.case_revision,
                customer_revision: opening.customer_revision,
                slot: opening.slot.clone(),
            });
            let opened: Vec<(String, i64, i64)> = query(OPEN)
                .bind(batch(rows))
                .bind(now_ms + lease_ms)
                .bind(now_ms)
                .fetch_all(&mut *tx)
                .await?;
            let numbers: HashMap<String, (i64, i64)> =
                opened.into_iter().map(|(id, no, on_channel)| (id, (no, on_channel))).collect();
            let opened: Vec<(&Opening, Opened)> = openings
                .iter()
                .filter_map(|opening| {
                    let (no, on_channel) = *numbers.get(&opening.id.to_string())?;
                    Some((opening, Opened { id: opening.id, no, on_channel }))
                })
                .collect();
            write_down(tx, &opened, now).await?;
            riders::fold(tx, opened.iter().map(|(opening, _)| *opening), now_ms).await?;
            Ok(opened.into_iter().map(|(_, opened)| opened).collect())
        })
    }
}

/// Writes attempts down whose notifications are on their way: what each says, and what it counts
/// against.
pub(super) async fn write_down(
    tx: &mut Tx,
    opened: &[(&Opening, Opened)],
    now: Instant,
) -> Result<()> {
    if opened.is_empty() {
        return Ok(());
    }
    let rows = opened.iter().map(|(opening, opened)| AttemptRow {
        id: opening.id.to_string(),
        no: opened.no,
        channel: opening.channel.as_str(),
        provider: opening.provider.name(),
        kind: opening.provider.kind(),
        address: opening.address.expose(),
        because: json(&opening.because),
        versions: opening.versions.to_string(),
        body_hash: &opening.body_hash,
        parts: opening.parts,
    });
    let (rows, now_ms) = (batch(rows), now.timestamp_millis());
    query(INSERT_ATTEMPTS).bind(rows).bind(now_ms).execute(&mut *tx).await?;
    calls::keep_scripts(tx, opened.iter().map(|(opening, opened)| (*opening, opened.no))).await?;
    quotas::count(tx, opened.iter().map(|(opening, _)| *opening), now).await
}
