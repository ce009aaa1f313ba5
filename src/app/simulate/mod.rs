//! What-if: a recorded history under one set of rules and another, side by side.
//!
//! The history comes from the store or from files; each version is compiled as it would be for
//! the workers; [`crate::simulate`] plays both in memory. Nothing is handed over and nothing
//! is written.

pub mod compare;
pub mod figures;
pub mod page;
mod plots;

use std::collections::BTreeMap;
use std::io::Read;

use crate::channel::offered;
use crate::config::Settings;
use crate::domain::time::Instant;
use crate::domain::token::Keyring;
use crate::domain::{Channel, Customer, Finding, Reason, Zones};
use crate::simulate::world::simulate;
use crate::simulate::{Ending, Happening, History, Run, Sending};
use crate::store::Store;
use crate::store::journeys::VersionFiles;
use crate::store::recorded::RecordedOutcome;
use crate::worker::writing::{Pen, Riding, rider_words, write_message};
use crate::worker::{Behaviour, Live};

use super::files::{Report, event_of, import_records, lines};
use super::publishing::in_force;
use super::{AppError, behaviour, content, gateways};

/// Rules as they would decide, and the words they would send.
#[derive(Debug)]
pub struct Version {
    pub hash: String,
    pub live: Live,
    behaviour: Behaviour,
    keys: Keyring,
}

impl Version {
    /// Compiles journeys and messages under settings.
    ///
    /// # Errors
    /// `Findings` when anything is wrong with them.
    pub fn compile(
        settings: &Settings,
        files: &VersionFiles,
        zones: &Zones,
    ) -> Result<Self, AppError> {
        let hash = content::hash(files);
        let layouts = content::layouts(settings)?;
        let offered = offered(&gateways(settings)?);
        let compiled = content::compile(&hash, files, &layouts, settings, offered, zones)?;
        if compiled.findings.iter().any(Finding::is_error) {
            return Err(AppError::Findings(compiled.findings));
        }
        Ok(Self::of(hash, compiled.live, settings))
    }

    /// What is compiled already.
    #[must_use]
    pub fn of(hash: String, live: Live, settings: &Settings) -> Self {
        // Codes and links have the same length under any key, and nobody reads these.
        let keys = Keyring::new([0; 32]);
        Self { hash, live, behaviour: behaviour(settings), keys }
    }

    /// What is in force in a store: for all cases, and beside it for some.
    ///
    /// # Errors
    /// `Findings` when anything is wrong with it.
    pub fn in_force(
        settings: &Settings,
        files: &in_force::Files,
        zones: &Zones,
    ) -> Result<Self, AppError> {
        let layouts = content::layouts(settings)?;
        let live = files.compile(&layouts, settings, offered(&gateways(settings)?), zones)?;
        Ok(Self::of(live.rules.journeys.in_force(), live, settings))
    }

    /// Plays a history under these rules.
    #[must_use]
    pub fn run(&self, history: &History, ending: Ending) -> Run {
        simulate(history, &self.live.rules, ending, &|sending| self.parts(sending))
    }

    /// The parts of a text; other messages are one, and are not written.
    fn parts(&self, sending: &Sending<'_>) -> Result<u32, String> {
        if sending.channel != Channel::Sms {
            return Ok(1);
        }
        let pen = Pen { behaviour: &self.behaviour, keys: &self.keys };
        let words: Result<Vec<_>, String> = sending
            .riders
            .iter()
            .map(|rider| rider_words(pen, &self.live, rider, sending.now))
            .collect();
        let riding =
            Riding { words: words?, digest: sending.digest, first: sending.first, wait: None };
        let mut notification = sending.telling.notification.clone();
        notification.code = self.keys.code(notification.id);
        let telling = crate::planning::Telling { notification: &notification, ..sending.telling };
        let written =
            write_message(pen, &self.live, telling, &riding, sending.channel, sending.now)?;
        Ok(written.shaped.parts())
    }
}

/// The history the store recorded, up to an instant.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn history_of(store: &Store, until: Instant) -> crate::store::Result<History> {
    let events = store.recorded_events(until).await?;
    Ok(History {
        events: events.into_iter().map(|(seq, at, event)| Happening { seq, at, event }).collect(),
        customers: store.recorded_customers().await?,
        choices: store.recorded_choices().await?,
        signs: store.recorded_signs().await?,
    })
}

