//! `tidings explain`: why a message was sent, held, changed or not sent.

use clap::Args;

use crate::app::explain;
use crate::clock::Clock;
use crate::domain::{CustomerId, NotificationId};
use crate::store::StoreError;

use super::{BadInput, Context, ExitCode, Outcome, print};

/// Say in plain words why a message was sent, held, changed or not sent
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("about").required(true)))]
pub struct Explain {
    /// A notification
    #[arg(group = "about")]
    notification: Option<String>,
    /// What came of the event with this id
    #[arg(long, value_name = "ID", group = "about")]
    event: Option<String>,
    /// What happened with this customer
    #[arg(long, value_name = "ID", group = "about")]
    customer: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let app = context.app(settings, Clock::System, store).await?;
        let explained = if let Some(id) = &self.notification {
            let id = NotificationId::parse(id)
                .map_err(|_| {
                    BadInput(format!(
                        "{id:?} is no notification id; --event {id} explains an event, --customer {id} a customer"
                    ))
                })?;
            explain::notification(&app, &id).await
        } else if let Some(id) = &self.event {
            explain::event(&app, id).await
        } else {
            let id = self.customer.clone().unwrap_or_default();
            explain::customer(&app, &CustomerId(id)).await
        };
        let explained = match explained {
            Err(error @ StoreError::NotFound { .. }) => {
                return Err(BadInput(error.to_string()).into());
            }
            explained => explained?,
        };
        if self.json {
            print::json(&explained.json)?;
        } else {
            print!("{}", explained.text);
        }
        Ok(ExitCode::Done)
    }
}
