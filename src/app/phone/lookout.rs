//! Calls that were left behind, because their process is gone or lost its line to the exchange.
//!
//! Who hears a call says so at the exchange, again and again. A call whose word stands still
//! is claimed and taken over by another process, and goes on from its beginning; two parties
//! who talk are left to it. A call that ended unheard is judged by how far it came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Instant as Monotonic, MissedTickBehavior, interval};

use crate::channel::asterisk::{Asterisk, NAME, attempt_of, channel_of};
use crate::channel::receipt::Word;
use crate::domain::NotificationId;
use crate::domain::call::Progress;
use crate::store::StoreError;

use super::super::App;
use super::asterisk::{AGAIN, AGAIN_MACHINE, DESK, TALKED, desk_of};
use super::synthesis::Synthesis;

/// Calls without an end are looked for among those this old; younger ones may still begin.
const YOUNGEST: TimeDelta = TimeDelta::minutes(1);
const OLDEST: TimeDelta = TimeDelta::days(1);

/// How many of them at a time.
const MANY: i64 = 200;

/// How often a process looks around and renews its word, and how long a word stands still before
/// its call is anybody's.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub look: Duration,
    pub left_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { look: Duration::from_secs(2), left_after: Duration::from_secs(6) }
    }
}

/// The channels this process hears.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<BTreeSet<String>>>);

impl Held {
    fn with<T>(&self, read: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, channel: &str) {
        self.with(|held| held.insert(channel.to_owned()));
    }

    pub(super) fn drop(&self, channel: &str) {
        self.with(|held| held.remove(channel));
    }

    pub(super) fn drop_all(&self) {
        self.with(BTreeSet::clear);
    }
}

/// A channel that somebody else hears, or nobody.
#[derive(Debug)]
struct Seen {
    word: Option<String>,
    since: Monotonic,
    /// The word is our own claim.
    claimed: bool,
    /// It was connected with the contact centre.
    talked: bool,
}

/// The look around of one process.
#[derive(Debug)]
pub(super) struct Lookout {
    pub(super) app: Arc<App>,
    pub(super) exchange: Asterisk,
    pub(super) synthesis: Synthesis,
    pub(super) held: Held,
    /// What this process is called.
    pub(super) ear: String,
    pub(super) pace: Pace,
    words: u64,
    seen: BTreeMap<String, Seen>,
    unheard: BTreeSet<(NotificationId, i64)>,
}

impl Lookout {
    pub(super) fn new(
        app: Arc<App>,
        exchange: Asterisk,
        synthesis: Synthesis,
        held: Held,
        pace: Pace,
    ) -> Self {
        let ear = exchange.application().to_owned();
        Self {
            app,
            exchange,
            synthesis,
            held,
            ear,
            pace,
            words: 0,
            seen: BTreeMap::new(),
            unheard: BTreeSet::new(),
        }
    }

    /// Looks around for ever.
    pub(super) async fn run(mut self) {
        let mut looks = interval(self.pace.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Err(why) = self.look().await {
                tracing::debug!(%why, "calls that were left behind cannot be looked for");
            }
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        let held = self.held.with(|held| held.clone());
        for channel in &held {
            let word = self.word();
            // One that ended a moment ago needs no word.
            let _ = self.exchange.note_ear(channel, &word).await;
        }
        let live = self.exchange.channels().await?;
        let known: BTreeSet<String> = live.iter().map(|channel| channel.id.clone()).collect();
        self.seen.retain(|channel, _| known.contains(channel));
        for channel in live.iter().filter(|channel| channel.is_up() && !held.contains(&channel.id))
        {
            self.look_at(&channel.id, &known).await?;
        }
        self.end_unheard(&known).await
    }

    fn word(&mut self) -> String {
        self.words += 1;
        format!("{}/{}", self.ear, self.words)
    }

    async fn look_at(&mut self, channel: &str, known: &BTreeSet<String>) -> Result<(), String> {
        let customer = channel.strip_suffix(DESK).unwrap_or(channel);
        let Some(of) = attempt_of(customer) else { return Ok(()) };
        let (word, now) = (self.exchange.ear_of(channel).await?, Monotonic::now());
        let fresh = || Seen { word: word.clone(), since: now, claimed: false, talked: false };
        let seen = self.seen.entry(channel.to_owned()).or_insert_with(fresh);
        if seen.word != word {
            *seen = Seen { talked: seen.talked, ..fresh() };
        }
        // Whoever hears it after all says so again before a claim is old.
        let patience = self.pace.left_after / if seen.claimed { 2 } else { 1 };
        if now < seen.since + patience {
            return Ok(());
        }
        // Another installation may call by the same exchange.
        let progress = match self.app.engine.store.phone_call(&of.0, of.1).await {
            Ok(call) => call.progress,
            Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let was_claimed = seen.claimed;
        let desk = desk_of(customer);
        let talk = known.contains(&desk)
            && known.contains(customer)
            && self.exchange.is_joined(customer).await?;
        if talk || !was_claimed {
            return self.claim(channel, talk).await;
        }
        let talked = self.seen.remove(channel).is_some_and(|seen| seen.talked);
        if channel == desk {
            self.exchange.hang_up(&desk).await;
            return Ok(());
        }
        tracing::info!(%channel, "a call that was left behind is taken over");
        let args = match progress {
            _ if talked => TALKED,
            Progress::Machine => AGAIN_MACHINE,
            _ => AGAIN,
        };
        self.held.add(channel);
        let taken = self.exchange.take_over(channel, args).await;
        if taken.is_err() {
            self.held.drop(channel);
        }
        taken
    }

    /// Two may claim: the later word stands, and is what is looked for next time.
    async fn claim(&mut self, channel: &str, talk: bool) -> Result<(), String> {
        let word = self.word();
        self.exchange.note_ear(channel, &word).await?;
        let talked = talk || self.seen.get(channel).is_some_and(|seen| seen.talked);
        let seen = Seen { word: Some(word), since: Monotonic::now(), claimed: true, talked };
        self.seen.insert(channel.to_owned(), seen);
        Ok(())
    }

    /// What ended between two looks may be heard of yet; what stays without an end is given one.
    async fn end_unheard(&mut self, known: &BTreeSet<String>) -> Result<(), String> {
        let engine = &self.app.engine;
        let now = engine.clock.now();
        let between = now - OLDEST..now - YOUNGEST;
        let begun = engine.store.calls_without_end(NAME, between, MANY).await;
        let begun = begun.map_err(|error| error.to_string())?;
        let over = |of: &(NotificationId, i64)| {
            let channel = channel_of(of.0, of.1);
            !known.contains(&channel) && !self.held.with(|held| held.contains(&channel))
        };
        let unheard: BTreeSet<_> = begun.into_iter().filter(over).collect();
        for of in unheard.intersection(&self.unheard) {
            let channel = channel_of(of.0, of.1);
            let word = match engine.store.phone_call(&of.0, of.1).await {
                // A script nobody can answer: nobody knows how much of it was heard.
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) => return Err(error.to_string()),
                Ok(call) if call.progress >= Progress::Fax => Word::CallOver { by: None },
                Ok(_) => Word::NotReached { detail: "the call ended while nobody heard it".into() },
            };
            for end in [&channel, &desk_of(&channel)] {
                self.synthesis.forget(end).await;
            }
            let kept = engine.take_receipt(*of, NAME, channel, word).await;
            kept.map_err(|error| error.to_string())?;
        }
        self.unheard = unheard;
        Ok(())
    }
}
