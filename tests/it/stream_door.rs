use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Connection;
use tidings::app::redis::connector;
use tidings::app::stream::StreamDoor;

use crate::support::binary::Installation;
use crate::support::redis::RedisServer;
use crate::support::{TestApp, ada};

const STREAM: &str = "tidings:events";
const REJECTED: &str = "tidings:events:rejected";
const GROUP: &str = "tidings";

fn open(app: &TestApp, server: &RedisServer) -> StreamDoor {
    let connect = connector(&server.url()).expect("an address");
    StreamDoor::open(&app.app.engine, connect, STREAM, GROUP)
}

fn event(id: &str, case: &str) -> Value {
    json!({"id": id, "source": "desk", "case": case, "case_type": "ticket", "customer": "C-1",
           "state": "take_in_charge_ticket", "occurred_at": "2026-11-23T10:00:00Z"})
}

async fn write(server: &RedisServer, event: &Value) -> String {
    server.ask(&["XADD", STREAM, "*", "event", &event.to_string()]).await
}

/// Entries in the stream, and those delivered and not acknowledged.
async fn left(server: &RedisServer) -> (i64, i64) {
    let length = server.ask(&["XLEN", STREAM]).await;
    let mut connection = server.connection().await;
    let pending: redis::RedisResult<(i64, Option<String>, Option<String>, redis::Value)> =
        redis::cmd("XPENDING").arg(&[STREAM, GROUP]).query_async(&mut connection).await;
    (length, pending.map_or(0, |(count, ..)| count))
}

/// What was rejected: the fields of each entry.
async fn rejected(server: &RedisServer) -> Vec<Vec<String>> {
    let all: Vec<(String, Vec<String>)> = server.ask(&["XRANGE", REJECTED, "-", "+"]).await;
    all.into_iter().map(|(_, fields)| fields).collect()
}

/// Changes the store behind the app's back.
async fn alter(url: &str, sql: &'static str) {
    if url.starts_with("postgres") {
        let mut store = sqlx::PgConnection::connect(url).await.expect("the store");
        sqlx::raw_sql(sql).execute(&mut store).await.expect("altered");
    } else {
        let mut store = sqlx::SqliteConnection::connect(url).await.expect("the store");
        sqlx::raw_sql(sql).execute(&mut store).await.expect("altered");
    }
}

/// Looks again until it holds, for a while.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::task::yield_now().await;
    }
}

async fn told(app: &TestApp, count: usize) {
    until("everything is told", async || {
        app.drain().await;
        app.smtp.taken().len() >= count
    })
    .await;
    assert_eq!(app.smtp.taken().len(), count);
}

