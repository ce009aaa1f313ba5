//! When weight moves from one provider of a channel to the others, by what was measured
//! (GOV.UK Notify, `provider_tasks.py` and `provider_details_dao.py`: 50 errors within
//! 60 s or 15 % slower than 5 min over 15 min move 10 points).
//!
//! Pure: counts and `now` in, a move out. Weight moves in steps rather than at once, and not at
//! all when every provider looks bad: then it is the world, not one of them.

use chrono::TimeDelta;

use crate::domain::time::Instant;

/// What all weights of a channel add up to.
pub const WHOLE: u32 = 100;

/// Points that move at once.
pub const STEP: u32 = 10;

/// Faults within [`ERROR_WINDOW`] that are too many.
pub const ERRORS: u32 = 50;
pub const ERROR_WINDOW: TimeDelta = TimeDelta::seconds(60);

/// A receipt later than this is slow, and from this share on, in percent, there are too many
/// within [`SLOW_WINDOW`]. Fewer messages than [`FEWEST`] say nothing.
pub const SLOW_AFTER: TimeDelta = TimeDelta::minutes(5);
pub const SLOW_WINDOW: TimeDelta = TimeDelta::minutes(15);
pub const SLOW_PERCENT: u32 = 15;
pub const FEWEST: u32 = 20;

/// No sooner after a move comes another.
pub const MOVE_EVERY: TimeDelta = TimeDelta::seconds(60);

/// After so long without a move, weight drifts back towards the settings.
pub const QUIET: TimeDelta = TimeDelta::minutes(15);

/// One provider, as it was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its share as the settings have it, and now; each adds up to [`WHOLE`].
    pub configured: u32,
    pub weight: u32,
    /// Calls within [`ERROR_WINDOW`] that failed through the provider's fault.
    pub errors: u32,
    /// Messages of [`SLOW_WINDOW`] whose receipt came, or should have.
    pub measured: u32,
    /// Those of them whose receipt came late, or not yet.
    pub slow: u32,
}

/// Why weight moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Errors {
        count: u32,
    },
    Slow {
        percent: u32,
    },
    /// Nothing was wrong for a while: a step back towards the settings.
    Quiet,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Errors { count } => write!(f, "{count} faults within a minute"),
            Self::Slow { percent } => {
                write!(f, "{percent} % of receipts came later than 5 minutes, or not yet")
            }
            Self::Quiet => write!(f, "15 quiet minutes: back towards the settings"),
        }
    }
}

/// New weights, and what moved them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The place of the provider it is about.
    pub place: usize,
    /// What that provider gains; less than nothing where it loses.
    pub points: i64,
    /// Of all providers from here on.
    pub weights: Vec<u32>,
    pub why: Why,
}

/// Weights as shares of [`WHOLE`]: the largest remainders are rounded up. All equal where nobody
/// has any.
#[must_use]
pub fn shares(weights: &[u32]) -> Vec<u32> {
    if weights.iter().all(|weight| *weight == 0) {
        let equal = vec![1; weights.len()];
        return if weights.is_empty() { equal } else { divide(WHOLE, &equal) };
    }
    divide(WHOLE, weights)
}

/// `points` divided in proportion to `by`, to the last one.
fn divide(points: u32, by: &[u32]) -> Vec<u32> {
    let sum = u64::from(by.iter().sum::<u32>()).max(1);
    let exact = |part: &u32| u64::from(points) * u64::from(*part);
    let floor = |part: &u32| u32::try_from(exact(part) / sum).unwrap_or(u32::MAX);
    let mut divided: Vec<u32> = by.iter().map(floor).collect();
    let left = points - divided.iter().sum::<u32>().min(points);
    let mut order: Vec<usize> = (0..by.len()).filter(|place| by[*place] > 0).collect();
    order.sort_by_key(|place| (std::cmp::Reverse(exact(&by[*place]) % sum), *place));
    for place in order.into_iter().cycle().take(left as usize) {
        divided[place] += 1;
    }
    divided
}

/// What is wrong with a provider; `None` when nothing is.
#[must_use]
pub fn fault(seen: &Seen) -> Option<Why> {
    if seen.errors >= ERRORS {
        return Some(Why::Errors { count: seen.errors });
    }
    let percent = (seen.slow * 100).checked_div(seen.measured).unwrap_or(0);
    (seen.measured >= FEWEST && percent >= SLOW_PERCENT).then_some(Why::Slow { percent })
}

/// The next move of one channel's weights, `last` being when the one before was made.
#[must_use]
pub fn next(seen: &[Seen], last: Option<Instant>, now: Instant) -> Option<Move> {
    let since = last.map_or(TimeDelta::MAX, |last| now - last);
    if seen.len() < 2 || since < MOVE_EVERY {
        return None;
    }
    let faults: Vec<Option<Why>> = seen.iter().map(fault).collect();
    if faults.iter().all(Option::is_some) {
        return None;
    }
    let severity = |place: &usize| (seen[*place].errors, seen[*place].slow, seen[*place].weight);
    let bad = (0..seen.len()).filter(|place| faults[*place].is_some());
    if let Some(place) = bad.clone().filter(|place| seen[*place].weight > 0).max_by_key(severity) {
        return faults[place].map(|why| away_from(place, seen, &faults, why));
    }
    if bad.count() == 0 && since >= QUIET { drift_back(seen) } else { None }
}

fn away_from(place: usize, seen: &[Seen], faults: &[Option<Why>], why: Why) -> Move {
    let points = STEP.min(seen[place].weight);
    let well = |n: usize, share: u32| if faults[n].is_none() { share } else { 0 };
    let mut to: Vec<u32> = seen.iter().enumerate().map(|(n, s)| well(n, s.configured)).collect();
    if to.iter().all(|share| *share == 0) {
        to = (0..seen.len()).map(|n| well(n, 1)).collect();
    }
    let gains = divide(points, &to);
    let mut weights: Vec<u32> = seen.iter().zip(gains).map(|(s, gain)| s.weight + gain).collect();
    weights[place] -= points;
    Move { place, points: -i64::from(points), weights, why }
}

