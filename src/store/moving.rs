//! Moving an installation to another engine: every row of every table, page by page, and a
//! fingerprint of each table on both sides.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::sql::{Value, query, query_built};
use super::{Place, Result, Store, StoreError, batch, in_tx};

/// Rows read, and written in one transaction.
const PAGE: i64 = 500;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    YesNo,
}

/// A table as it is moved.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    /// In the order of the schema; those of the key come first.
    columns: Vec<(String, Kind)>,
    /// How many of the columns are the key.
    key: usize,
}

/// What a table holds: so many rows, and their fingerprint in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Contents {
    pub table: String,
    pub rows: u64,
    pub sha256: String,
}

/// What a store says of itself while it is being filled.
const UNFINISHED: &str = "moving";

impl Store {
    /// The tables there are, in the order of their names. Known from the schema itself, so
    /// that no table is forgotten.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn tables(&self) -> Result<Vec<Table>> {
        // Table, column, declared type, place in the key from 1 (0: none).
        let columns: Vec<(String, String, String, i64)> = match self.place() {
            Place::File(_) => query(
                "SELECT t.name, c.name, lower(c.type), c.pk
                 FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
                 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '\\_%' ESCAPE '\\'
                 ORDER BY t.name, c.pk = 0, c.pk, c.name",
            ),
            Place::Server(_) => query(
                "SELECT t.relname::text, a.attname::text, format_type(a.atttypid, NULL),
                        COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint AS pk
                 FROM pg_class AS t
                 JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
                 JOIN pg_index AS i ON i.indrelid = t.oid AND i.indisprimary
                 WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace
                   AND t.relname NOT LIKE '\\_%'
                 ORDER BY t.relname COLLATE \"C\", array_position(i.indkey::int2[], a.attnum) NULLS LAST,
                          a.attname COLLATE \"C\"",
            ),
        }
        .fetch_all(&self.readers)
        .await?;
        let mut tables: Vec<Table> = Vec::new();
        for (table, column, kind, place) in columns {
            let kind = match kind.as_str() {
                "text" => Kind::Text,
                "integer" | "bigint" => Kind::Number,
                "boolean" => Kind::YesNo,
                other => {
                    let detail = format!("{table}.{column} is of type {other}");
                    return Err(StoreError::Damaged(detail));
                }
            };
            if tables.last().is_none_or(|last| last.name != table) {
                tables.push(Table { name: table, columns: Vec::new(), key: 0 });
            }
            if let Some(table) = tables.last_mut() {
                table.columns.push((column, kind));
                table.key += usize::from(place > 0);
            }
        }
        Ok(tables)
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn count_rows(&self, table: &Table) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        let (rows,): (i64,) = query_built(sql).fetch_one(&self.readers).await?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// A page of rows after the one with this key, in the order of the key.
    async fn page(&self, table: &Table, after: Option<&Map<String, Json>>) -> Result<Vec<Row>> {
        let mut statement = query_built(table.select(after.is_some(), self.place()));
        if let Some(after) = after {
            for (column, kind) in &table.columns[..table.key] {
                statement = statement.bind(value(*kind, &after[column]));
            }
        }
        let rows: Vec<(String,)> = statement.bind(PAGE).fetch_all(&self.readers).await?;
        rows.iter().map(|(text,)| table.row(text)).collect()
    }

