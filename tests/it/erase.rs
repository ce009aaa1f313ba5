use serde_json::json;
use tidings::store::Place;

use crate::support::TestApp;

#[tokio::test]
async fn a_person_is_forgotten_and_what_was_planned_is_cancelled() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event_of(json!({"state": "wait", "facts": {"product": "Marker-4711"}})).await;
    app.drain().await;
    app.store().erase(&"C-1".into(), "agent", app.now()).await.expect("known");
    app.advance_to("2026-12-10T10:00:00Z").await;
    let sent = app.smtp.taken().len() + app.twilio.taken().len();
    assert_eq!(sent, 1, "only what left before");
    assert_eq!(app.of("still-waiting-for-you").await.reason.as_deref(), Some("erased"));
    let rows = everything_in(app.store().place()).await;
    for marker in ["Ada", "ada@example.com", "+447911123456", "Marker-4711"] {
        assert!(!rows.contains(marker), "{marker} is still there");
    }
    assert!(app.summary().await.balance.adds_up());
    app.end().await;
}

/// Every text in every table.
async fn everything_in(place: &Place) -> String {
    use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
    let mut all = String::new();
    match place {
        Place::File(file) => {
            let url = format!("sqlite:{}", file.display());
            let mut connection = SqliteConnection::connect(&url).await.expect("a store");
            let tables: Vec<String> =
                sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
                    .fetch_all(&mut connection)
                    .await
                    .expect("tables");
            for table in tables {
                let sql = AssertSqlSafe(format!("SELECT * FROM {table}"));
                for row in sqlx::query(sql).fetch_all(&mut connection).await.expect("rows") {
                    for column in 0..row.len() {
                        if let Ok(Some(text)) = row.try_get::<Option<String>, _>(column) {
                            all.push_str(&text);
                            all.push('\n');
                        }
                    }
                }
            }
        }
        Place::Server(options) => {
            let mut connection = PgConnection::connect_with(options).await.expect("a store");
            let tables: Vec<String> = sqlx::query_scalar(
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
            )
            .fetch_all(&mut connection)
            .await
            .expect("tables");
            for table in tables {
                let sql = AssertSqlSafe(format!("SELECT t::text FROM {table} AS t"));
                let rows: Vec<String> =
                    sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("rows");
                all.extend(rows);
            }
        }
    }
    assert!(all.len() > 1_000, "the tables were read");
    all
}
