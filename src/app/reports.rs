//! Figures for the people who tune journeys, from what the store holds.

pub mod answers;
pub mod contacts;
pub mod cost;
pub mod load;
pub mod shadow;
pub mod silence;

use std::collections::BTreeMap;

use serde::Serialize;

/// The middle and the edges of many numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    pub count: i64,
    pub mean: f64,
    pub p50: i64,
    pub p95: i64,
    pub max: i64,
}

impl Spread {
    /// Of a value → how often it came. Percentiles are nearest ranks: values that did come.
    #[must_use]
    pub fn of(counts: &BTreeMap<i64, i64>) -> Self {
        let count: i64 = counts.values().sum();
        if count == 0 {
            return Self::default();
        }
        let rank = |percent: i64| {
            let wanted = (count * percent + 99) / 100;
            let mut seen = 0;
            let at_rank = counts.iter().find(|(_, n)| {
                seen += **n;
                seen >= wanted.max(1)
            });
            at_rank.map_or(0, |(value, _)| *value)
        };
        let sum: i64 = counts.iter().map(|(value, n)| value * n).sum();
        #[allow(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = sum as f64 / count as f64;
        let max = counts.keys().next_back().copied().unwrap_or(0);
        Self { count, mean, p50: rank(50), p95: rank(95), max }
    }
}

/// A part of a whole, from 0 to 1; 0 where there is no whole.
#[allow(clippy::cast_precision_loss, reason = "a share for people")]
fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_came() {
        let spread = Spread::of(&BTreeMap::from([(1, 90), (2, 5), (7, 4), (30, 1)]));
        assert_eq!((spread.count, spread.p50, spread.p95, spread.max), (100, 1, 2, 30));
        assert!((spread.mean - 1.58).abs() < 1e-9);
        let one = Spread::of(&BTreeMap::from([(5, 1)]));
        assert_eq!((one.p50, one.p95, one.max), (5, 5, 5));
        assert_eq!(Spread::of(&BTreeMap::new()), Spread::default());
    }
}
