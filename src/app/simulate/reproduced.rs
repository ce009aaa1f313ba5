//! Do the rules in force decide again what was recorded?

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::{NotificationId, Reason};
use crate::simulate::names::{Name, Names};
use crate::simulate::{Outcome, Run};
use crate::store::recorded::RecordedOutcome;
use crate::store::{Result, Store};

/// The most differences told in words.
const MAX_TOLD: usize = 10;

/// How a run differs from what was recorded.
#[derive(Debug, Default, serde::Serialize)]
pub struct Reproduced {
    pub recorded: usize,
    pub same: usize,
    /// The first ten, in words.
    pub differences: Vec<String>,
}

/// What was recorded about every notification, kept small.
#[derive(Debug, Default)]
pub struct Recorded {
    /// By id.
    rows: Vec<Row>,
    names: Names,
    /// Which of them were simulated too.
    seen: Vec<AtomicBool>,
    /// It ended with a play.
    pub played: bool,
}

#[derive(Debug)]
struct Row {
    id: NotificationId,
    told_at_ms: Option<i64>,
    occurrence: i64,
    case: Name,
    notice: Name,
    status: Name,
    reason: Name,
    channel: Name,
}

impl Recorded {
    /// Reads what a store recorded.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn read(store: &Store) -> Result<Self> {
        let mut recorded = Self::default();
        let mut after = String::new();
        loop {
            let page = store.recorded_outcomes(&after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for row in &page {
                recorded.push(row)?;
            }
        }
        recorded.rows.sort_unstable_by_key(|row| row.id);
        recorded.seen = recorded.rows.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(recorded)
    }

    fn push(&mut self, row: &RecordedOutcome) -> Result<()> {
        let id = NotificationId::parse(&row.id)
            .map_err(|error| crate::store::StoreError::Damaged(error.to_string()))?;
        self.played |= row.reason.as_deref() == Some("end_of_play");
        let names = &mut self.names;
        self.rows.push(Row {
            id,
            told_at_ms: row.told_at_ms,
            occurrence: row.occurrence,
            case: names.name(&row.case_id),
            notice: names.name(&row.notice),
            status: names.name(settled(&row.status)),
            reason: names.name(decided(row.reason.as_deref().unwrap_or_default())),
            channel: names.name(row.channel.as_deref().unwrap_or_default()),
        });
        Ok(())
    }

    /// Compares with a whole run.
    #[must_use]
    pub fn compared_with(&self, run: &Run) -> Reproduced {
        let mut likeness = Likeness::default();
        likeness.add(run, self);
        likeness.reproduced(self)
    }

    fn words(&self, row: &Row) -> [String; 4] {
        let told = row.told_at_ms.map(|at| at.to_string());
        let text = |name| self.names.text(name).to_owned();
        [text(row.status), text(row.reason), text(row.channel), told.unwrap_or_default()]
    }

    fn difference(&self, row: &Row, simulated: &str) -> String {
        format!(
            "{} of {} #{}: recorded {}, simulated {simulated}",
            self.names.text(row.notice),
            self.names.text(row.case),
            row.occurrence,
            self.words(row).join(" ")
        )
    }
}

/// How alike they are so far.
#[derive(Debug, Default)]
pub struct Likeness {
    same: usize,
    not_recorded: usize,
    /// By place among what was recorded, the first ten.
    differences: BTreeMap<usize, String>,
}

impl Likeness {
    /// Compares notification by notification: status, reason, channel and instant.
    pub fn add(&mut self, run: &Run, recorded: &Recorded) {
        for outcome in &run.notifications {
            let id = outcome.notification.id;
            let Ok(place) = recorded.rows.binary_search_by_key(&id, |row| row.id) else {
                self.not_recorded += 1;
                continue;
            };
            recorded.seen[place].store(true, Ordering::Relaxed);
            let row = &recorded.rows[place];
            let (was, is) = (recorded.words(row), words(outcome));
            if was == is {
                self.same += 1;
            } else {
                self.differ(place, recorded.difference(row, &is.join(" ")));
            }
        }
    }

    fn differ(&mut self, place: usize, words: String) {
        self.differences.insert(place, words);
        if self.differences.len() > MAX_TOLD {
            self.differences.pop_last();
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.same += other.same;
        self.not_recorded += other.not_recorded;
        for (place, words) in other.differences {
            self.differ(place, words);
        }
    }

    /// Everything was played: what was recorded and not simulated differs too.
    #[must_use]
    pub fn reproduced(mut self, recorded: &Recorded) -> Reproduced {
        for (place, seen) in recorded.seen.iter().enumerate() {
            if !seen.load(Ordering::Relaxed) {
                self.differ(place, recorded.difference(&recorded.rows[place], "not at all"));
            }
        }
        let mut differences: Vec<String> = self.differences.into_values().collect();
        if self.not_recorded > 0 {
            differences.push(format!("{} simulated that were not recorded", self.not_recorded));
        }
        Reproduced { recorded: recorded.rows.len(), same: self.same, differences }
    }
}

fn words(outcome: &Outcome) -> [String; 4] {
    let told = outcome.told_at.map(|at| at.timestamp_millis().to_string());
    [
        settled(outcome.notification.status.as_str()).to_owned(),
        outcome.reason.as_ref().map(Reason::code).unwrap_or_default(),
        outcome.channel.map(|channel| channel.to_string()).unwrap_or_default(),
        told.unwrap_or_default(),
    ]
}

/// A receipt comes after the decision: delivered was sent.
fn settled(status: &str) -> &str {
    if status == "delivered" { "sent" } else { status }
}

/// What shadow mode kept back was decided as what was handed over.
fn decided(reason: &str) -> &str {
    if reason == "shadow" { "handed_over" } else { reason }
}
