use clap::Args;

use crate::app::console::audit::{Asked, page};

use super::super::{BadInput, Context, ExitCode, Outcome, print};

/// The most entries printed at once.
const MAX: usize = 10_000;

/// What operators did at the console, the newest first
#[derive(Debug, Args)]
pub struct Audit {
    /// Of this operator
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    who: String,
    /// This action, such as cancel
    #[arg(long, default_value = "", hide_default_value = true)]
    action: String,
    /// Done to this: the id of a notification, a customer, a version
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    subject: String,
    /// Older than the entry with this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// How many entries
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub async fn run(self, context: &Context) -> Outcome {
        let Self { who, action, subject, before, limit, json } = self;
        if !(1..=MAX).contains(&limit) {
            return Err(BadInput(format!("--limit lies between 1 and {MAX}")).into());
        }
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let asked = Asked { who: &who, action: &action, subject: &subject, before };
        let page = page(&store, asked, limit).await?;
        if json {
            print::json(&page)?;
            return Ok(ExitCode::Done);
        }
        let rows = page.entries.iter().map(|entry| {
            vec![
                entry.seq.to_string(),
                entry.at.clone(),
                entry.who.clone(),
                entry.role.clone(),
                entry.action.clone(),
                entry.subject.clone(),
                entry.words(),
            ]
        });
        let header = ["", "when", "operator", "role", "action", "done to", "more"];
        println!("{}", print::table(&header, rows));
        if let Some(before) = page.before {
            println!("Older ones: --before {before}");
        }
        Ok(ExitCode::Done)
    }
}
