//! A server that goes away, comes back, or will not do.

use std::time::{Duration, Instant as Monotonic};

use sqlx::{Connection, Executor, PgConnection};
use tidings::store::{Beside, Store, StoreError};

use super::bed::{
    accepted, email, eventually, know, migrations, migrations_there_are, monday, plain,
};
use crate::support::postgres::{PostgresServer, Sync};

async fn refused(url: &str) -> String {
    match Store::open(url).await {
        Err(StoreError::Refused(why)) => why,
        other => panic!("{url}: {other:?}"),
    }
}

/// Runs statements in the database at `url`, by hand.
async fn by_hand(url: &str, statements: &'static str) {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    connection.execute(sqlx::raw_sql(statements)).await.expect(statements);
}

#[tokio::test]
async fn a_server_that_stops_is_unavailable_in_time_and_used_again_when_it_is_back() {
    let server = PostgresServer::new(Sync::Off);
    let url = server.url("postgres");
    let store = Store::open(&url).await.expect("a store");
    know(&store, &["C-1"]).await;
    accepted(&store, plain("e0", "T-1")).await;
    server.stop();
    let begun = Monotonic::now();
    let address = email("ada@example.com");
    let (written, read, accepted_none, pinged, opened) = tokio::join!(
        store.suppress(tidings::domain::Channel::Email, &address, "no", "stop", monday()),
        store.summary(),
        store.accept_events(vec![plain("e1", "T-1")], monday()),
        store.ping(),
        Store::open(&url),
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for error in [
        written.expect_err("it is away"),
        read.map(drop).expect_err("it is away"),
        accepted_none.map(drop).expect_err("it is away"),
        pinged.expect_err("it is away"),
        opened.map(drop).expect_err("it is away"),
    ] {
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    }
    server.start();
    accepted(&store, plain("e1", "T-1")).await;
    assert_eq!(store.summary().await.expect("it is back").balance.accepted, 2);
}

#[tokio::test]
async fn a_crash_of_the_server_loses_nothing_that_was_answered_and_needs_no_new_start() {
    let server = PostgresServer::new(Sync::Full);
    let store = Store::open(&server.url("postgres")).await.expect("a store");
    let mut told = store.foreign_commits();
    told.borrow_and_update();
    let mut answered = 0_i64;
    for round in 0..3 {
        // As many at once as the pool has connections: each of them is dead afterwards.
        let reads = futures::future::join_all((0..24).map(|_| store.summary())).await;
        assert!(reads.iter().all(Result::is_ok));
        for n in 0..10 {
            accepted(&store, plain(&format!("e{round}-{n}"), "T-1")).await;
            answered += 1;
        }
        if round == 1 {
            assert!(server.terminate_backends() > 0);
        } else {
            server.restart_immediate();
        }
        let reads = futures::future::join_all((0..24).map(|_| store.summary())).await;
        for read in reads {
            assert_eq!(read.expect("read again elsewhere").balance.accepted, answered);
        }
        store.ping().await.expect("written elsewhere");
    }
    // Whoever listens for the words of others listens again.
    let other = Store::open(&server.url("postgres")).await.expect("a store");
    eventually("the others are heard again", async || {
        accepted(&other, plain(&format!("f{}", another_number()), "T-2")).await;
        let wait = Duration::from_millis(300);
        tokio::time::timeout(wait, told.changed()).await.is_ok()
    })
    .await;
}

fn another_number() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[tokio::test]
async fn what_no_waiting_mends_is_refused_with_the_key_to_change() {
    let server = PostgresServer::new(Sync::Off);
    let (port, url) = (server.port(), server.url("postgres"));
    let why = refused(&server.url("nowhere")).await;
    assert!(why.contains("[store] url") && why.contains("nowhere"), "{why}");
    let why = refused(&format!("postgres://nobody@127.0.0.1:{port}/postgres")).await;
    assert!(why.contains("[store] url") && why.contains("nobody"), "{why}");

    let latin = "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    server.sql(latin);
    let why = refused(&server.url("latin")).await;
    assert!(why.contains("[store] url") && why.contains("LATIN1") && why.contains("UTF8"), "{why}");

    server.sql("CREATE DATABASE hasty");
    server.sql("ALTER DATABASE hasty SET synchronous_commit = off");
    let why = refused(&server.url("hasty")).await;
    assert!(why.contains("[store] url") && why.contains("synchronous_commit = on"), "{why}");

    server.sql("CREATE DATABASE readable");
    server.sql("ALTER DATABASE readable SET default_transaction_read_only = on");
    let why = refused(&server.url("readable")).await;
    assert!(why.contains("[store] url") && why.contains("read only"), "{why}");

    server.sql("CREATE ROLE guest LOGIN PASSWORD 'right'");
    server.sql("CREATE DATABASE guarded");
    let why = refused(&format!("postgres://guest@127.0.0.1:{port}/guarded")).await;
    assert!(why.contains("[store] url") && why.contains("permission denied"), "{why}");

    let rules = server.sql("SHOW hba_file");
    let rule = format!(
        "COPY (SELECT 'host all tidings 127.0.0.1/32 trust' UNION ALL \
         SELECT 'host all guest 127.0.0.1/32 scram-sha-256') TO '{}'",
        rules.trim()
    );
    server.sql(&rule);
    server.sql("SELECT pg_reload_conf()");
    let wrong = format!("postgres://guest:wrong@127.0.0.1:{port}/postgres");
    let mut why = String::new();
    eventually("the rules are read again", async || {
        why = refused(&wrong).await;
        why.contains("password")
    })
    .await;
    assert!(why.contains("[store] url") && !why.contains("wrong"), "{why}");
    drop(Store::open(&url).await.expect("the right name opens"));
}

#[tokio::test]
async fn a_replica_is_refused() {
    let server = PostgresServer::new(Sync::Off);
    let folder = server.sql("SHOW data_directory");
    server.sql(&format!("COPY (SELECT '') TO '{}/standby.signal'", folder.trim()));
    server.stop();
    server.start();
    let why = refused(&server.url("postgres")).await;
    assert!(why.contains("[store] url names a replica"), "{why}");
}

#[tokio::test]
async fn a_database_that_runs_serializable_by_default_is_used_as_it_must_be() {
    let server = PostgresServer::shared();
    let url = server.fresh_database();
    by_hand(
        &url,
        "DO $$ BEGIN EXECUTE format(
            'ALTER DATABASE %I SET default_transaction_isolation = ''serializable''',
            current_database()); END $$",
    )
    .await;
    let (one, two) = (Store::open(&url).await.expect("one"), Store::open(&url).await.expect("two"));
    for n in 0..10 {
        let accept = |store: &Store, id: String| {
            let store = store.clone();
            async move { store.accept_events(vec![plain(&id, "T-1")], monday()).await }
        };
        let (a, b) = tokio::join!(accept(&one, format!("a{n}")), accept(&two, format!("b{n}")));
        a.expect("it waits and does not give way");
        b.expect("it waits and does not give way");
    }
}

