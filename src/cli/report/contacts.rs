use clap::Args;

use crate::app::reports::contacts::{Report, report};

use super::super::{Context, ExitCode, Outcome, print};
use super::Days;

/// After which messages customers got in touch all the same, worst first
///
/// A contact is a case event named `customer_contacted`. It counts against every message about
/// the same case in the days before it.
#[derive(Debug, Args)]
pub struct Contacts {
    /// How many days after a message a contact counts
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=365))]
    days: u16,
    #[command(flatten)]
    period: Days,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Contacts {
    pub async fn run(self, context: &Context) -> Outcome {
        let period = self.period.period()?;
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let report = report(&store, self.days, period).await?;
        if self.json {
            print::json(&report)?;
        } else {
            show(&report);
        }
        Ok(ExitCode::Done)
    }
}

fn show(report: &Report) {
    let worst = report.steps.first().map_or(0.0, |step| step.rate);
    let rows = report.steps.iter().map(|step| {
        vec![
            step.message.clone(),
            step.state.clone().unwrap_or_default(),
            step.sent.to_string(),
            step.followed.to_string(),
            format!("{:.1} %", step.rate * 100.0),
            print::bar(step.rate, worst),
        ]
    });
    let within = format!("contact within {} days", report.within_days);
    println!("{}", print::table(&["message", "step", "sent", &within, "rate", ""], rows));
    let contacts = &report.contacts;
    println!(
        "Customers got in touch {} times, {} of them after a message about the same case.",
        contacts.contacts, contacts.after_a_message
    );
    if contacts.contacts == 0 {
        println!("Contacts are case events named \"customer_contacted\"; none came.");
    }
}
