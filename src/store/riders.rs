//! What rides in another message: folded as its carrier's attempt opens, told with it, and
//! planned again when it did not leave.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::facts;
use super::opening::Opening;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Lock, lock};
use super::rows::json;
use super::sql::Tx;
use super::{Result, batch, ids, query};
use crate::domain::Reason;

const UNCHANGED: &str = "
    SELECT n.id FROM jsonb_each($1) AS x JOIN notification AS n ON n.id = x.value->>'id'
    JOIN cases AS c ON c.id = n.case_id
    WHERE n.status = 'claimed' AND n.epoch = CAST(x.value->>'epoch' AS BIGINT)
      AND n.lease_until_ms > $2
      AND c.head = CAST(x.value->>'case_revision' AS BIGINT) AND c.planned = c.head";

const FOLD: &str = "
    UPDATE notification SET status = 'folded', reason = 'rides_in', carrier = x.by_carrier,
        owner = NULL, claims = 0, ring_again_at_ms = 0
    FROM (SELECT value->>'id' AS row_id, value->>'carrier' AS by_carrier FROM jsonb_each($1)) AS x
    WHERE notification.id = x.row_id AND notification.status = 'claimed'";

const TELL: &str = "
    UPDATE notification SET told_at_ms = COALESCE(told_at_ms, $2), held = NULL
    WHERE carrier IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x) AND status = 'folded'";

const RELEASE: &str = "
    UPDATE notification SET status = 'planned', reason = NULL, carrier = NULL, told_at_ms = NULL,
        next_at_ms = COALESCE((SELECT c.next_at_ms FROM notification AS c
                                WHERE c.id = notification.carrier), $2),
        ring_again_at_ms = 0, epoch = epoch + 1
    WHERE carrier IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x) AND status = 'folded'";

/// What was folded as this attempt opened and waits again since.
pub(super) const WERE_ABOARD: &str = "
    SELECT r.id FROM attempt AS a
    JOIN notification AS c ON c.id = a.notification_id
    JOIN notification AS r ON r.customer_id = c.customer_id AND r.status IN ('planned', 'claimed')
    WHERE a.notification_id = $1 AND a.no = $2 AND EXISTS
        (SELECT 1 FROM decision AS d WHERE d.notification_id = r.id AND d.what = 'folded'
            AND d.at_ms = a.opened_at_ms AND d.reasons = $3)
    ORDER BY r.id";

/// Who has claimed one of them finds another epoch.
const FOLD_AGAIN: &str = "
    UPDATE notification SET status = 'folded', reason = 'rides_in', carrier = $2,
        owner = NULL, claims = 0, ring_again_at_ms = 0, epoch = epoch + 1
    WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
      AND status IN ('planned', 'claimed')
    RETURNING id";

const FREE_SLOT: &str = "
    UPDATE notification SET slot = NULL
    WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x) AND slot IS NOT NULL";

/// Messages since an instant that count against a customer's cap: what was handed over or is
/// on its way, but for mandatory topics and what rode in another.
pub(super) const COUNT_TODAY: &str = "
    SELECT customer_id, count(*) AS messages FROM (
        SELECT n.customer_id, n.topic FROM jsonb_each($1) AS x
          JOIN notification AS n ON n.customer_id = x.value->>'customer'
           AND n.told_at_ms >= CAST(x.value->>'since_ms' AS BIGINT)
         WHERE n.told_at_ms IS NOT NULL AND n.status <> 'folded'
        UNION ALL
        SELECT n.customer_id, n.topic FROM jsonb_each($1) AS x
          JOIN notification AS n ON n.customer_id = x.value->>'customer'
         WHERE n.status IN ('sending', 'in_doubt')) AS counted
    WHERE topic NOT IN (SELECT y.value->>'id' FROM jsonb_each($2) AS y)
    GROUP BY customer_id";

/// From when a customer's messages count.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CountRow {
    pub customer: String,
    pub since_ms: i64,
}

#[derive(Serialize)]
struct RiderRow {
    id: String,
    epoch: i64,
    case_revision: i64,
    carrier: String,
}

fn rows(opening: &Opening) -> impl Iterator<Item = RiderRow> {
    opening.riders.iter().map(|rider| RiderRow {
        id: rider.id.to_string(),
        epoch: rider.epoch,
        case_revision: rider.case_revision,
        carrier: opening.id.to_string(),
    })
}