#[tokio::test]
async fn a_migration_that_is_cut_off_is_done_by_the_next_and_the_others_wait() {
    let server = PostgresServer::new(Sync::Off);
    for round in 0..4 {
        let name = format!("cut_{round}");
        server.sql(&format!("CREATE DATABASE {name}"));
        let url = server.url(&name);
        // Cut off again and again, wherever it is between connecting and the last table.
        let cut = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        let mut beat = tokio::time::interval(Duration::from_millis(3 + 7 * round));
        let opening = Store::open(&url);
        tokio::pin!(opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                _ = beat.tick() => drop(server.sql(&cut)),
            }
        };
        match opened {
            Ok(_) | Err(StoreError::Unavailable { .. }) => {}
            Err(error) => panic!("what is cut off may be tried again: {error:?}"),
        }
        let opened = futures::future::join_all((0..4).map(|_| Store::open(&url))).await;
        for store in opened {
            let store = store.expect("each opens");
            assert_eq!(store.schema_version().await.expect("it is there"), migrations());
        }
        let tables = "SELECT count(*) FROM _sqlx_migrations WHERE success";
        let mut connection = PgConnection::connect(&url).await.expect("a connection");
        let done: i64 = sqlx::query_scalar(tables).fetch_one(&mut connection).await.expect("read");
        assert_eq!(done, migrations_there_are());
    }
}

#[tokio::test]
async fn one_of_many_that_migrate_does_it_however_long_it_takes_and_the_others_wait() {
    let server = PostgresServer::shared();
    let url = server.fresh_database();
    let mut slow = PgConnection::connect(&url).await.expect("a connection");
    // Whoever migrates must wait for us; whoever comes after waits for it.
    slow.execute("BEGIN; CREATE TABLE meta (by_hand TEXT)").await.expect("begun");
    let opens = futures::future::join_all((0..3).map(|_| Store::open(&url)));
    let lets_go = async {
        eventually("all wait", async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM (SELECT pg_stat_clear_snapshot()) AS again, pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&mut slow)
            .await
            .expect("counted");
            waiting == 3
        })
        .await;
        slow.execute("ROLLBACK").await.expect("ended");
    };
    let (opened, ()) = tokio::join!(opens, lets_go);
    for store in opened {
        let store = store.expect("each opens");
        assert_eq!(store.schema_version().await.expect("it is there"), migrations());
    }
}

#[tokio::test]
async fn a_dispatch_lock_of_another_database_is_no_hindrance() {
    let server = PostgresServer::shared();
    let (one, two) = (server.fresh_database(), server.fresh_database());
    let (one, two) = (Store::open(&one).await.expect("one"), Store::open(&two).await.expect("two"));
    let _alone = one.lock_dispatch("play", Beside::Nobody).await.expect("nobody else");
    two.lock_dispatch("play", Beside::Nobody).await.expect("nobody else here");
}
