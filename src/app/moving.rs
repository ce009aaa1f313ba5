//! Moving an installation from one engine to another, with everything it remembers.

use crate::store::moving::{Contents, Table};
use crate::store::{Beside, Result, Store, StoreError};

/// What is going on, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Copying,
    Comparing,
}

/// What was moved, table by table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Moved {
    pub tables: Vec<Contents>,
}

impl Moved {
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// Copies everything from one store into another that is empty, and compares every table.
/// `progress` hears of each page: the step, how many rows it has in all, how many are done.
///
/// # Errors
/// `Refused` when a process dispatches from the first, when the second is in use, or when the
/// two differ in the end: then somebody wrote meanwhile.
pub async fn move_store(
    from: &Store,
    to: &Store,
    progress: impl Fn(Step, u64, u64),
) -> Result<Moved> {
    let _nobody_dispatches = from.lock_dispatch("migrate", Beside::Nobody).await?;
    let tables = from.tables().await?;
    let there = to.tables().await?;
    let names = |tables: &[Table]| tables.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
    if names(&tables) != names(&there) {
        return Err(StoreError::Refused("the two stores have different tables".into()));
    }
    let mut all = 0;
    for table in &tables {
        all += from.count_rows(table).await?;
    }
    to.begin_move().await?;
    let done = std::cell::Cell::new(0);
    let count = |step, total, rows| {
        done.set(done.get() + rows);
        progress(step, total, done.get());
    };
    for table in &tables {
        to.copy_from(from, table, |rows| count(Step::Copying, all, rows)).await?;
    }
    done.set(0);
    let mut moved = Vec::with_capacity(tables.len());
    for table in &tables {
        let compared = |rows| count(Step::Comparing, 2 * all, rows);
        let here = from.contents(table, compared).await?;
        let there = to.contents(table, compared).await?;
        if here != there {
            return Err(StoreError::Refused(format!(
                "{} differs: {} rows ({}) became {} rows ({}); was something written meanwhile? Stop every process and run it again",
                table.name,
                here.rows,
                &here.sha256[..8],
                there.rows,
                &there.sha256[..8]
            )));
        }
        moved.push(here);
    }
    to.end_move().await?;
    Ok(Moved { tables: moved })
}
