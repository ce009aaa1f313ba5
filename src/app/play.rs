//! Playing a file of case events: at their own times, on a virtual clock that jumps from one
//! due instant to the next, through the real store, queue, workers and channels.

use std::io::Read;

use crate::domain::time::Instant;
use crate::domain::{Reason, Span};
use crate::planning::schedule::{Calendar, shift};
use crate::store::Result;
use crate::store::intake::Incoming;

use super::App;
use super::files::{BATCH, Report, accept, event_of, lines};

/// An event of the file and the line it stands in.
#[derive(Debug, Clone)]
pub struct Played {
    line: usize,
    incoming: Incoming,
}

/// A file, read whole and put into the order in which things happened.
#[derive(Debug, Clone, Default)]
pub struct Script {
    events: Vec<Played>,
    pub report: Report,
}

impl Script {
    /// Reads a file. Events of one instant keep the order of the file.
    ///
    /// `now` is the real one: what lies ahead of it is refused as it would be at the door.
    #[must_use]
    pub fn read(reader: impl Read, now: Instant) -> Self {
        let mut script = Self::default();
        for (line, text) in lines(reader) {
            match text.and_then(|text| event_of(&text, now)) {
                Ok(incoming) => script.events.push(Played { line, incoming }),
                Err(why) => script.report.refuse(line, why),
            }
        }
        script.events.sort_by_key(|played| played.incoming.event.occurred_at);
        script
    }

    /// When the first event happened.
    #[must_use]
    pub fn begins_at(&self) -> Option<Instant> {
        self.events.first().map(|played| played.incoming.event.occurred_at)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// Plays a script to its end and `tail` beyond, then cancels what is still planned.
///
/// The clock moves only when nothing is due, claimed or on the wire.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn play(
    app: &App,
    script: Script,
    tail: Span,
    progress: impl Fn(usize),
) -> Result<Report> {
    let engine = &app.engine;
    let Script { events, mut report } = script;
    let mut events = events.into_iter().peekable();
    let mut last = engine.clock.now();
    let mut done = 0;
    let mut due = engine.run_until_idle().await?;
    while let Some(next) = events.peek().map(|played| played.incoming.event.occurred_at) {
        advance(app, due, next).await?;
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(played) = events.next_if(|played| played.incoming.event.occurred_at == next)
        {
            batch.push((played.line, played.incoming));
        }
        done += batch.len();
        last = next;
        let seqs = accept(&engine.store, batch, engine.clock.now(), &mut report).await?;
        engine.ring_plan(seqs);
        due = engine.run_until_idle().await?;
        progress(done);
    }
    let zone = jiff::tz::TimeZone::UTC;
    let end = shift(last, tail, false, &zone, &Calendar::default());
    advance(app, due, end).await?;
    engine.store.cancel_planned(Reason::EndOfPlay, engine.clock.now()).await?;
    Ok(report)
}

/// Moves the clock to `target`, stopping at every instant at which something falls due.
async fn advance(app: &App, mut due: Option<Instant>, target: Instant) -> Result<()> {
    let engine = &app.engine;
    while let Some(next) = due.filter(|due| *due <= target) {
        engine.clock.advance_to(next);
        due = engine.run_until_idle().await?;
    }
    engine.clock.advance_to(target);
    Ok(())
}
