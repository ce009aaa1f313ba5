//! Playing a file of case events: at their own times, on a virtual clock that jumps from one
//! due instant to the next, through the real store, queue, workers and channels.

use std::collections::VecDeque;
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

    /// A script of events that are known to be good.
    #[must_use]
    pub fn of(events: Vec<Incoming>) -> Self {
        let events = events.into_iter().enumerate();
        let events = events.map(|(n, incoming)| Played { line: n + 1, incoming }).collect();
        Self { events, report: Report::default() }
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
/// # Errors
/// `Unavailable` when the store is away.
pub async fn play(
    app: &App,
    script: Script,
    tail: Span,
    progress: impl Fn(usize),
) -> Result<Report> {
    let mut steps = play_with(app, script, tail);
    while steps.next().await? != Step::Ended {
        progress(steps.done);
    }
    Ok(steps.report)
}

/// A play, an instant at a time.
#[must_use]
pub fn play_with(app: &App, script: Script, tail: Span) -> Steps<'_> {
    let last = app.engine.clock.now();
    let events = script.events.into_iter().peekable();
    Steps {
        app,
        events,
        tail,
        stops: VecDeque::new(),
        last,
        due: None,
        begun: false,
        ended: false,
        done: 0,
        report: script.report,
    }
}

/// What a play did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The clock moved to the next instant at which something happened.
    Moved,
    /// The clock moved to an instant at which the caller wants to do something.
    Stopped,
    /// Nothing is left.
    Ended,
}

/// A play on its way. The clock moves only when nothing is due, claimed or on the wire.
#[derive(Debug)]
pub struct Steps<'a> {
    app: &'a App,
    events: std::iter::Peekable<std::vec::IntoIter<Played>>,
    tail: Span,
    stops: VecDeque<Instant>,
    /// When the last event happened.
    last: Instant,
    /// When something falls due next.
    due: Option<Instant>,
    begun: bool,
    ended: bool,
    /// Events played so far.
    pub done: usize,
    pub report: Report,
}

impl Steps<'_> {
    /// Stops at these instants as well, in their order.
    pub fn stop_at(&mut self, instants: VecDeque<Instant>) {
        self.stops = instants;
    }

    /// What the caller did may have made something due: the next step looks before it moves.
    pub const fn look_again(&mut self) {
        self.begun = false;
    }

    /// Moves to the next instant at which an event happens or something falls due, and works
    /// until nothing is left to do there.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn next(&mut self) -> Result<Step> {
        let engine = &self.app.engine;
        if !self.begun {
            self.begun = true;
            self.due = engine.run_until_idle().await?;
        }
        if self.ended {
            return Ok(Step::Ended);
        }
        let event = self.events.peek().map(|played| played.incoming.event.occurred_at);
        let stop = self.stops.front().copied().filter(|stop| event.is_none_or(|at| *stop <= at));
        if let Some(stop) = stop
            && self.due.is_none_or(|due| due >= stop)
        {
            self.stops.pop_front();
            engine.clock.advance_to(stop);
            self.last = self.last.max(stop);
            engine.run_until_idle().await?;
            // The caller does something now.
            self.look_again();
            return Ok(Step::Stopped);
        }
        let end = event.is_none().then(|| {
            let zone = jiff::tz::TimeZone::UTC;
            shift(self.last, self.tail, false, &zone, &Calendar::default())
        });
        let target = stop.or(event).or(end).expect("an event, or the end");
        if let Some(due) = self.due.filter(|due| *due < target) {
            engine.clock.advance_to(due);
        } else if event.is_some() {
            engine.clock.advance_to(target);
            self.take_events(target).await?;
        } else {
            engine.clock.advance_to(target);
            engine.run_until_idle().await?;
            engine.store.cancel_planned(Reason::EndOfPlay, engine.clock.now()).await?;
            engine.store.end_promises(engine.clock.now()).await?;
            self.ended = true;
            return Ok(Step::Moved);
        }
        self.due = engine.run_until_idle().await?;
        Ok(Step::Moved)
    }

    /// Hands in the events of one instant, as one batch in file order.
    async fn take_events(&mut self, at: Instant) -> Result<()> {
        let engine = &self.app.engine;
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(played) =
                self.events.next_if(|played| played.incoming.event.occurred_at == at)
        {
            batch.push((played.line, played.incoming));
        }
        self.done += batch.len();
        self.last = at;
        let now = engine.clock.now();
        let seqs = accept(&engine.store, batch, now, &mut self.report).await?;
        engine.ring_plan(&seqs);
        Ok(())
    }
}
