//! What runs all the time finds its rows by an index, however many lie beside them.

use sqlx::{Connection, Row, SqliteConnection};

use super::listing::{LOOK, LOOK_TO_ACT, PAGE, Walk, within};
use super::{
    ahead, escalations, followers, glance, leases, notifications, plans, riders, schema, searching,
    suppressions, webhooks,
};

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

#[tokio::test]
async fn what_follows_from_one_message_is_found_by_an_index() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("memory");
    schema::migrator().run(&mut connection).await.expect("the tables");
    for (name, sql) in [
        ("following", escalations::FOLLOWING),
        ("with riders", followers::WITH_RIDERS),
        ("were aboard", riders::WERE_ABOARD),
        ("watched", plans::WATCHED),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        let steps: Vec<String> =
            rows.expect(name).iter().map(|row| row.get::<String, _>("detail")).collect();
        let scans = |step: &&String| step.starts_with("SCAN ") && !step.contains("VIRTUAL TABLE");
        assert_eq!(steps.iter().find(scans), None, "{name}: {steps:?}");
    }
}

/// What a SQLite plan does step by step.
async fn plan(connection: &mut SqliteConnection, name: &str, sql: &str) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {}", within(sql, 0, i64::MAX, 1));
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
            all.push((format!("{walk:?} reach {look}"), walk.reach(look)));
        }
    }
    all
}

/// The index a walk goes along.
const fn way(walk: Walk) -> &'static str {
    match walk {
        Walk::Time => "notification_by_time",
        Walk::Customer => "notification_by_customer",
        Walk::Case => "notification_by_case",
        Walk::Planned => "notification_due",
        Walk::PlannedOfMessage => "notification_planned_of_message",
        Walk::Held => "notification_leases",
        Walk::Doubt => "notification_in_doubt",
        Walk::Trouble => "notification_trouble",
    }
}

/// Indexes of the few rows that are at work or in trouble: these may be read whole.
const FEW: [&str; 6] = [
    "notification_leases",
    "notification_in_doubt",
    "notification_trouble",
    "task_open",
    "task_waiting",
    "cases_unplanned",
];

#[tokio::test]
async fn no_page_of_the_console_reads_a_table_from_end_to_end() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("memory");
    schema::migrator().run(&mut connection).await.expect("the tables");
    let tables = ["notification", "event", "attempt", "decision", "task", "cases", "contact_point"];
    for (name, sql) in pages() {
        let steps = plan(&mut connection, &name, &sql).await;
        for step in &steps {
            let Some(scanned) = step.strip_prefix("SCAN ") else { continue };
            let table = scanned.split(' ').next().unwrap_or_default();
            let few = FEW.iter().any(|index| scanned.ends_with(&format!("INDEX {index}")));
            // By its number, newest first, with a limit.
            let newest_first = scanned == "attempt";
            assert!(!tables.contains(&table) || few || newest_first, "{name}: {steps:?}");
        }
    }
    for walk in Walk::ALL {
        for sql in
            [walk.page(LOOK), walk.edge(LOOK), walk.ids(LOOK_TO_ACT), walk.reach(LOOK_TO_ACT)]
        {
            let steps = plan(&mut connection, "walk", &sql).await;
            let goes = |step: &String| step.contains(&format!("INDEX {}", way(walk)));
            assert!(steps.iter().any(goes), "{walk:?}: {steps:?}");
        }
    }
}
