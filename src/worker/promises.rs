//! Keeps the ledger of promises: kept ones are renewed, and a person looks before one breaks.

use crate::domain::plan::{NewTask, TaskKind};
use crate::domain::time::{Instant, local};
use crate::planning::promise::{Verdict, judge, promise};
use crate::store::Result;
use crate::store::promises::{OpenPromise, Settling};

use super::{Engine, Live};

/// Promises judged in one go.
const AT_ONCE: i64 = 500;

/// Judges every open promise whose last day has come.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn run_once(engine: &Engine, now: Instant) -> Result<()> {
    let live = engine.live.load_full();
    let due = engine.store.promises_due(now, AT_ONCE).await?;
    if due.is_empty() {
        return Ok(());
    }
    let customers = engine.store.customers(due.iter().map(|open| &open.customer), now).await?;
    for open in due {
        let zone = customers.get(&open.customer).map(|customer| live.rules.zone_of(customer));
        let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
        let settling = settle(&live, &open, &zone, now);
        match &settling {
            Settling::Kept { .. } => count("kept"),
            Settling::Broken { .. } => {
                tracing::warn!(case = %open.case, "a promise of another word broke");
                count("broken");
            }
            Settling::Alarm { .. } => count("alarm"),
            Settling::Waits { .. } => {}
        }
        engine.store.settle_promise(open, settling, now).await?;
    }
    Ok(())
}

fn count(outcome: &'static str) {
    metrics::counter!("tidings_promises_total", "outcome" => outcome).increment(1);
}

fn settle(live: &Live, open: &OpenPromise, zone: &jiff::tz::TimeZone, now: Instant) -> Settling {
    let journey = live.rules.journeys.get(&open.case_type);
    let next = |from: Instant| {
        // A journey that promises nothing any more lets what it promised run out.
        let (journey, every) = journey.and_then(|journey| Some((journey, journey.promise?)))?;
        Some(promise(from, every, zone, live.rules.calendar(journey)))
    };
    let task = NewTask {
        key: format!("promise/{}/{}", open.case, open.seq),
        kind: TaskKind::Promise,
        detail: format!(
            "Say something about case {}: we promised another word by {}, and nothing is planned.",
            open.case,
            local(open.promise.due_at - chrono::TimeDelta::milliseconds(1), zone)
                .strftime("%a %-d %b %Y")
        ),
    };
    let verdict =
        judge(open.promise, open.made_at, open.last_word, open.next_planned, open.alarmed, now);
    match verdict {
        Verdict::Kept { at } => Settling::Kept { at, next: next(at) },
        Verdict::Broken => Settling::Broken { task, next: next(now) },
        Verdict::Waits { until } => Settling::Waits { until },
        Verdict::Alarm => Settling::Alarm { task },
    }
}
