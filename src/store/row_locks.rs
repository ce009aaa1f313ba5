//! Locks PostgreSQL needs and SQLite does not.
//!
//! On SQLite there is one writer: nothing changes between what a transaction reads and what
//! it writes. On PostgreSQL a transaction first locks the rows it will compare with or change,
//! in a statement of its own (a lock taken in the comparing statement comes too late: that
//! statement's snapshot is older than the wait), always in the order counts, names, customers, cases,
//! notifications, calls, and by id within each, so that no two wait for each other.

use crate::domain::CustomerId;

use super::sql::{Tx, Value, query};
use super::{Result, Store, StoreError};

/// Rows that are compared with and must not change before the commit.
const SHARE_CUSTOMERS: &str = "
    SELECT id FROM customer WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR SHARE";
const SHARE_CASES: &str = "
    SELECT id FROM cases WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR SHARE";

/// Rows that will be changed.
const CUSTOMERS: &str = "
    SELECT id FROM customer WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR UPDATE";
const CASES: &str = "
    SELECT id FROM cases WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR UPDATE";
const NOTIFICATIONS: &str = "
    SELECT id FROM notification WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR UPDATE";

const CALLS: &str = "
    SELECT no FROM phone_call
     WHERE notification_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY notification_id, no FOR UPDATE";

/// Names that may not be rows yet, in 64 buckets of their own per kind.
const NAMES: &str = "
    SELECT pg_advisory_xact_lock($2::int, bucket) FROM
        (SELECT DISTINCT hashtext(x.value->>'id') & 63 AS bucket FROM jsonb_each($1) AS x
         ORDER BY bucket) AS buckets";

/// Cases that wait for one of these customers.
const WAITING_CASES: &str = "
    SELECT id FROM cases WHERE waiting_for IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR UPDATE";

/// Everything of one of these customers.
const CASES_OF: &str = "
    SELECT id FROM cases WHERE customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR UPDATE";
const NOTIFICATIONS_OF: &str = "
    SELECT id FROM notification
     WHERE customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    ORDER BY id FOR UPDATE";

/// What is locked. Each takes rows `{id}`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lock {
    /// Customers a decision compares with.
    ShareCustomers,
    /// Cases a decision compares with.
    ShareCases,
    Customers,
    Cases,
    Notifications,
    /// Calls of these notifications. Last of all.
    Calls,
    /// Customers that may be new: whoever writes about one of these waits for us.
    CustomerNames,
    /// Cases that may be new.
    CaseNames,
    /// Addresses, whoever has them or is just getting them: by their key.
    Addresses,
    /// Counts of texts and calls, by their names. First of all.
    Counts,
    /// Cases that wait for these customers.
    WaitingCases,
    /// Cases of these customers.
    CasesOf,
    /// Notifications to these customers.
    NotificationsOf,
}

/// Locks what these ids name, until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, what: Lock, ids: Value) -> Result<()> {
    if let Tx::Sqlite(_) = tx {
        return Ok(());
    }
    let statement = match what {
        Lock::ShareCustomers => query(SHARE_CUSTOMERS).bind(ids),
        Lock::ShareCases => query(SHARE_CASES).bind(ids),
        Lock::Customers => query(CUSTOMERS).bind(ids),
        Lock::Cases => query(CASES).bind(ids),
        Lock::Notifications => query(NOTIFICATIONS).bind(ids),
        Lock::Calls => query(CALLS).bind(ids),
        Lock::CustomerNames => query(NAMES).bind(ids).bind(1),
        Lock::CaseNames => query(NAMES).bind(ids).bind(2),
        Lock::Addresses => query(NAMES).bind(ids).bind(3),
        Lock::Counts => query(NAMES).bind(ids).bind(4),
        Lock::WaitingCases => query(WAITING_CASES).bind(ids),
        Lock::CasesOf => query(CASES_OF).bind(ids),
        Lock::NotificationsOf => query(NOTIFICATIONS_OF).bind(ids),
    };
    statement.execute(tx).await?;
    Ok(())
}

/// Locks one customer until the transaction ends. Who is not there now stays not there for this
/// transaction: a row that comes after the lock would be changed without it.
pub(super) async fn lock_customer(tx: &mut Tx, id: &CustomerId) -> Result<()> {
    let one = match tx {
        Tx::Sqlite(_) => "SELECT id FROM customer WHERE id = $1",
        Tx::Postgres(_) => "SELECT id FROM customer WHERE id = $1 FOR UPDATE",
    };
    let found: Option<(String,)> = query(one).bind(id.as_str()).fetch_optional(tx).await?;
    found.map(drop).ok_or_else(|| StoreError::NotFound { what: format!("the customer {id}") })
}

/// A text for SQLite, and the same with a lock for PostgreSQL, where takers that come at once
/// skip what another has in hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Either {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

/// Writes an [`Either`]: parts of one text, with `lock` where PostgreSQL locks.
macro_rules! either {
    (|lock| $($part:tt)+) => {
        $crate::store::row_locks::Either {
            sqlite: $crate::store::row_locks::locked!("" ; ; $($part)+),
            postgres: $crate::store::row_locks::locked!("FOR UPDATE SKIP LOCKED" ; ; $($part)+),
        }
    };
}
pub(super) use either;

/// The parts of a text put together, with `$with` for each `lock`.
macro_rules! locked {
    ($with:literal ; $($done:expr),* ; lock, $($rest:tt)+) => {
        $crate::store::row_locks::locked!($with ; $($done,)* $with ; $($rest)+)
    };
    ($with:literal ; $($done:expr),* ; $text:literal, $($rest:tt)+) => {
        $crate::store::row_locks::locked!($with ; $($done,)* $text ; $($rest)+)
    };
    ($with:literal ; $($done:expr),* ; $last:expr) => { concat!($($done,)* $last) };
}
pub(super) use locked;

impl Store {
    pub(super) fn pick(&self, text: Either) -> &'static str {
        if self.place.is_shared() { text.postgres } else { text.sqlite }
    }
}
