//! What happened in the journeys: moves between states, and words said.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;

use crate::domain::time::Instant;
use crate::domain::{CaseEvent, CaseId};
use crate::planning::journey::Journey;
use crate::store::Store;

use super::{JourneyMap, map};

/// How often what happened in one journey.
#[derive(Debug, Default)]
pub struct Traffic {
    /// From a state to another.
    pub moves: BTreeMap<(String, String), i64>,
    pub entered: BTreeMap<String, i64>,
    /// By notice.
    pub told: BTreeMap<String, i64>,
}

/// Days of events whose counts stand on the arrows.
const DAYS: i64 = 30;

/// Numbers of events may be out of the order of time by so many.
const ACCEPTED_AT_ONCE: i64 = 10_000;

/// What happened in the last month that has events: a played store lies in the past.
#[derive(Debug, Default)]
pub struct Month {
    /// From when on; `None` where nothing ever happened.
    pub from: Option<Instant>,
    by_case_type: BTreeMap<String, Traffic>,
}

/// Counts what happened in the last month. Memory: one state per case of that month.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn last_month(store: &Store) -> crate::store::Result<Month> {
    let Some(newest) = store.newest_event_at().await? else { return Ok(Month::default()) };
    let from = newest - TimeDelta::days(DAYS);
    let mut month = Month { from: Some(from), ..Month::default() };
    let mut states: HashMap<CaseId, String> = HashMap::new();
    let mut after = store.events_before(from).await? - ACCEPTED_AT_ONCE;
    let until = newest + TimeDelta::milliseconds(1);
    loop {
        let page = store.recorded_events(after, until).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for event in page.into_iter().filter(|row| row.at >= from).filter_map(|row| row.event) {
            month.count(event, &mut states);
        }
    }
    for (case_type, notice, told) in store.told_since(from).await? {
        month.by_case_type.entry(case_type).or_default().told.insert(notice, told);
    }
    Ok(month)
}

impl Month {
    fn count(&mut self, event: CaseEvent, states: &mut HashMap<CaseId, String>) {
        let Some(state) = event.state else { return };
        let before = states.insert(event.case, state.clone());
        if before.as_ref() == Some(&state) {
            return;
        }
        let traffic = self.by_case_type.entry(event.case_type).or_default();
        *traffic.entered.entry(state.clone()).or_default() += 1;
        if let Some(before) = before {
            *traffic.moves.entry((before, state)).or_default() += 1;
        }
    }

    /// Draws up one journey with what happened in it.
    #[must_use]
    pub fn map_of(&self, journey: &Journey) -> JourneyMap {
        let none = Traffic::default();
        let traffic = self.by_case_type.get(&journey.case_type).unwrap_or(&none);
        map(journey, self.from.map(|_| traffic))
    }
}
