//! Corrections of a Sharpe ratio for the number of trials that it was chosen from.

use std::f64::consts::E;

use crate::{Moments, normal_quantile, sample_variance};

/// Euler's constant γ.
const EULER: f64 = 0.577_215_664_901_532_9;

/// Returns the expected maximum of `trials` independent standard normal numbers, approximately; 0 for fewer than two.
///
/// ```
/// // The exact value is 1.538753.
/// assert!((statistics::expected_maximum(10) - 1.574598).abs() < 1e-6);
/// ```
///
/// # Source
/// Bailey et al. 2014, "Pseudo-mathematics and financial charlatanism", proposition 1:
/// `(1 - γ) Φ⁻¹(1 - 1/N) + γ Φ⁻¹(1 - 1/(N e))`.
pub fn expected_maximum(trials: usize) -> f64 {
    if trials < 2 {
        return 0.0;
    }
    let n = trials as f64;
    (1.0 - EULER) * normal_quantile(1.0 - 1.0 / n) + EULER * normal_quantile(1.0 - 1.0 / (n * E))
}

/// A Sharpe ratio deflated for the number of trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeflatedSharpe {
    /// Probability that the true Sharpe ratio exceeds the threshold.
    pub value: f64,
    /// Trials.
    pub trials: usize,
    /// Variance of the Sharpe ratios per date over the trials.
    pub variance: f64,
    /// Sharpe ratio per date that the best of so many worthless trials is expected to have.
    pub threshold: f64,
}

impl DeflatedSharpe {
    /// Deflates the Sharpe ratio of the chosen trial.
    ///
    /// `sharpes` are the ratios per date of the observed trials; one that never traded has 0. `trials` is the raw
    /// number of trials, at least those observed: some may have left no series. Returns `None` for fewer than two
    /// observed trials, of which no variance can be had.
    ///
    /// # Source
    /// Bailey & López de Prado 2014, "The deflated Sharpe ratio". The variance is that over the trials, and the number
    /// is raw: an effective number from eigenvalues lets up to 13 % of worthless selections pass a test at 5 %.
    pub fn of(chosen: &Moments, sharpes: &[f64], trials: usize) -> Option<Self> {
        let variance = sample_variance(sharpes);
        (sharpes.len() > 1).then(|| Self::with_variance(chosen, variance, trials.max(sharpes.len())))
    }

    /// Deflates with a known variance of the Sharpe ratios over trials.
    pub fn with_variance(chosen: &Moments, variance: f64, trials: usize) -> Self {
        let threshold = variance.sqrt() * expected_maximum(trials);
        Self { value: chosen.psr(threshold), trials, variance, threshold }
    }
}

/// Returns the years of daily results below which the best of so many worthless trials is expected to reach this annual
/// Sharpe ratio.
///
/// # Source
/// Bailey et al. 2014, "Pseudo-mathematics and financial charlatanism", theorem 1.
pub fn min_backtest_years(trials: usize, annual_sharpe: f64) -> f64 {
    (expected_maximum(trials) / annual_sharpe).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldens::{b, near};

    #[test]
    fn the_expected_maximum_is_that_of_the_approximation() {
        let expected = [
            (2, 0.519_755),
            (5, 1.192_594),
            (10, 1.574_598),
            (23, 1.961_533),
            (45, 2.235_640),
            (100, 2.530_603),
            (1000, 3.255_122),
            (2000, 3.447_292),
            (10_000, 3.860_665),
            (100_000, 4.390_829),
        ];
        for (trials, value) in expected {
            near(expected_maximum(trials), value, 5e-7);
        }
        assert_eq!((expected_maximum(0), expected_maximum(1)), (0.0, 0.0));
    }

    #[test]
    fn the_deflated_ratio_is_that_of_the_papers_example() {
        let daily = |annual: f64| annual / 250_f64.sqrt();
        let paper = |skew, kurtosis| Moments { n: 1250, mean: daily(2.5), deviation: 1.0, skew, kurtosis, rho1: 0.0 };
        let deflated = |moments: &Moments, trials| DeflatedSharpe::with_variance(moments, 0.5 / 250.0, trials);
        let example = deflated(&paper(-3.0, 10.0), 100);
        near(example.threshold, 0.113_172_001_865_132, 1e-9);
        near(example.value, 0.900_396_834_449_390, 1e-9);
        near(deflated(&paper(-3.0, 10.0), 46).value, 0.950_501_706_875_579, 1e-9);
        near(deflated(&paper(0.0, 3.0), 100).value, 0.942_771, 1e-6);
        near(deflated(&paper(0.0, 3.0), 46).value, 0.978_739, 1e-6);
    }

    #[test]
    fn the_variance_is_observed_over_the_trials() {
        let moments: Vec<Moments> = b().iter().map(|x| Moments::of(x).unwrap()).collect();
        let sharpes: Vec<f64> = moments.iter().map(Moments::sharpe).collect();
        let expected = [-0.282_177_45, -0.245_798_57, -0.044_791_31, 0.219_494_36, 0.206_834_41, 0.186_280_66];
        sharpes.iter().zip(expected).for_each(|(found, expected)| near(*found, expected, 5e-9));
        let best = &moments[3];
        near(best.skew, -0.059_223_997_865_030_2, 1e-9);
        near(best.kurtosis, 1.704_104_799_209_13, 1e-9);
        near(best.psr(0.0), 0.952_356_778_333_292, 1e-9);
        near(best.min_track_record(0.0, 0.95).unwrap(), 58.363_760_035_400_4, 1e-9);
        let deflated = DeflatedSharpe::of(best, &sharpes, 6).unwrap();
        near(deflated.variance, 0.053_488_295_099_969_9, 1e-9);
        near(deflated.threshold, 0.300_690_537_070_778, 1e-9);
        near(deflated.value, 0.268_588_533_845_464, 1e-9);
        near(DeflatedSharpe::with_variance(best, 1.0 / 60.0, 6).value, 0.652_660_844_017_198, 1e-9);
        assert_eq!(DeflatedSharpe::of(best, &sharpes, 2).unwrap().trials, 6, "at least the observed ones");
        assert_eq!(DeflatedSharpe::of(best, &sharpes[..1], 9), None);
    }

    #[test]
    fn more_trials_need_more_years() {
        for (trials, years) in [(5, 1.42), (10, 2.48), (45, 4.998), (100, 6.40), (1000, 10.6), (10_000, 14.9)] {
            near(min_backtest_years(trials, 1.0), years, 5e-3);
        }
    }
}
