//! Drafts: begun on the version in force, changed file by file or value by value, checked,
//! simulated, and published by whoever may.

use crate::app::App;
use crate::app::content::Compiled;
use crate::store::drafts::{Changes, Draft, DraftStatus};
use crate::store::journeys::VersionFiles;

use super::effect::{self, Effect};
use super::{Proposal, Published, Refusal, Say, compile, differing, put_in_force, tune};

/// A draft with the files it makes.
#[derive(Debug)]
pub struct Whole {
    pub draft: Draft,
    /// The version it starts from.
    pub base: VersionFiles,
    /// The same with its changes.
    pub files: VersionFiles,
    /// The version in force is another one by now.
    pub is_stale: bool,
}

/// Reads a draft.
///
/// # Errors
/// `NotFound` when there is none.
pub async fn read(app: &App, seq: i64) -> Result<Whole, Refusal> {
    let store = &app.engine.store;
    let draft = store.draft(seq).await?;
    let (_, base) = store.version(&draft.base).await?;
    let in_force = store.in_force().await?;
    let is_stale = in_force.is_none_or(|in_force| in_force.hash != draft.base);
    let files = with(&base, &draft.changes);
    Ok(Whole { draft, base, files, is_stale })
}

fn with(base: &VersionFiles, changes: &Changes) -> VersionFiles {
    let mut files = base.files.clone();
    for (name, text) in changes {
        match text {
            Some(text) => drop(files.insert(name.clone(), text.clone())),
            None => drop(files.remove(name)),
        }
    }
    VersionFiles { files }
}

/// What changes a version into files.
#[must_use]
pub fn changes(base: &VersionFiles, files: &VersionFiles) -> Changes {
    let differ = differing(base, files).into_iter();
    differ.map(|name| (name.to_owned(), files.files.get(name).cloned())).collect()
}

/// Begins a draft on the version in force; with `files`, with what they change.
///
/// # Errors
/// When nothing is published to start from.
pub async fn begin(
    app: &App,
    files: Option<&VersionFiles>,
    author: &str,
    reason: &str,
) -> Result<i64, Refusal> {
    let store = &app.engine.store;
    let Some((hash, base)) = store.published().await? else {
        return Err(Refusal::Bad("nothing is published yet".into()));
    };
    let changes = files.map(|files| changes(&base, files)).unwrap_or_default();
    Ok(store.begin_draft(&hash, &changes, author, reason, app.engine.clock.now()).await?)
}

impl Whole {
    /// Is it still to be decided about?
    ///
    /// # Errors
    /// What became of it.
    pub fn must_be_open(&self) -> Result<(), Refusal> {
        let what = match self.draft.status {
            DraftStatus::Open => return Ok(()),
            DraftStatus::Published => "published",
            DraftStatus::Withdrawn => "withdrawn",
        };
        Err(Refusal::Stale(format!("draft {} was {what}", self.draft.seq)))
    }

    /// Is it what somebody looked at?
    ///
    /// # Errors
    /// When it was changed since.
    pub fn must_be_revision(&self, revision: i64) -> Result<(), Refusal> {
        if self.draft.revision == revision {
            return Ok(());
        }
        let why = format!("draft {} was changed since you looked at it", self.draft.seq);
        Err(Refusal::Stale(why))
    }

    /// What it would have done, where that was worked out for what it is now.
    #[must_use]
    pub fn effect(&self) -> Option<Effect> {
        serde_json::from_value(self.draft.effect.clone()?).ok()
    }

    /// Compiles it, and finds what is wrong with it.
    ///
    /// # Errors
    /// When the layouts cannot be used at all.
    pub fn compile(&self, app: &App) -> Result<Compiled, Refusal> {
        Ok(compile(app, &self.files)?)
    }

    async fn write(&self, app: &App, files: &VersionFiles, by: &str) -> Result<(), Refusal> {
        let draft = Draft { changes: changes(&self.base, files), ..self.draft.clone() };
        Ok(app.engine.store.change_draft(&draft, by, app.engine.clock.now()).await?)
    }

    /// Replaces values of one notice: key and what was entered.
    ///
    /// # Errors
    /// When a value cannot be set; nothing was changed then.
    pub async fn tune(
        &self,
        app: &App,
        file: &str,
        notice: &str,
        values: &[(String, String)],
        by: &str,
    ) -> Result<(), Refusal> {
        self.must_be_open()?;
        let known = self.files.files.get(file).filter(|_| file.starts_with("journeys/"));
        let Some(mut text) = known.cloned() else {
            return Err(Refusal::Bad(format!("there is no journey file {file:?}")));
        };
        for (key, entered) in values {
            text = tune::set(&text, notice, key, entered)
                .map_err(|why| Refusal::Bad(format!("{notice}: {why}")))?;
        }
        let mut files = self.files.clone();
        files.files.insert(file.to_owned(), text);
        self.write(app, &files, by).await
    }

