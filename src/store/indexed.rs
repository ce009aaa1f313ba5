//! What runs all the time finds its rows by an index, however many lie beside them.

use sqlx::{Connection, Row, SqliteConnection};

use super::listing::{LOOK, LOOK_TO_ACT, PAGE, Walk};
use super::{ahead, glance, leases, notifications, schema, searching, suppressions};

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
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {}", statement.sqlite);
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        let steps: Vec<String> =
            rows.expect(name).iter().map(|row| row.get::<String, _>("detail")).collect();
        assert!(
            !steps.iter().any(|step| step.starts_with("SCAN notification")),
            "{name}: {steps:?}"
        );
    }
}

/// What a SQLite plan does step by step.
async fn plan(connection: &mut SqliteConnection, name: &str, sql: &str) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await;
    rows.expect(name).iter().map(|row| row.get::<String, _>("detail")).collect()
}

fn pages() -> Vec<(String, String)> {
    let constant = [
        ("glance", glance::GLANCE),
        ("trouble", glance::TROUBLE),
        ("last attempts", glance::LAST_ATTEMPTS),
        ("latencies", glance::LATENCIES),
        ("by hour", ahead::BY_HOUR),
        ("by hour of a message", ahead::BY_HOUR_OF_MESSAGE),
        ("by message", ahead::BY_MESSAGE),
        ("next planned", ahead::NEXT_PLANNED),
        ("by reference", searching::BY_REFERENCE),
        ("riders", searching::RIDERS),
        ("named", searching::NAMED),
        ("who has an address", searching::CUSTOMERS_WITH),
        ("suppressions", suppressions::LISTED),
    ];
    let mut all: Vec<(String, String)> =
        constant.map(|(name, sql)| (name.to_owned(), sql.to_owned())).into();
    for walk in Walk::ALL {
        for look in [PAGE + 1, LOOK, LOOK_TO_ACT] {
            all.push((format!("{walk:?} page {look}"), walk.page(look)));
            all.push((format!("{walk:?} edge {look}"), walk.edge(look)));
            all.push((format!("{walk:?} ids {look}"), walk.ids(look)));
        }
    }
    all
}

#[tokio::test]
async fn no_page_of_the_console_reads_a_table_from_end_to_end() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("memory");
    schema::migrator().run(&mut connection).await.expect("the tables");
    let big = ["notification", "event", "attempt", "decision", "task", "contact_point", "customer"];
    for (name, sql) in pages() {
        let steps = plan(&mut connection, &name, &sql).await;
        for step in &steps {
            let Some(scanned) = step.strip_prefix("SCAN ") else { continue };
            let table = scanned.split(' ').next().unwrap_or_default();
            // Along an index, and by their number newest first, with a limit.
            let in_order = scanned.contains("USING INDEX notification_by_time")
                || scanned.contains("USING COVERING INDEX")
                || (table == "attempt" && scanned == "attempt")
                || scanned.contains("USING INDEX suppression_by_time");
            assert!(!big.contains(&table) || in_order, "{name}: {steps:?}");
        }
        let sorted = steps.iter().any(|step| step == "USE TEMP B-TREE FOR ORDER BY");
        assert!(!sorted || name != "Time edge 51", "{name}: {steps:?}");
    }
}
