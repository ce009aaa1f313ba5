//! Notifications listed for people, by whatever they ask for. A page walks along one index and
//! looks at a bounded number of rows, so that it comes as quickly from ten million as from ten;
//! where that was not enough it says how far it looked.

use crate::domain::Status;

use super::console::{NotificationView, view_columns};
use super::sql::{Query, ids, query_built};
use super::{Result, Store};

/// Rows on a page.
pub const PAGE: usize = 50;

/// Rows looked at for one page.
pub const LOOK: usize = 5_000;

/// Rows shown before an act on many.
const SAMPLE: usize = 10;

/// Rows looked at for one act on many.
pub const LOOK_TO_ACT: usize = 10_000;

/// What to list. What is left out is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub status: Option<Status>,
    /// The code of a reason.
    pub reason: Option<String>,
    pub channel: Option<String>,
    pub case_type: Option<String>,
    pub notice: Option<String>,
    pub customer: Option<String>,
    pub case: Option<String>,
    /// From this instant of [`Wanted::instant`] on, in milliseconds.
    pub from_ms: Option<i64>,
    /// Before this one.
    pub to_ms: Option<i64>,
}

/// Which instant a list goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// When it was planned, newest first.
    Planned,
    /// When it is looked at next, soonest first.
    Due,
    /// When it ended, newest first.
    Ended,
}

/// Where a page ends: its last row's instant and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub at_ms: i64,
    pub id: String,
}

/// A page.
#[derive(Debug, Clone)]
pub struct Listed {
    pub rows: Vec<NotificationView>,
    /// Where to go on.
    pub next: Option<Position>,
}

/// What an act on many would be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub ids: Vec<String>,
    /// There may be more beyond what was looked at.
    pub more: bool,
}

/// How much an act on many would be about, and the first of it.
#[derive(Debug, Clone)]
pub struct Size {
    pub count: usize,
    pub sample: Vec<NotificationView>,
    /// There may be more beyond what was looked at.
    pub more: bool,
}

/// What stands for the bounds of a walk until they are known, in milliseconds: the first and the
/// last instant, and that of the row it goes on after.
const FIRST: &str = "@first@";
const LAST: &str = "@last@";
const AFTER: &str = "@after@";

/// A statement with its bounds.
pub(super) fn within(statement: &str, first: i64, last: i64, after: i64) -> String {
    let bounds = [(FIRST, first), (LAST, last), (AFTER, after)];
    bounds.iter().fold(statement.to_owned(), |text, (name, ms)| text.replace(name, &ms.to_string()))
}

/// Names every parameter where it says nothing.
const UNASKED: &str = "($2 IS NULL OR true) AND ($3 IS NULL OR true) AND ($4 IS NULL OR true)
    AND ($5 IS NULL OR true) AND ($6 IS NULL OR true) AND ($7 IS NULL OR true)
    AND ($8 IS NULL OR true)";

/// What is read of a row on a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Whole,
    /// Its place, which the index knows.
    Instant,
}

/// Along which index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Time,
    Customer,
    Case,
    Planned,
    PlannedOfMessage,
    Held,
    Doubt,
    Trouble,
}

impl Walk {
    #[cfg(test)]
    pub const ALL: [Self; 8] = [
        Self::Time,
        Self::Customer,
        Self::Case,
        Self::Planned,
        Self::PlannedOfMessage,
        Self::Held,
        Self::Doubt,
        Self::Trouble,
    ];

    const fn by(self) -> By {
        match self {
            Self::Time | Self::Customer | Self::Case => By::Planned,
            Self::Planned | Self::PlannedOfMessage | Self::Held | Self::Doubt => By::Due,
            Self::Trouble => By::Ended,
        }
    }

    /// The rows of one condition in the order of the walk, from a position on.
    fn rows(self, seen: Seen, condition: &str, look: usize) -> String {
        let (at, order, beyond) = match self.by() {
            By::Planned => ("planned_at_ms", "DESC", "<"),
            By::Due => ("next_at_ms", "ASC", ">"),
            By::Ended => ("next_at_ms", "DESC", "<"),
        };
        let (columns, then) = match seen {
            Seen::Whole => (
                "id, status, reason, channel, case_type, notice, customer_id, case_id, ",
                format!(", id {order}"),
            ),
            Seen::Instant => ("", String::new()),
        };
        format!(
            "SELECT {columns}{at} AS at_ms
             FROM notification WHERE {condition} AND {at} >= {FIRST} AND {at} <= {LAST}
               AND ({at} {beyond} {AFTER} OR id {beyond} $1)
             ORDER BY {at} {order}{then} LIMIT {look}"
        )
    }

