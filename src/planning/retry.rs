//! When to try a failed notification again.
//!
//! Pure: policy, failure and time come in, the next step goes out.
//! `worker::dispatch` is the only caller and owns every side effect.

use std::num::NonZeroU32;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::domain::NotificationId;
use crate::domain::time::Instant;

/// How often, and how far apart, one channel retries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Waits before attempts 2, 3, …, in seconds. Empty means "never retry".
    pub delays_s: Vec<u32>,
    /// Largest extra wait that spreading may add, in percent of the delay.
    pub spread_percent: u8,
}

/// How a hand-over failed, by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The provider did not take it and may do so later.
    Temporary { retry_after: Option<TimeDelta> },
    /// The provider will never take it this way.
    Permanent,
    /// Whether the provider took it is not known.
    Unanswered,
}

#[derive(Debug)]
pub struct FailedAttempt {
    pub notification: NotificationId,
    /// Attempts made so far on this channel, this one included.
    pub attempts: NonZeroU32,
    pub failure: Failure,
    pub at: Instant,
    /// From this instant on the message is worth nothing to the customer.
    pub expires_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    RetryAt(Instant),
    /// Do not send again: a receipt, or its deadline, decides.
    AwaitReceipt,
    /// This channel is done; the caller moves on to the fallback channel.
    FallBack,
}

impl RetryPolicy {
    /// Decides what follows a failed attempt.
    ///
    /// The wait is the policy's delay plus a spread of at most `spread_percent`, derived from
    /// the notification id so that a replay lands on the same instant. A provider's
    /// `Retry-After` (RFC 9110, section 10.2.3) may lengthen the wait and never shortens it.
    #[must_use]
    pub fn next_step(&self, failed: &FailedAttempt) -> NextStep {
        let retry_after = match failed.failure {
            Failure::Permanent => return NextStep::FallBack,
            Failure::Unanswered => return NextStep::AwaitReceipt,
            Failure::Temporary { retry_after } => retry_after.unwrap_or_default(),
        };
        let Some(delay_s) = self.delays_s.get(failed.attempts.get() as usize - 1) else {
            return NextStep::FallBack;
        };
        let base_ms = i64::from(*delay_s) * 1_000;
        let spread_ms = base_ms * i64::from(self.spread_percent) / 100;
        let wait_ms = base_ms + spread_ms * share_permille(failed) / 1_000;
        let due_at = failed.at + TimeDelta::milliseconds(wait_ms).max(retry_after);

        // A fallback channel can still be in time when this one cannot.
        if due_at < failed.expires_at { NextStep::RetryAt(due_at) } else { NextStep::FallBack }
    }
}

/// This notification's place in the spread, 0 to 999.
fn share_permille(failed: &FailedAttempt) -> i64 {
    let bytes = failed.notification.0.as_u128() ^ u128::from(failed.attempts.get());
    i64::try_from(bytes % 1_000).expect("below 1000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    fn policy() -> RetryPolicy {
        RetryPolicy { delays_s: vec![60, 300], spread_percent: 0 }
    }

    fn failed(attempts: u32, failure: Failure) -> FailedAttempt {
        FailedAttempt {
            notification: NotificationId::derive("R-1", "received", "desk/e1", 0),
            attempts: NonZeroU32::new(attempts).expect("an attempt was made"),
            failure,
            at: parse_instant("2026-11-22T09:30:00Z").expect("instant"),
            expires_at: parse_instant("2026-11-23T09:30:00Z").expect("instant"),
        }
    }

    #[test]
    fn retry_after_lengthens_the_wait_and_never_shortens_it() {
        for (asked_s, waited_s) in [(5, 60), (60, 60), (90, 90)] {
            let retry_after = Some(TimeDelta::seconds(asked_s));
            let failed = failed(1, Failure::Temporary { retry_after });
            let due_at = failed.at + TimeDelta::seconds(waited_s);
            assert_eq!(policy().next_step(&failed), NextStep::RetryAt(due_at), "{asked_s}");
        }
    }

    #[test]
    fn a_channel_is_given_up_after_its_delays_or_when_the_retry_would_come_too_late() {
        let temporary = Failure::Temporary { retry_after: None };
        assert_eq!(policy().next_step(&failed(3, temporary)), NextStep::FallBack);
        let mut late = failed(1, temporary);
        late.expires_at = late.at + TimeDelta::seconds(60);
        assert_eq!(policy().next_step(&late), NextStep::FallBack);
    }

    #[test]
    fn what_is_not_known_waits_and_what_is_refused_moves_on() {
        assert_eq!(policy().next_step(&failed(1, Failure::Unanswered)), NextStep::AwaitReceipt);
        assert_eq!(policy().next_step(&failed(1, Failure::Permanent)), NextStep::FallBack);
    }

    #[test]
    fn the_spread_is_derived_and_stays_within_its_percent() {
        let policy = RetryPolicy { delays_s: vec![100], spread_percent: 20 };
        for n in 0..200 {
            let mut failed = failed(1, Failure::Temporary { retry_after: None });
            failed.notification = NotificationId::derive("R-1", "received", "desk/e1", n);
            let first = policy.next_step(&failed);
            assert_eq!(policy.next_step(&failed), first, "the same every time");
            let NextStep::RetryAt(due_at) = first else { panic!("{first:?}") };
            let wait = due_at - failed.at;
            assert!(wait >= TimeDelta::seconds(100) && wait <= TimeDelta::seconds(120), "{wait}");
        }
    }
}