/// A history read from files, as an import and a play would read them: each event is accepted
/// when it happens, in file order at one instant.
#[derive(Debug, Default)]
pub struct FromFiles {
    pub history: History,
    pub events: Report,
    pub customers: Report,
}

impl FromFiles {
    /// Reads both files. `now` is the real one: what lies ahead of it is refused.
    #[must_use]
    pub fn read(events: impl Read, customers: impl Read, zones: &Zones, now: Instant) -> Self {
        let mut read = Self::default();
        let mut known = BTreeMap::new();
        for (line, text) in lines(events) {
            match text.and_then(|text| event_of(&text, now)) {
                Ok(incoming) => {
                    let hash = incoming.hash;
                    let event = incoming.event;
                    let key = (event.source.clone(), event.id.clone());
                    match known.get(&key) {
                        None => {
                            known.insert(key, hash);
                            read.events.accepted += 1;
                            let at = event.occurred_at;
                            read.history.events.push(Happening { seq: 0, at, event });
                        }
                        Some(before) if *before == hash => read.events.duplicate += 1,
                        Some(_) => read.events.refuse(
                            line,
                            "another event with this source and id came before; give it an id of its own"
                                .into(),
                        ),
                    }
                }
                Err(why) => read.events.refuse(line, why),
            }
        }
        read.history.events.sort_by_key(|happening| happening.at);
        for (n, happening) in read.history.events.iter_mut().enumerate() {
            happening.seq = i64::try_from(n + 1).unwrap_or(i64::MAX);
        }
        let begins_at = read.history.events.first().map_or(now, |happening| happening.at);
        let (customers, report) = import_records(customers, zones);
        read.customers = report;
        for record in customers {
            let known = (begins_at, Customer::imported(record));
            read.history.customers.insert(known.1.id.clone(), vec![known]);
        }
        read
    }
}

/// How a run differs from what was recorded.
#[derive(Debug, Default, serde::Serialize)]
pub struct Reproduced {
    pub recorded: usize,
    pub same: usize,
    /// The first ten, in words.
    pub differences: Vec<String>,
}

/// The most differences told in words.
const MAX_TOLD: usize = 10;

/// Compares a run with what the store recorded, notification by notification: status, reason,
/// channel and instant.
#[must_use]
pub fn reproduced(run: &Run, recorded: &[RecordedOutcome]) -> Reproduced {
    let simulated: BTreeMap<String, [String; 4]> = run
        .notifications
        .iter()
        .map(|outcome| {
            let n = &outcome.notification;
            let told = outcome.told_at.map(|at| at.timestamp_millis().to_string());
            let words = [
                settled(n.status.as_str()).to_owned(),
                outcome.reason.as_ref().map(Reason::code).unwrap_or_default(),
                outcome.channel.map(|channel| channel.to_string()).unwrap_or_default(),
                told.unwrap_or_default(),
            ];
            (n.id.to_string(), words)
        })
        .collect();
    let mut compared = Reproduced { recorded: recorded.len(), ..Reproduced::default() };
    let mut known = 0;
    for row in recorded {
        let was = [
            settled(&row.status).to_owned(),
            row.reason.clone().unwrap_or_default(),
            row.channel.clone().unwrap_or_default(),
            row.told_at_ms.map(|at| at.to_string()).unwrap_or_default(),
        ];
        let is = simulated.get(&row.id);
        known += usize::from(is.is_some());
        if is.is_some_and(|is| *is == was) {
            compared.same += 1;
        } else if compared.differences.len() < MAX_TOLD {
            let is = is.map_or_else(|| "not at all".to_owned(), |is| is.join(" "));
            compared.differences.push(format!(
                "{} of {} #{}: recorded {}, simulated {is}",
                row.notice,
                row.case_id,
                row.occurrence,
                was.join(" ")
            ));
        }
    }
    if simulated.len() > known {
        let more = simulated.len() - known;
        compared.differences.push(format!("{more} simulated that were not recorded"));
    }
    compared
}

/// A receipt comes after the decision: delivered was sent.
fn settled(status: &str) -> &str {
    if status == "delivered" { "sent" } else { status }
}