    fn looked_at(self, seen: Seen, look: usize) -> String {
        let rows = |condition: &str| self.rows(seen, condition, look);
        match self {
            Self::Time => rows("true"),
            Self::Customer => rows("customer_id = $7"),
            Self::Case => rows("case_id = $8"),
            Self::PlannedOfMessage => rows("status = 'planned' AND case_type = $5 AND notice = $6"),
            Self::Held => rows("status IN ('claimed', 'sending')"),
            Self::Doubt => rows("status = 'in_doubt'"),
            Self::Trouble => {
                rows("status IN ('undelivered', 'failed', 'unknown', 'expired', 'quarantined')")
            }
            Self::Planned => {
                let of = |urgency: usize| {
                    let condition = format!("status = 'planned' AND urgency = {urgency}");
                    format!("SELECT * FROM ({}) AS u{urgency}", rows(&condition))
                };
                let all = [0, 1, 2, 3].map(of).join(" UNION ALL ");
                let then = if seen == Seen::Whole { ", id" } else { "" };
                format!("SELECT * FROM ({all}) AS four ORDER BY at_ms{then} LIMIT {look}")
            }
        }
    }

    const fn order(self) -> &'static str {
        match self.by() {
            By::Due => "at_ms, id",
            By::Planned | By::Ended => "at_ms DESC, id DESC",
        }
    }

    /// Those looked at that fit. Every parameter is named, also where it says nothing.
    fn fitting(self, look: usize) -> String {
        format!(
            "FROM ({}) AS looked
             WHERE ($2 IS NULL OR status = $2) AND ($3 IS NULL OR reason = $3)
               AND ($4 IS NULL OR channel = $4) AND ($5 IS NULL OR case_type = $5)
               AND ($6 IS NULL OR notice = $6) AND ($7 IS NULL OR customer_id = $7)
               AND ($8 IS NULL OR case_id = $8)",
            self.looked_at(Seen::Whole, look)
        )
    }

    pub fn page(self, look: usize) -> String {
        let (fitting, order, limit) = (self.fitting(look), self.order(), PAGE + 1);
        let at = if self.by() == By::Planned { "planned_at_ms" } else { "next_at_ms" };
        let back = if self.by() == By::Due { "" } else { " DESC" };
        format!(
            "SELECT {} FROM notification
             WHERE id IN (SELECT id {fitting} ORDER BY {order} LIMIT {limit})
             ORDER BY {at}{back}, id{back}",
            view_columns!()
        )
    }

    /// The last row looked at, where the look was as far as it may be.
    pub fn edge(self, look: usize) -> String {
        format!(
            "SELECT at_ms, id FROM ({}) AS looked WHERE {UNASKED} ORDER BY {} LIMIT 1 OFFSET {}",
            self.looked_at(Seen::Whole, look),
            self.order(),
            look - 1
        )
    }

    /// How many rows a look finds to look at, told by the index alone.
    pub fn reach(self, look: usize) -> String {
        let looked = self.looked_at(Seen::Instant, look);
        format!("SELECT COUNT(*) FROM ({looked}) AS looked WHERE {UNASKED}")
    }

    pub fn ids(self, look: usize) -> String {
        format!("SELECT id {} ORDER BY {}", self.fitting(look), self.order())
    }
}

impl Wanted {
    fn walk(&self) -> Walk {
        if self.case.is_some() {
            return Walk::Case;
        }
        if self.customer.is_some() {
            return Walk::Customer;
        }
        match self.status {
            Some(Status::Planned) if self.case_type.is_some() && self.notice.is_some() => {
                Walk::PlannedOfMessage
            }
            Some(Status::Planned) => Walk::Planned,
            Some(Status::Claimed | Status::Sending) => Walk::Held,
            Some(Status::InDoubt) => Walk::Doubt,
            Some(
                Status::Undelivered
                | Status::Failed
                | Status::Unknown
                | Status::Expired
                | Status::Quarantined,
            ) => Walk::Trouble,
            _ => Walk::Time,
        }
    }

