//! Drafts: changes to journeys and messages that are not in force yet, who wrote them, and the
//! effect they would have had.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::domain::time::Instant;

use super::rows::json;
use super::sql::Tx;
use super::{Result, Store, StoreError, in_tx, query};

/// What a draft changes, by file: its new text, or `None` for a file that goes.
pub type Changes = BTreeMap<String, Option<String>>;

/// Where a draft stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftStatus {
    Open,
    Published,
    Withdrawn,
}

/// A draft as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draft {
    pub seq: i64,
    /// The version it starts from.
    pub base: String,
    pub changes: Changes,
    /// Everybody who wrote a part of it, the first first.
    pub authors: Vec<String>,
    pub reason: String,
    pub created_at_ms: i64,
    pub changed_at_ms: i64,
    /// Counts its changes.
    pub revision: i64,
    pub status: DraftStatus,
    /// Since when it waits for a second person.
    pub asked_at_ms: Option<i64>,
    /// What it would have done, where that was worked out for this revision.
    pub effect: Option<serde_json::Value>,
    /// What it was published as.
    pub version: Option<String>,
    pub ended_at_ms: Option<i64>,
    pub ended_by: Option<String>,
}

#[derive(FromRow)]
struct Row {
    seq: i64,
    base: String,
    files: String,
    authors: String,
    reason: String,
    created_at_ms: i64,
    changed_at_ms: i64,
    revision: i64,
    status: String,
    asked_at_ms: Option<i64>,
    effect: Option<String>,
    effect_of: Option<i64>,
    version: Option<String>,
    ended_at_ms: Option<i64>,
    ended_by: Option<String>,
}

impl Row {
    fn draft(self) -> Result<Draft> {
        let effect = self.effect.filter(|_| self.effect_of == Some(self.revision));
        Ok(Draft {
            seq: self.seq,
            base: self.base,
            changes: serde_json::from_str(&self.files)?,
            authors: serde_json::from_str(&self.authors)?,
            reason: self.reason,
            created_at_ms: self.created_at_ms,
            changed_at_ms: self.changed_at_ms,
            revision: self.revision,
            status: serde_json::from_value(self.status.into())?,
            asked_at_ms: self.asked_at_ms,
            effect: effect.map(|text| serde_json::from_str(&text)).transpose()?,
            version: self.version,
            ended_at_ms: self.ended_at_ms,
            ended_by: self.ended_by,
        })
    }
}

macro_rules! draft_columns {
    () => {
        "seq, base, files, authors, reason, created_at_ms, changed_at_ms, revision, status,
         asked_at_ms, effect, effect_of, version, ended_at_ms, ended_by"
    };
}

fn gone(seq: i64) -> StoreError {
    StoreError::Conflict {
        detail: format!("draft {seq} was changed, published or withdrawn meanwhile"),
    }
}

