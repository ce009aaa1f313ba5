//! Messages: what a notice says, once per language, as files of named blocks.
//!
//! A file is `messages/<case_type>/<notice>.<locale>.j2`. Its blocks see the case, its facts
//! and the customer; nothing undefined is ever printed, and customer data is never template.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;
use minijinja::machinery::{ast, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
};
use serde::Serialize;

use crate::domain::share::Share;
use crate::domain::time::Instant;
use crate::domain::{Case, Customer, Finding, Message};

use super::locale::{Languages, Setting, add_filters, fallback_chain};

/// Blocks every message has.
pub const REQUIRED: [&str; 4] = ["subject", "changed", "action", "next"];

/// Blocks a message may have; `answer_<name>` besides.
pub const OPTIONAL: [&str; 6] = ["deadline", "facts", "button", "staff", "sms", "voice"];

/// Steps one message may take, and the most characters it may have.
const FUEL: u64 = 50_000;

/// The longest text one value may print, in bytes.
const MAX_VALUE: usize = 16_384;
const MAX_CHARS: usize = 20_000;

/// Put before a file so that its blocks are defined and nothing is printed.
const PREFIX: &str = "{% extends \"_\" %}";

/// All messages of one version, compiled.
#[derive(Debug, Clone)]
pub struct Messages {
    environment: Arc<Environment<'static>>,
    /// Message → language → its blocks.
    found: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Message → sample values.
    samples: BTreeMap<String, Vec<serde_json::Value>>,
    languages: Languages,
    default_locale: String,
    /// Other words for a share of the cases.
    trial: Option<Arc<(Share, Messages)>>,
}

/// What the blocks of a message see.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    pub case: &'a Case,
    pub customer: &'a Customer,
    pub sender: &'a Sender,
    pub links: &'a Links,
    /// What this message replaced: message name, state, instant.
    pub skipped: &'a [SkippedStep],
    pub now: Instant,
    pub zone: TimeZone,
    /// The day by which the customer hears from us again, where the journey promises one.
    pub next_word: Option<Instant>,
    /// How long a call back takes now, in minutes: the shortest and the longest.
    pub wait_min: Option<(i64, i64)>,
    /// The customer's language, before any fallback.
    pub locale: String,
}

/// Who speaks. From `[sender]` of the settings.
#[derive(Debug, Clone, Serialize)]
pub struct Sender {
    pub name: String,
    pub phone: Option<String>,
    pub reply_to: Option<String>,
}

/// Where a message leads.
#[derive(Debug, Clone, Serialize)]
pub struct Links {
    /// The customer's own page.
    pub centre: String,
    /// Asking for a call.
    pub callback: String,
    /// Is this message ours? Short enough for a text.
    pub verify: String,
    /// Answering the question of this message.
    pub answer: String,
    /// Stopping this topic on this channel.
    pub unsubscribe: String,
}

/// A message that this one replaced.
#[derive(Debug, Clone)]
pub struct SkippedStep {
    pub notice: String,
    pub message: String,
    pub state: Option<String>,
    pub at: Instant,
}

/// Why a message could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("there is no message {0:?}")]
    Missing(String),
    #[error("{name}: {detail}")]
    Faulty { name: String, detail: String },
}

