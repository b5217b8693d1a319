//! Tests of the best of many strategies, for data snooping: Reality Check and superior predictive ability.

use crate::{
    mean,
    resample::{Resamples, sorted},
};

/// Tests of the best of many strategies that reject or keep all of them together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuperiorAbility {
    /// Statistic of the best strategy.
    pub statistic: f64,
    /// p-value with strategies that lose recentred to zero: too small.
    pub lower: f64,
    /// p-value with strategies that lose clearly left out.
    pub consistent: f64,
    /// p-value with all strategies recentred to zero: too large where some lose clearly.
    pub upper: f64,
}

/// Returns the p-value of White's Reality Check: that the best of the strategies `[N][n]`, P&L less that of the benchmark,
/// earns nothing. Their deviations are not equalised, so skewed P&L costs it power. Returns `None` without a strategy.
///
/// # Panics
/// If a series has another number of dates than `resamples`.
///
/// # Source
/// White 2000, "A reality check for data snooping": `max √n m_k` against `max √n (m*_k - m_k)`.
pub fn reality_check(series: &[Vec<f64>], resamples: &Resamples) -> Option<f64> {
    let means: Vec<f64> = series.iter().map(mean::<&f64>).collect();
    let best = means.iter().copied().reduce(f64::max)?;
    let resampled = resampled_means(series, resamples);
    let reaches =
        |row: &&[f64]| row.iter().zip(&means).map(|(star, m)| star - m).fold(f64::NEG_INFINITY, f64::max) > best;
    let count = resampled.chunks_exact(series.len()).filter(reaches).count();
    Some((1 + count) as f64 / (resamples.count() + 1) as f64)
}

/// Returns the means `[B, N]` of the strategies in every resample.
fn resampled_means(series: &[Vec<f64>], resamples: &Resamples) -> Vec<f64> {
    let of_row =
        |row: &[u32]| -> Vec<f64> { series.iter().map(|x| mean(row.iter().map(|&date| x[date as usize]))).collect() };
    series.iter().for_each(|x| assert_eq!(x.len(), resamples.dates(), "a value per date"));
    resamples.rows().flat_map(of_row).collect()
}

impl SuperiorAbility {
    /// Tests whether the best of the strategies `[N][n]`, P&L less that of the benchmark, earns anything. The resamples must
    /// be stationary with blocks of this mean length. Returns `None` if no strategy varies.
    ///
    /// # Panics
    /// If a series has another number of dates than `resamples`.
    ///
    /// # Source
    /// Hansen 2005, "A test for superior predictive ability".
    pub fn of(series: &[Vec<f64>], resamples: &Resamples, block: f64) -> Option<Self> {
        let scales: Vec<f64> = series.iter().map(|x| long_run_variance(x, block).sqrt()).collect();
        Self::with_scales(series, resamples, &scales, &scales)
    }

    /// Divides by `scales`; a strategy is valid where it does not lose clearly by its long-run `deviations`.
    fn with_scales(series: &[Vec<f64>], resamples: &Resamples, scales: &[f64], deviations: &[f64]) -> Option<Self> {
        let moving: Vec<usize> = (0..series.len()).filter(|&k| deviations[k] > 0.0).collect();
        if moving.is_empty() {
            return None;
        }
        let root = (resamples.dates() as f64).sqrt();
        let means: Vec<f64> = series.iter().map(mean::<&f64>).collect();
        let largest = |value: &dyn Fn(usize) -> f64| moving.iter().map(|&k| value(k)).fold(0.0, f64::max);
        let statistic = largest(&|k| root * means[k] / scales[k]);
        let limit = -(2.0 * (resamples.dates() as f64).ln().ln().max(0.0)).sqrt();
        let valid = |k: usize| root * means[k] / deviations[k] >= limit;
        let resampled = resampled_means(series, resamples);
        let p = |center: &dyn Fn(usize) -> f64| {
            // Every resample reaches a statistic of 0: nothing earned.
            let star = |row: &[f64]| largest(&|k| root * (row[k] - center(k)) / scales[k]);
            let reaches = |row: &&[f64]| statistic == 0.0 || star(row) > statistic;
            let count = resampled.chunks_exact(series.len()).filter(reaches).count();
            (1 + count) as f64 / (resamples.count() + 1) as f64
        };
        Some(Self {
            statistic,
            lower: p(&|k| means[k].max(0.0)),
            consistent: p(&|k| if valid(k) { means[k] } else { 0.0 }),
            upper: p(&|k| means[k]),
        })
    }
}

