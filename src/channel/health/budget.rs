//! How many retries a provider gets: at most a share of its first attempts of the same minute,
//! and a floor, so that a provider in trouble is not buried under what it could not take. The
//! same rules stand in `budget.lua`.

const MINUTE_MS: i64 = 60_000;

/// What a provider is allowed in each minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Retries per hundred first attempts.
    pub percent: u32,
    /// Retries that are allowed in any case.
    pub floor: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { percent: 10, floor: 10 }
    }
}

/// The attempts of one provider within a minute of the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    minute: i64,
    firsts: u32,
    retries: u32,
}

impl Budget {
    /// Takes note of first attempts, then grants up to `wanted` retries at `now_ms`
    /// (milliseconds since 1970).
    pub fn take(&mut self, allowed: Allowance, firsts: u32, wanted: u32, now_ms: i64) -> u32 {
        let minute = now_ms.div_euclid(MINUTE_MS);
        if minute != self.minute {
            *self = Self { minute, ..Self::default() };
        }
        self.firsts = self.firsts.saturating_add(firsts);
        let most = u64::from(self.firsts) * u64::from(allowed.percent) / 100;
        let most = u32::try_from(most).unwrap_or(u32::MAX).saturating_add(allowed.floor);
        let granted = wanted.min(most.saturating_sub(self.retries));
        self.retries += granted;
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn retries_are_a_tenth_of_first_attempts_and_ten_a_minute() {
        let (mut budget, allowed) = (Budget::default(), Allowance::default());
        assert_eq!(budget.take(allowed, 0, 15, 0), 10);
        assert_eq!(budget.take(allowed, 0, 1, 59_999), 0);
        assert_eq!(budget.take(allowed, 45, 9, 59_999), 4);
        assert_eq!(budget.take(allowed, 0, 15, 60_000), 10, "each minute anew");
    }

    proptest! {
        #[test]
        fn no_minute_sees_more_than_its_share(
            steps in prop::collection::vec((0i64..20_000, 0u32..300, 0u32..300), 1..100)
        ) {
            let (mut budget, allowed) = (Budget::default(), Allowance::default());
            let mut minutes = std::collections::BTreeMap::<i64, (u32, u32)>::new();
            let mut now_ms = 0;
            for (pause_ms, firsts, wanted) in steps {
                now_ms += pause_ms;
                let granted = budget.take(allowed, firsts, wanted, now_ms);
                let (f, r) = minutes.entry(now_ms / 60_000).or_default();
                (*f, *r) = (*f + firsts, *r + granted);
                prop_assert!(*r <= *f / 10 + 10, "{} retries to {} first attempts", r, f);
            }
        }
    }
}
