//! A place of its own in a shared database, for measuring and trying out.

use sqlx::{Connection, Executor};

use super::{Place, Result, Store, postgres};

impl Store {
    /// The address of an empty store beside whatever is at `url`: a schema of its own on
    /// PostgreSQL, which [`Store::drop_scratch`] removes. A file is its own scratch.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn scratch(url: &str) -> Result<String> {
        let Place::Server(options) = Place::parse(url)? else { return Ok(url.to_owned()) };
        let name: [u8; 4] = rand::random();
        let name = format!("scratch_{}", data_encoding::HEXLOWER.encode(&name));
        let mut connection = postgres::connect(&options).await?;
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"))).await?;
        let _ = connection.close().await;
        let sign = if url.contains('?') { '&' } else { '?' };
        Ok(format!("{url}{sign}options[search_path]={name}"))
    }

    /// Removes what [`Store::scratch`] made.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn drop_scratch(url: &str) -> Result<()> {
        let Some((_, name)) = url.rsplit_once("options[search_path]=scratch_") else {
            return Ok(());
        };
        let Place::Server(options) = Place::parse(url)? else { return Ok(()) };
        let mut connection = postgres::connect(&options).await?;
        let sql = format!("DROP SCHEMA IF EXISTS scratch_{name} CASCADE");
        connection.execute(sqlx::AssertSqlSafe(sql)).await?;
        Ok(())
    }
}