/// The openings all of whose riders are as they were read, that keep within their cap, and
/// that are the first of their digest among themselves. Customers, cases and notifications are locked.
pub(super) async fn that_fit<'o>(
    tx: &mut Tx,
    openings: &'o [Opening],
    now_ms: i64,
) -> Result<Vec<&'o Opening>> {
    let asked: Vec<RiderRow> = openings.iter().flat_map(rows).collect();
    let mut unchanged = HashSet::new();
    if !asked.is_empty() {
        let found: Vec<(String,)> =
            query(UNCHANGED).bind(batch(&asked)).bind(now_ms).fetch_all(&mut *tx).await?;
        unchanged.extend(found.into_iter().map(|(id,)| id));
    }
    let counted: Vec<CountRow> = openings
        .iter()
        .filter_map(|opening| {
            let since_ms = opening.cap.as_ref()?.since.timestamp_millis();
            Some(CountRow { customer: opening.customer.0.clone(), since_ms })
        })
        .collect();
    let mut today: HashMap<String, i64> = HashMap::new();
    if let Some(cap) = openings.iter().find_map(|opening| opening.cap.as_ref()) {
        let mut named = HashSet::new();
        let once = counted.iter().filter(|row| named.insert(&row.customer));
        let found: Vec<(String, i64)> =
            query(COUNT_TODAY).bind(batch(once)).bind(ids(&cap.beside)).fetch_all(tx).await?;
        today.extend(found);
    }
    let mut fit = Vec::with_capacity(openings.len());
    let mut slots = HashSet::new();
    for opening in openings {
        if !opening.riders.iter().all(|rider| unchanged.contains(&rider.id.to_string())) {
            continue;
        }
        if opening.slot.as_ref().is_some_and(|slot| !slots.insert((&opening.customer, slot))) {
            continue;
        }
        if let Some(cap) = &opening.cap {
            let messages = today.entry(opening.customer.0.clone()).or_default();
            if *messages >= i64::from(cap.limit) {
                continue;
            }
            *messages += 1;
        }
        fit.push(opening);
    }
    Ok(fit)
}

/// Folds the riders of attempts that opened.
pub(super) async fn fold(
    tx: &mut Tx,
    opened: impl Iterator<Item = &Opening>,
    now_ms: i64,
) -> Result<()> {
    let folded: Vec<RiderRow> = opened.flat_map(rows).collect();
    if folded.is_empty() {
        return Ok(());
    }
    query(FOLD).bind(batch(&folded)).execute(&mut *tx).await?;
    say_folded(tx, folded.iter().map(|rider| (&rider.id, &rider.carrier)), now_ms).await
}

async fn say_folded(
    tx: &mut Tx,
    folded: impl Iterator<Item = (&String, &String)> + Clone,
    now_ms: i64,
) -> Result<()> {
    let decisions = folded.clone().map(|(id, carrier)| DecisionRow {
        id: id.clone(),
        what: "folded",
        reasons: json(&rides_in(carrier)),
        versions: "{}".into(),
    });
    let decisions = batch(decisions);
    query(INSERT_DECISIONS).bind(decisions).bind(now_ms).execute(&mut *tx).await?;
    facts::notifications(tx, folded.map(|(id, _)| id), now_ms).await
}

fn rides_in(carrier: &str) -> [Reason; 1] {
    [Reason::RidesIn { notice: carrier.to_owned() }]
}

/// The attempt that was planned again after a doubt was taken: what rode in it, and waits again
/// since, did so after all.
pub(super) async fn fold_again(tx: &mut Tx, carrier: &str, no: i64, now_ms: i64) -> Result<()> {
    let carrier = carrier.to_owned();
    let aboard: Vec<(String,)> = query(WERE_ABOARD)
        .bind(&carrier)
        .bind(no)
        .bind(json(&rides_in(&carrier)))
        .fetch_all(&mut *tx)
        .await?;
    if aboard.is_empty() {
        return Ok(());
    }
    let aboard = ids(aboard.iter().map(|(id,)| id));
    lock(tx, Lock::Notifications, aboard.clone()).await?;
    let folded: Vec<(String,)> =
        query(FOLD_AGAIN).bind(aboard).bind(&carrier).fetch_all(&mut *tx).await?;
    say_folded(tx, folded.iter().map(|(id,)| (id, &carrier)), now_ms).await
}

/// In the order of their ids, as everybody locks them.
async fn lock_riders(tx: &mut Tx, carriers: &[String]) -> Result<()> {
    if let Tx::Sqlite(_) = tx {
        return Ok(());
    }
    let riders: Vec<(String,)> = query(
        "SELECT id FROM notification
         WHERE carrier IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)",
    )
    .bind(ids(carriers))
    .fetch_all(&mut *tx)
    .await?;
    lock(tx, Lock::Notifications, ids(riders.iter().map(|(id,)| id))).await
}

/// What rides in these is told.
pub(super) async fn tell(
    tx: &mut Tx,
    carriers: impl Iterator<Item = impl ToString>,
    now_ms: i64,
) -> Result<()> {
    let carriers: Vec<String> = carriers.map(|id| id.to_string()).collect();
    if !carriers.is_empty() {
        lock_riders(tx, &carriers).await?;
        query(TELL).bind(ids(&carriers)).bind(now_ms).execute(tx).await?;
    }
    Ok(())
}

/// These did not leave: what rides in them is planned again for when they are, and a digest's
/// slot is free.
pub(super) async fn release(
    tx: &mut Tx,
    carriers: impl Iterator<Item = impl ToString>,
    now_ms: i64,
) -> Result<()> {
    let carriers: Vec<String> = carriers.map(|id| id.to_string()).collect();
    if !carriers.is_empty() {
        lock_riders(tx, &carriers).await?;
        query(RELEASE).bind(ids(&carriers)).bind(now_ms).execute(&mut *tx).await?;
        query(FREE_SLOT).bind(ids(&carriers)).execute(tx).await?;
    }
    Ok(())
}
