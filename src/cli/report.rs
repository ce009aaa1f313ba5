//! `tidings report …`: figures for the people who tune journeys.

mod adaptive;
mod all;
mod answers;
mod audit;
mod contacts;
mod cost;
mod load;
mod silence;

use clap::{Args, Subcommand};
use jiff::civil::Date;

use crate::app::balance::milliseconds;
use crate::store::balance::Period;

use super::{BadInput, Context, Outcome};

#[derive(Debug, Subcommand)]
pub enum Report {
    /// What outcomes say about channels and hours, and what learning from them changed
    Adaptive(adaptive::Adaptive),
    /// The balance, messages per week and longest silences on one sheet
    All(all::All),
    /// How questions were answered: ratings after an end, choices, confirmations
    Answers(answers::Answers),
    /// What operators did at the console, the newest first
    Audit(audit::Audit),
    /// After which messages customers got in touch all the same, worst first
    Contacts(contacts::Contacts),
    /// What messages cost, at the prices of the settings
    Cost(cost::Cost),
    /// How many messages customers get in a week
    Load(load::Load),
    /// How long customers heard nothing about their cases
    Silence(silence::Silence),
}

impl Report {
    pub async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Adaptive(report) => report.run(context).await,
            Self::All(report) => report.run(context).await,
            Self::Answers(report) => report.run(context).await,
            Self::Audit(report) => report.run(context).await,
            Self::Contacts(report) => report.run(context).await,
            Self::Cost(report) => report.run(context).await,
            Self::Load(report) => report.run(context).await,
            Self::Silence(report) => report.run(context).await,
        }
    }
}

/// The days a report is about, in UTC.
#[derive(Debug, Clone, Copy, Args)]
pub struct Days {
    /// The first day, in UTC
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// The last day
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
}

impl Days {
    /// The instants from the first day's beginning to the last day's end.
    ///
    /// # Errors
    /// When they end before they begin.
    pub fn period(self) -> Result<Period, BadInput> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => {
                Err(BadInput(format!("--from {from} comes after --to {to}")))
            }
            (from, to) => Ok(milliseconds(from, to)),
        }
    }
}
