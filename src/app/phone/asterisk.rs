//! Calls through an exchange of one's own: its events come in, sounds and keys go out. What is
//! said and done is decided where every provider's calls are.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant as Monotonic;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::channel::asterisk::event::{Event, not_picked_up};
use crate::channel::asterisk::{Asterisk, NAME, attempt_of};
use crate::channel::receipt::Word;
use crate::domain::NotificationId;
use crate::domain::call::{Go, Heard, PickedUp, Said, Stage};
use crate::domain::message::Script;
use crate::domain::token::Grant;
use crate::worker::{Stopping, stopped};

use super::super::App;
use super::lookout::{Held, Lookout, Pace};
use super::synthesis::Synthesis;
use super::turn;

/// How long silence lasts before it is an answer.
const LISTEN: Duration = Duration::from_secs(6);

/// How long until the exchange is looked for again.
const PAUSE: Duration = Duration::from_secs(2);

/// What a call that was left behind comes back with: from its beginning, to a person or to a
/// machine, or for its end, when the two have talked.
pub(super) const AGAIN: &str = "again";
pub(super) const AGAIN_MACHINE: &str = "again,MACHINE";
pub(super) const TALKED: &str = "talked";

/// One end of a call: what it is being told.
#[derive(Debug)]
struct End {
    of: Option<(NotificationId, i64)>,
    to_play: VecDeque<PathBuf>,
    playing: Option<String>,
    then: Go,
    silent_at: Option<Monotonic>,
    by: PickedUp,
    /// The two parties talk.
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
    pub async fn run(mut self, stopping: Stopping) {
        let lookout = Lookout::new(
            Arc::clone(&self.app),
            self.exchange.clone(),
            self.synthesis.clone(),
            self.held.clone(),
            self.pace,
        );
        tokio::select! {
            () = self.listen_on(stopping) => {}
            () = lookout.run() => {}
        }
    }

