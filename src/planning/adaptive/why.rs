//! Why a suggestion is what it is, for the record and in plain words.

use std::fmt;

use serde::Serialize;

use crate::domain::Channel;

/// Whose outcomes a suggestion rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    Own,
    Group,
}

/// Why a suggestion is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Why {
    SwitchedOff,
    /// One of the customers left alone, for comparison.
    HeldOut,
    /// The customer ranked this channel themselves: it keeps its place.
    Ranked {
        channel: Channel,
    },
    TooFew {
        channel: Channel,
        outcomes: u32,
        needed: u32,
    },
    Scored {
        channel: Channel,
        permille: i64,
        outcomes: u32,
        basis: Basis,
    },
    BestHour {
        hour: i8,
        permille: i64,
        outcomes: u32,
        basis: Basis,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |basis: &Basis| match basis {
            Basis::Own => "this customer's",
            Basis::Group => "similar customers'",
        };
        match self {
            Self::SwitchedOff => f.write_str("Learning from outcomes is switched off."),
            Self::HeldOut => f.write_str("One of the customers left alone, for comparison."),
            Self::Ranked { channel } => {
                write!(f, "The customer chose the place of the {}.", channel.spoken())
            }
            Self::TooFew { channel, outcomes, needed } => write!(
                f,
                "{outcomes} outcomes by {} say nothing; {needed} are needed.",
                channel.spoken()
            ),
            Self::Scored { channel, permille, outcomes, basis } => write!(
                f,
                "By {}: {permille} of 1000, from {outcomes} of {} outcomes.",
                channel.spoken(),
                of(basis)
            ),
            Self::BestHour { hour, permille, outcomes, basis } => write!(
                f,
                "Best from {hour:02}:00: {permille} of 1000, from {outcomes} of {} outcomes.",
                of(basis)
            ),
        }
    }
}