impl Store {
    /// Begins a draft on a version. Answers its number.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn begin_draft(
        &self,
        base: &str,
        changes: &Changes,
        author: &str,
        reason: &str,
        now: Instant,
    ) -> Result<i64> {
        let (base, reason) = (base.to_owned(), reason.to_owned());
        let (changes, authors) = (json(changes), json(&[author]));
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let (seq,): (i64,) = query(
                "INSERT INTO draft (base, files, authors, reason, created_at_ms, changed_at_ms,
                                    revision, status)
                 VALUES ($1, $2, $3, $4, $5, $5, 1, 'open') RETURNING seq",
            )
            .bind(base)
            .bind(changes)
            .bind(authors)
            .bind(reason)
            .bind(now_ms)
            .fetch_one(tx)
            .await?;
            Ok(seq)
        })
    }

    /// Writes a draft anew: its version to start from, its changes, its reason. Who writes is
    /// one of its authors from then on; what was worked out or asked about it is so no longer.
    ///
    /// # Errors
    /// `Conflict` when it is not what was read any more.
    pub async fn change_draft(&self, draft: &Draft, by: &str, now: Instant) -> Result<()> {
        let mut authors = draft.authors.clone();
        if !authors.iter().any(|known| known == by) {
            authors.push(by.to_owned());
        }
        let (seq, revision) = (draft.seq, draft.revision);
        let (base, reason) = (draft.base.clone(), draft.reason.clone());
        let (files, authors) = (json(&draft.changes), json(&authors));
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let changed = query(
                "UPDATE draft SET base = $3, files = $4, authors = $5, reason = $6,
                     changed_at_ms = $7, revision = revision + 1, asked_at_ms = NULL
                 WHERE seq = $1 AND revision = $2 AND status = 'open'",
            )
            .bind(seq)
            .bind(revision)
            .bind(base)
            .bind(files)
            .bind(authors)
            .bind(reason)
            .bind(now_ms)
            .execute(tx)
            .await?;
            if changed == 0 { Err(gone(seq)) } else { Ok(()) }
        })
    }

    /// Keeps what a revision of a draft would have done, and the page that shows it.
    ///
    /// # Errors
    /// `Conflict` when it is another revision by now.
    pub async fn keep_effect(
        &self,
        seq: i64,
        revision: i64,
        effect: &serde_json::Value,
        report: &str,
    ) -> Result<()> {
        let (effect, report) = (effect.to_string(), report.to_owned());
        in_tx!(self, |tx| {
            let kept = query(
                "UPDATE draft SET effect = $3, effect_of = $2, report = $4
                 WHERE seq = $1 AND revision = $2 AND status = 'open'",
            )
            .bind(seq)
            .bind(revision)
            .bind(effect)
            .bind(report)
            .execute(tx)
            .await?;
            if kept == 0 { Err(gone(seq)) } else { Ok(()) }
        })
    }

    /// The page that shows what a draft would have done, where it was worked out.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn draft_report(&self, seq: i64) -> Result<Option<String>> {
        let row: Option<(Option<String>,)> =
            query("SELECT report FROM draft WHERE seq = $1 AND effect_of = revision")
                .bind(seq)
                .fetch_optional(&self.readers)
                .await?;
        Ok(row.and_then(|(report,)| report))
    }

    /// A draft waits for a second person from `now` on.
    ///
    /// # Errors
    /// `Conflict` when it is not what was read any more.
    pub async fn ask_approval(&self, seq: i64, revision: i64, now: Instant) -> Result<()> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let asked = query(
                "UPDATE draft SET asked_at_ms = $3
                 WHERE seq = $1 AND revision = $2 AND status = 'open'",
            )
            .bind(seq)
            .bind(revision)
            .bind(now_ms)
            .execute(tx)
            .await?;
            if asked == 0 { Err(gone(seq)) } else { Ok(()) }
        })
    }

    /// A draft will not be published.
    ///
    /// # Errors
    /// `Conflict` when it is open no longer.
    pub async fn withdraw_draft(&self, seq: i64, by: &str, now: Instant) -> Result<()> {
        let by = by.to_owned();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let ended = query(
                "UPDATE draft SET status = 'withdrawn', ended_at_ms = $2, ended_by = $3
                 WHERE seq = $1 AND status = 'open'",
            )
            .bind(seq)
            .bind(now_ms)
            .bind(by)
            .execute(tx)
            .await?;
            if ended == 0 { Err(gone(seq)) } else { Ok(()) }
        })
    }

    /// One draft.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn draft(&self, seq: i64) -> Result<Draft> {
        let row: Option<Row> =
            query(concat!("SELECT ", draft_columns!(), " FROM draft WHERE seq = $1"))
                .bind(seq)
                .fetch_optional(&self.readers)
                .await?;
        row.ok_or_else(|| StoreError::NotFound { what: format!("draft {seq}") })?.draft()
    }

    /// Drafts, the newest first, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn drafts(&self, limit: i64) -> Result<Vec<Draft>> {
        let rows: Vec<Row> = query(concat!(
            "SELECT ",
            draft_columns!(),
            " FROM draft ORDER BY CASE status WHEN 'open' THEN 0 ELSE 1 END, seq DESC LIMIT $1"
        ))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(Row::draft).collect()
    }

    /// The zones most customers live in, the commonest first, judged by some of them.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn common_zones(&self, limit: usize) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Profile {
            time_zone: Option<String>,
        }
        let rows: Vec<(String,)> =
            query("SELECT profile FROM customer WHERE NOT erased ORDER BY id LIMIT 2000")
                .fetch_all(&self.readers)
                .await?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (profile,) in rows {
            let profile: Profile = serde_json::from_str(&profile)?;
            if let Some(zone) = profile.time_zone {
                *counts.entry(zone).or_default() += 1;
            }
        }
        let mut zones: Vec<(String, usize)> = counts.into_iter().collect();
        zones.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Ok(zones.into_iter().take(limit).map(|(zone, _)| zone).collect())
    }
}

/// A draft is in force now, in the transaction that puts it there.
pub(super) async fn mark_published(
    tx: &mut Tx,
    seq: i64,
    revision: i64,
    version: &str,
    by: String,
    now_ms: i64,
) -> Result<()> {
    let published = query(
        "UPDATE draft SET status = 'published', version = $3, ended_at_ms = $4, ended_by = $5
         WHERE seq = $1 AND revision = $2 AND status = 'open'",
    )
    .bind(seq)
    .bind(revision)
    .bind(version)
    .bind(now_ms)
    .bind(by)
    .execute(tx)
    .await?;
    if published == 0 { Err(gone(seq)) } else { Ok(()) }
}
