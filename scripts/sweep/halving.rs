//! Successive halving: trials are compared at rungs, and those that are clearly worse train no further.
//!
//! A trial that stays goes on from its checkpoint, bit by bit, so its result is that of an uninterrupted training.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use statistics::{kendall_tau_b, normal_quantile};

use super::trial::{TrialResult, ranked};

/// Share of the trials of a rung that stay in any case: one of so many.
const KEPT: usize = 3;
/// Probability at which a trial must lie below the median trial to be pruned, one-sided.
const CLEARLY: f64 = 0.8;
/// Agreement of two rungs below which pruning is mostly chance.
pub const LEAST_TAU: f64 = 0.3;

/// Way of giving trials up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Prune {
    /// Every trial trains to its end.
    #[default]
    None,
    /// Trials that are clearly worse at 1/8, 1/4 and 1/2 of the steps train no further.
    Halving,
}

impl Prune {
    /// Returns the steps at which trials are compared, ascending, the last ones those of a whole training.
    pub fn rungs(self, timesteps: u64) -> Vec<u64> {
        let parts: &[u64] = match self {
            Self::None => &[1],
            Self::Halving => &[8, 4, 2, 1],
        };
        let mut rungs: Vec<u64> = parts.iter().map(|part| (timesteps / part).max(1)).collect();
        rungs.dedup();
        rungs
    }
}

/// Returns the numbers of the trials that go on after a rung, ascending: the best third, and all whose money is not below that of
/// the median trial with a probability of 80 %, paired by date and seed.
pub(super) fn survivors(results: &[TrialResult]) -> Vec<usize> {
    let order = ranked(results);
    let Some(median) = order.get(order.len().saturating_sub(1) / 2) else { return Vec::new() };
    let clearly_worse = |trial: &TrialResult| {
        let difference = trial.less(median);
        difference.mean_usd + normal_quantile(CLEARLY) * difference.error_usd.unwrap_or(0.0) < 0.0
    };
    let kept = order.len().div_ceil(KEPT);
    let stays = |(rank, trial): (usize, &&TrialResult)| (rank < kept || !clearly_worse(trial)).then_some(trial.trial);
    let mut numbers: Vec<usize> = order.iter().enumerate().filter_map(stays).collect();
    numbers.sort_unstable();
    numbers
}

/// Returns Kendall's τ between the means of the same trials at two rungs; `None` where it is undefined.
pub(super) fn agreement(earlier: &[TrialResult], later: &[TrialResult]) -> Option<f64> {
    let pair = |later: &TrialResult| {
        let earlier = earlier.iter().find(|one| one.trial == later.trial)?;
        Some((earlier.score().mean_usd, later.score().mean_usd))
    };
    let (first, second): (Vec<f64>, Vec<f64>) = later.iter().filter_map(pair).unzip();
    if first.len() < 2 { None } else { kendall_tau_b(&first, &second) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::trial::tests::trial;

    #[test]
    fn rungs_double_up_to_the_whole_training() {
        assert_eq!(Prune::Halving.rungs(200_000), [25_000, 50_000, 100_000, 200_000]);
        assert_eq!(Prune::Halving.rungs(3), [1, 3]);
        assert_eq!(Prune::None.rungs(7), [7]);
    }

    #[test]
    fn only_trials_that_are_clearly_worse_are_pruned() {
        // Each 100 dollars apart, on dates that differ by more: paired, the distances are certain.
        let certain: Vec<TrialResult> =
            (0..9).map(|i| trial(i, 1, &[&[90_000 - 10_000 * i as i64, -80_000 - 10_000 * i as i64]])).collect();
        assert_eq!(survivors(&certain), [0, 1, 2, 3, 4]);
        // The same means with noise: only trial 8, which shares that of the median trial 4, is clearly worse.
        let noisy = |i: i64| -> [i64; 4] {
            let noise = [500_000, -500_000, 300_000, -300_000];
            std::array::from_fn(|date| -10_000 * i + noise[(date + i as usize) % 4])
        };
        let noisy: Vec<TrialResult> = (0..9).map(|i| trial(i as usize, 1, &[&noisy(i)])).collect();
        assert_eq!(survivors(&noisy), (0..8).collect::<Vec<_>>());
        assert!(survivors(&[]).is_empty());
        assert_eq!(survivors(&[trial(7, 1, &[&[1]])]), [7]);
    }

    #[test]
    fn agreement_is_over_the_trials_of_both_rungs() {
        let rung = |rung, means: &[(usize, i64)]| -> Vec<TrialResult> {
            means.iter().map(|&(number, cents)| trial(number, rung, &[&[cents, cents]])).collect()
        };
        let first = rung(1, &[(0, 10), (1, 20), (2, 30), (3, 40)]);
        assert_eq!(agreement(&first, &rung(2, &[(1, 5), (2, 6), (3, 7)])), Some(1.0));
        assert_eq!(agreement(&first, &rung(2, &[(1, 7), (2, 6), (3, 5)])), Some(-1.0));
        assert_eq!(agreement(&first, &rung(2, &[(1, 7)])), None);
    }
}