impl Messages {
    /// Compiles the messages among `files` (names below `messages/`). What is wrong with a
    /// file is among the findings, and the file is left out.
    #[must_use]
    pub fn compile<'f>(
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
        default_locale: &str,
    ) -> (Self, Vec<Finding>) {
        let mut environment = environment();
        let mut found: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        let mut samples = BTreeMap::new();
        let mut findings = Vec::new();
        for (path, text) in files {
            let text: Arc<str> = Arc::from(text);
            if let Some(name) = path.strip_suffix(".sample.json") {
                match read_samples(&text) {
                    Ok(read) => drop(samples.insert(name.to_owned(), read)),
                    Err(why) => findings.push(Finding::error(path, &text, why)),
                }
                continue;
            }
            let Some((name, locale)) =
                path.strip_suffix(".j2").and_then(|stem| stem.rsplit_once('.'))
            else {
                continue;
            };
            if let Err(why) = crate::domain::customer::parse_locale(locale) {
                findings.push(Finding::error(path, &text, why));
                continue;
            }
            match blocks_of(path, &text) {
                Ok(blocks) => {
                    let source = format!("{PREFIX}{text}");
                    match environment.add_template_owned(path.to_owned(), source) {
                        Ok(()) => {
                            found
                                .entry(name.to_owned())
                                .or_default()
                                .insert(locale.to_owned(), blocks);
                        }
                        Err(error) => findings.push(finding(path, &text, &error)),
                    }
                }
                Err(faults) => findings.extend(faults),
            }
        }
        let messages = Self {
            environment: Arc::new(environment),
            found,
            samples,
            languages: Languages::default(),
            default_locale: default_locale.to_owned(),
            trial: None,
        };
        (messages, findings)
    }

    /// The same, with other words for a share of the cases.
    #[must_use]
    pub fn with_trial(self, share: Share, messages: Self) -> Self {
        Self { trial: Some(Arc::new((share, messages))), ..self }
    }

    /// Is the message there in the default language?
    #[must_use]
    pub fn has_default(&self, name: &str) -> bool {
        self.found.get(name).is_some_and(|locales| locales.contains_key(&self.default_locale))
    }

    /// Every message and the languages it is written in.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.found
            .iter()
            .map(|(name, locales)| (name.as_str(), locales.keys().map(String::as_str).collect()))
    }

    #[must_use]
    pub fn blocks(&self, name: &str, locale: &str) -> Option<&BTreeSet<String>> {
        self.found.get(name)?.get(locale)
    }

    #[must_use]
    pub fn samples(&self, name: &str) -> &[serde_json::Value] {
        self.samples.get(name).map_or(&[], Vec::as_slice)
    }

    #[must_use]
    pub const fn languages(&self) -> &Languages {
        &self.languages
    }

    /// The names a block may use, with the ones it uses: `facts.amount`, `case.state`.
    #[must_use]
    pub fn variables(&self, name: &str, locale: &str) -> BTreeSet<String> {
        let path = path(name, locale);
        self.environment
            .get_template(&path)
            .map(|template| template.undeclared_variables(true).into_iter().collect())
            .unwrap_or_default()
    }

    /// Writes a message in the customer's language, or the nearest there is.
    ///
    /// # Errors
    /// When there is no such message, or it uses what the case does not have.
    pub fn render(&self, name: &str, scene: &Scene<'_>) -> Result<Message, RenderError> {
        if let Some((share, other)) = self.trial.as_deref()
            && share.takes(&scene.case.id)
        {
            return other.render(name, scene);
        }
        let locales = self.found.get(name).ok_or_else(|| RenderError::Missing(name.to_owned()))?;
        let locale = fallback_chain(&scene.locale, &self.default_locale)
            .into_iter()
            .find(|locale| locales.contains_key(locale))
            .ok_or_else(|| RenderError::Missing(name.to_owned()))?;
        let blocks = &locales[&locale];
        let path = path(name, &locale);
        self.render_blocks(&path, &locale, blocks, scene)
            .map_err(|error| RenderError::Faulty { name: path, detail: sentence(&error) })
    }

    fn render_blocks(
        &self,
        path: &str,
        locale: &str,
        blocks: &BTreeSet<String>,
        scene: &Scene<'_>,
    ) -> Result<Message, Error> {
        let template = self.environment.get_template(path)?;
        let mut captured = template.render_captured(self.context(locale, scene))?;
        captured.with_state_mut(|state| {
            let mut block = |name: &str| -> Result<Option<String>, Error> {
                if !blocks.contains(name) {
                    return Ok(None);
                }
                let text = state.render_block(name)?.trim().to_owned();
                if text.chars().count() > MAX_CHARS {
                    let why = format!("block `{name}` has more than {MAX_CHARS} characters");
                    return Err(Error::new(ErrorKind::InvalidOperation, why));
                }
                Ok(Some(text))
            };
            let mut message = Message {
                subject: one_line(&block("subject")?.unwrap_or_default()),
                changed: block("changed")?.unwrap_or_default(),
                action: block("action")?.unwrap_or_default(),
                next: block("next")?.unwrap_or_default(),
                deadline: filled(block("deadline")?),
                facts: filled(block("facts")?),
                button: filled(block("button")?).map(|text| one_line(&text)),
                sms: filled(block("sms")?),
                voice: filled(block("voice")?),
                staff: filled(block("staff")?),
                answers: Vec::new(),
                locale: locale.to_owned(),
            };
            for name in blocks.iter().filter_map(|block| block.strip_prefix("answer_")) {
                if let Some(label) = block(&format!("answer_{name}"))? {
                    message.answers.push((name.to_owned(), one_line(&label)));
                }
            }
            Ok(message)
        })
    }

    fn context(&self, locale: &str, scene: &Scene<'_>) -> Value {
        let skipped: Vec<Value> = scene
            .skipped
            .iter()
            .map(|step| {
                minijinja::context! {
                    notice => step.notice.as_str(),
                    state => step.state.as_deref(),
                    at => step.at.to_rfc3339(),
                    changed => self.changed(step, scene).unwrap_or_default(),
                }
            })
            .collect();
        let setting =
            Setting { language: self.languages.get(&scene.locale), zone: scene.zone.clone() };
        let setting = if scene.locale.starts_with(locale.split('-').next().unwrap_or(locale)) {
            setting
        } else {
            // Dates in the language of the text, not of a reader it was not written for.
            Setting { language: self.languages.get(locale), ..setting }
        };
        let customer = scene.customer;
        let first_name = customer.profile.name.split_whitespace().next().unwrap_or_default();
        minijinja::context! {
            case => minijinja::context! {
                id => scene.case.id.as_str(),
                case_type => scene.case.case_type.as_str(),
                state => scene.case.state.as_deref(),
                previous_state => scene.case.previous_state.as_deref(),
                opened_at => scene.case.opened_at.to_rfc3339(),
                since => scene.case.since.to_rfc3339(),
            },
            facts => Serde(&scene.case.facts),
            customer => minijinja::context! {
                id => customer.id.as_str(),
                name => customer.profile.name.as_str(),
                first_name => first_name,
                locale => scene.locale.as_str(),
                time_zone => scene.zone.iana_name(),
                attributes => Serde(&customer.profile.attributes),
                needs => Serde(customer.preferences.needs.as_deref().unwrap_or_default()),
            },
            sender => Serde(scene.sender),
            links => Serde(scene.links),
            skipped => skipped,
            now => scene.now.to_rfc3339(),
            next_word => scene.next_word.map(|at| at.to_rfc3339()),
            _setting => Value::from_object(setting),
        }
    }

    /// What a replaced message would have said had changed; for the list of skipped steps.
    #[must_use]
    pub fn changed(&self, step: &SkippedStep, scene: &Scene<'_>) -> Option<String> {
        let case = Case { state: step.state.clone(), since: step.at, ..scene.case.clone() };
        let before = Scene { case: &case, skipped: &[], ..scene.clone() };
        self.render(&step.message, &before).ok().map(|message| message.changed)
    }
}

