//! `tidings migrate`: the schema, and the way from one engine to another.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::app::moving::{Step, move_store};
use crate::store::Store;

use super::{Context, ExitCode, Outcome, print};

/// Bring the store to this version's schema, or move everything to another engine
#[derive(Debug, Args)]
pub struct Migrate {
    /// Move from this store, such as `sqlite:var/tidings.db`; every process that uses it is stopped
    #[arg(long, value_name = "URL", requires = "to")]
    from: Option<String>,
    /// Into this one, which is empty, such as `postgres://tidings@db.example.com/tidings`
    #[arg(long, value_name = "URL", requires = "from")]
    to: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, context: &Context) -> Outcome {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => self.moving(from, to).await,
            _ => self.schema(context).await,
        }
    }

    async fn schema(&self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let (place, version) = (store.place().to_string(), store.schema_version().await?);
        if self.json {
            print::json(&json!({ "store": place, "schema_version": version }))?;
        } else {
            println!("{place} has schema version {version}");
        }
        Ok(ExitCode::Done)
    }

    async fn moving(&self, from: &str, to: &str) -> Outcome {
        let began = Instant::now();
        let from = Store::open(from).await?;
        let to = Store::open_to_fill(to).await?;
        let bar = print::progress(Some(0), "copying");
        let moved = move_store(&from, &to, |step, all, done| {
            bar.set_message(match step {
                Step::Copying => "copying",
                Step::Comparing => "comparing",
            });
            bar.set_length(all);
            bar.set_position(done);
        })
        .await?;
        bar.finish_and_clear();
        let duration_s = began.elapsed().as_secs_f64();
        if self.json {
            print::json(&json!({
                "tables": moved.tables, "rows": moved.rows(), "duration_s": duration_s,
            }))?;
            return Ok(ExitCode::Done);
        }
        let rows = moved.tables.iter().map(|table| {
            vec![table.table.clone(), table.rows.to_string(), table.sha256[..16].to_owned()]
        });
        println!("{}", print::table(&["table", "rows", "the same on both sides"], rows));
        println!(
            "{} rows moved and compared in {duration_s:.1} s; now set [store] url to {}",
            moved.rows(),
            to.place()
        );
        Ok(ExitCode::Done)
    }
}
