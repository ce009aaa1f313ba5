//! The ledger of promises: another word about a case by a date. Rows are written when a
//! promise is made and settled; that a word kept it is seen when its last day comes.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::FromRow;

use crate::domain::plan::{NewTask, Plan, Promise, PromiseChange};
use crate::domain::time::{Instant, from_ms};
use crate::domain::{CaseId, CustomerId};

use super::balance::Period;
use super::facts::{self, AtRisk};
use super::sql::Tx;
use super::tasks::{NewTaskRow, insert_tasks};
use super::{Result, Store, batch, ids, in_tx, query};

const MAKE: &str = "
    INSERT INTO promise (case_id, case_type, customer_id, made_at_ms, alarm_at_ms, due_at_ms,
                         state, alarmed)
    SELECT value->>'case', value->>'case_type', value->>'customer',
           CAST(value->>'made_at_ms' AS BIGINT), CAST(value->>'alarm_at_ms' AS BIGINT),
           CAST(value->>'due_at_ms' AS BIGINT), 'open', false
    FROM jsonb_each($1) WHERE true
    ON CONFLICT (case_id) WHERE state = 'open' DO NOTHING";

const SETTLE: &str = "
    UPDATE promise SET state = x.to_state, settled_at_ms = x.settled, alarm_at_ms = x.alarm,
                       alarmed = x.has_alarmed
    FROM (SELECT CAST(value->>'seq' AS BIGINT) AS row_seq, value->>'state' AS to_state,
                 CAST(value->>'settled_at_ms' AS BIGINT) AS settled,
                 CAST(value->>'alarm_at_ms' AS BIGINT) AS alarm,
                 CAST(value->>'alarmed' AS BOOLEAN) AS has_alarmed
          FROM jsonb_each($1)) AS x
    WHERE promise.seq = x.row_seq AND promise.state = 'open'
    RETURNING seq";

const END: &str = "
    UPDATE promise SET state = 'ended', settled_at_ms = $2
    WHERE state = 'open' AND case_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)";

#[derive(Debug, Clone, Serialize)]
struct PromiseRow {
    case: String,
    case_type: String,
    customer: String,
    made_at_ms: i64,
    alarm_at_ms: i64,
    due_at_ms: i64,
}

impl PromiseRow {
    fn new(
        case: &CaseId,
        case_type: &str,
        customer: &CustomerId,
        promise: Promise,
        made_at_ms: i64,
    ) -> Self {
        Self {
            case: case.0.clone(),
            case_type: case_type.to_owned(),
            customer: customer.0.clone(),
            made_at_ms,
            alarm_at_ms: promise.alarm_at.timestamp_millis(),
            due_at_ms: promise.due_at.timestamp_millis(),
        }
    }
}

/// What a batch of plans does to promises; the last word of each case counts.
#[derive(Default)]
pub(super) struct Promises {
    made: Vec<(CaseId, String, CustomerId, Promise)>,
    ended: Vec<CaseId>,
}

impl Promises {
    pub fn add(&mut self, plan: &Plan) {
        let Some(change) = plan.promise else { return };
        let case = &plan.case;
        let ended = matches!(change, PromiseChange::End | PromiseChange::Renew(_));
        if ended {
            self.made.retain(|(made, ..)| *made != case.id);
            self.ended.push(case.id.clone());
        }
        if let PromiseChange::Make(promise) | PromiseChange::Renew(promise) = change
            && !self.made.iter().any(|(made, ..)| *made == case.id)
        {
            let row = (case.id.clone(), case.case_type.clone(), case.customer.clone(), promise);
            self.made.push(row);
        }
    }

    pub async fn write(self, tx: &mut Tx, now_ms: i64) -> Result<()> {
        if !self.ended.is_empty() {
            query(END).bind(ids(&self.ended)).bind(now_ms).execute(&mut *tx).await?;
        }
        let made = self.made.iter().map(|(case, case_type, customer, promise)| {
            PromiseRow::new(case, case_type, customer, *promise, now_ms)
        });
        make(tx, made.collect()).await
    }
}

