//! `tidings customer`: hand a customer's data over, or forget them.

use std::io::Write;

use clap::Subcommand;

use crate::app::centre::data;
use crate::clock::Clock;
use crate::domain::CustomerId;
use crate::store::StoreError;

use super::{BadInput, Context, ExitCode, Outcome};

#[derive(Debug, Subcommand)]
pub enum Customer {
    /// Print everything known of a customer as one JSON document
    Export {
        /// The customer's id
        id: String,
    },
    /// Forget a customer: name, addresses, choices and facts; what is planned is cancelled
    Erase {
        /// The customer's id
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Customer {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let now = Clock::System.now();
        let (Self::Export { id } | Self::Erase { id, .. }) = &self;
        let id = CustomerId(id.clone());
        let done = match self {
            Self::Export { .. } => data::export(&store, &id, now).await.map(Some),
            Self::Erase { yes, .. } => {
                if !yes && !is_sure(&id)? {
                    println!("Nothing was changed.");
                    return Ok(ExitCode::Failed);
                }
                let who = std::env::var("USER").unwrap_or_else(|_| "unknown".into());
                store.erase(&id, &who, now).await.map(|()| None)
            }
        };
        match done {
            Ok(Some(document)) => super::print::json(&document)?,
            Ok(None) => println!("The customer {id} is forgotten."),
            Err(error @ StoreError::NotFound { .. }) => {
                return Err(BadInput(error.to_string()).into());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(ExitCode::Done)
    }
}

/// Asks the person at the terminal; without one the answer is no.
fn is_sure(id: &CustomerId) -> std::io::Result<bool> {
    print!("Forget the customer {id} for good? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
