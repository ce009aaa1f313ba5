//! When a channel delivers too little to be used.
//!
//! Pure: how many of its last messages were delivered comes in. Withdrawn, a channel carries
//! next to nothing, so nothing could be measured of its recovery but by messages that are put at
//! risk; it therefore comes back by time, after [`REST`], and is measured anew by what it carries
//! then. That works at any volume, and what is at risk is the [`FEWEST`] messages an hour it
//! takes to find it bad again, each of which goes by the next channel once its receipt says so.

use chrono::TimeDelta;

/// Fewer receipts say nothing.
pub const FEWEST: u32 = 50;

/// How long a channel is withdrawn.
pub const REST: TimeDelta = TimeDelta::hours(1);

/// What a channel should deliver, of how many of its last messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// 0 to 1.
    pub share: f64,
    pub over: u32,
}

/// How many of the messages with a last receipt were delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    pub delivered: u32,
    pub of: u32,
}

impl Measured {
    #[must_use]
    pub fn percent(self) -> u32 {
        (self.delivered * 100).checked_div(self.of).unwrap_or(100)
    }
}

impl Target {
    /// Is this too little?
    #[must_use]
    pub fn is_missed(self, measured: Measured) -> bool {
        let wanted = f64::from(measured.of) * self.share;
        measured.of >= FEWEST.min(self.over) && f64::from(measured.delivered) < wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_missed_below_its_share_of_at_least_fifty_receipts() {
        let target = Target { share: 0.9, over: 200 };
        for (delivered, of, missed) in
            [(0, 49, false), (45, 50, false), (44, 50, true), (180, 200, false), (179, 200, true)]
        {
            assert_eq!(target.is_missed(Measured { delivered, of }), missed, "{delivered}/{of}");
        }
        assert_eq!(Measured { delivered: 44, of: 50 }.percent(), 88);
    }
}
