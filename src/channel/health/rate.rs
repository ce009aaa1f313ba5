//! How many messages may leave now: the generic cell rate algorithm (ITU-T I.371, annex A),
//! granting several at once. The same arithmetic stands in `rate.lua`.

use std::time::Duration;

/// How quickly a provider may be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Between two messages, in microseconds; rounded up, so never faster than asked.
    pub interval_us: i64,
    /// Messages that may leave at once after a pause.
    pub burst: i64,
}

/// How far the messages of one provider are ahead of their pace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// When the pace has caught up with what left, in microseconds since 1970.
    caught_up_us: i64,
}

/// What was granted, and after how long it is worth asking again for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    pub count: usize,
    /// Zero when everything was granted.
    pub wait: Duration,
}

impl Rate {
    /// `per_s` messages a second, on average, and `burst` at once. `None` when `per_s` is 0:
    /// no limit.
    #[must_use]
    pub fn new(per_s: f64, burst: u32) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation, reason = "settings allow 0.0001 to 100,000")]
        let interval_us = (per_s > 0.0).then(|| (1_000_000.0 / per_s).ceil() as i64)?;
        Some(Self { interval_us: interval_us.max(1), burst: i64::from(burst.max(1)) })
    }

    #[must_use]
    pub fn interval(&self) -> Duration {
        micros(self.interval_us)
    }
}

impl Bucket {
    /// Grants up to `wanted` at `now_us` (microseconds since 1970). In any stretch of time no
    /// more is granted than its length at the rate, and one burst.
    pub fn take(&mut self, rate: Rate, wanted: usize, now_us: i64) -> Granted {
        let full = rate.burst * rate.interval_us;
        // A clock that was set back must not close the door for longer than a burst takes.
        let ahead = (self.caught_up_us - now_us).clamp(0, full);
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let count = wanted.min((full - ahead) / rate.interval_us);
        let ahead = ahead + count * rate.interval_us;
        self.caught_up_us = now_us + ahead;
        let wait_us = if count < wanted { (ahead + rate.interval_us - full).max(0) } else { 0 };
        Granted { count: usize::try_from(count).unwrap_or(0), wait: micros(wait_us) }
    }
}

pub(super) fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0_US: i64 = 1_795_000_000_000_000;

    #[test]
    fn a_burst_leaves_at_once_and_then_one_per_interval() {
        let rate = Rate::new(10.0, 3).expect("a limit");
        let mut bucket = Bucket::default();
        let hundred_ms = Duration::from_millis(100);
        assert_eq!(bucket.take(rate, 5, T0_US), Granted { count: 3, wait: hundred_ms });
        let half = Granted { count: 0, wait: Duration::from_millis(50) };
        assert_eq!(bucket.take(rate, 2, T0_US + 50_000), half);
        assert_eq!(bucket.take(rate, 2, T0_US + 100_000).count, 1);
        assert_eq!(bucket.take(rate, 9, T0_US + 10_000_000).count, 3, "a pause saves up a burst");
    }

    #[test]
    fn a_rate_may_be_a_fraction_and_zero_is_no_limit() {
        assert_eq!(Rate::new(0.5, 1).map(|rate| rate.interval_us), Some(2_000_000));
        assert_eq!(Rate::new(3.0, 1).map(|rate| rate.interval_us), Some(333_334));
        assert_eq!(Rate::new(0.0, 1), None);
    }

    #[test]
    fn a_clock_set_back_closes_the_door_for_no_longer_than_a_burst() {
        let rate = Rate::new(1.0, 2).expect("a limit");
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate, 2, T0_US).count, 2);
        let an_hour_back = T0_US - 3_600_000_000;
        assert_eq!(bucket.take(rate, 1, an_hour_back).wait, Duration::from_secs(1));
        assert_eq!(bucket.take(rate, 2, an_hour_back + 2_000_000).count, 2);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_its_length_at_the_rate_and_one_burst(
            per_s in 0.1f64..5_000.0,
            burst in 1u32..200,
            steps in prop::collection::vec((0i64..2_000_000, 0usize..300), 1..60),
        ) {
            let rate = Rate::new(per_s, burst).expect("a limit");
            let mut bucket = Bucket::default();
            let mut now_us = T0_US;
            let mut granted: Vec<(i64, usize)> = Vec::new();
            for (pause_us, wanted) in steps {
                now_us += pause_us;
                let answer = bucket.take(rate, wanted, now_us);
                prop_assert!(answer.count <= wanted);
                prop_assert_eq!(answer.count < wanted, answer.wait > Duration::ZERO);
                granted.push((now_us, answer.count));
            }
            for first in 0..granted.len() {
                let mut sum = 0usize;
                for (at_us, count) in &granted[first..] {
                    sum += count;
                    #[allow(clippy::cast_precision_loss, reason = "small")]
                    let most = per_s * (at_us - granted[first].0) as f64 / 1e6 + f64::from(burst);
                    #[allow(clippy::cast_precision_loss, reason = "small")]
                    let sum = sum as f64;
                    prop_assert!(sum <= most + 1e-6, "{} > {}", sum, most);
                }
            }
        }

        #[test]
        fn who_waits_as_long_as_told_is_served(
            per_s in 0.1f64..5_000.0,
            burst in 1u32..200,
            wanted in 1usize..500,
        ) {
            let rate = Rate::new(per_s, burst).expect("a limit");
            let mut bucket = Bucket::default();
            let first = bucket.take(rate, wanted, T0_US);
            let left = wanted - first.count;
            if left > 0 {
                let wait_us = i64::try_from(first.wait.as_micros()).expect("short");
                prop_assert_eq!(bucket.take(rate, left, T0_US + wait_us - 1).count, 0);
                prop_assert!(bucket.take(rate, left, T0_US + wait_us).count >= 1);
            }
        }
    }
}