#[tokio::test]
async fn an_event_that_any_language_adds_is_told_and_its_entry_is_done_with() {
    let (app, server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    // Before anybody reads: not lost.
    write(&server, &event("e1", "T-1")).await;
    let door = open(&app, &server);
    write(&server, &event("e2", "T-2")).await;
    told(&app, 2).await;
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    door.close().await;
    let readers: Vec<redis::Value> = server.ask(&["XINFO", "CONSUMERS", STREAM, GROUP]).await;
    assert_eq!(readers, [], "a reader that leaves in order is struck off");
    app.end().await;
}

#[tokio::test]
async fn the_same_event_twice_is_accepted_once() {
    let (app, server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    write(&server, &event("e1", "T-1")).await;
    write(&server, &event("e1", "T-1")).await;
    let door = open(&app, &server);
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    told(&app, 1).await;
    assert_eq!(app.summary().await.balance.accepted, 1);
    assert_eq!(rejected(&server).await, Vec::<Vec<String>>::new());
    door.close().await;
    app.end().await;
}

#[tokio::test]
async fn an_entry_that_is_no_event_is_moved_aside_with_its_reason_and_its_fields() {
    let (app, server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    write(&server, &event("e1", "T-1")).await;
    let mut changed = event("e1", "T-1");
    changed["state"] = "resolve_ticket".into();
    let mut other_type = event("e2", "T-1");
    other_type["case_type"] = "return".into();
    let no_json: String = server.ask(&["XADD", STREAM, "*", "event", "{"]).await;
    let body = event("e9", "T-9").to_string();
    for fields in [
        &["body", &body][..],
        &["event", &body, "event", &body],
        &["event", r#"{"id":"e3"}"#],
        &["event", &changed.to_string()],
        &["event", &other_type.to_string()],
    ] {
        let _: String = server.ask(&[&["XADD", STREAM, "*"], fields].concat()).await;
    }
    let door = open(&app, &server);
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    told(&app, 1).await;
    let mut all = rejected(&server).await;
    let first = all.remove(0);
    assert_eq!([&first[0], &first[2], &first[3]], ["reason", "entry", &no_json]);
    assert!(first[1].contains("is no JSON"), "{first:?}");
    assert_eq!(first[4..], ["event", "{"]);
    for (fields, why) in all.iter().zip([
        "expected one field, event, and found body",
        "found event, event",
        "case",
        "give it an id of its own",
        "the case is known as \"ticket\"",
    ]) {
        assert!(fields[1].contains(why), "{why}: {fields:?}");
    }
    assert_eq!(all.len(), 5);
    assert_eq!(all[1][4..], ["event", &body, "event", &body], "as it was written");
    assert_eq!(app.summary().await.balance.accepted, 1);
    door.close().await;
    app.end().await;
}

#[tokio::test]
async fn an_event_whose_facts_hold_odd_characters_holds_up_no_other() {
    let (app, server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    let mut odd = event("e1", "T-1");
    odd["facts"] = json!({"item": "nul \u{0} here", "weight": 1e300, "note": "\u{7f}\u{fffe}"});
    write(&server, &odd).await;
    write(&server, &event("e2", "T-2")).await;
    let door = open(&app, &server);
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    told(&app, 2).await;
    door.close().await;
    app.end().await;
}

#[tokio::test]
async fn an_entry_is_acknowledged_only_when_its_event_is_stored() {
    let (app, server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    let url = app.app.settings.store.url.clone();
    alter(&url, "ALTER TABLE event RENAME TO event_away").await;
    let door = open(&app, &server);
    write(&server, &event("e1", "T-1")).await;
    until("it is delivered", async || left(&server).await == (1, 1)).await;
    // As often as it is tried, the entry stays.
    for _ in 0..200 {
        assert_eq!(left(&server).await, (1, 1));
    }
    alter(&url, "ALTER TABLE event_away RENAME TO event").await;
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    told(&app, 1).await;
    door.close().await;
    app.end().await;
}

#[tokio::test]
async fn what_a_reader_that_is_gone_held_is_taken_over() {
    let (app, server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    let _: String = server.ask(&["XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"]).await;
    // One it had stored and not acknowledged, one it had only read.
    let stored = event("e1", "T-1");
    let ids = [write(&server, &stored).await, write(&server, &event("e2", "T-2")).await];
    app.event_of(json!({"id": "e1", "case": "T-1", "state": "take_in_charge_ticket"})).await;
    let _: redis::Value =
        server.ask(&["XREADGROUP", "GROUP", GROUP, "gone", "STREAMS", STREAM, ">"]).await;
    let door = open(&app, &server);
    told(&app, 1).await;
    assert_eq!(left(&server).await, (2, 2), "its reader may still be at work");
    let long_ago = ["XCLAIM", STREAM, GROUP, "gone", "0", &ids[0], &ids[1], "IDLE", "31000"];
    let _: redis::Value = server.ask(&long_ago).await;
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    told(&app, 2).await;
    door.close().await;
    app.end().await;
}

#[tokio::test]
async fn a_redis_that_forgets_everything_or_dies_is_read_again_without_a_restart() {
    let (app, mut server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    let door = open(&app, &server);
    write(&server, &event("e1", "T-1")).await;
    told(&app, 1).await;
    let _: String = server.ask(&["FLUSHALL"]).await;
    write(&server, &event("e2", "T-2")).await;
    told(&app, 2).await;
    server.kill();
    server.start_again();
    write(&server, &event("e3", "T-3")).await;
    told(&app, 3).await;
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    door.close().await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_crashes_loses_nothing() {
    let (app, server) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    let count = 300;
    for n in 0..count {
        write(&server, &event(&format!("e{n}"), &format!("T-{n}"))).await;
    }
    let door = open(&app, &server);
    until("it has begun", async || app.summary().await.balance.accepted > 0).await;
    door.abort();
    let door = open(&app, &server);
    // What the first one held is old at once.
    until("the stream is empty", async || {
        let held: Vec<(String, String, i64, i64)> =
            server.ask(&["XPENDING", STREAM, GROUP, "-", "+", "1000"]).await;
        for (id, reader, ..) in held {
            let _: redis::Value =
                server.ask(&["XCLAIM", STREAM, GROUP, &reader, "0", &id, "IDLE", "31000"]).await;
        }
        left(&server).await == (0, 0)
    })
    .await;
    assert_eq!(app.summary().await.balance.accepted, count);
    door.close().await;
    app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_through_the_stream_to_a_server_that_reads_it() {
    let server = RedisServer::start();
    let here = Installation::new(&format!("[queue]\nurl = \"{}\"\n", server.url()));
    here.file("customers.jsonl", &ada().to_string());
    here.json(&["import", "customers", "customers.jsonl", "--json"]);
    let mut good = event("e1", "T-1");
    good.as_object_mut().expect("an object").remove("occurred_at");
    here.file("events.jsonl", &format!("{good}\nno event\n{good}\n"));
    let served = here.serve(&[]);
    let sent = here.run(&["send-events", "events.jsonl", "--to", &server.url(), "--json"]);
    assert_eq!(sent.status.code(), Some(2), "a line is bad");
    let report: Value = serde_json::from_slice(&sent.stdout).expect("JSON");
    assert_eq!((&report["accepted"], &report["invalid"]), (&json!(2), &json!(1)), "{report}");
    assert_eq!(report["errors"][0]["line"], 2);
    until("the stream is empty", async || left(&server).await == (0, 0)).await;
    assert_eq!(served.stop(), Some(0));
    let done = here.json(&["work", "--until-idle", "--json"]);
    assert_eq!(done["balance"]["accepted"], 1, "{done}");
    assert_eq!(done["balance"]["told"], 1, "{done}");
}

#[test]
fn a_stream_that_cannot_be_reached_is_named_and_nothing_is_said_to_be_sent() {
    let here = Installation::new("");
    here.file("events.jsonl", "{}\n");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let nobody = format!("redis://127.0.0.1:{}", port.expect("a port").port());
    for (to, code, why) in
        [(nobody.as_str(), 1, "nothing was sent"), ("http://example.com", 2, "redis://host")]
    {
        let output = here.run(&["send-events", "events.jsonl", "--to", to]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("--to") && said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn the_door_follows_a_failover_of_sentinel() {
    let (app, leader) = (TestApp::start().await, RedisServer::start());
    app.ada().await;
    let follower = RedisServer::with(&["--replicaof", "127.0.0.1", &leader.port().to_string()]);
    let sentinel = RedisServer::sentinel("tidings", &leader);
    let url = format!("redis+sentinel://127.0.0.1:{}/tidings/0", sentinel.port());
    let connect = connector(&url).expect("an address");
    let door = StreamDoor::open(&app.app.engine, connect, STREAM, GROUP);
    write(&leader, &event("e1", "T-1")).await;
    told(&app, 1).await;
    // Refused until the follower is known to be in step.
    until("the failover begins", async || {
        let mut connection = sentinel.connection().await;
        let begun: redis::RedisResult<()> =
            redis::cmd("SENTINEL").arg(&["FAILOVER", "tidings"]).query_async(&mut connection).await;
        begun.is_ok()
    })
    .await;
    until("the follower leads", async || {
        // Who changes sides hangs up on everybody once.
        let client = redis::Client::open(follower.url()).expect("an address");
        let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
            return false;
        };
        let said: redis::RedisResult<String> =
            redis::cmd("INFO").arg("replication").query_async(&mut connection).await;
        said.is_ok_and(|said| said.contains("role:master"))
    })
    .await;
    write(&follower, &event("e2", "T-2")).await;
    told(&app, 2).await;
    until("the stream is empty", async || left(&follower).await == (0, 0)).await;
    door.close().await;
    app.end().await;
}
