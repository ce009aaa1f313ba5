//! Help desks' own webhooks: which there are, and what becomes of a payload. Who sent it was
//! checked by the door.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::config::{DEFAULT_SOURCES, Settings};
use crate::domain::customer::CustomerRecord;
use crate::domain::plan::{NewTask, TaskKind};
use crate::domain::time::Instant;
use crate::domain::{CustomerId, Finding, Zones};
use crate::planning::journey::Journeys;
use crate::planning::source::{self, Mapped, Profile, Told};
use crate::store::intake::{Accepted, Incoming};
use crate::store::{Store, StoreError};

pub use crate::planning::source::{Failing, Source};

use super::content::{ContentError, read_built_in, read_folder};
use super::{App, AppError, Seam};

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/config/sources");

/// The sources there are, by name.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    by_name: BTreeMap<String, Source>,
}

/// The files of all sources, by their path below the folder: the built-in ones, and over them
/// those of the folder.
fn files(settings: &Settings) -> Result<BTreeMap<String, String>, ContentError> {
    let mut files = BTreeMap::new();
    read_built_in(&BUILT_IN, BUILT_IN.path(), "", &mut files);
    let dir = &settings.sources.dir;
    if dir.is_dir() {
        let mut own = BTreeMap::new();
        read_folder(dir, "", &mut own)?;
        // The samples of a source belong to its file.
        for name in own.keys().filter_map(|path| name_of(path)) {
            files.retain(|path, _| !is_sample_of(path, name));
        }
        files.extend(own);
    } else if dir != Path::new(DEFAULT_SOURCES) {
        let shown = dir.display();
        return Err(ContentError(format!(
            "the folder {shown}, which [sources] dir names, is not there"
        )));
    }
    Ok(files)
}

/// The source a file is of: `/zendesk.toml`.
fn name_of(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.strip_suffix(".toml").filter(|name| !name.contains('/'))
}

/// `/samples/zendesk-solved.json`.
fn is_sample_of(path: &str, name: &str) -> bool {
    let stem = path.strip_prefix("/samples/").and_then(|path| path.rsplit_once('.'));
    let rest = stem.and_then(|(stem, _)| stem.strip_prefix(name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn read_all(settings: &Settings) -> Result<(Sources, Vec<Finding>), ContentError> {
    let mut sources = Sources::default();
    let mut findings = Vec::new();
    for (path, text) in files(settings)? {
        let Some(name) = name_of(&path) else { continue };
        let file = format!("{}{path}", settings.sources.dir.display());
        let (source, found) = source::read(name, &file, &text);
        findings.extend(found);
        if let Some(source) = source {
            sources.by_name.insert(name.to_owned(), source);
        }
    }
    Ok((sources, findings))
}

impl Sources {
    /// Reads every source; a section of the settings without a source is a fault.
    ///
    /// # Errors
    /// What must be mended first.
    pub fn load(settings: &Settings) -> Result<Self, AppError> {
        let (sources, findings) = read_all(settings)?;
        if findings.iter().any(Finding::is_error) {
            return Err(AppError::Findings(findings));
        }
        for name in settings.sources.sections.keys() {
            if sources.get(name).is_none() {
                let (dir, known) = (settings.sources.dir.display(), sources.names());
                let why = format!(
                    "[sources.{name}]: there is no {dir}/{name}.toml; there are {}",
                    known.join(", ")
                );
                return Err(AppError::Settings(why));
            }
        }
        Ok(sources)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.by_name.get(name)
    }

    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }
}

/// A payload with its headers, as it came or as a sample holds it.
#[derive(Debug, Clone)]
pub struct Payload {
    pub body: Vec<u8>,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
}

impl Payload {
    /// Maps it.
    #[must_use]
    pub fn map(&self, source: &Source, zones: &Zones, now: Instant) -> Mapped {
        match serde_json::from_slice(&self.body) {
            Ok(payload) => {
                source.map(&payload, &json!(self.headers), &self.fallback_id(), zones, now)
            }
            Err(error) => {
                Mapped::Unknown(Failing::plain("payload", format!("is no JSON: {error}")))
            }
        }
    }

    /// The id of a payload whose vendor gives none: the same bytes are the same event.
    fn fallback_id(&self) -> String {
        format!("sha256:{}", &fingerprint(&self.body, 0)[..40])
    }
}

/// Reads `Name: value` lines.
///
/// # Errors
/// The line that is none.
pub fn read_headers(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut headers = BTreeMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("line {}: write it as `Name: value`", n + 1))?;
        headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
    }
    Ok(headers)
}

