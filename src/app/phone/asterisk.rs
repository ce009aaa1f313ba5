//! Calls through an exchange of one's own: its events come in, sounds and keys go out. What is
//! said and done is decided where every provider's calls are.

mod over;
mod speaking;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant as Monotonic;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::channel::asterisk::event::Event;
use crate::channel::asterisk::{Asterisk, attempt_of};
use crate::domain::call::{Go, Heard, PickedUp, Stage};
use crate::domain::token::Grant;
use crate::worker::{Stopping, stopped};

use super::super::App;
use super::held::{Held, Of};
use super::left_behind::TALKED;
use super::lookout::{Before, Lookout, Pace};
use super::synthesis::Synthesis;
use speaking::letter;

/// How long silence lasts before it is an answer.
const LISTEN: Duration = Duration::from_secs(6);

/// One end of a call: what it is being told.
#[derive(Debug)]
struct End {
    of: Option<Of>,
    to_play: VecDeque<PathBuf>,
    playing: Option<String>,
    then: Go,
    silent_at: Option<Monotonic>,
    by: PickedUp,
    /// The two parties talk, or have talked.
    joined: bool,
    /// A line could not be spoken: what was not said is not told.
    broken: bool,
    /// It left this process, for its end or for another one.
    left: bool,
}

/// The calls of one exchange.
#[derive(Debug)]
pub struct Switchboard {
    app: Arc<App>,
    exchange: Asterisk,
    synthesis: Synthesis,
    pace: Pace,
    held: Held,
    ends: BTreeMap<String, End>,
    played: u64,
}

impl Switchboard {
    #[must_use]
    pub fn new(app: Arc<App>, exchange: Asterisk, synthesis: Synthesis, pace: Pace) -> Self {
        let (held, ends) = (Held::default(), BTreeMap::new());
        Self { app, exchange, synthesis, pace, held, ends, played: 0 }
    }

    /// Reads events until the process is asked to stop; a connection that ends is made again.
    /// What it hears then it leaves to others.
    pub async fn run(mut self, stopping: Stopping) {
        let lookout = Lookout {
            app: Arc::clone(&self.app),
            exchange: self.exchange.clone(),
            synthesis: self.synthesis.clone(),
            held: self.held.clone(),
            pace: self.pace,
            seen: Before::default(),
        };
        tokio::select! {
            () = self.listen_on(stopping) => {}
            () = lookout.run() => {}
        }
        let engine = &self.app.engine;
        let left = engine.store.leave_calls(self.exchange.application(), engine.clock.now()).await;
        if let Err(error) = left {
            tracing::warn!(%error, "the calls of this process are left a little later");
        }
    }

    async fn listen_on(&mut self, mut stopping: Stopping) {
        while !*stopping.borrow() {
            if let Err(why) = self.listen(&mut stopping).await {
                tracing::warn!(%why, "the exchange cannot be heard");
            }
            self.held.listen(false);
            tokio::select! {
                () = tokio::time::sleep(self.pace.pause) => {}
                () = stopped(&mut stopping) => return,
            }
        }
    }

    async fn listen(&mut self, stopping: &mut Stopping) -> Result<(), String> {
        let (url, authorization) = self.exchange.events();
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        let authorization = authorization.parse().map_err(|_| "a user that is no header")?;
        request.headers_mut().insert("authorization", authorization);
        let (mut events, _) = connect_async(request).await.map_err(|error| error.to_string())?;
        self.catch_up().await?;
        self.held.listen(true);
        loop {
            let silent_at = self.ends.values().filter_map(|end| end.silent_at).min();
            let silence = async {
                match silent_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stopped(stopping) => return Ok(()),
                () = silence => self.silence().await,
                event = events.next() => {
                    let Some(message) = event else { return Err("the connection ended".into()) };
                    let message = message.map_err(|error| error.to_string())?;
                    let Ok(text) = message.to_text() else { continue };
                    if let Ok(event) = serde_json::from_str(text) {
                        self.hear(event).await;
                    }
                }
            }
        }
    }

