//! PostgreSQL and Redis of a run's own, and what can be done to them.

use std::collections::HashSet;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use crate::support::postgres::{PostgresServer, Sync};
use crate::support::redis::RedisServer;

use super::proxy::Proxy;

/// How long Redis may take to answer the harness.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often each message of the queue is played again.
const REPLAYS: usize = 5;

/// The lanes' lists, as the queue lays them out.
const LANES: [&str; 2] = ["tidings:v1:now", "tidings:v1:bulk"];

pub struct Servers {
    pub postgres: PostgresServer,
    pub redis: RedisServer,
    database: String,
    /// The wires of the one worker that can be cut off.
    store_wire: Proxy,
    queue_wire: Proxy,
    /// Messages of the queue that were played again, and their copies.
    replayed: HashSet<String>,
}

impl Servers {
    pub async fn start() -> Self {
        let postgres = tokio::task::block_in_place(|| PostgresServer::new(Sync::Full));
        let redis = RedisServer::start();
        let database = postgres.fresh_database();
        let store_wire = Proxy::to(postgres.port()).await;
        let queue_wire = Proxy::to(redis.port()).await;
        Self { postgres, redis, database, store_wire, queue_wire, replayed: HashSet::new() }
    }

    pub fn store_url(&self) -> String {
        self.database.clone()
    }

    pub fn queue_url(&self) -> String {
        self.redis.url()
    }

    /// Store and queue by wires that can be cut.
    pub fn urls_by_wire(&self) -> (String, String) {
        let store = self.store_wire.instead(&self.database, self.postgres.port());
        let queue = self.queue_wire.instead(&self.redis.url(), self.redis.port());
        (store, queue)
    }

    pub fn cut_off(&self) {
        self.store_wire.cut();
        self.queue_wire.cut();
    }

    pub fn mend(&self) {
        self.store_wire.mend();
        self.queue_wire.mend();
    }

    pub fn restart_postgres(&self) {
        tokio::task::block_in_place(|| self.postgres.restart_immediate());
    }

    pub fn terminate_backends(&self) -> usize {
        tokio::task::block_in_place(|| self.postgres.terminate_backends())
    }

    /// A connection that is patient with a busy machine.
    async fn redis_connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis.url()).expect("an address");
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connected = client.get_multiplexed_async_connection_with_config(&patient).await;
        connected.expect("Redis is there")
    }

    pub async fn flush_redis(&self) {
        let mut connection = self.redis_connection().await;
        let flushed = redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await;
        flushed.expect("Redis answers");
    }

    /// Plays every message of the queue that was not seen before again, five times. Answers how
    /// many messages those were.
    pub async fn replay(&mut self) -> usize {
        let mut connection = self.redis_connection().await;
        let mut seen = 0;
        for lane in LANES {
            let data: Vec<(String, Vec<u8>)> = redis::cmd("HGETALL")
                .arg(format!("{lane}:data"))
                .query_async(&mut connection)
                .await
                .expect("Redis answers");
            for (id, payload) in data {
                if self.replayed.insert(id.clone()) {
                    seen += 1;
                    for n in 0..REPLAYS {
                        let copy = format!("{id}-again-{n}");
                        self.replayed.insert(copy.clone());
                        push(&mut connection, lane, &copy, &payload).await;
                    }
                }
            }
        }
        seen
    }
}

/// Pushes as the queue does.
async fn push(connection: &mut MultiplexedConnection, lane: &str, id: &str, payload: &[u8]) {
    let key = |what: &str| format!("{lane}:{what}");
    let mut pipe = redis::pipe();
    pipe.atomic()
        .hset(key("data"), id, payload)
        .ignore()
        .hset_multiple(
            key(&format!("meta:{id}")),
            &[("attempts", "0"), ("max_attempts", "1"), ("status", "Pending")],
        )
        .ignore()
        .rpush(key("active"), id)
        .ignore()
        .publish(key("bell"), 1)
        .ignore();
    let _: () = pipe.query_async(connection).await.expect("Redis answers");
}