/// Compiles all sources and maps each one's samples: every key must find its value, and every
/// state must be one of the journey's.
///
/// # Errors
/// When a file cannot be read.
pub fn check(settings: &Settings, journeys: &Journeys) -> Result<Vec<Finding>, ContentError> {
    let (sources, mut findings) = read_all(settings)?;
    let files = files(settings)?;
    let zones = crate::clock::newest_zones();
    // Samples lie in the past, and nothing of them is kept.
    let now = crate::clock::Clock::System.now();
    for source in sources.by_name.values() {
        for (path, text) in &files {
            let Some(stem) = path.strip_suffix(".json") else { continue };
            if !is_sample_of(path, &source.name) {
                continue;
            }
            let said = |why: String| format!("the sample {}: {why}", &path[1..]);
            let headers = files.get(&format!("{stem}.headers")).map(|text| read_headers(text));
            let headers = match headers.transpose() {
                Ok(headers) => headers.unwrap_or_default(),
                Err(why) => {
                    findings.push(Finding::error(&source.file, &source.text, said(why)));
                    continue;
                }
            };
            let payload = Payload { body: text.clone().into_bytes(), headers };
            let told = match payload.map(source, &zones, now) {
                Mapped::Ignored(_) => continue,
                Mapped::Told(told) => told,
                Mapped::Unknown(failing) => {
                    vec![Told { failing: vec![failing], ..Told::default() }]
                }
            };
            for told in told {
                for mut failing in told.failing {
                    failing.detail = said(failing.detail);
                    findings.push(failing.finding(source));
                }
                let event = told.event.as_ref();
                let Some((state, journey)) = event.and_then(|event| {
                    Some((event.state.as_ref()?, journeys.get(&event.case_type)?))
                }) else {
                    continue;
                };
                if !journey.states.contains(state) {
                    let why = said(format!(
                        "the journey {:?} has no state {state:?}; nobody would be told",
                        journey.case_type
                    ));
                    findings.push(Finding::warning(&source.file, &source.text, why));
                }
            }
        }
    }
    Ok(findings)
}

/// What became of a payload.
#[derive(Debug)]
pub enum Received {
    Ignored(String),
    /// One for each event or customer it told of.
    Results(Vec<ItemResult>),
}

/// What became of one event of a payload.
#[derive(Debug)]
pub struct ItemResult {
    pub source: String,
    pub id: Option<String>,
    pub result: &'static str,
    /// Keys that failed; an accepted event may lack a fact or an address.
    pub failing: Vec<Failing>,
}

fn fingerprint(body: &[u8], n: usize) -> String {
    let mut hasher = Sha256::new();
    hasher.update(body);
    hasher.update(n.to_le_bytes());
    data_encoding::HEXLOWER.encode(&hasher.finalize())
}

/// Takes a payload in. When this returns, what could be read is on durable storage, and for
/// what could not a person has a task.
///
/// # Errors
/// `Unavailable` when the store is away; the sender tries again then, and nothing is told twice.
pub async fn receive(
    app: &App,
    source: &Source,
    payload: &Payload,
) -> Result<Received, StoreError> {
    let engine = &app.engine;
    let now = engine.clock.now();
    let told = match payload.map(source, &app.zones, now) {
        Mapped::Ignored(why) => return Ok(Received::Ignored(why)),
        Mapped::Told(told) => told,
        Mapped::Unknown(failing) => {
            vec![Told { failing: vec![failing], ..Told::default() }]
        }
    };
    let all = told.len();
    let mut ignored = Vec::new();
    let mut results: Vec<ItemResult> = Vec::with_capacity(all);
    let mut incoming = Vec::new();
    for (n, mut told) in told.into_iter().enumerate() {
        if let Some(why) = told.ignored {
            ignored.push(why);
            continue;
        }
        let customer = whose(&engine.store, source, &mut told).await?;
        if let Some(customer) = &customer {
            if let Some(profile) = &told.profile {
                tell_of(app, source, customer, profile, now).await?;
            }
            if let Some(name) = &told.remember {
                engine.store.remember_customer(&source.name, name, customer, now).await?;
            }
        }
        let mut result = ItemResult {
            source: source.name.clone(),
            id: None,
            result: "invalid",
            failing: told.failing,
        };
        match (told.event, customer) {
            (Some(mut event), Some(customer)) => {
                event.customer = customer;
                result.source.clone_from(&event.source);
                result.id = Some(event.id.clone());
                // Of the bytes that came: sent again they are the same event, however the
                // mapping has changed since.
                let hash = fingerprint(&payload.body, n);
                incoming.push((results.len(), Incoming { event, hash }));
            }
            // It told of a customer only.
            (None, Some(_)) if result.failing.is_empty() => result.result = "accepted",
            _ => {}
        }
        results.push(result);
    }
    if results.is_empty() {
        return Ok(Received::Ignored(ignored.join("; ")));
    }
    accept(app, source, incoming, &mut results, now).await?;
    ask_people(app, source, payload, &results, now).await?;
    Ok(Received::Results(results))
}

/// The customer of an event, looked up where the payload does not say.
async fn whose(
    store: &Store,
    source: &Source,
    told: &mut Told,
) -> Result<Option<CustomerId>, StoreError> {
    if let Some(customer) = &told.customer {
        return Ok(Some(CustomerId(customer.clone())));
    }
    let Some(name) = &told.customer_of else { return Ok(None) };
    let found = store.remembered_customer(&source.name, name).await?;
    if found.is_none() {
        let why = format!("no payload before this one said whose {name:?} is");
        let help = "send the payloads that `remember` it to this door too".to_owned();
        told.failing.push(Failing { help: Some(help), ..Failing::plain("customer_of", why) });
    }
    Ok(found)
}

