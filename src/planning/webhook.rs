//! When a webhook is tried again, and when a receiver is left alone.
//!
//! Pure: what was tried and how it was answered come in, what follows goes out. The waits are
//! those Standard Webhooks recommends (specification 1.0, "Deliverability and reliability").

use chrono::TimeDelta;

use crate::domain::time::Instant;

/// Waits before attempts 2, 3, …, in seconds; the last one before every attempt after those.
const WAITS_S: [i64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];

/// The most that spreading adds to a wait, in percent.
const SPREAD_PERCENT: i64 = 20;

/// The longest a receiver may ask us to wait.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(24);

/// Failures in a row after which a receiver is left alone for a while.
const PATIENCE: u32 = 3;

/// The first rest, and the longest, in seconds.
const FIRST_REST_S: i64 = 5;
const LONGEST_REST_S: i64 = 300;

/// How a receiver answered one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Taken,
    /// 410: it wants no more of them.
    Gone,
    /// Anything else, or nothing at all.
    Failed { retry_after: Option<TimeDelta> },
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Delivered,
    /// Kept for when the hook is enabled again.
    Disable,
    Again(Instant),
    GiveUp,
}

/// Decides what follows the attempt number `attempts` (from 1) of the delivery `seq`.
///
/// A `Retry-After` may lengthen the wait, up to a day, and never shortens it.
#[must_use]
pub fn next(seq: i64, attempts: i64, max_attempts: i64, verdict: Verdict, now: Instant) -> Next {
    let retry_after = match verdict {
        Verdict::Taken => return Next::Delivered,
        Verdict::Gone => return Next::Disable,
        Verdict::Failed { retry_after } => retry_after.unwrap_or_default(),
    };
    if attempts >= max_attempts {
        return Next::GiveUp;
    }
    let place = usize::try_from(attempts - 1).unwrap_or(0).min(WAITS_S.len() - 1);
    let wait_ms = WAITS_S[place] * 1_000;
    let spread_ms = wait_ms * SPREAD_PERCENT / 100 * share_permille(seq, attempts) / 1_000;
    let wait = TimeDelta::milliseconds(wait_ms + spread_ms);
    Next::Again(now + wait.max(retry_after.min(LONGEST_WAIT)))
}

/// A delivery's place in the spread, 0 to 999: derived, so that a replay lands on the same.
const fn share_permille(seq: i64, attempts: i64) -> i64 {
    (seq.wrapping_mul(7_919).wrapping_add(attempts.wrapping_mul(104_729))).rem_euclid(1_000)
}

/// How long a receiver is left alone after so many failures in a row; one request tries it then.
#[must_use]
pub fn rest(failures: u32, retry_after: Option<TimeDelta>) -> TimeDelta {
    let asked = retry_after.unwrap_or_default().min(TimeDelta::seconds(LONGEST_REST_S));
    let own = failures
        .checked_sub(PATIENCE)
        .map_or(0, |over| FIRST_REST_S.saturating_mul(1 << over.min(10)).min(LONGEST_REST_S));
    TimeDelta::seconds(own).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    const NO_ANSWER: Verdict = Verdict::Failed { retry_after: None };

    fn now() -> Instant {
        parse_instant("2026-11-23T10:00:00Z").expect("an instant")
    }

    #[test]
    fn the_waits_are_those_of_the_standard_and_at_most_a_fifth_longer() {
        for (attempts, wait_s) in [
            (1, 5),
            (2, 300),
            (3, 1_800),
            (4, 7_200),
            (5, 18_000),
            (6, 36_000),
            (7, 50_400),
            (8, 72_000),
            (9, 86_400),
            (12, 86_400),
        ] {
            for seq in [1, 17, 4_711, i64::MAX] {
                let Next::Again(at) = next(seq, attempts, 13, NO_ANSWER, now()) else {
                    panic!("{attempts} is not the last")
                };
                let waited = (at - now()).num_milliseconds();
                assert!(
                    (wait_s * 1_000..=wait_s * 1_200).contains(&waited),
                    "{attempts}: {waited}"
                );
            }
        }
        assert_eq!(next(1, 10, 10, NO_ANSWER, now()), Next::GiveUp);
    }

    #[test]
    fn retry_after_lengthens_the_wait_up_to_a_day_and_never_shortens_it() {
        let asked = |hours| Verdict::Failed { retry_after: Some(TimeDelta::hours(hours)) };
        assert_eq!(next(1, 1, 10, asked(1), now()), Next::Again(now() + TimeDelta::hours(1)));
        assert_eq!(next(1, 1, 10, asked(900), now()), Next::Again(now() + TimeDelta::hours(24)));
        let Next::Again(at) = next(1, 4, 10, asked(1), now()) else { panic!("not the last") };
        assert!(at >= now() + TimeDelta::hours(2));
    }

    #[test]
    fn what_is_taken_is_done_and_410_ends_the_hook_whatever_the_number() {
        assert_eq!(next(1, 10, 10, Verdict::Taken, now()), Next::Delivered);
        assert_eq!(next(1, 10, 10, Verdict::Gone, now()), Next::Disable);
    }

    #[test]
    fn who_fails_again_and_again_is_left_alone_longer_and_longer() {
        let rests: Vec<_> = (0..12).map(|n| rest(n, None).num_seconds()).collect();
        assert_eq!(rests, [0, 0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(rest(1, Some(TimeDelta::seconds(30))), TimeDelta::seconds(30));
        assert_eq!(rest(1, Some(TimeDelta::days(2))), TimeDelta::seconds(300));
    }
}
