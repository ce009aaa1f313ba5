//! Calls that were left behind, because their process is gone or lost its line to the exchange.
//!
//! Who hears a call holds a lease of it in the store and renews it. A call whose lease is over
//! goes to whoever takes the lease first, is brought to that process, and goes on from its
//! beginning; two parties who talk are left to it. A call that ended unheard is judged by how
//! far it came. A letter (a code by phone) has no lease: others leave it alone, and it ends
//! with its process or goes on when that process hears again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::channel::asterisk::{Asterisk, NAME, attempt_of, channel_of};
use crate::channel::receipt::Word;
use crate::domain::call::Progress;
use crate::domain::time::Instant;
use crate::store::StoreError;
use crate::store::calls::Endless;

use super::super::App;
use super::asterisk::{DESK, desk_of};
use super::held::{Held, Of};
use super::left_behind::{Heard, Next, Seen, Talk, args, is_over};
use super::synthesis::Synthesis;

/// Calls without an end are looked for among those this old; younger ones may still begin.
const YOUNGEST: TimeDelta = TimeDelta::minutes(1);
const OLDEST: TimeDelta = TimeDelta::days(1);

/// How many of them at a time.
const MANY: i64 = 200;

/// How quickly a process looks after calls.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often it looks around, and renews the leases of the calls it hears.
    pub look: Duration,
    /// How long a lease lasts.
    pub left_after: TimeDelta,
    /// How long the dialplan may take to find out who picked up.
    pub screened: TimeDelta,
    /// How long until the exchange is looked for again.
    pub pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(2),
            left_after: TimeDelta::seconds(8),
            screened: TimeDelta::seconds(20),
            pause: Duration::from_secs(2),
        }
    }
}

/// The look around of one process.
#[derive(Debug)]
pub(super) struct Lookout {
    pub(super) app: Arc<App>,
    pub(super) exchange: Asterisk,
    pub(super) synthesis: Synthesis,
    pub(super) held: Held,
    pub(super) pace: Pace,
    pub(super) seen: Before,
}

/// What the look before saw.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Calls that were picked up and never heard, and since when.
    up_since: BTreeMap<Of, Instant>,
    /// Calls whose two parties have talked.
    talked: BTreeSet<Of>,
    /// Held channels that were not there.
    gone: BTreeSet<String>,
    /// Calls without an end that were not there.
    unheard: BTreeSet<Of>,
}

impl Lookout {
    /// Looks around for ever. Leases are renewed beside it: a slow exchange loses none.
    pub(super) async fn run(mut self) {
        let (app, held, pace) = (Arc::clone(&self.app), self.held.clone(), self.pace);
        let by = self.exchange.application().to_owned();
        tokio::select! {
            () = renew(&app, &held, &by, pace) => {}
            () = self.look_on() => {}
        }
    }

