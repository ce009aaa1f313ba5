//! Phone calls while they last: what they say, how far they came, and which process hears them.

use std::ops::Range;

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::NotificationId;
use crate::domain::call::Progress;
use crate::domain::customer::Address;
use crate::domain::message::Script;
use crate::domain::time::{Instant, from_ms};

use super::opening::Opening;
use super::row_locks::{Lock, lock};
use super::rows::parse_id;
use super::sql::Tx;
use super::{Result, Store, StoreError, batch, ids, in_tx, query};

const INSERT: &str = "
    INSERT INTO phone_call (notification_id, no, script, progress)
    SELECT value->>'id', CAST(value->>'no' AS BIGINT), value->>'script', 0
    FROM jsonb_each($1)";

const HEAR: &str = "
    UPDATE phone_call SET heard_by = $2, heard_until_ms = $3
    FROM jsonb_each($1) AS x
    WHERE phone_call.notification_id = x.value->>'id'
      AND phone_call.no = CAST(x.value->>'no' AS BIGINT)
      AND (heard_by IS NULL OR heard_by = $2 OR heard_until_ms <= $4)
    RETURNING notification_id, no";

/// No call lasts longer, in milliseconds.
const LONGEST_MS: i64 = 24 * 60 * 60 * 1_000;

/// A process that hears a call, by its name at the exchange, and until when it said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ear {
    pub by: String,
    pub until: Instant,
}

/// A call that was begun.
#[derive(Debug, Clone)]
pub struct PhoneCall {
    pub script: Script,
    pub progress: Progress,
    /// `None` where nobody heard it yet.
    pub ear: Option<Ear>,
    /// The number called.
    pub to: Address,
    /// Which try it is on this channel, from 1.
    pub on_channel: i64,
}

/// A call that was begun and whose end was not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endless {
    pub of: (NotificationId, i64),
    pub opened_at: Instant,
    pub progress: Progress,
    pub ear: Option<Ear>,
}

#[derive(FromRow)]
struct Row {
    script: String,
    progress: i64,
    heard_by: Option<String>,
    heard_until_ms: Option<i64>,
    address: String,
    on_channel: i64,
}

#[derive(FromRow)]
struct EndlessRow {
    notification_id: String,
    no: i64,
    opened_at_ms: i64,
    progress: i64,
    heard_by: Option<String>,
    heard_until_ms: Option<i64>,
}

#[derive(Serialize)]
struct NewRow {
    id: String,
    no: i64,
    script: String,
}

fn ear(by: Option<String>, until_ms: Option<i64>) -> Option<Ear> {
    Some(Ear { by: by?, until: from_ms(until_ms?) })
}

/// Keeps the scripts of attempts that opened: `(opening, number)`.
pub(super) async fn keep_scripts(
    tx: &mut Tx,
    opened: impl Iterator<Item = (&Opening, i64)>,
) -> Result<()> {
    let mut rows = Vec::new();
    for (opening, no) in opened {
        if let Some(script) = &opening.script {
            let script = serde_json::to_string(script)?;
            rows.push(NewRow { id: opening.id.to_string(), no, script });
        }
    }
    if !rows.is_empty() {
        query(INSERT).bind(batch(rows)).execute(tx).await?;
    }
    Ok(())
}

impl Store {
    /// What the call of an attempt says, and how far it came.
    ///
    /// # Errors
    /// `NotFound` where the attempt is no call, or its customer was erased.
    pub async fn phone_call(&self, id: &NotificationId, no: i64) -> Result<PhoneCall> {
        let row: Option<Row> = query(
            "SELECT p.script, p.progress, p.heard_by, p.heard_until_ms, a.address, n.on_channel
             FROM phone_call AS p
             JOIN attempt AS a ON a.notification_id = p.notification_id AND a.no = p.no
             JOIN notification AS n ON n.id = p.notification_id
             WHERE p.notification_id = $1 AND p.no = $2",
        )
        .bind(id.to_string())
        .bind(no)
        .fetch_optional(&self.readers)
        .await?;
        let row = row.ok_or_else(|| StoreError::NotFound { what: "the call".into() })?;
        Ok(PhoneCall {
            script: serde_json::from_str(&row.script)?,
            progress: Progress::from_rank(row.progress),
            ear: ear(row.heard_by, row.heard_until_ms),
            to: Address::stored(row.address),
            on_channel: row.on_channel,
        })
    }

