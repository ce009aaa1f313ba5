//! What texts and calls used of their caps: counted as attempts open, in the same transaction,
//! so that all processes share one count; given back when an attempt ends in a definite no.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::domain::Channel;
use crate::domain::quota::{DAY_MS, Quota, Used};
use crate::domain::time::Instant;

use super::attempts::Closing;
use super::opening::Opening;
use super::row_locks::{Lock, lock};
use super::sql::Tx;
use super::{Result, Store, batch, ids, in_tx, query};

/// How long counts are kept, in days.
const KEPT_DAYS: i64 = 2;

const USED: &str = "
    SELECT u.channel, u.name, u.from_ms, u.messages, u.millionths
    FROM jsonb_each($1) AS x JOIN telephone_use AS u
      ON u.channel = x.value->>'channel' AND u.name = x.value->>'name'
     AND u.from_ms = CAST(x.value->>'from_ms' AS BIGINT)";

const COUNT: &str = "
    INSERT INTO telephone_use (channel, name, from_ms, messages, millionths)
    SELECT value->>'channel', value->>'name', CAST(value->>'from_ms' AS BIGINT),
           CAST(value->>'messages' AS BIGINT), CAST(value->>'millionths' AS BIGINT)
    FROM jsonb_each($1) WHERE true
    ON CONFLICT (channel, name, from_ms) DO UPDATE
    SET messages = telephone_use.messages + excluded.messages,
        millionths = telephone_use.millionths + excluded.millionths";

/// When attempts were opened that are still open.
const OPENED_AT: &str = "
    SELECT a.notification_id, a.opened_at_ms FROM jsonb_each($1) AS x JOIN attempt AS a
      ON a.notification_id = x.value->>'id' AND a.no = CAST(x.value->>'no' AS BIGINT)
    WHERE a.state = 'open'";

/// A count: whose, and since when.
type Key = (&'static str, String, i64);

#[derive(Serialize)]
struct Row {
    channel: &'static str,
    name: String,
    from_ms: i64,
    messages: i64,
    millionths: i64,
}

fn rows(counts: impl IntoIterator<Item = (Key, Used)>) -> impl Iterator<Item = Row> {
    counts.into_iter().map(|((channel, name, from_ms), used)| Row {
        channel,
        name,
        from_ms,
        messages: used.messages,
        millionths: used.millionths,
    })
}

fn key(channel: Channel, quota: &Quota, now: Instant) -> Key {
    (channel.as_str(), quota.name.clone(), quota.from_ms(now))
}

type UsedRow = (String, String, i64, i64, i64);

fn used_by_key(found: Vec<UsedRow>) -> HashMap<(String, String, i64), Used> {
    found
        .into_iter()
        .map(|(channel, name, from_ms, messages, millionths)| {
            ((channel, name, from_ms), Used { messages, millionths })
        })
        .collect()
}

/// Waits until nobody else counts what these count. Before all other locks.
pub(super) async fn lock_counts(
    tx: &mut Tx,
    openings: impl Iterator<Item = &Opening>,
) -> Result<()> {
    let names = openings.flat_map(|opening| &opening.quotas).map(|quota| &quota.name);
    let names: Vec<&String> = names.collect();
    if names.is_empty() { Ok(()) } else { lock(tx, Lock::Counts, ids(names)).await }
}

/// Those of the openings that keep within their caps, the first in line first.
pub(super) async fn that_fit<'o>(
    tx: &mut Tx,
    openings: Vec<&'o Opening>,
    now: Instant,
) -> Result<Vec<&'o Opening>> {
    let mut asked: BTreeMap<Key, Used> = BTreeMap::new();
    for opening in &openings {
        let keys = opening.quotas.iter().map(|quota| key(opening.channel, quota, now));
        asked.extend(keys.map(|key| (key, Used::default())));
    }
    if asked.is_empty() {
        return Ok(openings);
    }
    let found: Vec<UsedRow> = query(USED).bind(batch(rows(asked))).fetch_all(tx).await?;
    let mut used = used_by_key(found);
    let mut fit = Vec::with_capacity(openings.len());
    for opening in openings {
        let of = |quota: &Quota| {
            let (channel, name, from_ms) = key(opening.channel, quota, now);
            (channel.to_owned(), name, from_ms)
        };
        let holds = |quota: &Quota| {
            quota.holds(used.get(&of(quota)).copied().unwrap_or_default(), opening.cost_millionths)
        };
        if opening.quotas.iter().all(holds) {
            for quota in &opening.quotas {
                let used = used.entry(of(quota)).or_default();
                used.messages += 1;
                used.millionths += opening.cost_millionths;
            }
            fit.push(opening);
        }
    }
    Ok(fit)
}

