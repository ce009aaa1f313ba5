//! One history under one or two sets of rules, group by group: what each leads to, and how they
//! differ. Only sums are kept, so that a long history needs no more memory than its events.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::config::Prices;
use crate::simulate::{Ending, Groups, History, Run};

use super::Version;
use super::compare::{Changes, Comparison};
use super::figures::{Figures, Period, Tally};
use super::page::Heading;
use super::parts::Remembered;
use super::reproduced::{Likeness, Recorded, Reproduced};

/// Groups a thread takes at a time.
const TAKEN: usize = 16;

/// What is played.
#[derive(Debug, Clone, Copy)]
pub struct Study<'a> {
    pub history: &'a History,
    pub ending: Ending,
    /// What the figures are about.
    pub period: Period,
    /// What was recorded, to be compared with the first version.
    pub recorded: Option<&'a Recorded>,
    /// Notices the second version says in other words, as `case type/notice`.
    pub reworded: &'a BTreeSet<String>,
    /// Off to count the parts of every text anew.
    pub remember: bool,
}

/// A version, and what messages cost under its settings.
pub type Side<'a> = (&'a Version, &'a Prices);

/// What came out.
#[derive(Debug)]
pub struct Answer {
    pub figures: Vec<Figures>,
    /// How the second version differs from the first.
    pub comparison: Option<Comparison>,
    pub reproduced: Option<Reproduced>,
    /// Groups of customers who have nothing to do with each other.
    pub groups: usize,
}

impl Answer {
    /// The figures of every version, in their order.
    #[must_use]
    pub fn versions(&self) -> Vec<&Figures> {
        self.figures.iter().collect()
    }

    /// Everything as one document, under what each version is called.
    #[must_use]
    pub fn document(&self, heading: &Heading) -> Value {
        let versions = heading.names.iter().zip(&self.figures);
        let versions = versions.map(|(name, figures)| json!({"name": name, "figures": figures}));
        json!({
            "events": heading.events, "from": heading.from, "to": heading.to,
            "versions": versions.collect::<Vec<_>>(),
            "comparison": self.comparison, "reproduced": self.reproduced,
        })
    }
}

/// What one thread has added up.
#[derive(Debug)]
struct Sums {
    tallies: Vec<Tally>,
    changes: Changes,
    likeness: Likeness,
}

impl Study<'_> {
    /// Plays every group under every version, on all cores.
    ///
    /// # Panics
    /// When planning panics.
    #[must_use]
    pub fn answer(&self, sides: &[Side<'_>]) -> Answer {
        let groups = self.history.groups();
        let next = AtomicUsize::new(0);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = cores.min(groups.len().div_ceil(TAKEN)).max(1);
        let sums = std::thread::scope(|scope| {
            let others: Vec<_> =
                (1..threads).map(|_| scope.spawn(|| self.work(sides, &groups, &next))).collect();
            let mut sums = self.work(sides, &groups, &next);
            for other in others {
                sums.merge(other.join().expect("a thread that decides does not fail"));
            }
            sums
        });
        let figures = sums.tallies.into_iter().zip(sides);
        Answer {
            figures: figures.map(|(tally, (_, prices))| tally.figures(prices)).collect(),
            comparison: (sides.len() > 1).then(|| sums.changes.comparison()),
            reproduced: self.recorded.map(|recorded| sums.likeness.reproduced(recorded)),
            groups: groups.len(),
        }
    }

    fn work(&self, sides: &[Side<'_>], groups: &Groups, next: &AtomicUsize) -> Sums {
        let mut sums = Sums {
            tallies: sides.iter().map(|_| Tally::default()).collect(),
            changes: Changes::default(),
            likeness: Likeness::default(),
        };
        let remembered = Remembered::default();
        let memory = self.remember.then_some(&remembered);
        loop {
            let first = next.fetch_add(TAKEN, Ordering::Relaxed);
            if first >= groups.len() {
                return sums;
            }
            for group in first..groups.len().min(first + TAKEN) {
                let events = self.history.unfold(groups, group);
                let mut first: Option<Run> = None;
                for ((version, _), tally) in sides.iter().zip(&mut sums.tallies) {
                    let run = version.play(self.history, &events, self.ending, memory);
                    let rules = &version.scribe.live.rules;
                    tally.add(&run, self.history, &events, rules, self.period);
                    match &first {
                        None => {
                            if let Some(recorded) = self.recorded {
                                sums.likeness.add(&run, recorded);
                            }
                            first = Some(run);
                        }
                        Some(first) => sums.changes.add(first, &run, self.reworded, self.period),
                    }
                }
                remembered.bound();
            }
        }
    }
}

impl Sums {
    fn merge(&mut self, other: Self) {
        for (tally, more) in self.tallies.iter_mut().zip(other.tallies) {
            tally.merge(more);
        }
        self.changes.merge(other.changes);
        self.likeness.merge(other.likeness);
    }
}