    /// Replaces the text of a file.
    ///
    /// # Errors
    /// When there is no such file.
    pub async fn rewrite(
        &self,
        app: &App,
        file: &str,
        text: &str,
        by: &str,
    ) -> Result<(), Refusal> {
        self.must_be_open()?;
        let Some(before) = self.files.files.get(file) else {
            return Err(Refusal::Bad(format!("there is no file {file:?}")));
        };
        // Browsers send lines that end in CR LF, and leave out what stands at the very end.
        let mut text = text.replace("\r\n", "\n");
        if before.contains("\r\n") {
            text = text.replace('\n', "\r\n");
        }
        if before.ends_with('\n') && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut files = self.files.clone();
        files.files.insert(file.to_owned(), text);
        self.write(app, &files, by).await
    }

    /// Says why it should be published.
    ///
    /// # Errors
    /// `Stale` when it was changed meanwhile.
    pub async fn explain(&self, app: &App, reason: &str, by: &str) -> Result<(), Refusal> {
        self.must_be_open()?;
        let draft = Draft { reason: reason.trim().to_owned(), ..self.draft.clone() };
        Ok(app.engine.store.change_draft(&draft, by, app.engine.clock.now()).await?)
    }

    /// Starts from the version in force instead. A file that both changed keeps what this
    /// draft says; their names are answered, to be looked at.
    ///
    /// # Errors
    /// `Stale` when it was changed meanwhile.
    pub async fn rebase(&self, app: &App, by: &str) -> Result<Vec<String>, Refusal> {
        self.must_be_open()?;
        let store = &app.engine.store;
        let Some((hash, now)) = store.published().await? else {
            return Err(Refusal::Bad("nothing is published".into()));
        };
        let moved = differing(&self.base, &now);
        let both = self.draft.changes.keys().filter(|name| moved.contains(name.as_str()));
        let both = both.cloned().collect();
        let files = with(&now, &self.draft.changes);
        let draft = Draft { base: hash, changes: changes(&now, &files), ..self.draft.clone() };
        store.change_draft(&draft, by, app.engine.clock.now()).await?;
        Ok(both)
    }

    /// Works out what it would have done, and keeps it.
    ///
    /// # Errors
    /// `Findings` when anything is wrong with it.
    pub async fn simulate(&self, app: &App) -> Result<Effect, Refusal> {
        // The effect on another version says nothing about what publishing would do.
        if self.is_stale {
            return Err(Refusal::Stale(format!(
                "draft {} starts from {}, and another version is in force: take that one as its start first",
                self.draft.seq, self.draft.base
            )));
        }
        let (effect, report) = effect::work_out(app, &self.files).await?;
        let value = serde_json::to_value(&effect).expect("an effect is plain data");
        let (seq, revision) = (self.draft.seq, self.draft.revision);
        app.engine.store.keep_effect(seq, revision, &value, &report).await?;
        Ok(effect)
    }

    /// Publishes it for a share of the cases.
    ///
    /// # Errors
    /// What stands in the way: it must start from the version in force, stand, differ, and
    /// have the right people behind it.
    pub async fn publish(
        &self,
        app: &App,
        percent: u8,
        say: Say<'_>,
    ) -> Result<Published, Refusal> {
        self.must_be_open()?;
        let seq = self.draft.seq;
        if self.is_stale {
            return Err(Refusal::Stale(format!(
                "draft {seq} starts from {}, and another version is in force: take that one as its start and look again",
                self.draft.base
            )));
        }
        if self.draft.changes.is_empty() {
            return Err(Refusal::Nothing(format!("draft {seq} changes nothing")));
        }
        if self.draft.reason.is_empty() {
            return Err(Refusal::Bad("say why, for the record".into()));
        }
        super::compile_whole(app, &self.files)?;
        let effect = match self.effect() {
            Some(effect) => effect,
            None => self.simulate(app).await?,
        };
        let proposal = Proposal {
            files: self.files.clone(),
            authors: self.draft.authors.clone(),
            reason: self.draft.reason.clone(),
            percent,
            draft: Some((seq, self.draft.revision)),
            effect: Some(effect),
        };
        put_in_force(app, proposal, say).await
    }
}

/// Does publishing this draft need somebody else? In words; nothing where it does not.
///
/// # Errors
/// `Findings` when anything is wrong with it.
pub async fn needs(app: &App, whole: &Whole) -> Result<Vec<String>, Refusal> {
    let proposal = Proposal {
        files: whole.files.clone(),
        authors: whole.draft.authors.clone(),
        reason: String::new(),
        percent: 100,
        draft: None,
        effect: Some(whole.effect().unwrap_or_default()),
    };
    let why = super::why(app, &proposal).await?;
    Ok(why.iter().map(ToString::to_string).collect())
}
