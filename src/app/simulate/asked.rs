//! A what-if that was asked for from outside: the recorded events of the store under the version
//! in force and a change beside it, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::app::balance::milliseconds;
use crate::app::publishing::in_force;
use crate::app::{App, AppError};
use crate::clock::newest_zones;
use crate::config::Settings;
use crate::domain::fault::Fields;
use crate::domain::time::from_ms;
use crate::domain::{Fault, Finding};
use crate::simulate::Ending;
use crate::store::StoreError;
use crate::store::journeys::VersionFiles;

use super::figures::Period;
use super::page::Heading;
use super::reproduced::Recorded;
use super::study::Study;
use super::{Version, history_within};

/// The longest history that is played for somebody who waits for the answer.
pub const MAX_EVENTS: usize = 200_000;

/// The most files a change may hold.
const MAX_FILES: usize = 200;

/// What to set beside the version in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    pub from: Option<Date>,
    pub to: Option<Date>,
    /// Files that take the place of published ones, by name; `None` takes one away.
    pub files: BTreeMap<String, Option<String>>,
    /// A version that was published before.
    pub version: Option<String>,
    /// Parts of the settings, by section.
    pub settings: Map<String, Value>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    Faults(Vec<Fault>),
    /// Another what-if is being played.
    Busy,
    /// More events than are played here.
    TooLong,
    Store(StoreError),
}

impl From<StoreError> for NoAnswer {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// Every fault, with its pointer.
    pub fn from_json(value: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let asked = Self::read(value, &mut faults);
        match asked {
            Some(asked) if faults.is_empty() => Ok(asked),
            _ => Err(faults),
        }
    }

    fn read(value: &Value, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut asked = Self::default();
        let mut fields = Fields::of(value, "", faults)?;
        let day = |text: &str| {
            text.parse::<Date>().map_err(|_| "expected a day such as 2026-11-22".to_owned())
        };
        asked.from = fields.parse("from", day);
        asked.to = fields.parse("to", day);
        if asked.from.zip(asked.to).is_some_and(|(from, to)| from > to) {
            fields.fault("from", "comes after `to`");
        }
        asked.settings = fields.object("settings").cloned().unwrap_or_default();
        let has_journeys = fields.value("journeys").is_some();
        fields.refuse_unknown();
        let Some(journeys) = value.get("journeys").filter(|_| has_journeys) else {
            return Some(asked);
        };
        let mut fields = Fields::of(journeys, "/journeys", faults)?;
        asked.version = fields.text("version", 100);
        let files = fields.object("files");
        if asked.version.is_some() && files.is_some() {
            fields.fault("files", "is either these or `version`");
        }
        if files.is_some_and(|files| files.len() > MAX_FILES) {
            fields.fault("files", format!("holds more than {MAX_FILES} files"));
        }
        for (name, text) in files.into_iter().flatten().take(MAX_FILES) {
            let known = name.starts_with("journeys/") || name.starts_with("messages/");
            match text {
                _ if !known => file_fault(
                    &mut fields,
                    name,
                    "is no file of a version; names begin with journeys/ or messages/",
                ),
                Value::Null => drop(asked.files.insert(name.clone(), None)),
                Value::String(text) => {
                    drop(asked.files.insert(name.clone(), Some(text.clone())));
                }
                _ => file_fault(&mut fields, name, "expected its text, or null to leave it out"),
            }
        }
        fields.refuse_unknown();
        Some(asked)
    }
}

fn file_fault(fields: &mut Fields<'_>, name: &str, detail: &str) {
    let pointer = file_pointer(name);
    fields.faults().push(Fault::new(pointer, detail));
}

