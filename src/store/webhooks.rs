//! Deliveries of facts to hooks: taken up, recorded, looked at, sent again, forgotten.

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::plan::{NewTask, TaskKind};
use crate::domain::time::Instant;

use super::facts::payload;
use super::row_locks::{Either, either};
use super::sql::{Query, query_built};
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, StoreError, batch, ids, in_tx, query};

/// How long what was told is kept, in milliseconds: thirty days.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Rows forgotten, and sent again, in one transaction.
const PAGE: i64 = 500;

pub(super) const CLAIM: Either = either!(
    |lock| "
    WITH due AS MATERIALIZED (
        SELECT seq AS due_seq FROM webhook_delivery
         WHERE hook = $1 AND status = 'pending' AND next_at_ms <= $2
           AND NOT EXISTS (SELECT 1 FROM webhook_stop WHERE webhook_stop.hook = $1)
         ORDER BY next_at_ms, seq LIMIT $4 ",
    lock,
    ")
    UPDATE webhook_delivery SET next_at_ms = $3, epoch = epoch + 1
    FROM due WHERE seq = due_seq
    RETURNING seq"
);

const READ_CLAIMED: &str = "
    SELECT d.seq, d.epoch, d.attempts, d.event_seq, e.id, e.kind, e.occurred_at_ms, e.data
    FROM jsonb_each($1) AS x
    JOIN webhook_delivery AS d ON d.seq = CAST(x.value->>'id' AS BIGINT)
    JOIN webhook_event AS e ON e.seq = d.event_seq
    ORDER BY d.seq";

const RECORD: &str = "
    UPDATE webhook_delivery SET status = x.to_status, next_at_ms = x.next,
        attempts = attempts + 1, last_at_ms = $2, answer = x.http, said = x.text, took_ms = x.took
    FROM (SELECT CAST(value->>'seq' AS BIGINT) AS row_seq,
                 CAST(value->>'epoch' AS BIGINT) AS row_epoch, value->>'status' AS to_status,
                 CAST(value->>'next_at_ms' AS BIGINT) AS next,
                 CAST(value->>'answer' AS BIGINT) AS http, value->>'said' AS text,
                 CAST(value->>'took_ms' AS BIGINT) AS took
          FROM jsonb_each($1)) AS x
    WHERE webhook_delivery.seq = x.row_seq AND webhook_delivery.epoch = x.row_epoch
      AND webhook_delivery.status = 'pending'
    RETURNING seq";

/// How many of the last deliveries of a hook say how it is doing.
pub const LAST: i64 = 1_000;

/// Each hook there is a row of, found by the index: one step per name.
const FIGURES: &str = "
    WITH RECURSIVE names (hook) AS (
        SELECT min(hook) FROM webhook_delivery
        UNION ALL
        SELECT (SELECT min(d.hook) FROM webhook_delivery AS d WHERE d.hook > names.hook)
        FROM names WHERE names.hook IS NOT NULL)
    SELECT n.hook,
        (SELECT count(*) FROM (SELECT status FROM webhook_delivery AS d WHERE d.hook = n.hook
            ORDER BY d.seq DESC LIMIT $1) AS l WHERE l.status = 'delivered') AS delivered,
        (SELECT count(*) FROM (SELECT status FROM webhook_delivery AS d WHERE d.hook = n.hook
            ORDER BY d.seq DESC LIMIT $1) AS l WHERE l.status = 'failed') AS failed,
        (SELECT count(*) FROM webhook_delivery AS d
          WHERE d.hook = n.hook AND d.status = 'pending') AS pending,
        (SELECT min(e.occurred_at_ms) FROM webhook_event AS e
          WHERE e.seq = (SELECT min(d.event_seq) FROM webhook_delivery AS d
                          WHERE d.hook = n.hook AND d.status = 'pending')) AS oldest_pending_ms,
        s.at_ms AS stopped_at_ms, s.why
    FROM names AS n LEFT JOIN webhook_stop AS s ON s.hook = n.hook
    WHERE n.hook IS NOT NULL ORDER BY n.hook";

impl Wanted {
    /// What is meant, as a statement says it: only conditions that are asked for, so that each
    /// finds its index. `$1` is the hook, `$2` the kind, `$3` the instant.
    fn rows(&self) -> String {
        let status = match self.status.as_deref() {
            None => "",
            Some("pending") => " AND d.status = 'pending'",
            Some("delivered") => " AND d.status = 'delivered'",
            Some("failed") => " AND d.status = 'failed'",
            Some(_) => " AND false",
        };
        let hook = if self.hook.is_some() { " AND d.hook = $1" } else { " AND $1 = ''" };
        let kind = if self.kind.is_some() { " AND e.kind = $2" } else { " AND $2 = ''" };
        let since = if self.since_ms > 0 { " AND e.occurred_at_ms >= $3" } else { " AND $3 <= 0" };
        format!(
            " FROM webhook_delivery AS d JOIN webhook_event AS e ON e.seq = d.event_seq
              WHERE true{hook}{status}{kind}{since}"
        )
    }

    fn asked(&self, sql: String) -> Query {
        query_built(sql)
            .bind(self.hook.clone().unwrap_or_default())
            .bind(self.kind.clone().unwrap_or_default())
            .bind(self.since_ms)
    }
}

/// A delivery to be made now.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    pub seq: i64,
    pub epoch: i64,
    /// Attempts made before.
    pub attempts: i64,
    /// The id of the fact, the same at every attempt and for every hook.
    pub id: String,
    /// The payload, the same bytes at every attempt.
    pub body: String,
}