async fn accept(
    app: &App,
    source: &Source,
    incoming: Vec<(usize, Incoming)>,
    results: &mut [ItemResult],
    now: Instant,
) -> Result<(), StoreError> {
    if incoming.is_empty() {
        return Ok(());
    }
    let engine = &app.engine;
    let (places, incoming): (Vec<usize>, Vec<Incoming>) = incoming.into_iter().unzip();
    let accepted = engine.store.accept_events(incoming, now).await?;
    engine.seams.pass(Seam::AfterEventCommit).await;
    let mut seqs = Vec::new();
    for (place, accepted) in places.into_iter().zip(accepted) {
        let result = &mut results[place];
        let mut refuse = |key, why: String| result.failing.push(Failing::plain(key, why));
        result.result = match accepted {
            Accepted::New { seq } => {
                seqs.push(seq);
                "accepted"
            }
            Accepted::Duplicate => "duplicate",
            Accepted::Conflict => {
                refuse("id", "another payload was accepted under this id before".into());
                "invalid"
            }
            Accepted::OtherCaseType { known } => {
                refuse(
                    "case_type",
                    format!("the case is known as {known:?}; a case keeps its type"),
                );
                "invalid"
            }
        };
        metrics::counter!("tidings_events_total", "result" => result.result).increment(1);
    }
    tracing::debug!(source = source.name, new = seqs.len(), "a webhook was taken in");
    engine.ring_plan(&seqs);
    Ok(())
}

/// Sets what a payload says of a customer, as a PUT would, and leaves the rest: what is told by
/// others, what the customer chose, who asked to be forgotten.
async fn tell_of(
    app: &App,
    source: &Source,
    id: &CustomerId,
    told: &Profile,
    now: Instant,
) -> Result<(), StoreError> {
    let engine = &app.engine;
    let known = engine.store.customers([id], now).await?.remove(id);
    if known.as_ref().is_some_and(|known| known.erased) {
        return Ok(());
    }
    let (mut profile, mut points, preferences) = match known {
        Some(known) => (known.profile, known.contact_points, known.imported),
        None => Default::default(),
    };
    if let Some(name) = &told.name {
        profile.name.clone_from(name);
    }
    if profile.name.is_empty() {
        // Nobody can be greeted yet; events wait until somebody says who this is.
        return Ok(());
    }
    profile.locale = told.locale.clone().or(profile.locale);
    profile.time_zone = told.time_zone.clone().or(profile.time_zone);
    profile.attributes.extend(told.attributes.clone());
    for point in &told.contact_points {
        let same = |known: &&mut crate::domain::ContactPoint| {
            known.channel == point.channel
                && known.address.compare_key() == point.address.compare_key()
        };
        if let Some(known) = points.iter_mut().find(same) {
            known.verified |= point.verified;
            continue;
        }
        // Another address on a channel takes the place of the one told before.
        let at = points.iter().position(|known| known.channel == point.channel);
        points.retain(|known| known.channel != point.channel);
        points.insert(at.unwrap_or(points.len()).min(points.len()), point.clone());
    }
    let record = CustomerRecord { id: id.clone(), profile, contact_points: points, preferences };
    let by = format!("source:{}", source.name);
    let done = engine.store.import_customers(vec![record], &by, now).await?;
    if done.released {
        let events = engine.store.unplanned_events(now, 500).await?;
        engine.ring_plan(&events);
    }
    Ok(())
}

/// A task for what could not be read: one per source, failing key and day. It names the payload
/// and never says what stands in it.
async fn ask_people(
    app: &App,
    source: &Source,
    payload: &Payload,
    results: &[ItemResult],
    now: Instant,
) -> Result<(), StoreError> {
    let day = now.format("%Y-%m-%d");
    for result in results.iter().filter(|result| !result.failing.is_empty()) {
        let id = result.id.clone().unwrap_or_else(|| payload.fallback_id());
        let kept = match result.result {
            "invalid" => "was not accepted",
            _ => "was accepted without it",
        };
        for failing in &result.failing {
            let place = if failing.pointer.is_empty() {
                String::new()
            } else {
                format!(" at {}", failing.pointer)
            };
            let task = NewTask {
                key: format!("source/{}/{}/{day}", source.name, failing.key),
                kind: TaskKind::Unmapped,
                detail: format!(
                    "A payload from {} ({id}) {kept}: the key `{}`{place} fails. `tidings map test --source {}` shows why; mend {} or send the event by hand.",
                    source.name, failing.key, source.name, source.file
                ),
            };
            app.engine.store.open_task(&task, now).await?;
        }
        let keys: Vec<&str> = result.failing.iter().map(|failing| failing.key.as_str()).collect();
        tracing::warn!(
            source = source.name,
            id,
            keys = keys.join(","),
            "a webhook could not be read whole"
        );
    }
    Ok(())
}
