//! What runs all the time finds its rows by an index, however many lie beside them.

use sqlx::{Connection, Row, SqliteConnection};

use super::{leases, notifications, schema, webhooks};

#[tokio::test]
async fn no_statement_of_the_daily_work_reads_every_notification() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("memory");
    schema::migrator().run(&mut connection).await.expect("the tables");
    for (name, statement) in [
        ("renew", leases::RENEW),
        ("ring lost", leases::RING_LOST),
        ("leave in doubt", leases::LEAVE_IN_DOUBT),
        ("take back", leases::TAKE_BACK),
        ("take due", notifications::TAKE_DUE),
        ("take company", notifications::TAKE_COMPANY),
        ("claim", notifications::CLAIM),
        ("claim held", notifications::CLAIM_HELD),
        ("claim deliveries", webhooks::CLAIM),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {}", statement.sqlite);
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        let steps: Vec<String> =
            rows.expect(name).iter().map(|row| row.get::<String, _>("detail")).collect();
        let scans =
            |table: &str| steps.iter().any(|step| step.starts_with(&format!("SCAN {table}")));
        assert!(!scans("notification") && !scans("webhook"), "{name}: {steps:?}");
    }
}