fn path(name: &str, locale: &str) -> String {
    format!("{name}.{locale}.j2")
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment.set_formatter(print);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).build().expect("valid"));
    add_filters(&mut environment);
    for grows in ["indent", "format"] {
        environment.remove_filter(grows);
    }
    environment.add_template("_", "").expect("an empty template");
    environment
}

/// Null is never printed, and true and false are words of a program, not of a letter.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::UndefinedError, "the value is null"));
    }
    if value.kind() == minijinja::value::ValueKind::Bool {
        let why = "a yes or no cannot be printed; write {% if … %}";
        return Err(Error::new(ErrorKind::InvalidOperation, why));
    }
    if value.as_str().is_some_and(|text| text.len() > MAX_VALUE) {
        let why = format!("a value of more than {MAX_VALUE} bytes fits no message");
        return Err(Error::new(ErrorKind::InvalidOperation, why));
    }
    minijinja::escape_formatter(out, state, value)
}

fn read_samples(text: &str) -> Result<Vec<serde_json::Value>, String> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    let samples = match value {
        serde_json::Value::Array(samples) => samples,
        one => vec![one],
    };
    if samples.iter().all(serde_json::Value::is_object) && !samples.is_empty() {
        Ok(samples)
    } else {
        Err("expected {\"case\": {}, \"facts\": {}, \"customer\": {}}, or a list of such".into())
    }
}