fn drift_back(seen: &[Seen]) -> Option<Move> {
    let lacks: Vec<u32> =
        seen.iter().map(|seen| seen.configured.saturating_sub(seen.weight)).collect();
    let over: Vec<u32> =
        seen.iter().map(|seen| seen.weight.saturating_sub(seen.configured)).collect();
    let points = STEP.min(lacks.iter().sum());
    let place = (0..seen.len()).max_by_key(|place| (lacks[*place], std::cmp::Reverse(*place)))?;
    if points == 0 {
        return None;
    }
    let (gains, losses) = (divide(points, &lacks), divide(points, &over));
    let weights = seen.iter().zip(&gains).zip(losses);
    let weights = weights.map(|((seen, gain), loss)| seen.weight + gain - loss).collect();
    Some(Move { place, points: i64::from(gains[place]), weights, why: Why::Quiet })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::parse_instant;

    fn t0() -> Instant {
        parse_instant("2026-11-23T10:00:00Z").expect("an instant")
    }

    fn pair(weights: [u32; 2]) -> [Seen; 2] {
        [(60, weights[0]), (40, weights[1])].map(|(configured, weight)| Seen {
            configured,
            weight,
            ..Seen::default()
        })
    }

    fn weights(moved: Option<Move>) -> Option<Vec<u32>> {
        moved.map(|moved| moved.weights)
    }

    #[test]
    fn fifty_faults_in_a_minute_or_fifteen_percent_of_slow_receipts_move_ten_points() {
        for (errors, measured, slow, moves) in [
            (49, 0, 0, false),
            (50, 0, 0, true),
            (0, 100, 14, false),
            (0, 100, 15, true),
            (0, 20, 3, true),
            (0, 19, 19, false),
        ] {
            let mut seen = pair([60, 40]);
            seen[0] = Seen { errors, measured, slow, ..seen[0] };
            let expected = moves.then(|| vec![50, 50]);
            assert_eq!(weights(next(&seen, None, t0())), expected, "{errors} {slow}/{measured}");
        }
    }

    #[test]
    fn no_more_than_one_move_a_minute_and_never_below_nothing() {
        let mut seen = pair([4, 96]);
        seen[0].errors = 80;
        assert_eq!(next(&seen, Some(t0() - TimeDelta::seconds(59)), t0()), None);
        let moved = next(&seen, Some(t0() - TimeDelta::seconds(60)), t0()).expect("a move");
        assert_eq!((moved.weights, moved.points), (vec![0, 100], -4));
        let mut gone = pair([0, 100]);
        gone[0].errors = 80;
        assert_eq!(next(&gone, None, t0()), None, "it has nothing left to give");
    }

    #[test]
    fn nothing_moves_when_both_look_bad() {
        let mut seen = pair([60, 40]);
        seen[0].errors = 500;
        seen[1] = Seen { measured: 40, slow: 30, ..seen[1] };
        assert_eq!(next(&seen, None, t0()), None);
    }

    #[test]
    fn after_fifteen_quiet_minutes_weight_drifts_back_to_the_settings_and_no_further() {
        let quiet = Some(t0() - QUIET);
        assert_eq!(next(&pair([20, 80]), Some(t0() - TimeDelta::minutes(14)), t0()), None);
        assert_eq!(weights(next(&pair([20, 80]), quiet, t0())), Some(vec![30, 70]));
        assert_eq!(weights(next(&pair([57, 43]), quiet, t0())), Some(vec![60, 40]));
        assert_eq!(next(&pair([60, 40]), quiet, t0()), None);
    }

    #[test]
    fn a_spare_provider_takes_weight_where_there_is_nobody_else() {
        let bad = Seen { configured: 100, weight: 100, errors: 60, ..Seen::default() };
        assert_eq!(weights(next(&[bad, Seen::default()], None, t0())), Some(vec![90, 10]));
    }

    proptest! {
        #[test]
        fn weights_always_sum_to_the_same_and_none_falls_below_nothing(
            configured in prop::collection::vec(0u32..1_000, 1..6),
            minutes in prop::collection::vec(
                (prop::collection::vec((0u32..120, 0u32..60, 0u32..60), 6), 0i64..30), 1..60),
        ) {
            let configured = shares(&configured);
            prop_assert_eq!(configured.iter().sum::<u32>(), WHOLE);
            let (mut weights, mut last, mut now) = (configured.clone(), None, t0());
            for (counts, later) in minutes {
                now += TimeDelta::minutes(later);
                let seen: Vec<Seen> = configured
                    .iter()
                    .zip(&weights)
                    .zip(counts)
                    .map(|((configured, weight), (errors, measured, slow))| Seen {
                        configured: *configured, weight: *weight, errors, measured,
                        slow: slow.min(measured),
                    })
                    .collect();
                if let Some(moved) = next(&seen, last, now) {
                    prop_assert!(last.is_none_or(|last| now - last >= MOVE_EVERY));
                    prop_assert_eq!(moved.weights.iter().sum::<u32>(), WHOLE);
                    let changed: u32 = moved.weights.iter().zip(&weights)
                        .map(|(after, before)| after.abs_diff(*before)).sum();
                    prop_assert!(changed > 0 && changed <= 2 * STEP);
                    prop_assert!(!seen.iter().all(|seen| fault(seen).is_some()));
                    (weights, last) = (moved.weights, Some(now));
                }
            }
        }
    }
}