/// How one request ended, and what follows.
#[derive(Debug, Clone)]
pub struct Tried {
    pub seq: i64,
    pub epoch: i64,
    pub hook: String,
    pub becomes: Becomes,
    /// The HTTP status, where there was an answer.
    pub answer: Option<u16>,
    /// The beginning of the answer, or why there was none.
    pub said: String,
    pub took_ms: i64,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    Delivered,
    /// Tried again at this instant.
    Again(Instant),
    /// Given up: a person is asked to look.
    Failed,
    /// Kept, and nothing goes to the hook until a person enables it.
    HookStopped,
}

#[derive(Serialize)]
struct TriedRow {
    seq: i64,
    epoch: i64,
    status: &'static str,
    next_at_ms: i64,
    answer: Option<u16>,
    said: String,
    took_ms: i64,
}

/// Which deliveries are meant. What is `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub hook: Option<String>,
    /// `pending`, `delivered` or `failed`.
    pub status: Option<String>,
    /// The type of the fact.
    pub kind: Option<String>,
    /// Facts since this instant, in milliseconds since 1970; 0 for all.
    pub since_ms: i64,
}

/// A delivery as people read it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct DeliveryView {
    #[serde(rename = "id")]
    pub seq: i64,
    pub hook: String,
    /// The id of the fact, as the receiver sees it.
    pub event: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub case_id: Option<String>,
    pub customer_id: Option<String>,
    pub status: String,
    pub attempts: i64,
    pub occurred_at_ms: i64,
    pub next_at_ms: i64,
    pub last_at_ms: Option<i64>,
    pub answer: Option<i64>,
    pub said: Option<String>,
    pub took_ms: Option<i64>,
}

/// How a hook is doing, by its last thousand deliveries.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct HookFigures {
    pub hook: String,
    pub delivered: i64,
    pub failed: i64,
    pub pending: i64,
    /// When the oldest fact happened that waits.
    pub oldest_pending_ms: Option<i64>,
    /// Since when nothing goes there, and why.
    pub stopped_at_ms: Option<i64>,
    pub why: Option<String>,
}

