//! Putting a version in force: what a draft changes, whether it stands, what it would have
//! done, who must say yes, and for which share of the cases it holds first.

pub mod drafts;
pub mod due_times;
pub mod effect;
pub mod in_force;
pub mod preview;
pub mod shown;
pub mod touched;
pub mod tune;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::channel::offered;
use crate::config::Settings;
use crate::domain::Finding;
use crate::planning::four_eyes::{self, Standing, Touch, Why};
use crate::store::StoreError;
use crate::store::journeys::{NewPublication, VersionFiles};

use super::content::{self, Compiled};
use super::{App, AppError};

use effect::Effect;
use touched::{Touched, touched};

/// Why nothing was put in force.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    App(#[from] AppError),
    /// What it was judged against has changed: look again.
    #[error("{0}")]
    Stale(String),
    /// It is what is in force already.
    #[error("{0}")]
    Nothing(String),
    /// Somebody else has to say yes.
    #[error("a second person has to publish this: {}", words(.0))]
    FourEyes(Vec<Why>),
    /// What was asked for cannot be.
    #[error("{0}")]
    Bad(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { detail } => Self::Stale(detail),
            error => Self::App(error.into()),
        }
    }
}

impl From<content::ContentError> for Refusal {
    fn from(error: content::ContentError) -> Self {
        Self::App(error.into())
    }
}

/// Reasons in one sentence.
#[must_use]
pub fn words(why: &[Why]) -> String {
    const MAX: usize = 3;
    let mut words: Vec<String> = why.iter().take(MAX).map(ToString::to_string).collect();
    if why.len() > MAX {
        words.push(format!("and {} more", why.len() - MAX));
    }
    words.join("; ")
}

/// A version somebody wants in force.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub files: VersionFiles,
    /// Everybody who wrote a part of it.
    pub authors: Vec<String>,
    pub reason: String,
    /// For so many per cent of the cases, 1 to 100.
    pub percent: u8,
    /// The draft it comes from: its number and revision.
    pub draft: Option<(i64, i64)>,
    /// What it would have done, where that is known.
    pub effect: Option<Effect>,
}

/// Whose word counts.
#[derive(Debug, Clone, Copy)]
pub struct Say<'a> {
    /// Who says yes; may be the author.
    pub by: Option<&'a str>,
    /// One person may do what needs two: nobody else could be asked.
    pub alone_ok: bool,
}

/// What was put in force.
#[derive(Debug, Clone)]
pub struct Published {
    pub hash: String,
    pub percent: u8,
    /// Why there was no second person although one was needed; empty otherwise.
    pub alone: String,
}

/// Compiles files as they would decide.
///
/// # Errors
/// When the layouts cannot be used at all.
pub fn compile(app: &App, files: &VersionFiles) -> Result<Compiled, AppError> {
    let hash = content::hash(files);
    let layouts = content::layouts(&app.settings)?;
    let offered = offered(&app.engine.gateways);
    Ok(content::compile(&hash, files, &layouts, &app.settings, offered, &app.zones)?)
}

/// The same when nothing may be wrong with them.
///
/// # Errors
/// `Findings`.
pub fn compile_whole(app: &App, files: &VersionFiles) -> Result<Compiled, AppError> {
    let compiled = compile(app, files)?;
    if compiled.findings.iter().any(Finding::is_error) {
        return Err(AppError::Findings(compiled.findings));
    }
    Ok(compiled)
}

/// What files touch, beside the version in force.
///
/// # Errors
/// `Findings` when anything is wrong with them.
pub async fn touches(app: &App, files: &VersionFiles) -> Result<Touched, AppError> {
    let compiled = compile_whole(app, files)?;
    let Some((_, before)) = app.engine.store.published().await? else {
        return Ok(Touched::default());
    };
    let was = app.engine.live.load_full();
    Ok(touched((&before, &was.rules), (files, &compiled.live.rules)))
}

