//! Decisions of flat accounts counted by session, for confidence intervals that resample sessions.

use market_env::{Action, Setup};
use serde::{Deserialize, Serialize};
use statistics::{ConfidenceInterval, Sums, bootstrap_interval, share};

/// Decisions of flat accounts with a choice in one session, summed over the lanes that played it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionCounts {
    strong: u64,
    strong_buys: u64,
    weak: u64,
    weak_buys: u64,
}

impl SessionCounts {
    /// Counts one decision.
    pub(crate) fn count(&mut self, setup: Setup, action: Action) {
        let buy = u64::from(matches!(action, Action::BuyCall | Action::BuyPut));
        if setup == Setup::Weak {
            (self.weak, self.weak_buys) = (self.weak + 1, self.weak_buys + buy);
        } else {
            (self.strong, self.strong_buys) = (self.strong + 1, self.strong_buys + buy);
        }
    }

    /// Returns P(buy | strong) - P(buy | weak).
    fn dependence(&self) -> Option<f64> {
        Some(share(self.strong_buys, self.strong)? - share(self.weak_buys, self.weak)?)
    }
}

impl Sums for SessionCounts {
    const ZERO: Self = Self { strong: 0, strong_buys: 0, weak: 0, weak_buys: 0 };

    fn add(&mut self, other: &Self) {
        self.strong += other.strong;
        self.strong_buys += other.strong_buys;
        self.weak += other.weak;
        self.weak_buys += other.weak_buys;
    }
}

/// Returns P(buy | strong) - P(buy | weak) of all decisions, and its interval over the sessions that were played; lanes
/// that play the same one count as one. Returns `None` for fewer than five blocks and without decisions of both kinds.
pub(crate) fn dependence(blocks: &[SessionCounts], seed: u64) -> Option<ConfidenceInterval> {
    let played: Vec<SessionCounts> = blocks.iter().filter(|block| block.strong + block.weak > 0).copied().collect();
    bootstrap_interval(&played, SessionCounts::dependence, seed)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    fn block(strong_buys: u64, weak_buys: u64) -> SessionCounts {
        SessionCounts { strong: 100, strong_buys, weak: 200, weak_buys }
    }

    #[test]
    fn decisions_are_counted_by_setup() {
        let mut block = SessionCounts::default();
        block.count(Setup::BullStrong, Action::BuyCall);
        block.count(Setup::BearStrong, Action::BuyCall);
        block.count(Setup::BearStrong, Action::Hold);
        block.count(Setup::Weak, Action::Hold);
        assert_eq!(block, SessionCounts { strong: 3, strong_buys: 2, weak: 1, weak_buys: 0 });
        assert_eq!(block.dependence(), Some(2.0 / 3.0));
    }

    #[test]
    fn equal_sessions_give_a_narrow_interval_and_unequal_ones_a_wide_one() {
        let alike = dependence(&[block(70, 60); 20], 1).unwrap();
        assert!(alike.blocks == 20 && [alike.value, alike.low, alike.high].iter().all(|x| (x - 0.4).abs() < 1e-12));
        let mixed: Vec<SessionCounts> =
            (0..20).map(|i| if i % 2 == 0 { block(90, 0) } else { block(10, 100) }).collect();
        let mixed = dependence(&mixed, 1).unwrap();
        assert!((mixed.value - 0.25).abs() < 1e-12 && mixed.low < 0.0 && mixed.high > 0.5, "{mixed:?}");
    }

    #[test]
    fn the_interval_has_nominal_coverage() {
        // Sessions with a random buying rate: the true difference is 0.2, and 400 intervals must cover it in about 95
        // %.
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut covered = 0;
        for seed in 0..400 {
            let blocks: Vec<SessionCounts> = (0..40)
                .map(|_| {
                    let shift = rng.random_range(-20i64..=20);
                    block((60 + shift) as u64, (80 + rng.random_range(-30i64..=30)) as u64)
                })
                .collect();
            let interval = dependence(&blocks, seed).unwrap();
            covered += u32::from(interval.low <= 0.2 && 0.2 <= interval.high);
        }
        assert!((365..=395).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn few_sessions_or_one_setup_class_give_no_interval() {
        assert_eq!(dependence(&[block(70, 60); 4], 1), None);
        assert_eq!(dependence(&[], 1), None);
        assert_eq!(dependence(&[SessionCounts { strong: 5, ..SessionCounts::default() }; 9], 1), None);
        let many = dependence(&vec![block(70, 60); 5000], 1).unwrap();
        assert!(many.blocks == 5000 && (many.low - 0.4).abs() < 1e-12);
    }
}
