//! What is said to Redis about a stream and the group of its readers.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value, cmd, pipe};

use super::entry::{Entry, items};

/// Entries taken at once.
const BATCH: usize = 100;

/// How long one read waits for entries, in milliseconds: a door that is asked to close does
/// so within it.
const BLOCK_MS: usize = 500;

/// After how long without a sign of its reader an entry is taken over, in milliseconds.
const RECLAIM_AFTER_MS: usize = 30_000;

/// After how long a reader without entries is struck off, in milliseconds.
const STRIKE_OFF_AFTER_MS: usize = 3_600_000;

/// The most rejected entries that are kept; the oldest go first.
const MAX_REJECTED: usize = 100_000;

/// Strikes readers off that hold nothing: deleting one that does would lose its entries, so
/// looking and deleting are one step. ARGV: the group, the idle time, a reader to strike off
/// whatever its idle time.
const STRIKE_OFF: &str = r"
local gone = 0
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local reader = {}
  for i = 1, #row, 2 do reader[row[i]] = row[i + 1] end
  local old = reader['idle'] >= tonumber(ARGV[2]) or reader['name'] == ARGV[3]
  if reader['pending'] == 0 and old then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], reader['name'])
    gone = gone + 1
  end
end
return gone";

/// The readers of a stream, and this one among them.
#[derive(Debug, Clone)]
pub struct Group {
    pub stream: String,
    pub name: String,
    /// This reader: a name of its own at every start.
    pub consumer: String,
}

impl Group {
    /// Where entries go that are no events.
    #[must_use]
    pub fn rejected(&self) -> String {
        format!("{}:rejected", self.stream)
    }

    /// Makes the group where there is none, from the first entry on: what was written before
    /// anybody read is read too.
    pub async fn make(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let made: RedisResult<()> = cmd("XGROUP")
            .arg(&["CREATE", &self.stream, &self.name, "0", "MKSTREAM"])
            .query_async(connection)
            .await;
        match made {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            made => made,
        }
    }

    /// Entries nobody has read, up to a batch; none when none come for a while.
    pub async fn read(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Entry>> {
        let reply: Value = cmd("XREADGROUP")
            .arg(&["GROUP", &self.name, &self.consumer])
            .arg("COUNT")
            .arg(BATCH)
            .arg("BLOCK")
            .arg(BLOCK_MS)
            .arg(&["STREAMS", &self.stream, ">"])
            .query_async(connection)
            .await?;
        // One stream was asked for: [[stream, entries]].
        let stream = items(reply).into_iter().next().map(items).unwrap_or_default();
        Ok(stream.into_iter().nth(1).map(Entry::list).unwrap_or_default())
    }

    /// Entries whose reader has not been heard of for 30 s, now this reader's.
    pub async fn reclaim(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Entry>> {
        let reply: Value = cmd("XAUTOCLAIM")
            .arg(&[&self.stream, &self.name, &self.consumer])
            .arg(RECLAIM_AFTER_MS)
            .arg("0-0")
            .arg("COUNT")
            .arg(BATCH)
            .query_async(connection)
            .await?;
        Ok(items(reply).into_iter().nth(1).map(Entry::list).unwrap_or_default())
    }

    /// Moves the rejected aside and is done with all `entries`, in one step.
    pub async fn settle(
        &self,
        connection: &mut MultiplexedConnection,
        entries: &[Entry],
        rejected: &[(&Entry, &str)],
    ) -> RedisResult<()> {
        let mut all = pipe();
        all.atomic();
        for (entry, reason) in rejected.iter().filter(|(entry, _)| !entry.fields.is_empty()) {
            let add = all.cmd("XADD").arg(self.rejected());
            add.arg("MAXLEN").arg("~").arg(MAX_REJECTED).arg("*");
            add.arg("reason").arg(reason).arg("entry").arg(&entry.id);
            for (name, value) in &entry.fields {
                add.arg(name).arg(value);
            }
            add.ignore();
        }
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        all.cmd("XACK").arg(&self.stream).arg(&self.name).arg(&ids).ignore();
        all.cmd("XDEL").arg(&self.stream).arg(&ids).ignore();
        all.query_async(connection).await
    }

    /// Strikes off readers that were not heard of for an hour and hold nothing.
    pub async fn tidy(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.strike_off(connection, "").await
    }

    /// Strikes this reader off, unless it leaves entries for others.
    pub async fn leave(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.strike_off(connection, &self.consumer).await
    }

    async fn strike_off(
        &self,
        connection: &mut MultiplexedConnection,
        reader: &str,
    ) -> RedisResult<()> {
        let script = Script::new(STRIKE_OFF);
        let mut asked = script.key(&self.stream);
        asked.arg(&self.name).arg(STRIKE_OFF_AFTER_MS).arg(reader);
        asked.invoke_async(connection).await
    }
}
