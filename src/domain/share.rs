//! A share of the cases, always the same ones: who takes part is decided by the case's id.

use sha2::{Digest, Sha256};

use super::CaseId;

/// So many per cent of all cases. More per cent with the same seed are those, and others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// 0 to 100.
    pub percent: u8,
    /// Other cases with another seed: the name of the version that is tried.
    pub seed: String,
}

impl Share {
    /// Does the case take part?
    #[must_use]
    pub fn takes(&self, case: &CaseId) -> bool {
        let mut hasher = Sha256::new();
        for part in [self.seed.as_str(), case.as_str()] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        let hash = hasher.finalize();
        let place = hash[..8].iter().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte)) % 100;
        place < u64::from(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(percent: u8, seed: &str) -> Vec<usize> {
        let share = Share { percent, seed: seed.into() };
        (0..1_000).filter(|n| share.takes(&CaseId(format!("R-{n}")))).collect()
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says_and_a_larger_one_holds_the_smaller() {
        assert_eq!(taken(0, "a").len(), 0);
        assert_eq!(taken(100, "a").len(), 1_000);
        let (tenth, half) = (taken(10, "a"), taken(50, "a"));
        assert!((70..=130).contains(&tenth.len()), "{}", tenth.len());
        assert!((450..=550).contains(&half.len()), "{}", half.len());
        assert!(tenth.iter().all(|n| half.contains(n)));
        assert_ne!(tenth, taken(10, "b"));
    }
}