    /// Calls with a script that were begun by `provider` between two instants and whose end was
    /// not told: the oldest `limit`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn calls_without_end(
        &self,
        provider: &str,
        between: Range<Instant>,
        limit: i64,
    ) -> Result<Vec<Endless>> {
        let rows: Vec<EndlessRow> = query(
            "SELECT a.notification_id, a.no, a.opened_at_ms, p.progress, p.heard_by,
                    p.heard_until_ms
             FROM attempt AS a
             JOIN phone_call AS p ON p.notification_id = a.notification_id AND p.no = a.no
             WHERE a.channel = 'voice' AND a.state = 'sent' AND COALESCE(a.kind, a.provider) = $1
               AND a.opened_at_ms >= $2 AND a.opened_at_ms < $3
             ORDER BY a.opened_at_ms, a.seq LIMIT $4",
        )
        .bind(provider.to_owned())
        .bind(between.start.timestamp_millis())
        .bind(between.end.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let endless = |row: EndlessRow| {
            Ok(Endless {
                of: (parse_id(&row.notification_id)?, row.no),
                opened_at: from_ms(row.opened_at_ms),
                progress: Progress::from_rank(row.progress),
                ear: ear(row.heard_by, row.heard_until_ms),
            })
        };
        rows.into_iter().map(endless).collect()
    }

    /// Says that `by` hears these calls until then, where nobody else says so. Answers those it
    /// hears; the others are somebody else's, or not known.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn hear_calls(
        &self,
        calls: &[(NotificationId, i64)],
        by: &str,
        until: Instant,
        now: Instant,
    ) -> Result<Vec<(NotificationId, i64)>> {
        #[derive(Serialize)]
        struct Row {
            id: String,
            no: i64,
        }
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let named = ids(calls.iter().map(|(id, _)| id));
        let calls = batch(calls.iter().map(|(id, no)| Row { id: id.to_string(), no: *no }));
        let (by, until_ms, now_ms) =
            (by.to_owned(), until.timestamp_millis(), now.timestamp_millis());
        let heard: Vec<(String, i64)> = in_tx!(self, |tx| {
            lock(tx, Lock::Calls, named).await?;
            let hear = query(HEAR).bind(calls).bind(by).bind(until_ms).bind(now_ms);
            Ok(hear.fetch_all(tx).await?)
        })?;
        heard.into_iter().map(|(id, no)| Ok((parse_id(&id)?, no))).collect()
    }

    /// Leaves what `by` hears to whoever comes first: it stops.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; it is left when its time is over.
    pub async fn leave_calls(&self, by: &str, now: Instant) -> Result<()> {
        let (by, now_ms) = (by.to_owned(), now.timestamp_millis());
        in_tx!(self, |tx| {
            // By the few attempts without an end, not by every call there ever was.
            let heard: Vec<(String,)> = query(
                "SELECT p.notification_id FROM attempt AS a
                 JOIN phone_call AS p ON p.notification_id = a.notification_id AND p.no = a.no
                 WHERE a.channel = 'voice' AND a.state = 'sent' AND a.opened_at_ms > $2
                   AND p.heard_by = $1",
            )
            .bind(&by)
            .bind(now_ms - LONGEST_MS)
            .fetch_all(&mut *tx)
            .await?;
            let heard = ids(heard.iter().map(|(id,)| id));
            lock(tx, Lock::Calls, heard.clone()).await?;
            query(
                "UPDATE phone_call SET heard_until_ms = $2
                 WHERE heard_by = $1 AND heard_until_ms > $2
                   AND notification_id IN (SELECT x.value->>'id' FROM jsonb_each($3) AS x)",
            )
            .bind(by)
            .bind(now_ms)
            .bind(heard)
            .execute(tx)
            .await?;
            Ok(())
        })
    }

    /// Notes how far a call came; nothing takes it back. Answers whether it was news.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn note_progress(
        &self,
        id: &NotificationId,
        no: i64,
        progress: Progress,
    ) -> Result<bool> {
        let id = id.to_string();
        in_tx!(self, |tx| {
            let noted = query(
                "UPDATE phone_call SET progress = $3
                 WHERE notification_id = $1 AND no = $2 AND progress < $3",
            )
            .bind(&id)
            .bind(no)
            .bind(progress.rank())
            .execute(tx)
            .await?;
            Ok(noted > 0)
        })
    }
}