fn file_pointer(name: &str) -> String {
    format!("/journeys/files/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Plays what is asked for, one at a time, beside the work and not in its way.
///
/// # Errors
/// Why there is no answer.
///
/// # Panics
/// When planning panics.
pub async fn answer(app: &App, asked: Asked) -> Result<Value, NoAnswer> {
    let one_at_a_time = Arc::clone(&app.what_if).try_lock_owned();
    let Ok(one_at_a_time) = one_at_a_time else { return Err(NoAnswer::Busy) };
    let store = &app.engine.store;
    let Some(in_force) = in_force::read(store).await? else {
        let why = "nothing is published in this store yet".to_owned();
        return Err(NoAnswer::Store(StoreError::Refused(why)));
    };
    let settings = changed_settings(&app.settings, &asked.settings).map_err(NoAnswer::Faults)?;
    let (name, changed) = changed_files(app, &asked, &in_force.files).await?;
    let now = app.engine.clock.now();
    let until = from_ms(milliseconds(None, asked.to).end.min(now.timestamp_millis()));
    let history = history_within(store, until, MAX_EVENTS).await?.ok_or(NoAnswer::TooLong)?;
    let recorded = match asked.to {
        None => Some(Recorded::read(store).await?),
        Some(_) => None,
    };
    let before = app.settings.as_ref().clone();
    let (from, to) = (asked.from, asked.to);
    let playing = tokio::task::spawn_blocking(move || {
        // Who asked may have stopped waiting; the next one waits all the same.
        let _one_at_a_time = one_at_a_time;
        let base = holding(&before, &in_force)?;
        let other = match (&changed, &settings) {
            (None, None) => None,
            (Some(files), settings) => Some(compiled(settings.as_ref().unwrap_or(&before), files)?),
            (None, Some(settings)) => Some(holding(settings, &in_force)?),
        };
        let first = history.instants().next().unwrap_or(until);
        let given = milliseconds(from, to);
        let period =
            Period { from: if from.is_some() { from_ms(given.start) } else { first }, to: until };
        let mut sides = vec![(&base, &before.prices)];
        let mut names = vec![format!("in force ({})", base.hash)];
        if let Some(other) = &other {
            sides.push((other, &settings.as_ref().unwrap_or(&before).prices));
            names.push(name);
        }
        let study = Study {
            history: &history,
            ending: Ending::Open(until),
            period,
            recorded: recorded.as_ref(),
            reworded: &BTreeSet::new(),
            remember: true,
        };
        let in_period = |at: &crate::domain::time::Instant| period.from <= *at && *at < period.to;
        let events = history.instants().filter(in_period).count();
        let heading = Heading::new(names, events, period);
        Ok(study.answer(&sides).document(&heading))
    });
    playing.await.expect("planning does not panic")
}

/// The version to set beside the one in force, and what it is called.
async fn changed_files(
    app: &App,
    asked: &Asked,
    published: &VersionFiles,
) -> Result<(String, Option<VersionFiles>), NoAnswer> {
    if let Some(wanted) = &asked.version {
        return match app.engine.store.version(wanted).await {
            Ok((hash, files)) => Ok((format!("version {hash}"), Some(files))),
            Err(StoreError::NotFound { .. } | StoreError::Refused(_)) => {
                let detail = "no version of this name was published; `journeys list` shows them";
                Err(NoAnswer::Faults(vec![Fault::new("/journeys/version", detail)]))
            }
            Err(error) => Err(error.into()),
        };
    }
    if asked.files.is_empty() {
        return Ok(("changed settings".into(), None));
    }
    let mut files = published.clone();
    for (name, text) in &asked.files {
        match text {
            Some(text) => drop(files.files.insert(name.clone(), text.clone())),
            None => drop(files.files.remove(name)),
        }
    }
    Ok(("the change".into(), Some(files)))
}

fn compiled(settings: &Settings, files: &VersionFiles) -> Result<Version, NoAnswer> {
    Version::compile(settings, files, &newest_zones()).map_err(no_answer)
}

/// What is in force, under settings: also what is tried on a share of the cases.
fn holding(settings: &Settings, files: &in_force::Files) -> Result<Version, NoAnswer> {
    Version::in_force(settings, files, &newest_zones()).map_err(no_answer)
}

fn no_answer(error: AppError) -> NoAnswer {
    match error {
        AppError::Findings(findings) => {
            let errors = findings.iter().filter(|finding| Finding::is_error(finding));
            NoAnswer::Faults(errors.take(100).map(fault_of).collect())
        }
        AppError::Store(error) => NoAnswer::Store(error),
        other => NoAnswer::Faults(vec![Fault::new("/journeys", other.to_string())]),
    }
}

fn fault_of(finding: &Finding) -> Fault {
    let line = finding.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    Fault::new(file_pointer(finding.file()), format!("{line}{finding}"))
}

/// The settings with other values in the sections that decide. Nothing that names a file or a
/// server can be set from outside.
fn changed_settings(
    settings: &Settings,
    asked: &Map<String, Value>,
) -> Result<Option<Settings>, Vec<Fault>> {
    if asked.is_empty() {
        return Ok(None);
    }
    let mut changed = settings.clone();
    let mut faults = Vec::new();
    for (section, value) in asked {
        let done = match section.as_str() {
            "topics" => put(&mut changed.topics, value),
            "quiet_hours" => put(&mut changed.quiet_hours, value),
            "legal_hours" => put(&mut changed.legal_hours, value),
            "limits" => put(&mut changed.limits, value),
            "prices" => put(&mut changed.prices, value),
            _ => Err(
                "cannot be set here; there are topics, quiet_hours, legal_hours, limits and prices"
                    .into(),
            ),
        };
        if let Err(why) = done {
            let section = section.replace('~', "~0").replace('/', "~1");
            faults.push(Fault::new(format!("/settings/{section}"), why));
        }
    }
    if faults.is_empty() { Ok(Some(changed)) } else { Err(faults) }
}

/// Sets what `value` names in a section, and leaves the rest.
fn put<T: Serialize + DeserializeOwned>(section: &mut T, value: &Value) -> Result<(), String> {
    let mut whole = serde_json::to_value(&*section).map_err(|error| error.to_string())?;
    merge(&mut whole, value);
    *section = serde_json::from_value(whole).map_err(|error| error.to_string())?;
    Ok(())
}

fn merge(into: &mut Value, value: &Value) {
    match (into, value) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_asked_is_read_with_a_pointer_per_fault() {
        let asked = Asked::from_json(&json!({
            "from": "2026-11-01", "to": "2026-11-22",
            "journeys": {"files": {"journeys/return.toml": "x", "messages/return/old.en.j2": null}}
        }));
        let asked = asked.expect("valid");
        assert_eq!(asked.files["messages/return/old.en.j2"], None);
        let faults = Asked::from_json(&json!({
            "from": "2026-11-22", "to": "2026-11-01", "speed": 2,
            "journeys": {"version": "a", "files": {"etc/passwd": "x", "journeys/a.toml": 7}}
        }));
        let pointers: Vec<String> =
            faults.expect_err("faults").into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/from",
                "/speed",
                "/journeys/files",
                "/journeys/files/etc~1passwd",
                "/journeys/files/journeys~1a.toml"
            ]
        );
    }
}
