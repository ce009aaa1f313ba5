//! Planned times are resolved again when the zone database, a calendar or the rules are others
//! than those they were resolved with, in this process or before it.

use std::collections::BTreeMap;

use tokio::sync::Mutex;

use crate::domain::plan::versions;
use crate::domain::time::Instant;
use crate::planning::resolve;
use crate::planning::rules::Rules;
use crate::store::Result;

use super::Engine;

/// Notifications read at a time.
const PAGE: i64 = 500;

/// What this process saw planned times resolved with.
#[derive(Debug, Default)]
pub struct ResolvedWith(Mutex<String>);

fn in_force(rules: &Rules) -> String {
    format!("{} {} {}", rules.zones.version, rules.journeys.in_force(), rules.settings_version)
}

/// Resolves everything planned again, where that was not done with what is in force. Answers
/// how many times changed.
///
/// # Errors
/// `Unavailable` when the store is away; it begins again then.
pub async fn run_once(engine: &Engine, now: Instant) -> Result<usize> {
    let live = engine.live.load_full();
    let rules = &live.rules;
    let with = in_force(rules);
    let mut known = engine.resolved_with.0.lock().await;
    if *known == with {
        return Ok(0);
    }
    let before = engine.store.resolved_with().await?;
    let mut moved = 0;
    if before.as_ref() != Some(&with) {
        moved = resolve_all(engine, rules, now).await?;
        engine.store.set_resolved_with(&with).await?;
        if moved > 0 {
            tracing::info!(moved, before, now_with = with, "planned times were resolved again");
            engine.wake.notify_one();
        }
    }
    *known = with;
    Ok(moved)
}

async fn resolve_all(engine: &Engine, rules: &Rules, now: Instant) -> Result<usize> {
    let mut moved = 0;
    let mut after = String::new();
    loop {
        let page = engine.store.planned_after(&after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(moved) };
        after = last.id.to_string();
        let cases = engine.store.cases(page.iter().map(|planned| &planned.case)).await?;
        let customers = page.iter().map(|planned| &planned.customer);
        let customers = engine.store.customers(customers, now).await?;
        let moves = page.iter().filter_map(|planned| {
            let case = &cases.get(&planned.case)?.case;
            let customer = customers.get(&planned.customer)?;
            let moved = resolve::moved(planned, case, customer, rules, now)?;
            Some((rules.journeys.version_of(&case.id), (planned.due_at, moved)))
        });
        let mut by_version: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (version, one) in moves {
            by_version.entry(version).or_default().push(one);
        }
        for (version, moves) in by_version {
            let versions = versions(version, &rules.settings_version, 0, 0);
            moved += engine.store.resolve(moves, versions.to_string(), now).await?;
        }
    }
}
