//! What every store promises, whichever engine it runs on.

use tidings::domain::time::from_ms;
use tidings::store::Store;
use tidings::store::notifications::Outlook;

use crate::support::TestApp;

#[tokio::test]
async fn a_store_that_was_never_used_is_quiet_and_balanced() {
    let app = TestApp::start().await;
    let outlook = app.store().outlook(app.now()).await.expect("the store is there");
    assert_eq!(outlook, Outlook::Quiet { until: None });
    assert_eq!(app.summary().await.balance.accepted, 0);
    app.end().await;
}

#[tokio::test]
async fn a_schema_of_a_newer_tidings_is_refused() {
    use sqlx::Connection;
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}/store.db", folder.path().display());
    drop(Store::open(&url).await.expect("a store"));
    let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a store");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of the future', true, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .expect("written");
    let refused = Store::open(&url).await.expect_err("too new");
    assert!(refused.to_string().contains("newer Tidings"), "{refused}");
}

#[tokio::test]
async fn a_claim_is_taken_once_and_a_stale_epoch_writes_nothing() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.drain().await;
    let reminder = app.of("still-waiting-for-you").await;
    let id = tidings::domain::NotificationId::parse(&reminder.id).expect("an id");
    let due = from_ms(reminder.due_at_ms);
    let first = app.store().claim(&[id], "one", due).await.expect("the store is there");
    let second = app.store().claim(&[id], "two", due).await.expect("the store is there");
    assert_eq!((first.len(), second.len()), (1, 0));
    // The lease of the first runs out, and it comes back too late.
    let later = due + chrono::TimeDelta::seconds(31);
    app.store().reap(later, later).await.expect("the store is there");
    let again = app.store().claim(&[id], "two", later).await.expect("the store is there");
    assert_eq!(again.len(), 1);
    let stale = (id, first[0].epoch);
    app.store().release(&[stale], later).await.expect("the store is there");
    assert_eq!(app.of("still-waiting-for-you").await.status, "claimed", "the second keeps it");
    app.store().release(&[(id, again[0].epoch)], later).await.expect("the store is there");
    app.end().await;
}

#[tokio::test]
async fn before_it_is_due_nothing_can_be_claimed() {
    let app = TestApp::start().await;
    app.ada().await;
    app.event("wait").await;
    app.drain().await;
    let reminder = app.of("still-waiting-for-you").await;
    let id = tidings::domain::NotificationId::parse(&reminder.id).expect("an id");
    let early = from_ms(reminder.due_at_ms - 1);
    assert!(app.store().claim(&[id], "one", early).await.expect("the store is there").is_empty());
    app.end().await;
}
