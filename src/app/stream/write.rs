//! The other side of the door: the events of a file, written into the stream.

use std::io::Read;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, pipe};

use crate::app::files::{BATCH, Report, event_of, lines};
use crate::domain::time::Instant;

/// Why a file was not written to its end. What was written before stays written; the same
/// file again sends nothing twice.
#[derive(Debug, thiserror::Error)]
#[error("the stream took {written} events, then no more: {source}")]
pub struct NotWritten {
    pub written: usize,
    #[source]
    pub source: RedisError,
}

/// Writes the events of a file into `stream`, in its order. Each is looked at as at any other
/// door: the bad ones are listed and left out. Which of them the store has already is found
/// out at the other end.
///
/// # Errors
/// When Redis stops taking them.
pub async fn write(
    mut connection: MultiplexedConnection,
    stream: &str,
    reader: impl Read,
    now: impl Fn() -> Instant,
    progress: impl Fn(usize),
) -> Result<Report, NotWritten> {
    let mut report = Report::default();
    let mut batch: Vec<String> = Vec::new();
    let mut last = 0;
    let mut file = lines(reader);
    loop {
        let next = file.next();
        let ended = next.is_none();
        if let Some((line, text)) = next {
            last = line;
            match text.and_then(|text| event_of(&text, now()).map(|_| text)) {
                Ok(text) => batch.push(text),
                Err(why) => report.refuse(line, why),
            }
        }
        if batch.len() == BATCH || ended {
            append(&mut connection, stream, &batch)
                .await
                .map_err(|source| NotWritten { written: report.accepted, source })?;
            report.accepted += batch.len();
            batch.clear();
            progress(last);
        }
        if ended {
            return Ok(report);
        }
    }
}

async fn append(
    connection: &mut MultiplexedConnection,
    stream: &str,
    events: &[String],
) -> Result<(), RedisError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut all = pipe();
    for event in events {
        all.cmd("XADD").arg(&[stream, "*", "event", event]).ignore();
    }
    all.query_async(connection).await
}
