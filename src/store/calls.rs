//! Phone calls while they last: what they say, and how far they came.

use std::ops::Range;

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::NotificationId;
use crate::domain::call::Progress;
use crate::domain::customer::Address;
use crate::domain::message::Script;
use crate::domain::time::Instant;

use super::attempts::Opening;
use super::rows::parse_id;
use super::sql::Tx;
use super::{Result, Store, StoreError, batch, in_tx, query};

const INSERT: &str = "
    INSERT INTO phone_call (notification_id, no, script, progress)
    SELECT value->>'id', CAST(value->>'no' AS BIGINT), value->>'script', 0
    FROM jsonb_each($1)";

/// A call that was begun.
#[derive(Debug, Clone)]
pub struct PhoneCall {
    pub script: Script,
    pub progress: Progress,
    /// The number called.
    pub to: Address,
    /// Which try it is on this channel, from 1.
    pub on_channel: i64,
}

#[derive(FromRow)]
struct Row {
    script: String,
    progress: i64,
    address: String,
    on_channel: i64,
}

#[derive(Serialize)]
struct NewRow {
    id: String,
    no: i64,
    script: String,
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
            "SELECT p.script, p.progress, a.address, n.on_channel
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
            to: Address::stored(row.address),
            on_channel: row.on_channel,
        })
    }

    /// Calls that were begun by `provider` between two instants and whose end was not told:
    /// the oldest `limit`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn calls_without_end(
        &self,
        provider: &str,
        between: Range<Instant>,
        limit: i64,
    ) -> Result<Vec<(NotificationId, i64)>> {
        let rows: Vec<(String, i64)> = query(
            "SELECT notification_id, no FROM attempt
             WHERE channel = 'voice' AND state = 'sent' AND COALESCE(kind, provider) = $1
               AND opened_at_ms >= $2 AND opened_at_ms < $3
             ORDER BY opened_at_ms, seq LIMIT $4",
        )
        .bind(provider.to_owned())
        .bind(between.start.timestamp_millis())
        .bind(between.end.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(|(id, no)| Ok((parse_id(&id)?, no))).collect()
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