    /// The fingerprint of what a table holds.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn contents(&self, table: &Table, progress: impl Fn(u64)) -> Result<Contents> {
        let mut hash = Sha256::new();
        let mut count = 0;
        let mut last: Option<Row> = None;
        loop {
            let page = self.page(table, last.as_ref()).await?;
            let Some(end) = page.last().cloned() else { break };
            for row in &page {
                hash.update(serde_json::to_string(row)?);
                hash.update("\n");
            }
            let rows = u64::try_from(page.len()).unwrap_or(0);
            count += rows;
            progress(rows);
            last = Some(end);
        }
        let sha256 = data_encoding::HEXLOWER.encode(&hash.finalize());
        Ok(Contents { table: table.name.clone(), rows: count, sha256 })
    }

    /// Makes sure that nothing is here yet, but for what a move left unfinished, which is
    /// removed; notes that a move has begun.
    ///
    /// # Errors
    /// `Refused` when the store is in use.
    pub async fn begin_move(&self) -> Result<()> {
        let tables = self.tables().await?;
        let begun: Option<(String,)> = query("SELECT value FROM meta WHERE key = $1")
            .bind(UNFINISHED)
            .fetch_optional(&self.readers)
            .await?;
        if begun.is_none() {
            for table in &tables {
                let rows = self.count_rows(table).await?;
                if rows > 0 {
                    return Err(StoreError::Refused(format!(
                        "{} is not empty ({} has {rows} rows); name an empty database",
                        self.place(),
                        table.name
                    )));
                }
            }
        }
        in_tx!(self, |tx| {
            for table in &tables {
                query_built(format!("DELETE FROM {}", table.name)).execute(&mut *tx).await?;
            }
            query("INSERT INTO meta (key, value) VALUES ($1, 'begun')")
                .bind(UNFINISHED)
                .execute(tx)
                .await?;
            Ok(())
        })
    }

    /// Copies a table from another store, page by page.
    ///
    /// # Errors
    /// `Unavailable` when either store is away; the move can be begun again.
    pub async fn copy_from(
        &self,
        from: &Self,
        table: &Table,
        progress: impl Fn(u64),
    ) -> Result<()> {
        let mut last: Option<Row> = None;
        loop {
            let page = from.page(table, last.as_ref()).await?;
            let Some(end) = page.last().cloned() else { break };
            let rows = u64::try_from(page.len()).unwrap_or(0);
            let (sql, page) = (table.insert(), batch(page));
            in_tx!(self, |tx| {
                query_built(sql).bind(page).execute(tx).await?;
                Ok(())
            })?;
            progress(rows);
            last = Some(end);
        }
        Ok(())
    }

    /// Ends a move: numbers go on after the highest, and the store may be used.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn end_move(&self) -> Result<()> {
        let counting: Vec<String> = match self.place() {
            Place::File(_) => Vec::new(),
            Place::Server(_) => {
                let tables = self.tables().await?;
                let counts = |table: &&Table| {
                    table.key == 1 && table.columns[0] == ("seq".to_owned(), Kind::Number)
                };
                tables.iter().filter(counts).map(|table| table.name.clone()).collect()
            }
        };
        in_tx!(self, |tx| {
            for table in counting {
                query_built(format!(
                    "SELECT setval(pg_get_serial_sequence('{table}', 'seq'), COALESCE(max(seq), 0) + 1, false) FROM {table}"
                ))
                .execute(&mut *tx)
                .await?;
            }
            query("DELETE FROM meta WHERE key = $1").bind(UNFINISHED).execute(tx).await?;
            Ok(())
        })
    }

    /// Refuses a store that a move has not filled yet.
    pub(super) async fn refuse_unfinished_move(&self) -> Result<()> {
        let begun: Option<(String,)> = query("SELECT value FROM meta WHERE key = $1")
            .bind(UNFINISHED)
            .fetch_optional(&self.readers)
            .await?;
        match begun {
            None => Ok(()),
            Some(_) => Err(StoreError::Refused(format!(
                "a move into {} was not finished; run `tidings migrate --from … --to …` again",
                self.place()
            ))),
        }
    }
}

/// A row by its columns. Maps are sorted, so equal rows have equal texts.
type Row = Map<String, Json>;

impl Table {
    /// One JSON array per row, in the order of the columns.
    fn select(&self, after: bool, place: &Place) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let key = columns[..self.key].join(", ");
        let array = match place {
            Place::File(_) => format!("json_array({})", columns.join(", ")),
            Place::Server(_) => format!("json_build_array({})::text", columns.join(", ")),
        };
        let marks = (1..=self.key).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let (after, limit) =
            if after { (format!("({key}) > ({marks})"), self.key + 1) } else { ("true".into(), 1) };
        // The mark of an unfinished move is neither moved nor compared.
        let mark =
            if self.name == "meta" { format!("AND key <> '{UNFINISHED}'") } else { String::new() };
        format!(
            "SELECT {array} FROM {} WHERE {after} {mark} ORDER BY {key} LIMIT ${limit}",
            self.name
        )
    }

    fn insert(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| match kind {
                Kind::Text => format!("x.value->>'{name}'"),
                Kind::Number => format!("CAST(x.value->>'{name}' AS BIGINT)"),
                Kind::YesNo => format!("CAST(x.value->>'{name}' AS BOOLEAN)"),
            })
            .collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        format!(
            "INSERT INTO {} ({columns}) SELECT {values} FROM jsonb_each($1) AS x WHERE true",
            self.name
        )
    }

    fn row(&self, text: &str) -> Result<Row> {
        let values: Vec<Json> = serde_json::from_str(text)?;
        let columns = self.columns.iter().zip(values);
        Ok(columns
            .map(|((name, kind), value)| {
                // SQLite has no truth values of its own.
                let value = match (kind, &value) {
                    (Kind::YesNo, Json::Number(n)) => Json::Bool(n.as_i64() == Some(1)),
                    _ => value,
                };
                (name.clone(), value)
            })
            .collect())
    }
}

fn value(kind: Kind, json: &Json) -> Value {
    match kind {
        Kind::Text => json.as_str().into(),
        Kind::Number => json.as_i64().into(),
        Kind::YesNo => json.as_bool().unwrap_or(false).into(),
    }
}
