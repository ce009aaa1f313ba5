//! Opening a store, and what it says about itself.

use sqlx::Connection;
use tidings::domain::time::from_ms;
use tidings::store::{Beside, Store, StoreError};

use super::bed::{Bed, Engine, accepted, migrations, monday, on_both, plain};

#[tokio::test]
async fn a_store_opened_by_many_processes_at_once_is_made_once() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        println!("on {engine:?}");
        // The bed gives the place and opens it; the race is for one beside it.
        let bed = Bed::new(engine).await;
        let url = match engine {
            Engine::Sqlite => bed.url.replace("store.db", "another.db"),
            Engine::Postgres => crate::support::postgres::PostgresServer::shared().fresh_database(),
        };
        let opened = futures::future::join_all((0..6).map(|_| Store::open(&url))).await;
        let mut keys = Vec::new();
        for store in opened {
            let store = store.expect("each opens");
            keys.push(store.installation_key().await.expect("the store is there"));
            assert_eq!(store.schema_version().await.expect("the store is there"), migrations());
        }
        keys.dedup();
        assert_eq!(keys.len(), 1, "one key for all");
    }
}

#[tokio::test]
async fn the_key_of_an_installation_stays_and_differs_between_installations() {
    on_both(async |bed| {
        let key = bed.store.installation_key().await.expect("the store is there");
        assert_eq!(bed.another().await.installation_key().await.expect("it is there"), key);
        let other = Bed::new(bed.engine).await;
        assert_ne!(other.store.installation_key().await.expect("it is there"), key);
    })
    .await;
}

#[tokio::test]
async fn a_store_answers_says_where_it_is_and_keeps_the_settings_in_force() {
    on_both(async |bed| {
        bed.store.ping().await.expect("the store is there");
        assert_eq!(bed.store.place().is_shared(), bed.engine == Engine::Postgres);
        for _ in 0..2 {
            let noted = bed.store.note_settings("aa11", "[store]", 1);
            noted.await.expect("the same settings again are no fault");
        }
    })
    .await;
}

#[tokio::test]
async fn the_clock_of_a_server_is_compared_with_ours_and_a_file_has_none() {
    on_both(async |bed| {
        let now = monday();
        let ahead = bed.store.clock_ahead_ms(|| now).await.expect("the store is there");
        let Some(ahead_ms) = ahead else {
            assert_eq!(bed.engine, Engine::Sqlite);
            return;
        };
        let again = from_ms(now.timestamp_millis() + ahead_ms);
        let ahead = bed.store.clock_ahead_ms(|| again).await.expect("it is there");
        assert!((0..60_000).contains(&ahead.expect("a server")), "{ahead:?}");
    })
    .await;
}

#[tokio::test]
async fn one_process_dispatches_from_a_file_many_from_a_server_and_none_beside_a_play() {
    on_both(async |bed| {
        let (one, two) = (&bed.store, bed.another().await);
        let alone = one.lock_dispatch("play", Beside::Nobody).await.expect("nobody else");
        assert!(alone.is_alone());
        for beside in [Beside::Others, Beside::Nobody] {
            let refused = two.lock_dispatch("serve", beside).await.expect_err("a play goes on");
            assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
            assert!(refused.to_string().contains("tidings play"), "{refused}");
        }
        drop(alone);
        // A server notices the end of a session in its own time, and is waited for.
        for _ in 0..20 {
            drop(one.lock_dispatch("play", Beside::Nobody).await.expect("the last one is gone"));
        }
        let shared = one.lock_dispatch("serve", Beside::Others).await.expect("nobody is there");
        let beside = two.lock_dispatch("serve", Beside::Others).await;
        assert_eq!(beside.is_ok(), bed.engine == Engine::Postgres);
        let refused = two.lock_dispatch("play", Beside::Nobody).await.expect_err("others serve");
        assert!(refused.to_string().contains("tidings serve"), "{refused}");
        assert_eq!(shared.is_alone(), bed.engine == Engine::Sqlite);
    })
    .await;
}

/// Writes a migration of the future into the list of those applied.
async fn write_future(bed: &Bed) {
    let statement =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'of the future', true, 'x', 0)";
    match bed.engine {
        Engine::Sqlite => {
            let connection = sqlx::SqliteConnection::connect(&bed.url).await;
            let mut connection = connection.expect("a store");
            sqlx::query(statement).execute(&mut connection).await.expect("written");
        }
        Engine::Postgres => {
            let connection = sqlx::PgConnection::connect(&bed.url).await;
            let mut connection = connection.expect("a store");
            sqlx::query(statement).execute(&mut connection).await.expect("written");
        }
    }
}

#[tokio::test]
async fn a_schema_of_a_newer_tidings_is_refused() {
    on_both(async |bed| {
        write_future(&bed).await;
        let refused = Store::open(&bed.url).await.expect_err("too new");
        assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
        assert!(refused.to_string().contains("newer Tidings"), "{refused}");
        // Who has it open goes on.
        accepted(&bed.store, plain("e1", "T-1")).await;
    })
    .await;
}

#[tokio::test]
async fn an_address_that_names_no_store_is_refused_with_how_to_write_it() {
    for (url, wanted) in [
        ("", "[store] url"),
        ("sqlite:", "[store] url must name a file"),
        ("sqlite::memory:", "[store] url must name a file"),
        ("mysql://db.example.com/tidings", "postgres://"),
        (
            "postgres://tidings@db.example.com:port/tidings",
            "postgres://tidings@db.example.com:5432",
        ),
        ("redis://127.0.0.1", "sqlite:var/tidings.db"),
    ] {
        let refused = Store::open(url).await.expect_err(url);
        assert!(matches!(refused, StoreError::Refused(_)), "{url}: {refused:?}");
        assert!(refused.to_string().contains(wanted), "{url}: {refused}");
    }
}
