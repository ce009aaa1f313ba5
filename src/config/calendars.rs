//! `[calendars]`: which calendars there are, and the days of each.
//!
//! The shipped ones are always known. A file in the folder of the settings replaces the
//! shipped one of its name; a section `[calendars.<name>]` names a file from elsewhere, or
//! says in a line how a calendar differs from another.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::Finding;
use crate::planning::calendar::{Calendar, CalendarFile, read_ics, read_toml, weekend};

use super::source::Source;

static SHIPPED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/config/calendars");

/// Monday to Friday, no holidays: there without a file.
pub const WEEKDAYS: &str = "weekdays";

/// The folder read when none is named.
const DEFAULT_DIR: &str = "config/calendars";

/// `[calendars]`, and the days of every calendar there is.
#[derive(Debug, Clone, Serialize)]
pub struct Calendars {
    /// The calendar of journeys that name none.
    pub default: String,
    #[serde(skip_serializing)]
    pub dir: PathBuf,
    /// The sections `[calendars.<name>]`.
    #[serde(skip_serializing)]
    pub sections: BTreeMap<String, Section>,
    /// Filled when the settings are read; part of their fingerprint, since decisions read it.
    pub days: BTreeMap<String, Calendar>,
}

/// `[calendars.<name>]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// A `.toml` of our own or an iCalendar `.ics`.
    pub file: Option<PathBuf>,
    pub based_on: Option<String>,
    pub weekend: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for Calendars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Key by key, so that a fault knows the section it is in.
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Calendars;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`default`, `dir` and sections with a calendar's name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Calendars, A::Error> {
                let (mut default, mut dir) = (WEEKDAYS.to_owned(), PathBuf::from(DEFAULT_DIR));
                let mut sections = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "default" => default = map.next_value()?,
                        "dir" => dir = map.next_value()?,
                        _ => drop(sections.insert(key, map.next_value()?)),
                    }
                }
                Ok(Calendars { default, dir, sections, days: BTreeMap::new() })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A calendar as it was written, and where.
struct Written {
    said: CalendarFile,
    /// The file it is from, to point at.
    file: String,
    text: Arc<str>,
}

impl Calendars {
    /// Reads every calendar there is into `days`.
    ///
    /// # Errors
    /// What is wrong with a file or a section, with its place.
    pub(super) fn read(&mut self, source: &Source) -> Result<(), Box<Finding>> {
        let mut written = BTreeMap::new();
        for file in SHIPPED.files() {
            let text = file.contents_utf8().expect("shipped files are UTF-8");
            take(
                file.path(),
                &format!("{DEFAULT_DIR}/{}", file.path().display()),
                text,
                &mut written,
            )?;
        }
        self.read_folder(source, &mut written)?;
        for (name, section) in &self.sections {
            let said = section.read(name, source)?;
            written.insert(name.clone(), said);
        }
        if written.contains_key(WEEKDAYS) {
            let path = ["calendars".to_owned(), WEEKDAYS.to_owned()];
            let why = "the calendar \"weekdays\" is Monday to Friday; give yours another name";
            return Err(Box::new(source.at(&path, why)));
        }
        self.days = BTreeMap::from([(WEEKDAYS.to_owned(), Calendar::default())]);
        for name in written.keys() {
            build(name, &written, &mut self.days, &mut Vec::new())?;
        }
        if !self.days.contains_key(&self.default) {
            let path = ["calendars".to_owned(), "default".to_owned()];
            return Err(Box::new(source.at(&path, &self.unknown(&self.default))));
        }
        Ok(())
    }

    /// What is said of a name no calendar has.
    #[must_use]
    pub fn unknown(&self, name: &str) -> String {
        let known: Vec<_> = self.days.keys().map(String::as_str).collect();
        format!("there is no calendar {name:?}; known are {}", known.join(", "))
    }