    async fn silence(&mut self) {
        let now = Monotonic::now();
        let over = |end: &End| end.silent_at.is_some_and(|at| at <= now);
        let silent: Vec<String> =
            self.ends.iter().filter(|(_, end)| over(end)).map(|(id, _)| id.clone()).collect();
        for channel in silent {
            self.heard(&channel, Heard::Silence).await;
        }
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::StasisStart { channel, args } => self.picked_up(&channel.id, &args).await,
            Event::ChannelDtmfReceived { channel, digit } => {
                if let Some(key) = digit.chars().next() {
                    self.heard(&channel.id, Heard::Key(key)).await;
                }
            }
            Event::PlaybackFinished { playback } => {
                let of = |end: &End| end.playing.as_deref() == Some(&playback.id);
                let found = self.ends.iter().find(|(_, end)| of(end)).map(|(id, _)| id.clone());
                if let Some(channel) = found {
                    self.go_on(&channel).await;
                }
            }
            Event::StasisEnd { channel } => {
                self.held.drop(&channel.id);
                if let Some(end) = self.ends.get_mut(&channel.id) {
                    (end.left, end.silent_at) = (true, None);
                }
            }
            Event::ChannelDestroyed { channel, cause, cause_txt } => {
                self.over(&channel.id, cause, &cause_txt).await;
            }
            Event::Other => {}
        }
    }

    /// `args` are those it was begun with: `call`, `letter`, or `desk` and whose; or those it was
    /// taken over with. The dialplan of `context`, which knows a machine when it hears one
    /// (`AMD()`), adds `MACHINE`.
    async fn picked_up(&mut self, channel: &str, args: &[String]) {
        let kind = args.first().map_or("", String::as_str);
        let of = attempt_of(channel).filter(|_| kind != "letter");
        if let Some(of) = of
            && !self.may_hear(of).await
        {
            return;
        }
        self.held.add(channel);
        self.exchange.listen_to(channel).await;
        // What it was saying before it was brought back here.
        if let Some(playing) = self.ends.get_mut(channel).and_then(|end| end.playing.take()) {
            self.exchange.stop_playing(&playing).await;
        }
        if kind == "desk" {
            let customer = args.get(1).cloned().unwrap_or_default();
            if let Some(of) = attempt_of(&customer) {
                self.take_turn(channel, of, Stage::Desk, Heard::Person, PickedUp::Person).await;
            }
            return;
        }
        if kind == "letter" {
            match self.exchange.letter(channel).await.map(|text| serde_json::from_str(&text)) {
                Ok(Ok(script)) => self.speak(channel, None, letter(&self.app, &script)).await,
                _ => self.exchange.hang_up(channel).await,
            }
            return;
        }
        let Some(of) = of else { return };
        if kind == TALKED {
            let talked = Heard::Talked;
            self.take_turn(channel, of, Stage::Transfer, talked, PickedUp::Person).await;
            if let Some(end) = self.here(channel) {
                end.joined = true;
            }
            return;
        }
        let machine = args.iter().any(|arg| arg == "MACHINE");
        let (heard, by) = if machine {
            (Heard::Machine, PickedUp::Machine)
        } else {
            (Heard::Person, PickedUp::Person)
        };
        self.take_turn(channel, of, Stage::Answered, heard, by).await;
    }

    /// Takes the lease of a call. One that is not known is hung up where its words are asked for.
    async fn may_hear(&self, of: Of) -> bool {
        let (store, now) = (&self.app.engine.store, self.app.engine.clock.now());
        let (by, until) = (self.exchange.application(), now + self.pace.left_after);
        match store.hear_calls(&[of], by, until, now).await {
            Ok(heard) if heard.is_empty() => store.phone_call(&of.0, of.1).await.is_err(),
            Ok(_) | Err(_) => true,
        }
    }

    /// The end of a call, where this process still has it.
    fn here(&mut self, channel: &str) -> Option<&mut End> {
        self.ends.get_mut(channel).filter(|end| !end.left)
    }

    /// A key, or silence, where one is listened for.
    async fn heard(&mut self, channel: &str, heard: Heard) {
        let Some(end) = self.here(channel) else { return };
        let (Go::Listen { url }, Some(of), by) = (end.then.clone(), end.of, end.by) else { return };
        let Some(stage) = stage_of(&self.app, &url) else { return };
        let Some(end) = self.here(channel) else { return };
        end.silent_at = None;
        end.to_play.clear();
        if let Some(playing) = end.playing.take() {
            self.exchange.stop_playing(&playing).await;
        }
        self.take_turn(channel, of, stage, heard, by).await;
    }
}

pub(super) const DESK: &str = ".desk";

/// The channel of the other party of a call.
pub(super) fn desk_of(channel: &str) -> String {
    format!("{channel}{DESK}")
}

/// Where a call stands, by the address its next key would be told to.
fn stage_of(app: &App, url: &str) -> Option<Stage> {
    let (_, token) = url.split_once("?a=")?;
    match app.engine.keys.read(token, app.engine.clock.now()) {
        Some(Grant::Call { stage, .. }) => Some(stage),
        _ => None,
    }
}