    /// Which instant its list goes by, and `from` and `to` are about.
    #[must_use]
    pub fn instant(&self) -> By {
        self.walk().by()
    }

    /// Does it ask for anything that the walk itself does not answer?
    fn looks_for(&self) -> bool {
        let asked = [&self.reason, &self.channel, &self.case_type, &self.notice];
        let by_status = match self.walk() {
            Walk::Planned | Walk::PlannedOfMessage | Walk::Doubt => false,
            _ => self.status.is_some(),
        };
        let named = match self.walk() {
            Walk::Case => self.customer.is_some(),
            _ => false,
        };
        by_status || named || asked.iter().any(|asked| asked.is_some())
    }

    /// The statement with its bounds and values. The bounds stand in its text, so that
    /// PostgreSQL, which plans a statement by its text alone, knows how much lies between them.
    fn ask(&self, statement: &str, after: Option<&Position>) -> Query {
        let first = self.from_ms.unwrap_or(0);
        let last = self.to_ms.map_or(i64::MAX, |to| to - 1);
        let (first, last, at) = match (self.instant(), after) {
            (By::Due, None) => (first, last, -1),
            (By::Due, Some(after)) => (first.max(after.at_ms), last, after.at_ms),
            (By::Planned | By::Ended, None) => (first, last, i64::MAX),
            (By::Planned | By::Ended, Some(after)) => (first, last.min(after.at_ms), after.at_ms),
        };
        query_built(within(statement, first, last, at))
            .bind(after.map_or("", |after| after.id.as_str()))
            .bind(self.status.map(Status::as_str))
            .bind(&self.reason)
            .bind(&self.channel)
            .bind(&self.case_type)
            .bind(&self.notice)
            .bind(&self.customer)
            .bind(&self.case)
    }
}

impl Store {
    /// A page of notifications after a position.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn list(&self, wanted: &Wanted, after: Option<&Position>) -> Result<Listed> {
        let walk = wanted.walk();
        let look = if wanted.looks_for() { LOOK } else { PAGE + 1 };
        let page = wanted.ask(&walk.page(look), after);
        let mut rows: Vec<NotificationView> = page.fetch_all(&self.readers).await?;
        if rows.len() > PAGE {
            rows.truncate(PAGE);
            let next = rows.last().map(|last| Position {
                at_ms: match walk.by() {
                    By::Planned => last.planned_at_ms,
                    By::Due | By::Ended => last.next_at_ms,
                },
                id: last.id.clone(),
            });
            return Ok(Listed { rows, next });
        }
        let next = if look == LOOK { self.edge(wanted, after, look).await? } else { None };
        Ok(Listed { rows, next })
    }

    /// How many fit among the first that an act on many looks at, and the first ten of them.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn size(&self, wanted: &Wanted) -> Result<Size> {
        let Found { ids: found, more } = self.find(wanted).await?;
        let first = &found[..found.len().min(SAMPLE)];
        let mut sample: Vec<NotificationView> = query_built(format!(
            "SELECT {} FROM notification WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)",
            view_columns!()
        ))
        .bind(ids(first))
        .fetch_all(&self.readers)
        .await?;
        sample.sort_by_key(|row| first.iter().position(|id| *id == row.id));
        Ok(Size { count: found.len(), sample, more })
    }

    /// The ids of those that fit among the first that an act on many looks at.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn find(&self, wanted: &Wanted) -> Result<Found> {
        let found = wanted.ask(&wanted.walk().ids(LOOK_TO_ACT), None);
        let found: Vec<(String,)> = found.fetch_all(&self.readers).await?;
        let looked = if wanted.looks_for() {
            let reach = wanted.ask(&wanted.walk().reach(LOOK_TO_ACT), None);
            let (looked,): (i64,) = reach.fetch_one(&self.readers).await?;
            usize::try_from(looked).unwrap_or(0)
        } else {
            found.len()
        };
        let more = looked == LOOK_TO_ACT;
        Ok(Found { ids: found.into_iter().map(|(id,)| id).collect(), more })
    }

    async fn edge(
        &self,
        wanted: &Wanted,
        after: Option<&Position>,
        look: usize,
    ) -> Result<Option<Position>> {
        let edge = wanted.ask(&wanted.walk().edge(look), after);
        let edge: Option<(i64, String)> = edge.fetch_optional(&self.readers).await?;
        Ok(edge.map(|(at_ms, id)| Position { at_ms, id }))
    }
}
