//! Where tickets lie in Redis, and the scripts that move them. The layout of the keys is that
//! of apalis-redis 1.0.0, whose workers take the tickets up.
//!
//! Tickets are put into the list of what can be taken at once, not into the set of what falls
//! due, as apalis' own push does: that set is read by the clock of the taking host, wakes
//! nobody, and from 8,000 due tickets on can never be emptied again.

use std::sync::LazyLock;

use redis::{RedisResult, Script};

use crate::domain::notification::Lane;

use super::link::Link;

/// The version is that of the tickets' format: a worker never meets what it cannot read.
const PREFIX: &str = "tidings:v1";

/// Puts tickets at the end of the list, as many as find room, and rings. Answers how many it
/// took and how many wait now.
static PUSH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local room = tonumber(ARGV[1]) - redis.call('LLEN', KEYS[1])
local taken = 0
for i = 2, #ARGV, 2 do
  if taken >= room then break end
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  redis.call('HSET', KEYS[3] .. ':' .. ARGV[i],
    'attempts', 0, 'max_attempts', 1, 'status', 'Pending')
  redis.call('RPUSH', KEYS[1], ARGV[i])
  taken = taken + 1
end
if taken > 0 then redis.call('PUBLISH', KEYS[4], taken) end
return {taken, redis.call('LLEN', KEYS[1])}",
    )
});

/// Strikes a worker off. What it still held is handed back to the others, or thrown away.
static STRIKE_OFF: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local held = redis.call('SMEMBERS', KEYS[5])
for _, id in ipairs(held) do
  if ARGV[2] == '1' then
    redis.call('LPUSH', KEYS[1], id)
  else
    redis.call('HDEL', KEYS[2], id)
    redis.call('DEL', KEYS[3] .. ':' .. id)
  end
end
redis.call('DEL', KEYS[5], KEYS[7])
redis.call('ZREM', KEYS[6], ARGV[1])
if ARGV[2] == '1' and #held > 0 then redis.call('PUBLISH', KEYS[4], #held) end
return #held",
    )
});

/// Forgets up to 500 tickets that are done. apalis keeps them for ever, and its own vacuum
/// also takes away what still waits.
static TIDY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local forgotten = 0
for n = 4, 5 do
  local done = redis.call('SPOP', KEYS[n], 500)
  for _, id in ipairs(done) do
    redis.call('HDEL', KEYS[2], id)
    redis.call('DEL', KEYS[3] .. ':' .. id)
  end
  forgotten = forgotten + #done
end
for _, name in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do
  redis.call('EXPIRE', KEYS[7] .. ':' .. name, ARGV[1])
end
return forgotten",
    )
});

/// How long the name of a worker that was never struck off is kept, in seconds.
const NAME_KEPT_S: u32 = 86_400;

/// The keys of one lane.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// The queue's name, as apalis wants it.
    pub queue: String,
    /// The channel on which a bell is rung when tickets came in.
    pub bell: String,
}

impl Keys {
    pub(super) fn of(lane: Lane) -> Self {
        let queue = format!("{PREFIX}:{}", name(lane));
        Self { bell: format!("{queue}:bell"), queue }
    }

    fn key(&self, what: &str) -> String {
        format!("{}:{what}", self.queue)
    }

    /// Pushes tickets, each an id and a payload, onto a list that may hold `most`. With no
    /// tickets it only looks. Answers how many were taken, the first ones, and how many wait.
    pub(super) async fn push(
        &self,
        link: &mut Link,
        most: usize,
        tickets: &[(String, Vec<u8>)],
    ) -> RedisResult<(usize, usize)> {
        let mut call = PUSH.key(self.key("active"));
        call.key(self.key("data")).key(self.key("meta")).key(&self.bell).arg(most);
        for (id, payload) in tickets {
            call.arg(id).arg(payload);
        }
        call.invoke_async(link).await
    }

    /// Strikes a worker off; `hand_back` says what becomes of the tickets it still held.
    /// Answers how many those were.
    pub(super) async fn strike_off(
        &self,
        link: &mut Link,
        worker: &str,
        hand_back: bool,
    ) -> RedisResult<usize> {
        let mut call = STRIKE_OFF.key(self.key("active"));
        call.key(self.key("data"))
            .key(self.key("meta"))
            .key(&self.bell)
            .key(self.key(&format!("inflight:{worker}")))
            .key(self.key("workers"))
            .key(self.key(&format!("workers:metadata:{worker}")))
            .arg(worker)
            .arg(u8::from(hand_back));
        call.invoke_async(link).await
    }

    /// Forgets the tickets that are done. Answers how many.
    pub(super) async fn tidy(&self, link: &mut Link) -> RedisResult<usize> {
        let mut all = 0;
        loop {
            let mut call = TIDY.key(self.key("active"));
            call.key(self.key("data"))
                .key(self.key("meta"))
                .key(self.key("done"))
                .key(self.key("dead"))
                .key(self.key("workers"))
                .key(self.key("workers:metadata"))
                .arg(NAME_KEPT_S);
            let forgotten: usize = call.invoke_async(link).await?;
            if forgotten == 0 {
                return Ok(all);
            }
            all += forgotten;
        }
    }
}

/// Is this a node of a Redis Cluster?
pub(super) async fn is_cluster(link: &mut Link) -> RedisResult<bool> {
    let told: String = redis::cmd("INFO").arg("cluster").query_async(link).await?;
    Ok(told.contains("cluster_enabled:1"))
}

/// What a lane is called in keys and logs.
pub(super) const fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Now => "now",
        Lane::Bulk => "bulk",
    }
}
