//! Journeys, messages and layouts: from the folders of the settings, or from the copies in
//! the binary, compiled and checked as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::config::Settings;
use crate::domain::time::Instant;
use crate::domain::{Channel, ChannelMap, Finding, Zones};
use crate::planning::condition;
use crate::planning::journey::{Journeys, Trigger};
use crate::planning::journey_file::{Surroundings, check_conditions, read};
use crate::planning::legal_hours::Countries;
use crate::planning::rules::Rules;
use crate::render::lint::{self, Reading, Use, lint};
use crate::render::message::{Messages, Sender};
use crate::render::presentation::{Layouts, Presentation};
use crate::render::sample::Sample;
use crate::store::journeys::VersionFiles;
use crate::worker::Live;

static BUILT_IN_JOURNEYS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/config/journeys");
pub(super) static BUILT_IN_TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// A folder or file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ContentError(pub(super) String);

/// The journeys and messages that the settings name: what `publish` would publish.
///
/// # Errors
/// When a folder the settings name is not there, or a file cannot be read.
pub fn version_files(settings: &Settings) -> Result<VersionFiles, ContentError> {
    let mut files = BTreeMap::new();
    collect(&settings.journeys.dir, "config/journeys", &BUILT_IN_JOURNEYS, "journeys", &mut files)?;
    let messages = settings.templates.dir.join("messages");
    let built_in = BUILT_IN_TEMPLATES.get_dir("messages").expect("shipped");
    collect(&messages, "templates/messages", built_in, "messages", &mut files)?;
    files.retain(|name, _| {
        let known = [".toml", ".j2", ".json"];
        known.iter().any(|ending| name.ends_with(ending))
    });
    Ok(VersionFiles { files })
}

/// Reads a folder, or the copy in the binary where a folder nobody named is absent.
fn collect(
    folder: &Path,
    default: &str,
    built_in: &Dir<'_>,
    below: &str,
    files: &mut BTreeMap<String, String>,
) -> Result<(), ContentError> {
    if folder.is_dir() {
        return read_folder(folder, below, files);
    }
    if folder != Path::new(default) && folder.parent() != Some(Path::new("templates")) {
        let shown = folder.display();
        return Err(ContentError(format!(
            "the folder {shown}, which the settings name, is not there"
        )));
    }
    read_built_in(built_in, built_in.path(), below, files);
    Ok(())
}

pub(super) fn read_folder(
    folder: &Path,
    below: &str,
    files: &mut BTreeMap<String, String>,
) -> Result<(), ContentError> {
    let wrong =
        |path: &Path, error: std::io::Error| ContentError(format!("{}: {error}", path.display()));
    for entry in std::fs::read_dir(folder).map_err(|error| wrong(folder, error))? {
        let path = entry.map_err(|error| wrong(folder, error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') {
            continue;
        }
        let below = format!("{below}/{name}");
        if path.is_dir() {
            read_folder(&path, &below, files)?;
        } else {
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(&path, error))?;
            files.insert(below, text);
        }
    }
    Ok(())
}

pub(super) fn read_built_in(
    dir: &Dir<'_>,
    root: &Path,
    below: &str,
    files: &mut BTreeMap<String, String>,
) {
    for file in dir.files() {
        let name = file.path().strip_prefix(root).unwrap_or(file.path()).display();
        let text = file.contents_utf8().expect("shipped files are UTF-8");
        files.insert(format!("{below}/{name}"), text.to_owned());
    }
    for dir in dir.dirs() {
        read_built_in(dir, root, below, files);
    }
}

/// The layouts: each file from the folder of the settings, or from the binary.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn layouts(settings: &Settings) -> Result<Layouts, ContentError> {
    let read = |name: &str| -> Result<String, ContentError> {
        let path = settings.templates.dir.join("channels").join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = BUILT_IN_TEMPLATES.get_file(format!("channels/{name}"));
                Ok(file.and_then(|file| file.contents_utf8()).expect("shipped").to_owned())
            }
            Err(error) => Err(ContentError(format!("{}: {error}", path.display()))),
        }
    };
    Ok(Layouts {
        email_mjml: read("email.mjml")?,
        email_txt: read("email.txt")?,
        sms_txt: read("sms.txt")?,
        voice_txt: read("voice.txt")?,
        words_toml: read("words.toml")?,
    })
}

/// The name of a version: what it says, hashed.
#[must_use]
pub fn hash(files: &VersionFiles) -> String {
    let mut hasher = Sha256::new();
    for (name, text) in &files.files {
        for part in [name, text] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
    }
    data_encoding::HEXLOWER.encode(&hasher.finalize()[..8])
}

/// A version, compiled: what runs, how every message reads, and what was found.
#[derive(Debug)]
pub struct Compiled {
    pub live: Live,
    pub readings: Vec<Reading>,
    pub findings: Vec<Finding>,
}