    async fn look_on(&mut self) {
        let mut looks = beat(self.pace.look);
        loop {
            looks.tick().await;
            if let Err(why) = self.look().await {
                tracing::debug!(%why, "calls that were left behind cannot be looked for");
            }
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        if !self.held.is_listening() {
            return Ok(());
        }
        let live = self.exchange.channels().await?;
        let live: BTreeMap<String, bool> =
            live.into_iter().map(|channel| (channel.id.clone(), channel.is_up())).collect();
        let gone = self.held.without(&live);
        for channel in gone.intersection(&self.seen.gone) {
            self.held.drop(channel);
        }
        self.seen.gone = gone;
        let customer = |channel: &String| channel.strip_suffix(DESK).unwrap_or(channel).to_owned();
        let calls: BTreeSet<Of> =
            live.keys().filter_map(|channel| attempt_of(&customer(channel))).collect();
        self.held.watch_only(&calls);
        self.seen.up_since.retain(|of, _| calls.contains(of));
        self.seen.talked.retain(|of| calls.contains(of));
        for of in calls {
            if let Err(why) = self.look_at(of, &live).await {
                tracing::debug!(%why, "a call that was left behind stays so");
            }
        }
        self.end_unheard(&live).await
    }

    async fn look_at(&mut self, of: Of, live: &BTreeMap<String, bool>) -> Result<(), String> {
        let channel = channel_of(of.0, of.1);
        let desk = desk_of(&channel);
        let is_up = live.get(&channel).copied();
        let rings = is_up == Some(false);
        if rings || self.held.contains(&channel) {
            return Ok(());
        }
        let engine = &self.app.engine;
        let call = match engine.store.phone_call(&of.0, of.1).await {
            // Of another installation at this exchange, or a letter.
            Err(StoreError::NotFound { .. }) => return Ok(()),
            call => call.map_err(|error| error.to_string())?,
        };
        let now = engine.clock.now();
        let heard = match call.ear {
            _ if self.held.is_watched(&of) => Heard::Watched,
            Some(ear) => Heard::Until(ear.until),
            None => Heard::Never { since: *self.seen.up_since.entry(of).or_insert(now) },
        };
        if !heard.is_free(now, self.pace.screened) {
            return Ok(());
        }
        let mut talk = Talk::of(self.exchange.bridged(&channel).await?.as_deref(), &channel, &desk);
        if talk == Talk::Never && self.seen.talked.contains(&of) {
            talk = Talk::Over;
        }
        let seen = Seen { customer: is_up.is_some(), desk: live.contains_key(&desk), talk };
        let next = seen.next();
        let taken = next != Next::Wait && self.take(of, now).await?;
        self.held.watch(of, taken && next == Next::Watch);
        if !taken || next == Next::Watch {
            return Ok(());
        }
        // Whoever else is called for this customer would be joined with nobody.
        self.exchange.hang_up(&desk).await;
        self.exchange.leave(&channel).await;
        if let Next::Move { talked } = next {
            tracing::info!(%channel, "a call that was left behind is taken over");
            if talked {
                self.seen.talked.insert(of);
            }
            return self.exchange.take_over(&channel, args(talked, call.progress)).await;
        }
        Ok(())
    }

    /// Takes the lease of a call; one process gets it.
    async fn take(&self, of: Of, now: Instant) -> Result<bool, String> {
        let (by, until) = (self.exchange.application(), now + self.pace.left_after);
        let taken = self.app.engine.store.hear_calls(&[of], by, until, now).await;
        taken.map(|taken| taken.contains(&of)).map_err(|error| error.to_string())
    }

    /// What ended between two looks may be heard of yet, and what is not here may be at another
    /// host's exchange; what nobody can hear any more is given its end.
    async fn end_unheard(&mut self, live: &BTreeMap<String, bool>) -> Result<(), String> {
        let engine = &self.app.engine;
        let now = engine.clock.now();
        let between = now - OLDEST..now - YOUNGEST;
        let begun = engine.store.calls_without_end(NAME, between, MANY).await;
        let mut begun = begun.map_err(|error| error.to_string())?;
        begun.retain(|call| {
            let channel = channel_of(call.of.0, call.of.1);
            !live.contains_key(&channel) && !self.held.contains(&channel)
        });
        let gone = begun.iter().map(|call| call.of).collect();
        let before = std::mem::replace(&mut self.seen.unheard, gone);
        for Endless { of, opened_at, progress, ear } in begun {
            if !before.contains(&of) || !is_over(opened_at, ear.map(|ear| ear.until), now) {
                continue;
            }
            let channel = channel_of(of.0, of.1);
            let desk = desk_of(&channel);
            let word = if progress >= Progress::Fax {
                Word::CallOver { by: None }
            } else {
                Word::NotReached { detail: "the call ended while nobody heard it".into() }
            };
            self.exchange.hang_up(&desk).await;
            self.exchange.leave(&channel).await;
            for end in [&channel, &desk] {
                self.synthesis.forget(end).await;
            }
            let kept = engine.take_receipt(of, NAME, channel, word).await;
            kept.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Renews the leases of the calls that are heard, for as long as they can be.
async fn renew(app: &App, held: &Held, by: &str, pace: Pace) {
    let mut beats = beat(pace.look);
    loop {
        beats.tick().await;
        let heard: Vec<Of> = held.calls().into_iter().collect();
        if heard.is_empty() || !held.is_listening() {
            continue;
        }
        let now = app.engine.clock.now();
        let renewed = app.engine.store.hear_calls(&heard, by, now + pace.left_after, now).await;
        if let Err(error) = renewed {
            tracing::debug!(%error, "the calls of this process may go to another");
        }
    }
}

fn beat(every: Duration) -> Interval {
    let mut beats = interval(every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