/// In the order of the cases: who makes one for the same case at once waits for nobody else.
async fn make(tx: &mut Tx, mut made: Vec<PromiseRow>) -> Result<()> {
    if !made.is_empty() {
        made.sort_by(|a, b| a.case.cmp(&b.case));
        query(MAKE).bind(batch(made)).execute(tx).await?;
    }
    Ok(())
}

/// How a promise is settled, or when it is looked at again.
#[derive(Serialize)]
struct SettledRow {
    seq: i64,
    state: &'static str,
    settled_at_ms: Option<i64>,
    alarm_at_ms: i64,
    alarmed: bool,
}

impl SettledRow {
    fn new(open: &OpenPromise, settling: &Settling, now_ms: i64) -> Self {
        let due = &open.promise;
        let (state, settled_at_ms, alarm_at) = match settling {
            Settling::Kept { at, .. } => ("kept", Some(at.timestamp_millis()), due.alarm_at),
            Settling::Broken { .. } => ("broken", Some(now_ms), due.alarm_at),
            Settling::Alarm { .. } => ("open", None, due.due_at),
            Settling::Waits { until } => ("open", None, *until),
        };
        let alarmed = open.alarmed || matches!(settling, Settling::Alarm { .. });
        let alarm_at_ms = alarm_at.timestamp_millis();
        Self { seq: open.seq, state, settled_at_ms, alarm_at_ms, alarmed }
    }
}

/// An open promise whose last day has come, with what was said and is planned since.
#[derive(Debug, Clone)]
pub struct OpenPromise {
    pub seq: i64,
    pub case: CaseId,
    pub case_type: String,
    pub customer: CustomerId,
    pub made_at: Instant,
    pub promise: Promise,
    pub alarmed: bool,
    pub last_word: Option<Instant>,
    pub next_planned: Option<Instant>,
}

/// What becomes of an open promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settling {
    /// A word came at this instant; the next promise counts from it.
    Kept { at: Instant, next: Option<Promise> },
    /// No word came; another promise is made.
    Broken { task: NewTask, next: Option<Promise> },
    /// A person is asked to look.
    Alarm { task: NewTask },
    /// Looked at again at this instant.
    Waits { until: Instant },
}

/// A promise as people read it.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct PromiseView {
    pub seq: i64,
    pub case_id: String,
    pub case_type: String,
    pub customer_id: String,
    pub made_at_ms: i64,
    pub due_at_ms: i64,
    pub state: String,
    pub alarmed: bool,
    pub settled_at_ms: Option<i64>,
}

