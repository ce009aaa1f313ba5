//! How quickly one core decides: every event of a history planned, and every message decided
//! again when it is due. No store, no queue, no wire.

use std::collections::HashMap;
use std::io::Read;
use std::time::Instant as Monotonic;

use serde::Serialize;

use crate::app::content;
use crate::app::files::{event_of, lines};
use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::customer::CustomerRecord;
use crate::domain::{CaseChoice, CaseEvent, ChannelMap, Customer};
use crate::planning::eligibility::{Heard, Matter, decide};
use crate::planning::rules::Rules;
use crate::planning::{CaseFile, plan};

use super::measure;

/// Decisions a second on one core.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Decisions {
    pub events: usize,
    /// Events planned, and messages decided again when due.
    pub decisions: usize,
    pub seconds: f64,
    pub per_second: f64,
}

/// Plans the events of a file under the shipped journeys.
///
/// # Errors
/// When the shipped journeys cannot be read.
#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
pub fn run(reader: impl Read) -> Result<Decisions, anyhow::Error> {
    let rules = shipped_rules()?;
    let now = Clock::System.now();
    let mut events: Vec<CaseEvent> = lines(reader)
        .filter_map(|(_, text)| text.and_then(|text| event_of(&text, now)).ok())
        .map(|incoming| incoming.event)
        .collect();
    events.sort_by_key(|event| event.occurred_at);
    let customer = somebody()?;
    let mut cases: HashMap<String, CaseFile> = HashMap::new();
    let mut decisions = 0;
    let began = Monotonic::now();
    for (seq, event) in events.iter().enumerate() {
        let file = cases.entry(event.case.0.clone()).or_default();
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let choice = CaseChoice::default();
        let planned = plan(event, seq, file, &customer, choice, &rules, event.occurred_at);
        file.apply(&planned);
        decisions += 1 + decide_when_due(file, &customer, &rules, &planned.create);
        file.notifications.retain(|n| n.status.is_open());
    }
    let seconds = began.elapsed().as_secs_f64();
    let per_second = decisions as f64 / seconds;
    Ok(Decisions { events: events.len(), decisions, seconds, per_second })
}

fn decide_when_due(
    file: &CaseFile,
    customer: &Customer,
    rules: &Rules,
    created: &[crate::domain::plan::Created],
) -> usize {
    let Some(case) = &file.case else { return 0 };
    let Some(journey) = rules.journeys.get(&case.case_type) else { return 0 };
    for created in created {
        let notification = &created.notification;
        let matter = Matter {
            notification,
            journey,
            notice: journey.notice(&notification.notice),
            case,
            customer,
            choice: CaseChoice::default(),
            rests: ChannelMap::default(),
            withdrawn: ChannelMap::default(),
            heard: Heard::NOTHING,
        };
        std::hint::black_box(decide(&matter, rules, notification.next_at));
    }
    created.len()
}

fn shipped_rules() -> Result<Rules, anyhow::Error> {
    let text =
        "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n";
    let settings = Settings::read("the benchmark's settings", text, [])
        .map_err(|finding| anyhow::anyhow!("{finding}"))?;
    let files = content::version_files(&settings)?;
    let layouts = content::layouts(&settings)?;
    let offered = ChannelMap { email: true, sms: true, voice: true };
    let hash = content::hash(&files);
    let compiled = content::compile(&hash, &files, &layouts, &settings, offered, &newest_zones())?;
    Ok(compiled.live.rules)
}

fn somebody() -> Result<Customer, anyhow::Error> {
    let record = CustomerRecord::from_json(&measure::customer(0), None, &newest_zones())
        .map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    Ok(Customer::imported(record))
}
