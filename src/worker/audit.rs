//! Once a day: does the sum of all events add up? What an event is accepted for must come to
//! something; one of which nothing came is an alarm, and work for a person.

use chrono::TimeDelta;

use crate::domain::plan::{NewTask, TaskKind};
use crate::domain::time::Instant;
use crate::store::Result;

use super::Engine;

/// Days looked back on: every event is looked at twice.
const LOOKED_BACK: TimeDelta = TimeDelta::days(2);

/// The most events named in a task.
const MAX_NAMED: i64 = 10;

/// Looks at the events accepted in the last two days. Answers how many came to nothing.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn run_once(engine: &Engine, now: Instant) -> Result<usize> {
    let period = (now - LOOKED_BACK).timestamp_millis()..now.timestamp_millis();
    let lost = engine.store.lost_events(period, MAX_NAMED).await?;
    let short = engine.store.short_cases(MAX_NAMED).await?;
    let found = lost.len() + short.len();
    #[allow(clippy::cast_precision_loss, reason = "a few")]
    metrics::gauge!("tidings_balance_gaps").set(found as f64);
    if found == 0 {
        return Ok(0);
    }
    let events = lost.iter().map(|event| format!("event {} of {}", event.id, event.source));
    let cases = short.iter().map(|case| format!("case {}", case.case_id));
    let named: Vec<String> = events.chain(cases).collect();
    let detail = format!(
        "The balance does not add up: {}. `tidings balance` lists everything; tell the customers concerned.",
        named.join(", ")
    );
    tracing::error!(%detail, "accepted events came to nothing");
    let key = format!("balance/{}", now.date_naive());
    engine.store.open_task(&NewTask { key, kind: TaskKind::Balance, detail }, now).await?;
    Ok(found)
}