    fn read_folder(
        &self,
        source: &Source,
        written: &mut BTreeMap<String, Written>,
    ) -> Result<(), Box<Finding>> {
        let wrong =
            |why: String| Box::new(source.at(&["calendars".to_owned(), "dir".to_owned()], &why));
        if !self.dir.is_dir() {
            if self.dir == Path::new(DEFAULT_DIR) {
                return Ok(());
            }
            return Err(wrong(format!("the folder {} is not there", self.dir.display())));
        }
        let unreadable =
            |path: &Path, error: std::io::Error| wrong(format!("{}: {error}", path.display()));
        for entry in std::fs::read_dir(&self.dir).map_err(|error| unreadable(&self.dir, error))? {
            let path = entry.map_err(|error| unreadable(&self.dir, error))?.path();
            if !path.is_file() || kind(&path).is_none() {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            take(&path, &path.display().to_string(), &text, written)?;
        }
        Ok(())
    }
}

impl Section {
    fn read(&self, name: &str, source: &Source) -> Result<Written, Box<Finding>> {
        let at = |key: &str| ["calendars".to_owned(), name.to_owned(), key.to_owned()];
        let fault = |key: &str, why: &str| Box::new(source.at(&at(key), why));
        let (mut said, mut file, mut text) =
            (CalendarFile::default(), source.file.clone(), Arc::clone(&source.text));
        if let Some(path) = &self.file {
            let shown = path.display().to_string();
            let read = std::fs::read_to_string(path)
                .map_err(|error| fault("file", &format!("{shown} cannot be read: {error}")))?;
            let reader = kind(path).ok_or_else(|| {
                fault("file", &format!("{shown} ends neither in .toml nor in .ics"))
            })?;
            said = reader(&shown, &read)?;
            (file, text) = (shown, Arc::from(read));
        }
        if let Some(base) = &self.based_on {
            let span = source.span(&at("based_on")).unwrap_or_default();
            (file, text) = (source.file.clone(), Arc::clone(&source.text));
            said.based_on = Some((base.clone(), span));
        }
        if let Some(days) = &self.weekend {
            said.weekend = Some(weekend(days).map_err(|why| fault("weekend", &why))?);
        }
        Ok(Written { said, file, text })
    }
}

type Reader = fn(&str, &str) -> Result<CalendarFile, Box<Finding>>;

/// How a file is read, by the end of its name.
fn kind(path: &Path) -> Option<Reader> {
    match path.extension()?.to_str()? {
        "toml" => Some(read_toml),
        "ics" => Some(read_ics),
        _ => None,
    }
}

/// Reads one file; its name without the ending names the calendar.
fn take(
    path: &Path,
    shown: &str,
    text: &str,
    written: &mut BTreeMap<String, Written>,
) -> Result<(), Box<Finding>> {
    let (Some(reader), Some(name)) = (kind(path), path.file_stem()) else { return Ok(()) };
    let said = reader(shown, text)?;
    let written_here = Written { said, file: shown.to_owned(), text: Arc::from(text) };
    written.insert(name.to_string_lossy().into_owned(), written_here);
    Ok(())
}

/// Puts a calendar together, the one it is based on first.
fn build(
    name: &str,
    written: &BTreeMap<String, Written>,
    days: &mut BTreeMap<String, Calendar>,
    above: &mut Vec<String>,
) -> Result<(), Box<Finding>> {
    if days.contains_key(name) {
        return Ok(());
    }
    let Written { said, file, text } = &written[name];
    let base = match &said.based_on {
        None => Calendar::default(),
        Some((base, span)) => {
            let fault = |why: String| Box::new(Finding::error(file, text, why).at(span.clone()));
            above.push(name.to_owned());
            if above.contains(base) {
                return Err(fault(format!("{base:?} is in the end based on itself")));
            }
            if !days.contains_key(base) && !written.contains_key(base) {
                return Err(fault(format!("there is no calendar {base:?}")));
            }
            build(base, written, days, above)?;
            days[base].clone()
        }
    };
    let calendar = said.on(&base);
    if calendar.weekend == [true; 7] {
        return Err(Box::new(Finding::error(file, text, "no day is left to work on")));
    }
    days.insert(name.to_owned(), calendar);
    Ok(())
}

#[cfg(test)]
mod tests;
