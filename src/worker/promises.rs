//! Keeps the ledger of promises: kept ones are renewed, and a person looks before one breaks.

use jiff::tz::TimeZone;

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
    let settlings: Vec<_> = due
        .into_iter()
        .map(|open| {
            let zone = customers.get(&open.customer).map(|customer| live.rules.zone_of(customer));
            let settling = settle(&live, &open, &zone.unwrap_or(TimeZone::UTC), now);
            (open, settling)
        })
        .collect();
    let settled = engine.store.settle_promises(settlings.clone(), now).await?;
    for (open, settling) in settlings.iter().filter(|(open, _)| settled.contains(&open.seq)) {
        let outcome = match settling {
            Settling::Kept { .. } => "kept",
            Settling::Broken { .. } => {
                tracing::warn!(case = %open.case, "a promise of another word broke");
                "broken"
            }
            Settling::Alarm { .. } => "alarm",
            Settling::Waits { .. } => continue,
        };
        metrics::counter!("tidings_promises_total", "outcome" => outcome).increment(1);
    }
    Ok(())
}

fn settle(live: &Live, open: &OpenPromise, zone: &TimeZone, now: Instant) -> Settling {
    let journey = live.rules.journeys.of(&open.case_type, &open.case);
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