/// Compiles and checks a version under the settings.
///
/// # Errors
/// When the layouts cannot be used at all.
pub fn compile(
    hash: &str,
    files: &VersionFiles,
    layouts: &Layouts,
    settings: &Settings,
    offered: ChannelMap<bool>,
    zones: &Zones,
) -> Result<Compiled, ContentError> {
    let texts = below(files, "messages/");
    let default = &settings.locales.default;
    let pairs = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let (messages, mut findings) = Messages::compile(pairs, default);
    let parts = (settings.limits.sms_parts, settings.limits.max_segments);
    let presentation = Presentation::load(layouts, default, parts).map_err(ContentError)?;
    let calendars = settings.calendars.days.clone();

    let surroundings = Surroundings {
        topic_exists: &|topic| settings.topics.contains_key(topic),
        message_exists: &|name| messages.has_default(name),
        calendar_exists: &|name| calendars.contains_key(name),
        zone_exists: &|name| zones.get(name).is_ok(),
        cap_per_day: &|topic| {
            let mandatory = settings.topics.get(topic).is_some_and(|t| t.mandatory.is_some());
            settings.limits.cap_per_day.filter(|_| !mandatory)
        },
    };
    let mut journeys = Vec::new();
    let mut files_of_types: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in below(files, "journeys/") {
        let file = format!("journeys/{name}");
        let (journey, found) = read(&file, &text, &surroundings);
        findings.extend(found);
        let Some(journey) = journey else { continue };
        if let Some(other) = files_of_types.insert(journey.case_type.clone(), file.clone()) {
            let why =
                format!("the case type {:?} already has a journey, in {other}", journey.case_type);
            findings.push(Finding::error(&file, &text.as_str().into(), why));
            continue;
        }
        let samples = sample_contexts(&journey, &messages);
        findings.extend(check_conditions(&journey, &file, &text, &samples));
        journeys.push(journey);
    }
    let journeys = Journeys::new(hash.to_owned(), journeys);
    let sender = sender(settings);
    let lint_surroundings = lint::Surroundings {
        sender: &sender,
        public_url: &settings.http.public_url,
        offered: &settings.locales.offered,
        default_locale: default,
        max_parts: settings.limits.sms_parts,
        replies: settings.channels.sms.each().iter().all(|one| one.replies),
        zones,
    };
    let uses = uses(&journeys);
    let (readings, found) = lint(&messages, &presentation, &texts, &uses, &lint_surroundings);
    findings.extend(found);
    let rules = Rules {
        journeys,
        topics: settings.topics.clone(),
        quiet_hours: ChannelMap::from_fn(|channel| settings.quiet_hours.on(channel, None)),
        offered,
        calendars,
        default_calendar: settings.calendars.default.clone(),
        legal_hours: settings.legal_hours.clone(),
        countries: Countries::default(),
        default_zone: settings.locales.time_zone.clone(),
        zones: zones.clone(),
        cap_per_day: settings.limits.cap_per_day,
        caps: settings.caps(),
        adaptive: settings.adaptive,
        settings_version: settings.fingerprint().0,
        without: None,
    };
    Ok(Compiled { live: Live { rules, messages, presentation }, readings, findings })
}

/// Days before its last one in which a text is named as about to be outdated.
const AGEING_DAYS: i64 = 14;

/// Warnings about notices whose text is valid no longer, or soon will not be.
#[must_use]
pub fn ageing(journeys: &Journeys, files: &VersionFiles, now: Instant) -> Vec<Finding> {
    let mut findings = Vec::new();
    for journey in journeys.iter() {
        for notice in &journey.notices {
            let Some(valid) = notice.valid_until.filter(|_| notice.is_sent()) else { continue };
            let ends_at = valid.ends_at(&TimeZone::UTC);
            if ends_at - chrono::TimeDelta::days(AGEING_DAYS) > now {
                continue;
            }
            let file = format!("journeys/{}.toml", journey.case_type);
            let text: Arc<str> = files.files.get(&file).map_or("", String::as_str).into();
            let day = valid.0;
            let why = if ends_at <= now {
                format!(
                    "the text of {:?} was valid until {day}, and is not sent any more",
                    notice.id
                )
            } else {
                format!(
                    "the text of {:?} is valid until {day}, and is not sent after that",
                    notice.id
                )
            };
            let mut finding = Finding::warning(&file, &text, why)
                .help("look at the text, and move valid_until or leave it out");
            if let Some(start) = text.find(&format!("\"{day}\"")) {
                finding = finding.at(start..start + day.to_string().len() + 2);
            }
            findings.push(finding);
        }
    }
    findings
}

fn below(files: &VersionFiles, prefix: &str) -> BTreeMap<String, String> {
    files
        .files
        .iter()
        .filter_map(|(name, text)| Some((name.strip_prefix(prefix)?.to_owned(), text.clone())))
        .collect()
}

/// Who speaks, as messages see them.
#[must_use]
pub fn sender(settings: &Settings) -> Sender {
    Sender {
        name: settings.sender.name.clone(),
        phone: settings.sender.phone.clone(),
        reply_to: settings.sender.reply_to.clone(),
    }
}

/// Where each message is used.
fn uses(journeys: &Journeys) -> BTreeMap<String, Use> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for journey in journeys.iter() {
        for notice in &journey.notices {
            let state = match &notice.on {
                Trigger::State { state, .. } => state.clone(),
                _ => journey.states.first().cloned().unwrap_or_default(),
            };
            let used = uses.entry(notice.message.clone()).or_insert_with(|| Use {
                channels: BTreeSet::new(),
                state,
                answers: Vec::new(),
            });
            used.channels.extend(notice.channels.iter().copied().collect::<BTreeSet<Channel>>());
            used.answers.extend(notice.answers.iter().cloned());
        }
    }
    uses
}

/// What each `when` is type-checked against: the samples of its message.
fn sample_contexts(
    journey: &crate::planning::journey::Journey,
    messages: &Messages,
) -> BTreeMap<String, Vec<minijinja::Value>> {
    let mut contexts = BTreeMap::new();
    for notice in &journey.notices {
        let state = journey.states.first().map_or("", String::as_str);
        let samples = messages.samples(&notice.message).iter().map(|sample| {
            let sample = Sample::new(sample, &journey.case_type, state);
            condition::context(&sample.case, &sample.customer, sample.now)
        });
        contexts.insert(notice.message.clone(), samples.collect());
    }
    contexts
}