/// Puts a version in force when the right people stand behind it; every process takes it up
/// within a second.
///
/// # Errors
/// What stands in the way; then nothing was published.
pub async fn put_in_force(
    app: &App,
    proposal: Proposal,
    say: Say<'_>,
) -> Result<Published, Refusal> {
    if !(1..=100).contains(&proposal.percent) {
        return Err(Refusal::Bad(format!("{} is no share: use 1 to 100", proposal.percent)));
    }
    let store = &app.engine.store;
    let hash = content::hash(&proposal.files);
    compile_whole(app, &proposal.files)?;
    let stored = store.in_force().await?;
    let why = match &stored {
        None => Vec::new(),
        // Known already: going back, or from some cases to more or all of them.
        Some(_) if was_published(app, &hash).await? => Vec::new(),
        Some(_) => why(app, &proposal).await?,
    };
    let standing = four_eyes::judge(&why, &proposal.authors, say.by, say.alone_ok)
        .map_err(|why| Refusal::FourEyes(why.to_vec()))?;
    let (approved_by, alone) = match standing {
        Standing::OneIsEnough => (None, String::new()),
        Standing::Second { by } => (Some(by), String::new()),
        Standing::NobodyElse => {
            let why = words(&why);
            (None, format!("published by one person, for [console] has no operators: {why}"))
        }
    };
    let four_eyes = match (&approved_by, alone.is_empty()) {
        (Some(_), _) => words(&why),
        _ => alone.clone(),
    };
    let new = NewPublication {
        hash: hash.clone(),
        files: proposal.files,
        author: proposal.authors.first().cloned().unwrap_or_default(),
        reason: proposal.reason,
        approved_by,
        four_eyes,
        percent: proposal.percent,
        draft: proposal.draft,
        after: Some(stored.map_or(0, |stored| stored.seq)),
    };
    store.put_in_force(new, app.engine.clock.now()).await?;
    take_up(app).await?;
    Ok(Published { hash, percent: proposal.percent, alone })
}

async fn was_published(app: &App, hash: &str) -> Result<bool, Refusal> {
    Ok(app.engine.store.publications().await?.iter().any(|known| known.hash == hash))
}

/// Why a proposal needs a second person.
async fn why(app: &App, proposal: &Proposal) -> Result<Vec<Why>, Refusal> {
    let rule = app.settings.publishing.four_eyes;
    let touched = touches(app, &proposal.files).await?;
    let mut touch = Touch { mandatory: touched.mandatory.iter().cloned().collect(), customers: 0 };
    if rule.customers > 0 {
        touch.customers = match &proposal.effect {
            Some(effect) => effect.touched,
            None => effect::work_out(app, &proposal.files).await?.0.touched,
        };
    }
    Ok(rule.why(&touch))
}

/// This process decides by what is in force from now on.
async fn take_up(app: &App) -> Result<(), AppError> {
    let engine = &app.engine;
    let Some(files) = in_force::read(&engine.store).await? else { return Ok(()) };
    let layouts = content::layouts(&app.settings)?;
    let live = files.compile(&layouts, &app.settings, offered(&engine.gateways), &app.zones)?;
    engine.live.store(Arc::new(live));
    engine.wake.notify_one();
    Ok(())
}

/// Publishes files for all cases on one person's word: for set-ups and tests.
///
/// # Errors
/// `Findings` when anything is wrong with them: then nothing was published.
pub async fn publish(
    app: &App,
    files: &VersionFiles,
    author: &str,
    reason: &str,
) -> Result<String, AppError> {
    compile_whole(app, files)?;
    let hash = content::hash(files);
    let engine = &app.engine;
    engine.store.publish(&hash, files, author, reason, engine.clock.now()).await?;
    take_up(app).await?;
    Ok(hash)
}

/// Puts an earlier version in force again, for all cases. Going back needs nobody else: it was
/// in force before, and a fault must not wait for a second person.
///
/// # Errors
/// `NotFound` when it was never published.
pub async fn roll_back(
    app: &App,
    version: &str,
    by: &str,
    reason: &str,
) -> Result<Published, Refusal> {
    let (hash, files) = app.engine.store.version(version).await?;
    let reason = if reason.is_empty() { format!("back to {hash}") } else { reason.to_owned() };
    let proposal = Proposal {
        files,
        authors: vec![by.to_owned()],
        reason,
        percent: 100,
        draft: None,
        effect: None,
    };
    put_in_force(app, proposal, Say { by: None, alone_ok: false }).await
}

/// The names of files that differ.
#[must_use]
pub fn differing<'f>(a: &'f VersionFiles, b: &'f VersionFiles) -> BTreeSet<&'f str> {
    let names = a.files.keys().chain(b.files.keys());
    names.filter(|name| a.files.get(*name) != b.files.get(*name)).map(String::as_str).collect()
}

/// Does the console know people? Where it knows none, nobody else can be asked.
#[must_use]
pub fn has_operators(settings: &Settings) -> bool {
    !settings.console.is_open_here()
}