/// The blocks of a file. Text outside blocks, unknown and missing blocks are faults.
fn blocks_of(file: &str, text: &Arc<str>) -> Result<BTreeSet<String>, Vec<Finding>> {
    let tree = parse(text, file, SyntaxConfig::default())
        .map_err(|error| vec![finding_at(file, text, &error, 0)])?;
    let ast::Stmt::Template(template) = &tree else { return Ok(BTreeSet::new()) };
    let mut blocks = BTreeSet::new();
    let mut faults = Vec::new();
    for child in &template.children {
        match child {
            ast::Stmt::Block(block) => {
                let name = block.name;
                let known = REQUIRED.contains(&name)
                    || OPTIONAL.contains(&name)
                    || name.strip_prefix("answer_").is_some_and(|answer| !answer.is_empty());
                let span = bytes(block.span());
                if !known {
                    let all = [&REQUIRED[..], &OPTIONAL[..]].concat().join(", ");
                    faults.push(
                        Finding::error(file, text, format!("there is no block {name:?}"))
                            .at(span.start..span.start + first_line(text, span.start))
                            .help(format!("blocks are {all} and answer_<name>")),
                    );
                } else if !blocks.insert(name.to_owned()) {
                    faults.push(
                        Finding::error(file, text, format!("block {name:?} stands here twice"))
                            .at(span),
                    );
                }
            }
            ast::Stmt::EmitRaw(raw) if raw.raw.trim().is_empty() => {}
            ast::Stmt::EmitRaw(raw) => {
                let span = bytes(raw.span());
                faults.push(
                    Finding::error(file, text, "text outside a block is never sent")
                        .at(span)
                        .help("put it into {% block changed %} … {% endblock %}"),
                );
            }
            other => {
                let span = statement_span(other).unwrap_or(0..1);
                faults.push(
                    Finding::error(file, text, "only blocks stand at the top of a message")
                        .at(span)
                        .help("put it into a block"),
                );
            }
        }
    }
    let missing: Vec<&str> = REQUIRED.into_iter().filter(|name| !blocks.contains(*name)).collect();
    if !missing.is_empty() {
        faults.push(
            Finding::error(file, text, format!("lacks {}", missing.join(", ")))
                .help("a message says what changed, what to do (or that there is nothing to do) and what comes next"),
        );
    }
    if faults.is_empty() { Ok(blocks) } else { Err(faults) }
}

fn first_line(text: &str, start: usize) -> usize {
    text[start..].find('\n').unwrap_or(text.len() - start)
}

fn bytes(span: minijinja::machinery::Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

fn statement_span(statement: &ast::Stmt<'_>) -> Option<Range<usize>> {
    match statement {
        ast::Stmt::EmitExpr(inner) => Some(bytes(inner.span())),
        ast::Stmt::ForLoop(inner) => Some(bytes(inner.span())),
        ast::Stmt::IfCond(inner) => Some(bytes(inner.span())),
        ast::Stmt::Set(inner) => Some(bytes(inner.span())),
        _ => None,
    }
}

/// The fault of a compiled or rendered message, its place in the file as it was written.
pub fn finding(file: &str, text: &Arc<str>, error: &Error) -> Finding {
    finding_at(file, text, error, PREFIX.len())
}

fn finding_at(file: &str, text: &Arc<str>, error: &Error, prefix: usize) -> Finding {
    let finding = Finding::error(file, text, sentence(error));
    match error.range() {
        Some(range) if range.end > prefix && range.end - prefix <= text.len() => {
            finding.at(range.start.saturating_sub(prefix)..range.end - prefix)
        }
        _ => finding,
    }
}

/// One line about what went wrong, without the engine's decoration.
fn sentence(error: &Error) -> String {
    let kind = match error.kind() {
        ErrorKind::UndefinedError => "uses something the case does not have",
        ErrorKind::SyntaxError => "is not well formed",
        ErrorKind::UnknownFilter => "uses an unknown filter",
        ErrorKind::OutOfFuel => "takes too many steps",
        _ => "cannot be written",
    };
    match (error.detail(), error.line()) {
        (Some(detail), Some(line)) => format!("{kind}: {detail} (line {line})"),
        (Some(detail), None) => format!("{kind}: {detail}"),
        (None, Some(line)) => format!("{kind} (line {line})"),
        (None, None) => kind.to_owned(),
    }
}

impl Messages {
    /// Renders with the values of a sample, for checks and previews: the finding has the
    /// place in the file.
    ///
    /// # Errors
    /// The finding.
    pub fn try_render(
        &self,
        name: &str,
        locale: &str,
        text: &Arc<str>,
        scene: &Scene<'_>,
    ) -> Result<Message, Box<Finding>> {
        let path = path(name, locale);
        let blocks = self.blocks(name, locale).cloned().unwrap_or_default();
        self.render_blocks(&path, locale, &blocks, scene)
            .map_err(|error| Box::new(finding(&format!("messages/{path}"), text, &error)))
    }
}
