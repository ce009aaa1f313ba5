//! The three channels a customer can be reached on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::time::Instant;

/// A way to reach a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Email,
    Sms,
    Voice,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Email, Self::Sms, Self::Voice];

    /// The name used in the API, in settings and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Voice => "voice",
        }
    }

    /// The name people read: "e-mail", "text message", "phone call".
    #[must_use]
    pub const fn spoken(self) -> &'static str {
        match self {
            Self::Email => "e-mail",
            Self::Sms => "text message",
            Self::Voice => "phone call",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no channel; use email, sms or voice"))
    }
}

/// Why a channel's provider is left alone, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It fails too often.
    Failing { until: Instant },
    /// An operator stopped it; looked at again then.
    Drained { until: Instant },
}

impl Rest {
    #[must_use]
    pub const fn until(self) -> Instant {
        match self {
            Self::Failing { until } | Self::Drained { until } => until,
        }
    }
}

/// A channel that delivers too little to be used while there is another, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn {
    pub until: Instant,
    /// Of its last messages, delivered.
    pub percent: u32,
}

/// How the channels stand when something is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roads {
    /// Until when each channel's providers are left alone.
    pub rests: ChannelMap<Option<Rest>>,
    pub withdrawn: ChannelMap<Option<Withdrawn>>,
}

/// One value per channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelMap<T> {
    pub email: T,
    pub sms: T,
    pub voice: T,
}

impl<T> ChannelMap<T> {
    pub fn from_fn(mut value: impl FnMut(Channel) -> T) -> Self {
        Self {
            email: value(Channel::Email),
            sms: value(Channel::Sms),
            voice: value(Channel::Voice),
        }
    }

    #[must_use]
    pub const fn get(&self, channel: Channel) -> &T {
        match channel {
            Channel::Email => &self.email,
            Channel::Sms => &self.sms,
            Channel::Voice => &self.voice,
        }
    }

    pub const fn get_mut(&mut self, channel: Channel) -> &mut T {
        match channel {
            Channel::Email => &mut self.email,
            Channel::Sms => &mut self.sms,
            Channel::Voice => &mut self.voice,
        }
    }
}