/// Counts attempts that opened.
pub(super) async fn count(
    tx: &mut Tx,
    opened: impl Iterator<Item = &Opening>,
    now: Instant,
) -> Result<()> {
    let mut counts: BTreeMap<Key, Used> = BTreeMap::new();
    for opening in opened {
        for quota in &opening.quotas {
            let used = counts.entry(key(opening.channel, quota, now)).or_default();
            used.messages += 1;
            used.millionths += opening.cost_millionths;
        }
    }
    add(tx, counts).await
}

async fn add(tx: &mut Tx, counts: BTreeMap<Key, Used>) -> Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    query(COUNT).bind(batch(rows(counts))).execute(tx).await?;
    Ok(())
}

/// What an attempt counted against that ended in a definite no.
#[derive(Debug, Clone)]
pub struct GivenBack {
    pub channel: Channel,
    pub quotas: Vec<Quota>,
    pub cost_millionths: i64,
}

/// Waits for the counts that these give back. Before all other locks.
pub(super) async fn lock_given_back(tx: &mut Tx, closings: &[Closing]) -> Result<()> {
    let given = closings.iter().filter_map(|closing| closing.given_back.as_ref());
    let names: Vec<&String> = given.flat_map(|given| &given.quotas).map(|q| &q.name).collect();
    if names.is_empty() { Ok(()) } else { lock(tx, Lock::Counts, ids(names)).await }
}

/// Gives back what attempts counted that nobody got. Before they are closed.
pub(super) async fn give_back(tx: &mut Tx, closings: &[Closing]) -> Result<()> {
    #[derive(Serialize)]
    struct Ended {
        id: String,
        no: i64,
    }
    let given: HashMap<String, (&Closing, &GivenBack)> = closings
        .iter()
        .filter_map(|closing| {
            let given = closing.given_back.as_ref().filter(|given| !given.quotas.is_empty())?;
            Some((closing.notification.id.to_string(), (closing, given)))
        })
        .collect();
    if given.is_empty() {
        return Ok(());
    }
    let ended = given.iter().map(|(id, (closing, _))| Ended { id: id.clone(), no: closing.no });
    let opened: Vec<(String, i64)> =
        query(OPENED_AT).bind(batch(ended)).fetch_all(&mut *tx).await?;
    let mut counts: BTreeMap<Key, Used> = BTreeMap::new();
    for (id, opened_at_ms) in opened {
        let (_, given) = given[&id];
        let at = crate::domain::time::from_ms(opened_at_ms);
        for quota in &given.quotas {
            let used = counts.entry(key(given.channel, quota, at)).or_default();
            used.messages -= 1;
            used.millionths -= given.cost_millionths;
        }
    }
    add(tx, counts).await
}

impl Store {
    /// What was used of these quotas in their hour or day.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn used_of(
        &self,
        asked: impl IntoIterator<Item = (Channel, &Quota)>,
        now: Instant,
    ) -> Result<HashMap<(Channel, String, i64), Used>> {
        let asked: BTreeMap<Key, Used> = asked
            .into_iter()
            .map(|(channel, quota)| (key(channel, quota, now), Used::default()))
            .collect();
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        let asked = batch(rows(asked));
        let found: Vec<UsedRow> = query(USED).bind(asked).fetch_all(&self.readers).await?;
        let named = |channel: &str| Channel::ALL.into_iter().find(|c| c.as_str() == channel);
        Ok(used_by_key(found)
            .into_iter()
            .filter_map(|((channel, name, from_ms), used)| {
                Some(((named(&channel)?, name, from_ms), used))
            })
            .collect())
    }

    /// Forgets counts of hours and days that are over.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn forget_counts(&self, now: Instant) -> Result<()> {
        let gone_ms = now.timestamp_millis() - KEPT_DAYS * DAY_MS;
        in_tx!(self, |tx| {
            query("DELETE FROM telephone_use WHERE from_ms < $1").bind(gone_ms).execute(tx).await?;
            Ok(())
        })
    }
}