impl Store {
    /// Takes up to `limit` deliveries of a hook that are due, for `lease_ms`: whoever is gone by
    /// then leaves them to be taken up again.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn claim_deliveries(
        &self,
        hook: &str,
        now: Instant,
        lease_ms: i64,
        limit: usize,
    ) -> Result<Vec<DueDelivery>> {
        #[derive(FromRow)]
        struct Row {
            seq: i64,
            epoch: i64,
            attempts: i64,
            event_seq: i64,
            id: String,
            kind: String,
            occurred_at_ms: i64,
            data: String,
        }
        let (claim, hook) = (self.pick(CLAIM), hook.to_owned());
        let now_ms = now.timestamp_millis();
        let limit = i64::try_from(limit).unwrap_or(PAGE);
        let rows: Vec<Row> = in_tx!(self, |tx| {
            let claimed: Vec<(i64,)> = query(claim)
                .bind(hook)
                .bind(now_ms)
                .bind(now_ms + lease_ms)
                .bind(limit)
                .fetch_all(&mut *tx)
                .await?;
            if claimed.is_empty() {
                return Ok(Vec::new());
            }
            let claimed = ids(claimed.iter().map(|(seq,)| seq));
            Ok(query(READ_CLAIMED).bind(claimed).fetch_all(tx).await?)
        })?;
        let due = |row: Row| {
            let body = payload(row.event_seq, &row.kind, row.occurred_at_ms, &row.data)?;
            let Row { seq, epoch, attempts, id, .. } = row;
            Ok(DueDelivery { seq, epoch, attempts, id, body })
        };
        rows.into_iter().map(due).collect()
    }

    /// Is anything due for a hook?
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn deliveries_due(&self, hook: &str, now: Instant) -> Result<bool> {
        let (due,): (bool,) = query(
            "SELECT EXISTS (SELECT 1 FROM webhook_delivery
                             WHERE hook = $1 AND status = 'pending' AND next_at_ms <= $2)
                AND NOT EXISTS (SELECT 1 FROM webhook_stop WHERE hook = $1)",
        )
        .bind(hook)
        .bind(now.timestamp_millis())
        .fetch_one(&self.readers)
        .await?;
        Ok(due)
    }

    /// Records how requests ended, but for those somebody has put back meanwhile. What was given
    /// up, and a hook that wants no more, is a task: one per hook.
    ///
    /// # Errors
    /// `Unavailable`; the lease makes the deliveries due again.
    pub async fn record_deliveries(&self, tried: Vec<Tried>, now: Instant) -> Result<()> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let rows = tried.iter().map(|tried| {
                let (status, next_at_ms) = match tried.becomes {
                    Becomes::Delivered => ("delivered", now_ms),
                    Becomes::Again(at) => ("pending", at.timestamp_millis()),
                    Becomes::Failed => ("failed", now_ms),
                    Becomes::HookStopped => ("pending", now_ms),
                };
                let (seq, epoch, said) = (tried.seq, tried.epoch, tried.said.clone());
                let (answer, took_ms) = (tried.answer, tried.took_ms);
                TriedRow { seq, epoch, status, next_at_ms, answer, said, took_ms }
            });
            let recorded: Vec<(i64,)> =
                query(RECORD).bind(batch(rows)).bind(now_ms).fetch_all(&mut *tx).await?;
            let mut tasks: Vec<NewTaskRow> = Vec::new();
            for tried in tried.iter().filter(|tried| recorded.contains(&(tried.seq,))) {
                let Tried { hook, said, .. } = tried;
                let code = tried.answer.map(|code| format!("{code} ")).unwrap_or_default();
                let detail = match tried.becomes {
                    Becomes::Delivered | Becomes::Again(_) => continue,
                    Becomes::Failed => format!(
                        "The webhook {hook} was given up after its last attempt ({code}{said}). Mend the receiver, then `tidings webhooks replay --hook {hook}`."
                    ),
                    Becomes::HookStopped => {
                        query(
                            "INSERT INTO webhook_stop (hook, at_ms, why) VALUES ($1, $2, $3)
                             ON CONFLICT (hook) DO NOTHING",
                        )
                        .bind(hook)
                        .bind(now_ms)
                        .bind(said)
                        .execute(&mut *tx)
                        .await?;
                        format!(
                            "The receiver of the webhook {hook} said 410 Gone: nothing goes there any more. What waits is kept for 30 days; `tidings webhooks enable {hook}` sends it."
                        )
                    }
                };
                let key = format!("webhook/{hook}");
                let task = NewTask { key, kind: TaskKind::Webhook, detail };
                if tasks.iter().all(|other| other.key != task.key) {
                    tasks.push(NewTaskRow::of(&task));
                }
            }
            insert_tasks(tx, &tasks, now_ms).await
        })
    }

    /// Deliveries, newest first, before the number `before`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn deliveries(
        &self,
        wanted: &Wanted,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<DeliveryView>> {
        let sql = format!(
            "SELECT d.seq, d.hook, e.id AS event, e.kind, e.case_id, e.customer_id, d.status,
                    d.attempts, e.occurred_at_ms, d.next_at_ms, d.last_at_ms, d.answer, d.said,
                    d.took_ms {} AND d.seq < $4 ORDER BY d.seq DESC LIMIT $5",
            wanted.rows()
        );
        let before = before.unwrap_or(i64::MAX);
        Ok(wanted.asked(sql).bind(before).bind(limit).fetch_all(&self.readers).await?)
    }

    /// How many deliveries are meant.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn count_deliveries(&self, wanted: &Wanted) -> Result<i64> {
        let sql = format!("SELECT count(*) {}", wanted.rows());
        let (count,): (i64,) = wanted.asked(sql).fetch_one(&self.readers).await?;
        Ok(count)
    }

    /// Sends one delivery again, now and with all its attempts before it; its id stays.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn replay_delivery(&self, seq: i64, now: Instant) -> Result<()> {
        let replayed = self.replay(vec![seq], now).await?;
        if replayed == 0 {
            return Err(StoreError::NotFound { what: format!("the delivery {seq}") });
        }
        Ok(())
    }

    /// Sends deliveries again. Where a person saw a count, what was counted is what is sent: it
    /// is `expected`. Answers how many.
    ///
    /// # Errors
    /// `Refused` when there are others by now.
    pub async fn replay_deliveries(
        &self,
        wanted: &Wanted,
        expected: Option<i64>,
        now: Instant,
    ) -> Result<u64> {
        let count = self.count_deliveries(wanted).await?;
        if let Some(expected) = expected.filter(|expected| *expected != count) {
            return Err(StoreError::Refused(format!(
                "{count} deliveries are meant by now, not {expected}; look again"
            )));
        }
        let (mut replayed, mut before) = (0, None);
        // From the newest down: what is sent again keeps its number, and none is met twice.
        loop {
            let page = self.deliveries(wanted, before, PAGE).await?;
            let Some(last) = page.last() else { return Ok(replayed) };
            before = Some(last.seq);
            replayed += self.replay(page.iter().map(|row| row.seq).collect(), now).await?;
        }
    }

    async fn replay(&self, seqs: Vec<i64>, now: Instant) -> Result<u64> {
        let now_ms = now.timestamp_millis();
        let replayed = in_tx!(self, |tx| {
            let replayed = query(
                "UPDATE webhook_delivery SET status = 'pending', attempts = 0, next_at_ms = $2,
                        epoch = epoch + 1
                 WHERE seq IN (SELECT CAST(x.value->>'id' AS BIGINT) FROM jsonb_each($1) AS x)",
            )
            .bind(ids(seqs))
            .bind(now_ms)
            .execute(tx)
            .await?;
            Ok(replayed)
        })?;
        self.writer.facts().ring();
        Ok(replayed)
    }

    /// Lets facts go to a hook again whose receiver said 410. False when nothing stopped it.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn enable_hook(&self, hook: &str) -> Result<bool> {
        let hook = hook.to_owned();
        let enabled = in_tx!(self, |tx| {
            let enabled =
                query("DELETE FROM webhook_stop WHERE hook = $1").bind(hook).execute(tx).await?;
            Ok(enabled > 0)
        })?;
        self.writer.facts().ring();
        Ok(enabled)
    }

    /// How every hook is doing that was told anything in the last 30 days: what became of its
    /// last thousand deliveries, and what waits.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn hook_figures(&self) -> Result<Vec<HookFigures>> {
        Ok(query(FIGURES).bind(LAST).fetch_all(&self.readers).await?)
    }

    /// Forgets what is older than 30 days, delivered or not. Answers how many deliveries, and how
    /// many of them were never made: those of a hook that was stopped or taken out.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; what was forgotten before stays forgotten.
    pub async fn forget_deliveries(&self, now: Instant) -> Result<(u64, u64)> {
        let before_ms = now.timestamp_millis() - KEPT_MS;
        let (mut forgotten, mut unmade) = (0, 0);
        loop {
            let (more, of_them): (u64, u64) = in_tx!(self, |tx| {
                // The newest stays: the next is numbered after it.
                let old: Vec<(i64,)> = query(
                    "SELECT seq FROM webhook_event WHERE occurred_at_ms < $1
                        AND seq < (SELECT max(seq) FROM webhook_event)
                     ORDER BY occurred_at_ms LIMIT $2",
                )
                .bind(before_ms)
                .bind(PAGE)
                .fetch_all(&mut *tx)
                .await?;
                if old.is_empty() {
                    return Ok((0, 0));
                }
                let old = ids(old.iter().map(|(seq,)| seq));
                let gone: Vec<(String,)> = query(
                    "DELETE FROM webhook_delivery WHERE event_seq IN
                        (SELECT CAST(x.value->>'id' AS BIGINT) FROM jsonb_each($1) AS x)
                     RETURNING status",
                )
                .bind(&old)
                .fetch_all(&mut *tx)
                .await?;
                query(
                    "DELETE FROM webhook_event WHERE seq IN
                        (SELECT CAST(x.value->>'id' AS BIGINT) FROM jsonb_each($1) AS x)",
                )
                .bind(&old)
                .execute(tx)
                .await?;
                let unmade = gone.iter().filter(|(status,)| status == "pending").count();
                Ok((gone.len().max(1) as u64, unmade as u64))
            })?;
            if more == 0 {
                return Ok((forgotten, unmade));
            }
            forgotten += more;
            unmade += of_them;
        }
    }
}
