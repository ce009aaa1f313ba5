//! What-if: a recorded history under one set of rules and another, side by side.
//!
//! The history comes from the store or from files; each version is compiled as it would be for
//! the workers; [`crate::simulate`] plays both in memory. Nothing is handed over and nothing
//! is written.

pub mod asked;
pub mod compare;
pub mod figures;
pub mod page;
pub mod parts;
mod plots;
pub mod reproduced;
pub mod study;

use std::collections::HashMap;
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::channel::offered;
use crate::config::Settings;
use crate::domain::time::Instant;
use crate::domain::{Customer, Finding, Zones};
use crate::render::presentation::Layouts;
use crate::simulate::world::simulate;
use crate::simulate::{Ending, Happening, History, Run};
use crate::store::Store;
use crate::store::journeys::VersionFiles;

use super::files::{Report, event_of, import_records, lines};
use super::publishing::in_force;
use super::{AppError, behaviour, content, gateways};
use parts::{Remembered, Scribe};

/// Rules as they would decide, and the words they would send.
#[derive(Debug)]
pub struct Version {
    pub hash: String,
    pub scribe: Scribe,
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
        let texts = texts_of(settings, files, &layouts);
        Ok(Self { hash, scribe: Scribe::new(compiled.live, behaviour(settings), Some(texts)) })
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
        // While two versions hold, the case says which words are meant.
        let texts = files.trial.is_none().then(|| texts_of(settings, &files.files, &layouts));
        let hash = live.rules.journeys.in_force();
        Ok(Self { hash, scribe: Scribe::new(live, behaviour(settings), texts) })
    }

    /// Plays a whole history under these rules, group by group.
    #[must_use]
    pub fn run(&self, history: &History, ending: Ending) -> Run {
        let groups = history.groups();
        let mut run = Run::default();
        for group in 0..groups.len() {
            run.extend(self.play(history, &history.unfold(&groups, group), ending, None));
        }
        run
    }

    /// Plays the events of one group.
    #[must_use]
    pub fn play(
        &self,
        history: &History,
        events: &[Happening],
        ending: Ending,
        remembered: Option<&Remembered>,
    ) -> Run {
        let rules = &self.scribe.live.rules;
        simulate(history, events, rules, ending, &|sending| self.scribe.parts(sending, remembered))
    }
}

/// Stands for everything the words of a text depend on besides what it tells.
fn texts_of(settings: &Settings, files: &VersionFiles, layouts: &Layouts) -> String {
    let mut texts = Sha256::new();
    let messages = files.files.iter().filter(|(name, _)| name.starts_with("messages/"));
    for part in messages.flat_map(|(name, text)| [name, text]) {
        texts.update(part.as_bytes());
        texts.update([0]);
    }
    // Where journeys lie says nothing about words; every other setting may.
    let mut surroundings = settings.clone();
    surroundings.journeys.dir.clear();
    texts.update(surroundings.fingerprint().1.as_bytes());
    texts.update(serde_json::to_vec(layouts).expect("layouts are plain data"));
    data_encoding::HEXLOWER.encode(&texts.finalize()[..8])
}

/// The history the store recorded, up to an instant.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn history_of(store: &Store, until: Instant) -> crate::store::Result<History> {
    Ok(history_within(store, until, usize::MAX).await?.unwrap_or_default())
}

/// The same, or `None` where it has more events than `most`.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn history_within(
    store: &Store,
    until: Instant,
    most: usize,
) -> crate::store::Result<Option<History>> {
    let mut history = History::default();
    let mut after = 0;
    loop {
        let page = store.recorded_events(after, until).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for row in &page {
            if let Some(event) = &row.event {
                history.push(row.seq, row.at, event);
            }
        }
        if history.len() > most {
            return Ok(None);
        }
    }
    history.customers = store.recorded_customers().await?;
    history.choices = store.recorded_choices().await?;
    history.signs = store.recorded_signs().await?;
    Ok(Some(history))
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
        let mut known: HashMap<u128, u128> = HashMap::new();
        for (line, text) in lines(events) {
            match text.and_then(|text| event_of(&text, now)) {
                Ok(incoming) => {
                    let event = incoming.event;
                    let key = digest(&[&event.source, &event.id]);
                    let body = digest(&[&incoming.hash]);
                    match known.get(&key) {
                        None => {
                            known.insert(key, body);
                            read.events.accepted += 1;
                            read.history.push(0, event.occurred_at, &event);
                        }
                        Some(before) if *before == body => read.events.duplicate += 1,
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
        read.history.sort();
        let begins_at = read.history.instants().next().unwrap_or(now);
        let (customers, report) = import_records(customers, zones);
        read.customers = report;
        for record in customers {
            let known = (begins_at, Customer::imported(record));
            read.history.customers.insert(known.1.id.clone(), vec![known]);
        }
        read
    }
}

/// Sixteen bytes that stand for texts: a million events are told apart by them.
fn digest(parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0x1f]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize()[..16]);
    u128::from_be_bytes(bytes)
}