impl Store {
    /// Open promises to be judged at `now`.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn promises_due(&self, now: Instant, limit: i64) -> Result<Vec<OpenPromise>> {
        #[derive(FromRow)]
        struct Row {
            seq: i64,
            case_id: String,
            case_type: String,
            customer_id: String,
            made_at_ms: i64,
            alarm_at_ms: i64,
            due_at_ms: i64,
            alarmed: bool,
            last_word_ms: Option<i64>,
            next_planned_ms: Option<i64>,
        }
        let rows: Vec<Row> = query(
            "SELECT p.seq, p.case_id, p.case_type, p.customer_id, p.made_at_ms, p.alarm_at_ms,
                    p.due_at_ms, p.alarmed,
                    (SELECT max(n.told_at_ms) FROM notification AS n
                      WHERE n.case_id = p.case_id AND n.told_at_ms IS NOT NULL
                        AND n.told_at_ms < p.due_at_ms) AS last_word_ms,
                    (SELECT min(n.next_at_ms) FROM notification AS n
                      WHERE n.case_id = p.case_id AND n.status IN ('planned', 'claimed', 'sending'))
                        AS next_planned_ms
             FROM promise AS p WHERE p.state = 'open' AND p.alarm_at_ms <= $1
             ORDER BY p.alarm_at_ms, p.seq LIMIT $2",
        )
        .bind(now.timestamp_millis())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let open = |row: Row| OpenPromise {
            seq: row.seq,
            case: CaseId(row.case_id),
            case_type: row.case_type,
            customer: CustomerId(row.customer_id),
            made_at: from_ms(row.made_at_ms),
            promise: Promise { alarm_at: from_ms(row.alarm_at_ms), due_at: from_ms(row.due_at_ms) },
            alarmed: row.alarmed,
            last_word: row.last_word_ms.map(from_ms),
            next_planned: row.next_planned_ms.map(from_ms),
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// Settles promises that were found due, but for those somebody else has settled. Answers
    /// the numbers of those that are settled now.
    ///
    /// # Errors
    /// `Unavailable`; nothing changed then.
    pub async fn settle_promises(
        &self,
        settlings: Vec<(OpenPromise, Settling)>,
        now: Instant,
    ) -> Result<HashSet<i64>> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let rows =
                settlings.iter().map(|(open, settling)| SettledRow::new(open, settling, now_ms));
            let settled: Vec<(i64,)> = query(SETTLE).bind(batch(rows)).fetch_all(&mut *tx).await?;
            let settled: HashSet<i64> = settled.into_iter().map(|(seq,)| seq).collect();
            let alarms = settlings.iter().filter(|(open, settling)| {
                settled.contains(&open.seq) && matches!(settling, Settling::Alarm { .. })
            });
            let at_risk: Vec<AtRisk<'_>> = alarms
                .map(|(open, _)| AtRisk {
                    seq: open.seq,
                    case: open.case.as_str(),
                    case_type: &open.case_type,
                    customer: open.customer.as_str(),
                    promise: open.promise,
                })
                .collect();
            facts::at_risk(tx, &at_risk, now_ms).await?;
            let mut tasks = Vec::new();
            let mut made = Vec::new();
            for (open, settling) in settlings {
                if !settled.contains(&open.seq) {
                    continue;
                }
                let (task, next, made_at_ms) = match settling {
                    Settling::Kept { at, next } => (None, next, at.timestamp_millis()),
                    Settling::Broken { task, next } => (Some(task), next, now_ms),
                    Settling::Alarm { task } => (Some(task), None, now_ms),
                    Settling::Waits { .. } => (None, None, now_ms),
                };
                tasks.extend(task.map(|task| NewTaskRow {
                    case_id: Some(open.case.0.clone()),
                    customer_id: Some(open.customer.0.clone()),
                    ..NewTaskRow::of(&task)
                }));
                let row = |next| {
                    PromiseRow::new(&open.case, &open.case_type, &open.customer, next, made_at_ms)
                };
                made.extend(next.map(row));
            }
            insert_tasks(tx, &tasks, now_ms).await?;
            make(tx, made).await?;
            Ok(settled)
        })
    }

    /// Ends every open promise: the end of a played file.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn end_promises(&self, now: Instant) -> Result<u64> {
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let sql = "UPDATE promise SET state = 'ended', settled_at_ms = $1 WHERE state = 'open'";
            Ok(query(sql).bind(now_ms).execute(tx).await?)
        })
    }

    /// The promises of a case, newest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn promises_of(&self, case: &CaseId) -> Result<Vec<PromiseView>> {
        Ok(query(
            "SELECT seq, case_id, case_type, customer_id, made_at_ms, due_at_ms, state, alarmed,
                    settled_at_ms
             FROM promise WHERE case_id = $1 ORDER BY seq DESC LIMIT 100",
        )
        .bind(case.as_str())
        .fetch_all(&self.readers)
        .await?)
    }

    /// How many promises there are in each state, by case type, of those due in a period.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn promise_counts(&self, period: Period) -> Result<Vec<(String, String, i64)>> {
        Ok(query(
            "SELECT case_type, state, count(*) AS promises FROM promise
             WHERE due_at_ms >= $1 AND due_at_ms < $2
             GROUP BY case_type, state ORDER BY case_type, state",
        )
        .bind(period.start)
        .bind(period.end)
        .fetch_all(&self.readers)
        .await?)
    }
}