    async fn listen_on(&mut self, mut stopping: Stopping) {
        while !*stopping.borrow() {
            if let Err(why) = self.listen(&mut stopping).await {
                tracing::warn!(%why, "the exchange cannot be heard");
            }
            // What happened meanwhile is not told later: the calls are taken up like any that
            // were left behind.
            self.ends.clear();
            self.held.drop_all();
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
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
        self.held.add(channel);
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
        let Some(of) = attempt_of(channel) else { return };
        if kind == TALKED {
            let talked = Heard::Talked;
            self.take_turn(channel, of, Stage::Transfer, talked, PickedUp::Person).await;
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

    /// A key, or silence, where one is listened for.
    async fn heard(&mut self, channel: &str, heard: Heard) {
        let Some(end) = self.ends.get_mut(channel).filter(|end| !end.left) else { return };
        let (Go::Listen { url }, Some(of)) = (&end.then, end.of) else { return };
        let Some(stage) = stage_of(&self.app, url) else { return };
        let by = end.by;
        end.silent_at = None;
        end.to_play.clear();
        if let Some(playing) = end.playing.take() {
            self.exchange.stop_playing(&playing).await;
        }
        self.take_turn(channel, of, stage, heard, by).await;
    }

    async fn take_turn(
        &mut self,
        channel: &str,
        of: (NotificationId, i64),
        stage: Stage,
        heard: Heard,
        by: PickedUp,
    ) {
        match turn(&self.app, NAME, of, stage, heard).await {
            Ok(said) => self.speak(channel, Some((of, by)), said).await,
            Err(error) => {
                tracing::warn!(%error, "a call could not go on");
                self.exchange.hang_up(channel).await;
            }
        }
    }

    /// Says a turn, line after line.
    async fn speak(
        &mut self,
        channel: &str,
        of: Option<((NotificationId, i64), PickedUp)>,
        said: Said,
    ) {
        let mut to_play = VecDeque::new();
        let mut broken = false;
        for line in &said.lines {
            self.played += 1;
            let name = format!("{channel}-{}", self.played);
            match self.synthesis.speak(&name, line, &said.voice, said.slow).await {
                Ok(sound) => to_play.push_back(sound),
                Err(why) => {
                    tracing::error!(%why, "a line of a call could not be spoken");
                    broken = true;
                }
            }
        }
        let end = End {
            of: of.map(|(of, _)| of),
            by: of.map_or(PickedUp::Person, |(_, by)| by),
            to_play,
            playing: None,
            then: said.then,
            silent_at: None,
            joined: false,
            broken,
            left: false,
        };
        self.ends.insert(channel.to_owned(), end);
        if broken {
            self.exchange.hang_up(channel).await;
        } else {
            self.go_on(channel).await;
        }
    }

    /// The next line, or what comes after the last.
    async fn go_on(&mut self, channel: &str) {
        let Some(end) = self.ends.get_mut(channel).filter(|end| !end.left) else { return };
        end.playing = None;
        if let Some(sound) = end.to_play.pop_front() {
            self.played += 1;
            let playback = format!("{channel}-p{}", self.played);
            end.playing = Some(playback.clone());
            let media = format!("sound:{}", sound.with_extension("").display());
            if let Err(why) = self.exchange.play(channel, &playback, &media).await {
                tracing::warn!(%why, "a line of a call was not played");
                self.exchange.hang_up(channel).await;
            }
            return;
        }
        match end.then.clone() {
            Go::Listen { .. } => end.silent_at = Some(Monotonic::now() + LISTEN),
            Go::Connect { to, .. } => {
                let desk = desk_of(channel);
                self.held.add(&desk);
                if let Err(why) = self.exchange.call_desk(&desk, &to, channel).await {
                    tracing::warn!(%why, "the contact centre was not called");
                    self.desk_is_over(channel).await;
                }
            }
            Go::Join => self.join(channel).await,
            Go::HangUp => self.exchange.hang_up(channel).await,
        }
    }

    /// The desk has heard what it is about: the two are connected.
    async fn join(&mut self, desk: &str) {
        let Some(customer) = desk.strip_suffix(DESK).map(str::to_owned) else { return };
        let joined = self.exchange.join(&customer, [&customer, desk]).await;
        if let Err(why) = joined {
            tracing::warn!(%why, "two parties were not connected");
            self.exchange.hang_up(desk).await;
        } else if let Some(end) = self.ends.get_mut(&customer) {
            end.joined = true;
        }
    }

    async fn over(&mut self, channel: &str, cause: u16, text: &str) {
        let ended = self.ends.remove(channel);
        self.held.drop(channel);
        self.synthesis.forget(channel).await;
        if let Some(customer) = channel.strip_suffix(DESK) {
            self.desk_is_over(customer).await;
            return;
        }
        let Some(of) = attempt_of(channel) else { return };
        let word = match &ended {
            Some(end) if end.broken => {
                Word::NotReached { detail: "a line could not be spoken".into() }
            }
            Some(end) => Word::CallOver { by: Some(end.by) },
            None => not_picked_up(cause, text),
        };
        if ended.is_some_and(|end| matches!(end.then, Go::Connect { .. })) {
            self.exchange.hang_up(&desk_of(channel)).await;
            self.exchange.leave(channel).await;
        }
        let kept = self.app.engine.take_receipt(of, NAME, channel.to_owned(), word).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "the end of a call was not kept");
        }
    }

    /// Who was called for the customer is gone: they have talked, or nobody came.
    async fn desk_is_over(&mut self, customer: &str) {
        let Some(end) = self.ends.get(customer) else { return };
        let (Go::Connect { .. }, Some(of)) = (&end.then, end.of) else { return };
        let heard = if end.joined { Heard::Talked } else { Heard::NobodyCame };
        let (by, joined) = (end.by, end.joined);
        if joined {
            self.exchange.leave(customer).await;
        }
        // It goes on to speak, and may end in another call of the desk.
        Box::pin(self.take_turn(customer, of, Stage::Transfer, heard, by)).await;
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

/// A script nobody can answer, spoken twice.
fn letter(app: &App, script: &Script) -> Said {
    Said {
        lines: [script.paragraphs.as_slice(), script.paragraphs.as_slice()].concat(),
        voice: super::speech(app, NAME).of(&script.locale),
        slow: script.slow,
        then: Go::HangUp,
    }
}
