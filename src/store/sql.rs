//! One SQL text on two databases: a statement with its values, bound for whichever database
//! it is run on.
//!
//! Only the kinds of values both know are bound: text, whole numbers, booleans, and JSON for
//! batches. A row struct derives `FromRow` once and reads from both.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use sqlx::types::Json;
use sqlx::{
    Arguments, AssertSqlSafe, Database, Encode, FromRow, SqlSafeStr, SqlStr, SqliteConnection,
    Transaction, Type,
};

use super::facts::Facts;

/// A value of a statement.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    Json(Json<Rows>),
}

/// Many rows as one JSON text.
#[derive(Debug, Clone)]
pub(super) struct Rows(Arc<RawValue>);

impl Serialize for Rows {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A row both databases can give.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A statement and its values.
#[derive(Debug)]
pub(super) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
    /// Prepared once per connection and kept.
    kept: bool,
}

/// An open write transaction.
#[derive(Debug)]
pub(super) enum Tx {
    /// The one connection that writes, inside the transaction its jobs share.
    Sqlite(Writing<SqliteConnection>),
    Postgres(Writing<Transaction<'static, Postgres>>),
}

/// What is written on, and what others are to be told of what is written.
#[derive(Debug)]
pub(super) struct Writing<C> {
    pub on: C,
    pub facts: Facts,
}

impl Tx {
    /// What others are told of what is written here.
    pub const fn facts(&self) -> &Facts {
        match self {
            Self::Sqlite(writing) => &writing.facts,
            Self::Postgres(writing) => &writing.facts,
        }
    }
}

/// Connections that only read.
#[derive(Debug, Clone)]
pub(super) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// How often a read is tried on another connection: as many as the pool has, and one.
const MAX_TRIES: u32 = super::postgres::MAX_CONNECTIONS + 1;

/// The longest a read may take, a little more than the server allows: a server that is cut off
/// never answers.
const MAX_READ: Duration = Duration::from_secs(65);

/// What a statement runs on.
pub(super) enum On<'e> {
    Tx(&'e mut Tx),
    Readers(&'e Readers),
}

impl<'e> From<&'e mut Tx> for On<'e> {
    fn from(tx: &'e mut Tx) -> Self {
        Self::Tx(tx)
    }
}

impl<'e> From<&'e Readers> for On<'e> {
    fn from(readers: &'e Readers) -> Self {
        Self::Readers(readers)
    }
}

/// A statement, its parameters written `$1`, `$2`, …
pub(super) fn query(sql: &'static str) -> Query {
    Query { sql: sql.into_sql_str(), values: Vec::new(), kept: true }
}

/// A statement put together from our own names of tables and columns, whole numbers, and nothing
/// else. It is not kept: the next one may have other numbers.
pub(super) fn query_built(sql: String) -> Query {
    Query { sql: AssertSqlSafe(sql).into_sql_str(), values: Vec::new(), kept: false }
}

/// Runs a statement on whichever database it is for: `$run` is expanded once per kind, with
/// the bound arguments and the executor.
macro_rules! on_either {
    ($query:expr, $on:expr, |$sql:ident, $arguments:ident, $kept:ident, $executor:ident| $run:expr) => {{
        let Query { sql: $sql, values, kept: $kept } = $query;
        match $on.into() {
            On::Tx(Tx::Sqlite(writing)) => {
                let ($arguments, $executor) = (arguments::<Sqlite>(values)?, &mut writing.on);
                $run
            }
            On::Tx(Tx::Postgres(writing)) => {
                let ($arguments, $executor) = (arguments::<Postgres>(values)?, &mut *writing.on);
                $run
            }
            On::Readers(Readers::Sqlite(pool)) => {
                let ($arguments, $executor) = (arguments::<Sqlite>(values)?, pool);
                $run
            }
            On::Readers(Readers::Postgres(pool)) => {
                // Reading again is harmless, and a restarted server leaves dead connections.
                let mut tries = 0;
                let sql = $sql;
                loop {
                    let $sql = sql.clone();
                    let ($arguments, $executor) = (arguments::<Postgres>(values.clone())?, pool);
                    tries += 1;
                    let done = tokio::time::timeout(MAX_READ, async { $run }).await;
                    match done.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                        Err(error) if tries < MAX_TRIES && is_connection_lost(&error) => {}
                        done => break done,
                    }
                }
            }
        }
    }};
}

