//! What the ends of calls hear: line after line, then what comes after the last.

use std::collections::VecDeque;

use tokio::time::Instant as Monotonic;

use crate::channel::asterisk::NAME;
use crate::domain::call::{Go, Heard, PickedUp, Said, Stage};
use crate::domain::message::Script;

use super::super::held::Of;
use super::super::{speech, turn};
use super::{DESK, End, LISTEN, Switchboard, desk_of};
use crate::app::App;

impl Switchboard {
    pub(super) async fn take_turn(
        &mut self,
        channel: &str,
        of: Of,
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
    pub(super) async fn speak(&mut self, channel: &str, of: Option<(Of, PickedUp)>, said: Said) {
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
        let joined = self.ends.get(channel).is_some_and(|end| end.joined);
        let end = End {
            of: of.map(|(of, _)| of),
            by: of.map_or(PickedUp::Person, |(_, by)| by),
            to_play,
            playing: None,
            then: said.then,
            silent_at: None,
            joined,
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
    pub(super) async fn go_on(&mut self, channel: &str) {
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
        if self.here(&customer).is_none() {
            self.exchange.hang_up(desk).await;
            return;
        }
        let joined = self.exchange.join(&customer, [&customer, desk]).await;
        if let Err(why) = joined {
            tracing::warn!(%why, "two parties were not connected");
            self.exchange.hang_up(desk).await;
        } else if let Some(end) = self.here(&customer) {
            end.joined = true;
        }
    }
}

/// A script nobody can answer, spoken twice.
pub(super) fn letter(app: &App, script: &Script) -> Said {
    Said {
        lines: [script.paragraphs.as_slice(), script.paragraphs.as_slice()].concat(),
        voice: speech(app, NAME).of(&script.locale),
        slow: script.slow,
        then: Go::HangUp,
    }
}
