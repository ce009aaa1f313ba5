//! How long customers heard nothing about their cases.
//!
//! The silence of a case runs from its opening to its first word, from word to word, and from
//! the last one to its end, or to now while it is open. What rode in another message counts as
//! a word.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::Case;
use crate::domain::time::Instant;
use crate::planning::journey::Journeys;
use crate::store::reports::CaseWords;
use crate::store::{Result, Store};

use super::Spread;

/// Cases read at a time.
const PAGE: i64 = 1_000;

/// The most open cases listed one by one.
const MAX_LISTED: usize = 100;

const HOUR_MS: i64 = 3_600_000;

/// Where the rows of the histogram begin, in days.
pub const ROWS: [i64; 13] = [0, 1, 2, 3, 5, 7, 10, 14, 21, 30, 60, 90, 180];

/// One case and the longest its customer heard nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silence {
    pub case: String,
    pub case_type: String,
    pub state: Option<String>,
    pub words: i64,
    pub longest_hours: i64,
    /// The silence it is in now.
    pub present_hours: i64,
}

/// Silences of open cases, longest first, and of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The first hundred.
    pub open: Vec<Silence>,
    /// Longest silence of each open case, in hours.
    pub open_hours: Spread,
    /// Longest silence of each case, in hours.
    pub all_hours: Spread,
    /// Cases by their longest silence: from so many days up to the next row.
    pub histogram_days: BTreeMap<i64, i64>,
}

/// Looks at every case; those still open are silent until `now`.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn report(store: &Store, journeys: &Journeys, now: Instant) -> Result<Report> {
    let (mut open, mut open_hours, mut all_hours) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut histogram_days = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = store.case_words(&after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for row in page {
            let case: Case = serde_json::from_str(&row.body)?;
            let is_open = journeys
                .get(&row.case_type)
                .is_none_or(|journey| !journey.is_final(case.state.as_deref()));
            let silence = silence(&row, &case, is_open, now);
            let hours = silence.longest_hours;
            *all_hours.entry(hours).or_default() += 1;
            *histogram_days.entry(row_of(hours / 24)).or_default() += 1;
            if is_open {
                *open_hours.entry(hours).or_default() += 1;
                open.push(silence);
            }
        }
        // Bounded, however many cases are open.
        open.sort_by(|a, b| {
            b.longest_hours.cmp(&a.longest_hours).then_with(|| a.case.cmp(&b.case))
        });
        open.truncate(MAX_LISTED);
    }
    Ok(Report {
        open,
        open_hours: Spread::of(&open_hours),
        all_hours: Spread::of(&all_hours),
        histogram_days,
    })
}

/// Where the row of the histogram begins that so many days fall into.
#[must_use]
pub fn row_of(days: i64) -> i64 {
    ROWS.iter().rfind(|row| **row <= days).copied().unwrap_or(0)
}

fn silence(row: &CaseWords, case: &Case, is_open: bool, now: Instant) -> Silence {
    let opened_ms = case.opened_at.timestamp_millis();
    let end_ms = if is_open { now.timestamp_millis() } else { case.since.timestamp_millis() };
    let first = row.first_ms.map_or(0, |first| first - opened_ms);
    // The last word may come after the end: the one that says so.
    let last = (end_ms - row.last_ms.unwrap_or(opened_ms)).max(0);
    let longest = first.max(row.gap_ms.unwrap_or(0)).max(last);
    Silence {
        case: row.id.clone(),
        case_type: row.case_type.clone(),
        state: case.state.clone(),
        words: row.words,
        longest_hours: longest / HOUR_MS,
        present_hours: if is_open { last / HOUR_MS } else { 0 },
    }
}
