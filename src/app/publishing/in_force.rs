//! What is in force: the version for all cases, and beside it the one that is tried on some.

use crate::app::{AppError, content};
use crate::config::Settings;
use crate::domain::share::Share;
use crate::domain::{ChannelMap, Finding, Zones};
use crate::render::presentation::Layouts;
use crate::store::Store;
use crate::store::journeys::{InForce, VersionFiles};
use crate::worker::Live;

/// The files of what is in force.
#[derive(Debug, Clone)]
pub struct Files {
    pub hash: String,
    pub files: VersionFiles,
    pub trial: Option<Trial>,
}

/// A version that holds for a share of the cases.
#[derive(Debug, Clone)]
pub struct Trial {
    pub percent: u8,
    pub hash: String,
    pub files: VersionFiles,
}

/// What is in force, in one line: as [`crate::planning::journey::Journeys::in_force`] says it.
#[must_use]
pub fn name(stored: &InForce) -> String {
    match &stored.trial {
        None => stored.hash.clone(),
        Some((trial, percent)) => format!("{}+{trial}@{percent}", stored.hash),
    }
}

/// Reads what is in force; `None` in a store nothing was ever published in.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn read(store: &Store) -> crate::store::Result<Option<Files>> {
    let Some(stored) = store.in_force().await? else { return Ok(None) };
    let (hash, files) = store.version(&stored.hash).await?;
    let trial = match stored.trial {
        None => None,
        Some((hash, percent)) => {
            let (hash, files) = store.version(&hash).await?;
            Some(Trial { percent, hash, files })
        }
    };
    Ok(Some(Files { hash, files, trial }))
}

impl Files {
    /// One version for all cases.
    #[must_use]
    pub const fn of(hash: String, files: VersionFiles) -> Self {
        Self { hash, files, trial: None }
    }

    /// Is this version in force, for all cases or for some?
    #[must_use]
    pub fn is(&self, hash: &str) -> bool {
        self.hash == hash || self.trial.as_ref().is_some_and(|trial| trial.hash == hash)
    }

    /// Compiles it as it decides.
    ///
    /// # Errors
    /// `Findings` when anything is wrong with it.
    pub fn compile(
        &self,
        layouts: &Layouts,
        settings: &Settings,
        offered: ChannelMap<bool>,
        zones: &Zones,
    ) -> Result<Live, AppError> {
        let compile = |hash: &str, files: &VersionFiles| {
            let compiled = content::compile(hash, files, layouts, settings, offered, zones)?;
            if compiled.findings.iter().any(Finding::is_error) {
                return Err(AppError::Findings(compiled.findings));
            }
            Ok(compiled.live)
        };
        let live = compile(&self.hash, &self.files)?;
        let Some(trial) = &self.trial else { return Ok(live) };
        let share = Share { percent: trial.percent, seed: trial.hash.clone() };
        Ok(beside(live, share, compile(&trial.hash, &trial.files)?))
    }
}

/// A version with another one for a share of the cases.
#[must_use]
pub fn beside(live: Live, share: Share, trial: Live) -> Live {
    let Live { mut rules, messages, presentation } = live;
    rules.journeys = rules.journeys.with_trial(share.clone(), trial.rules.journeys);
    Live { rules, messages: messages.with_trial(share, trial.messages), presentation }
}
