use clap::Args;

use crate::app::adaptive::{Effect, Report, learn, report};
use crate::clock::{Clock, newest_zones};
use crate::worker::learning::Clocks;

use super::super::{BadInput, Context, ExitCode, Outcome, print};

/// What outcomes say about channels and hours, and what learning from them changed
#[derive(Debug, Args)]
pub struct Adaptive {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Adaptive {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let zones = newest_zones();
        let default = zones
            .get(&settings.locales.time_zone)
            .map_err(|why| BadInput(format!("[locales] time_zone: {why}")))?;
        let clocks =
            Clocks { zones: &zones, default: &default, default_locale: &settings.locales.default };
        let learned = learn(&store, &settings.adaptive, clocks, Clock::System.now()).await?;
        let report = report(&learned, settings.adaptive);
        if self.json {
            print::json(&report)?;
        } else {
            show(&report);
        }
        Ok(ExitCode::Done)
    }
}

fn show(report: &Report) {
    let percent = |rate: f64| format!("{:.1} %", rate * 100.0);
    let row = |name: &str, effect: &Effect| {
        vec![
            name.to_owned(),
            effect.customers.to_string(),
            effect.counts.told.to_string(),
            percent(effect.delivered_rate),
            percent(effect.acknowledged_rate),
            percent(effect.contacted_rate),
        ]
    };
    let rows = [row("treated", &report.treated), row("left alone", &report.held_out)];
    let header =
        ["customers", "", "messages", "delivered", "acknowledged", "got in touch within 7 days"];
    println!("{}", print::table(&header, rows));
    if !report.settings.enabled {
        println!(
            "Learning is switched off ([adaptive] enabled = true switches it on): nobody was treated differently."
        );
    }
    let groups = report.groups.iter().map(|group| {
        let order: Vec<_> = group.suggestion.order.iter().map(|c| c.spoken()).collect();
        let hour = group.suggestion.hour.map(|hour| format!("{hour:02}:00")).unwrap_or_default();
        vec![
            group.case_type.clone(),
            group.language.clone(),
            order.join(", "),
            hour,
            group.words.join("\n"),
        ]
    });
    let header = ["case type", "language", "suggested order", "hour", "why"];
    println!("{}", print::table(&header, groups));
}
