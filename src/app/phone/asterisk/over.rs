//! How calls end, and what was missed of them while nobody was told.

use std::collections::BTreeMap;

use crate::channel::asterisk::event::not_picked_up;
use crate::channel::asterisk::{NAME, attempt_of};
use crate::channel::receipt::Word;
use crate::domain::call::{Go, Heard, Progress, Stage};
use crate::store::StoreError;

use super::super::held::Of;
use super::{DESK, End, Switchboard, desk_of};

/// Normal clearing (ITU-T Q.850, Table 1).
const CLEARED: u16 = 16;

impl Switchboard {
    pub(super) async fn over(&mut self, channel: &str, cause: u16, text: &str) {
        let ended = self.ends.remove(channel);
        self.held.drop(channel);
        self.synthesis.forget(channel).await;
        if let Some(customer) = channel.strip_suffix(DESK) {
            self.desk_is_over(customer).await;
            return;
        }
        let Some(of) = attempt_of(channel) else { return };
        let engine = &self.app.engine;
        let (progress, ear) = match engine.store.phone_call(&of.0, of.1).await {
            Ok(call) => (call.progress, call.ear),
            Err(StoreError::NotFound { .. }) => (Progress::None, None),
            Err(error) => {
                // Without an end it is judged later, by how far it came.
                tracing::warn!(%error, "the end of a call was not kept");
                return;
            }
        };
        let by_another = ear.filter(|ear| ear.by != self.exchange.application());
        // It left for another process, which is told of its end too.
        if by_another.as_ref().is_some_and(|ear| ear.until > engine.clock.now()) {
            return;
        }
        let ended = ended.filter(|_| by_another.is_none());
        let connected = |end: &End| end.joined || matches!(end.then, Go::Connect { .. });
        if progress > Progress::None && ended.as_ref().is_none_or(connected) {
            self.exchange.hang_up(&desk_of(channel)).await;
            self.exchange.leave(channel).await;
        }
        let word = match ended {
            Some(end) if end.broken => {
                Word::NotReached { detail: "a line could not be spoken".into() }
            }
            Some(end) => Word::CallOver { by: Some(end.by) },
            None if progress > Progress::None => Word::CallOver { by: None },
            None => not_picked_up(cause, text),
        };
        let kept = engine.take_receipt(of, NAME, channel.to_owned(), word).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "the end of a call was not kept");
        }
    }

    /// Who was called for the customer is gone: they have talked, or nobody came.
    pub(super) async fn desk_is_over(&mut self, customer: &str) {
        let Some(end) = self.here(customer) else { return };
        let (Go::Connect { .. }, Some(of)) = (&end.then, end.of) else { return };
        let heard = if end.joined { Heard::Talked } else { Heard::NobodyCame };
        let (by, joined) = (end.by, end.joined);
        if joined {
            self.exchange.leave(customer).await;
        }
        // It goes on to speak, and may end in another call of the desk.
        Box::pin(self.take_turn(customer, of, Stage::Transfer, heard, by)).await;
    }

    /// What happened while the exchange could not be heard is not told later: it is asked.
    pub(super) async fn catch_up(&mut self) -> Result<(), String> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let live = self.exchange.channels().await?;
        let live: BTreeMap<String, bool> =
            live.into_iter().map(|channel| (channel.id.clone(), channel.is_up())).collect();
        let (by, now) = (self.exchange.application(), self.app.engine.clock.now());
        let spoken_to =
            |(channel, end): (&String, &End)| attempt_of(channel).filter(|_| end.of.is_some());
        let calls: Vec<Of> = self.ends.iter().filter_map(spoken_to).collect();
        let until = now + self.pace.left_after;
        let ours = self.app.engine.store.hear_calls(&calls, by, until, now).await;
        let ours = ours.map_err(|error| error.to_string())?;
        let ends: Vec<String> = self.ends.keys().cloned().collect();
        for channel in ends {
            let is_ours = attempt_of(&channel).is_none_or(|of| ours.contains(&of));
            match self.ends.get(&channel) {
                Some(_) if !live.contains_key(&channel) => self.over(&channel, CLEARED, "").await,
                Some(end) if end.of.is_some() && !is_ours => {
                    self.ends.remove(&channel);
                    self.held.drop(&channel);
                }
                Some(_) => self.catch_up_with(&channel, &live).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// A sound that is over, a desk that picked up or did not.
    async fn catch_up_with(
        &mut self,
        channel: &str,
        live: &BTreeMap<String, bool>,
    ) -> Result<(), String> {
        let Some(end) = self.here(channel) else { return Ok(()) };
        let waits = end.to_play.is_empty() && !end.joined && matches!(end.then, Go::Connect { .. });
        if let Some(playing) = end.playing.clone() {
            if !self.exchange.is_playing(&playing).await? {
                self.go_on(channel).await;
            }
        } else if waits {
            let desk = desk_of(channel);
            match live.get(&desk) {
                None => self.desk_is_over(channel).await,
                Some(true) if !self.ends.contains_key(&desk) => {
                    self.picked_up(&desk, &["desk".into(), channel.to_owned()]).await;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
