//! What the exchange tells over its WebSocket, as far as it matters to a call (ARI, "Events").

use serde::Deserialize;

use crate::channel::receipt::{Word, said};
use crate::domain::customer::AddressFault;

/// An event of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
pub enum Event {
    StasisStart {
        channel: Channel,
        args: Vec<String>,
    },
    ChannelDtmfReceived {
        channel: Channel,
        digit: String,
    },
    PlaybackFinished {
        playback: Playback,
    },
    /// It leaves this application, for its end or for another process.
    StasisEnd {
        channel: Channel,
    },
    ChannelDestroyed {
        channel: Channel,
        cause: u16,
        cause_txt: String,
    },
    /// One that changes nothing here.
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Channel {
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Playback {
    pub id: String,
}

/// What became of a call that nobody picked up, by its cause (ITU-T Q.850, Table 1).
#[must_use]
pub fn not_picked_up(cause: u16, text: &str) -> Word {
    let text = said(text);
    let undelivered =
        |address| Word::Undelivered { detail: format!("cause {cause}, {text}"), address };
    match cause {
        // No such number, or one that is no longer: by whom it was given.
        1 | 22 | 28 => undelivered(Some(AddressFault::Unusable)),
        17 => Word::NotReached { detail: "busy".into() },
        // Normal clearing before an answer, no user responding, no answer, absent.
        16 | 18 | 19 | 20 => Word::NotReached { detail: "nobody answered".into() },
        // The network: no circuit, out of order, temporary failure, congestion, no resource.
        27 | 34 | 38 | 41 | 42 | 44 | 47 => {
            Word::NotReached { detail: format!("the network failed: cause {cause}, {text}") }
        }
        _ => undelivered(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_read_and_what_is_new_is_passed_over() {
        let read = |value| serde_json::from_value::<Event>(value).expect("an event");
        let channel = json!({"id": "x.1", "name": "PJSIP/trunk-1", "state": "Up"});
        assert_eq!(
            read(json!({"type": "StasisStart", "args": ["call"], "channel": channel})),
            Event::StasisStart { channel: Channel { id: "x.1".into() }, args: vec!["call".into()] }
        );
        assert_eq!(read(json!({"type": "ChannelVarset", "channel": channel})), Event::Other);
    }

    #[test]
    fn a_cause_says_whether_another_call_is_worth_it() {
        for cause in [17, 18, 19, 34] {
            assert!(matches!(not_picked_up(cause, ""), Word::NotReached { .. }), "{cause}");
        }
        let unusable = Word::Undelivered {
            detail: "cause 1, Unallocated".into(),
            address: Some(AddressFault::Unusable),
        };
        assert_eq!(not_picked_up(1, "Unallocated"), unusable);
        assert!(matches!(not_picked_up(21, ""), Word::Undelivered { address: None, .. }));
    }
}