/// Returns the variance of `√n · mean` of a dependent series, by the kernel of the stationary bootstrap.
fn long_run_variance(pnl: &[f64], block: f64) -> f64 {
    let (n, center, stays) = (pnl.len(), mean(pnl), 1.0 - 1.0 / block);
    let d: Vec<f64> = pnl.iter().map(|x| x - center).collect();
    let covariance = |lag: usize| d[lag..].iter().zip(&d).map(|(a, b)| a * b).sum::<f64>() / n as f64;
    let weight = |lag: usize| {
        let share = lag as f64 / n as f64;
        (1.0 - share) * stays.powi(lag as i32) + share * stays.powi((n - lag) as i32)
    };
    (covariance(0) + 2.0 * (1..n).map(|lag| weight(lag) * covariance(lag)).sum::<f64>()).max(0.0)
}

/// Returns the Monte Carlo standard error of a p-value from so many resamples.
pub fn p_error(p: f64, resamples: usize) -> f64 {
    (p * (1.0 - p) / resamples as f64).sqrt()
}

/// Returns the share of resampled values at or above the observed one, itself counted: `(1 + #) / (B + 1)`; never 0.
pub fn rank_p(observed: f64, null: Vec<f64>) -> f64 {
    let values = sorted(null);
    let below = values.partition_point(|value| *value < observed);
    (1 + values.len() - below) as f64 / (values.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        goldens::{b, near},
        resample::tests::golden_rows,
    };

    #[test]
    fn superior_ability_is_that_of_arch() {
        let (series, rows) = (b(), golden_rows());
        let expected =
            [738.840_281_1, 604.981_654_65, 700.328_883_62, 1_023.641_403_79, 679.301_644_86, 602.021_303_34];
        let variances: Vec<f64> = series.iter().map(|x| long_run_variance(x, 3.0)).collect();
        variances.iter().zip(expected).for_each(|(found, expected)| near(*found, expected, 1e-9));
        let found = SuperiorAbility::of(&series, &rows, 3.0).unwrap();
        near(found.statistic, 1.736_330_463_371_77, 1e-9);
        let counts = |x: &SuperiorAbility| [x.lower, x.consistent, x.upper].map(|p| (p * 1001.0).round() as i32 - 1);
        assert_eq!(counts(&found), [136, 152, 231]);
        let deviations: Vec<f64> = variances.iter().map(|x| x.sqrt()).collect();
        let plain = SuperiorAbility::with_scales(&series, &rows, &[1.0; 6], &deviations).unwrap();
        near(plain.statistic, 46.733_999_044, 1e-9);
        assert_eq!(counts(&plain), [154, 171, 233]);
        let check = reality_check(&series, &rows).unwrap();
        assert_eq!((check * 1001.0).round() as i32 - 1, 233, "the upper test without scales");
    }

    #[test]
    fn strategies_without_variance_have_no_test() {
        let rows = golden_rows();
        assert_eq!(SuperiorAbility::of(&[vec![0.0; 60]], &rows, 1.0), None);
        assert_eq!(reality_check(&[], &rows), None);
        let loses = SuperiorAbility::of(&[b()[0].iter().map(|x| x - 90.0).collect()], &rows, 1.0).unwrap();
        assert_eq!((loses.statistic, loses.lower, loses.consistent, loses.upper), (0.0, 1.0, 1.0, 1.0));
    }

    #[test]
    fn ranks_among_resamples_are_never_zero() {
        assert_eq!(rank_p(5.0, vec![1.0, 2.0, 3.0]), 0.25);
        assert_eq!(rank_p(2.0, vec![1.0, 2.0, 3.0]), 0.75);
        near(p_error(0.05, 9_999), 0.002_179_6, 1e-6);
    }
}