impl Query {
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; answers how many rows it touched.
    pub async fn execute<'e>(self, on: impl Into<On<'e>>) -> Result<u64, sqlx::Error> {
        on_either!(self, on, |sql, arguments, kept, executor| {
            sqlx::query_with(sql, arguments)
                .persistent(kept)
                .execute(executor)
                .await
                .map(|done| done.rows_affected())
        })
    }

    pub async fn fetch_all<'e, T: Row>(self, on: impl Into<On<'e>>) -> Result<Vec<T>, sqlx::Error> {
        on_either!(self, on, |sql, arguments, kept, executor| {
            sqlx::query_as_with(sql, arguments).persistent(kept).fetch_all(executor).await
        })
    }

    pub async fn fetch_optional<'e, T: Row>(
        self,
        on: impl Into<On<'e>>,
    ) -> Result<Option<T>, sqlx::Error> {
        on_either!(self, on, |sql, arguments, kept, executor| {
            sqlx::query_as_with(sql, arguments).persistent(kept).fetch_optional(executor).await
        })
    }

    pub async fn fetch_one<'e, T: Row>(self, on: impl Into<On<'e>>) -> Result<T, sqlx::Error> {
        on_either!(self, on, |sql, arguments, kept, executor| {
            sqlx::query_as_with(sql, arguments).persistent(kept).fetch_one(executor).await
        })
    }
}

fn arguments<DB: Database>(values: Vec<Value>) -> Result<DB::Arguments, sqlx::Error>
where
    DB::Arguments: Arguments<Database = DB>,
    Option<String>: for<'t> Encode<'t, DB> + Type<DB>,
    Option<i64>: for<'t> Encode<'t, DB> + Type<DB>,
    bool: for<'t> Encode<'t, DB> + Type<DB>,
    Json<Rows>: for<'t> Encode<'t, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for value in values {
        let added: Result<(), BoxDynError> = match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(number) => arguments.add(number),
            Value::Bool(yes) => arguments.add(yes),
            Value::Json(json) => arguments.add(json),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Did the statement fail because its connection is gone? SQLSTATE class 08, and 57P01 to
/// 57P03 (PostgreSQL manual, appendix A): the server is going down or coming up.
pub(super) fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || matches!(&*code, "57P01" | "57P02" | "57P03")
        }),
        _ => false,
    }
}

/// What stands for U+0000, which PostgreSQL cannot keep in a text (manual, section 8.3). The
/// doors refuse it in names and ids; what comes from elsewhere, such as the reply of a mail
/// server, must not make a statement fail. The same on SQLite, so that both say the same.
const NUL: char = char::REPLACEMENT_CHARACTER;

fn text(text: &str) -> Value {
    Value::Text(Some(text.replace('\0', NUL.encode_utf8(&mut [0; 4]))))
}

/// The same for a JSON text, where it is written `\u0000`; a backslash before stands for itself.
fn without_nul(json: String) -> String {
    const WRITTEN: &str = "\\u0000";
    if !json.contains(WRITTEN) {
        return json;
    }
    let mut clean = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(WRITTEN) {
            clean.push(NUL);
            rest = after;
        } else {
            // What is escaped is one ASCII character, or begins with one.
            clean.push_str(&rest[..2]);
            rest = &rest[2..];
        }
    }
    clean.push_str(rest);
    clean
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        text(value)
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        value.map_or(Self::Text(None), text)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        if value.contains('\0') { text(&value) } else { Self::Text(Some(value)) }
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        text(value)
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Text(None), Into::into)
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        value.as_deref().into()
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<&Self> for Value {
    fn from(value: &Self) -> Self {
        value.clone()
    }
}

/// One JSON parameter that carries many rows.
pub(super) fn batch<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Value {
    struct Numbered<I>(std::cell::RefCell<Option<I>>);
    impl<T: Serialize, I: Iterator<Item = T>> Serialize for Numbered<I> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let rows = self.0.borrow_mut().take().expect("serialised once");
            serializer.collect_map(rows.enumerate().map(|(n, row)| (n.to_string(), row)))
        }
    }
    let rows = Numbered(std::cell::RefCell::new(Some(rows.into_iter())));
    let rows = serde_json::to_string(&rows).expect("rows are plain data");
    let rows = RawValue::from_string(without_nul(rows)).expect("as it was written");
    Value::Json(Json(Rows(Arc::from(rows))))
}

/// One JSON parameter that carries many ids, each once.
pub(super) fn ids<T: std::fmt::Display>(ids: impl IntoIterator<Item = T>) -> Value {
    #[derive(Serialize)]
    struct Row {
        id: String,
    }
    let ids: std::collections::BTreeSet<String> =
        ids.into_iter().map(|id| id.to_string()).collect();
    batch(ids.into_iter().map(|id| Row { id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_kept_as_the_replacement_character_and_its_spelling_as_it_is() {
        for text in ["a\0b", "\0", "a\\u0000b", "\\\0\"\n\0", "none"] {
            let json = serde_json::to_string(&[text]).expect("text");
            let read: [String; 1] = serde_json::from_str(&without_nul(json)).expect("JSON still");
            assert_eq!(read[0], text.replace('\0', "\u{FFFD}"), "{text:?}");
        }
    }
}
