//! `tidings backup` and `tidings restore`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::app::restored::{self, Waiting};
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::Span;
use crate::domain::time::from_ms;
use crate::store::backup::{backup, restore};
use crate::store::{Place, StoreError};

use super::{BadInput, Context, ExitCode, Outcome, print};

/// Who confirms at a terminal, as the reasons name them.
const WHO: &str = "an operator at the command line";

/// Copy the store into a new file, checked; a server may go on meanwhile
#[derive(Debug, Args)]
pub struct Backup {
    /// The new file
    file: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Put a copy in the place of the store. What was due before then waits until --confirm
///
/// Without a file: what waits since a restore.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "switches")]
pub struct Restore {
    /// The copy, as `tidings backup` made it
    #[arg(conflicts_with_all = ["mark", "confirm"])]
    file: Option<PathBuf>,
    /// Move a store that is there aside, and keep it
    #[arg(long, requires = "file")]
    replace: bool,
    /// Say that the store was restored just now by other means, such as `pg_restore`
    #[arg(long, conflicts_with = "confirm")]
    mark: bool,
    /// Let what waits since a restore go; each message is decided again
    #[arg(long)]
    confirm: bool,
    /// But cancel what was due longer ago than this, such as "2 days"
    #[arg(long, value_name = "SPAN", requires = "confirm")]
    cancel_older_than: Option<Span>,
    /// Only show what waits
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let place = place(context, &settings)?;
        let copy = backup(&place, &self.file, Clock::System.now()).await.map_err(input)?;
        if self.json {
            print::json(&json!({"file": self.file, "copy": copy}))?;
        } else {
            println!(
                "{}: {} events, {} notifications, {} kB, checked",
                self.file.display(),
                copy.events,
                copy.notifications,
                copy.bytes / 1024
            );
        }
        Ok(ExitCode::Done)
    }
}

impl Restore {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let place = place(context, &settings)?;
        let now = Clock::System.now();
        if let Some(file) = &self.file {
            let done = restore(&place, file, self.replace, now).await.map_err(input)?;
            if !self.json {
                println!("{}: restored from {}", place, file.display());
                if let Some(aside) = &done.moved_away {
                    println!("what was there is now {}", aside.display());
                }
            }
        }
        let store = context.store(&settings).await?;
        if self.mark {
            store.mark_restored(now).await?;
        }
        let waiting = restored::waiting(&store).await?;
        let done = if self.confirm && !self.dry_run {
            Some(restored::confirm(&store, self.cancel_older_than, WHO, now).await?)
        } else {
            None
        };
        if self.json {
            print::json(&json!({"waiting": waiting, "confirmed": done}))?;
            return Ok(ExitCode::Done);
        }
        match &waiting {
            None => println!("nothing waits: the store was not restored, or somebody confirmed it"),
            Some(waiting) => show(waiting),
        }
        match done {
            Some(done) => println!(
                "{} cancelled; {} go now, each decided again",
                done.cancelled, done.released
            ),
            None if waiting.is_some() => println!(
                "nothing of this leaves before `tidings restore --confirm`, with --cancel-older-than \"2 days\" to cancel what is older"
            ),
            None => {}
        }
        Ok(ExitCode::Done)
    }
}

/// Where the store of the settings is, without opening it.
fn place(context: &Context, settings: &Settings) -> Result<Place, anyhow::Error> {
    Place::parse(&settings.store.url).map_err(|error| context.at(&["store", "url"], &error))
}

/// What will not do is bad input; what is broken has failed.
fn input(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Refused(why) => BadInput(why).into(),
        other => other.into(),
    }
}

fn show(waiting: &Waiting) {
    let minute = |ms: i64| from_ms(ms).format("%Y-%m-%d %H:%M").to_string();
    println!(
        "restored {} (UTC); {} messages were due before and wait",
        minute(waiting.restored_at.timestamp_millis()),
        waiting.messages
    );
    if waiting.by_message.is_empty() {
        return;
    }
    let rows = waiting.by_message.iter().map(|row| {
        let counts = [row.messages, row.within_hour, row.within_day, row.within_week, row.older];
        std::iter::once(format!("{}/{}", row.case_type, row.notice))
            .chain(counts.map(|count| count.to_string()))
            .chain([minute(row.oldest_due_ms)])
            .collect()
    });
    let header =
        ["message", "waiting", "due within an hour", "a day", "a week", "before", "the oldest"];
    println!("{}", print::table(&header, rows));
}
