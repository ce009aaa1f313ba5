//! What this process hears at its exchange: its events say so, and the look around reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::channel::asterisk::attempt_of;
use crate::domain::NotificationId;

/// The attempt of a call.
pub(super) type Of = (NotificationId, i64);

#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    channels: BTreeSet<String>,
    /// Calls whose two parties talk and whose process is gone.
    watched: BTreeSet<Of>,
    /// The exchange's events come in.
    listening: bool,
}

impl Held {
    fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, channel: &str) {
        self.with(|state| state.channels.insert(channel.to_owned()));
    }

    pub(super) fn drop(&self, channel: &str) {
        self.with(|state| state.channels.remove(channel));
    }

    pub(super) fn contains(&self, channel: &str) -> bool {
        self.with(|state| state.channels.contains(channel))
    }

    /// Those that are not there any more.
    pub(super) fn without(&self, live: &BTreeMap<String, bool>) -> BTreeSet<String> {
        let gone = |channel: &&String| !live.contains_key(*channel);
        self.with(|state| state.channels.iter().filter(gone).cloned().collect())
    }

    pub(super) fn watch(&self, of: Of, watched: bool) {
        self.with(
            |state| {
                if watched { state.watched.insert(of) } else { state.watched.remove(&of) }
            },
        );
    }

    pub(super) fn is_watched(&self, of: &Of) -> bool {
        self.with(|state| state.watched.contains(of))
    }

    /// Watches no call but these.
    pub(super) fn watch_only(&self, live: &BTreeSet<Of>) {
        self.with(|state| state.watched.retain(|of| live.contains(of)));
    }

    /// The calls this process answers for: a desk's channel is its customer's call.
    pub(super) fn calls(&self) -> BTreeSet<Of> {
        self.with(|state| {
            let heard = state.channels.iter().filter_map(|channel| attempt_of(channel));
            heard.chain(state.watched.iter().copied()).collect()
        })
    }

    pub(super) fn listen(&self, listening: bool) {
        self.with(|state| state.listening = listening);
    }

    /// Without the exchange's events nobody hears a call, and none can be brought here.
    pub(super) fn is_listening(&self) -> bool {
        self.with(|state| state.listening)
    }
}
