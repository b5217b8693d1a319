//! Stepdown test of many strategies at once, with the error of every claim of a family controlled.

use crate::{mean, resample::Resamples};

/// Result of one strategy in a family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepdown {
    /// `√n · mean / deviation`.
    pub t: f64,
    /// One-sided p-value of the strategy alone.
    pub p: f64,
    /// p-value adjusted for the family: claims with 0.05 or less contain a false one in 5 % of families at most.
    pub p_adjusted: f64,
}

/// Tests each strategy against a mean of zero or less. `series` `[N][n]` holds the P&L by date, less that of the benchmark.
///
/// `t*_k = √n (m*_k - m_k) / s*_k` has the mean of the sample as its centre and the deviation of the resample: a centre of
/// the resample's own would make every p-value 0 or 1, and a deviation of the sample alarms too often. A strategy without
/// variance has `t` 0 and p-values of 1.
///
/// # Panics
/// If a series has another number of dates than `resamples`.
///
/// # Source
/// Romano & Wolf 2005, "Stepwise multiple testing as formalized data snooping"; the adjusted p-values are those of Romano &
/// Wolf 2016.
///
/// ```
/// use statistics::{Blocks, Resamples, romano_wolf};
///
/// let earns: Vec<f64> = (0..40).map(|i| 3.0 + f64::from(i * 7 % 11) - 5.0).collect();
/// let chance: Vec<f64> = (0..40).map(|i| f64::from(i * 5 % 13) - 6.0).collect();
/// let found = romano_wolf(&[chance, earns], &Resamples::draw(40, 999, Blocks::Stationary(1.0), 7));
/// assert!(found[1].p_adjusted < 0.01 && found[0].p_adjusted > 0.3);
/// ```
pub fn romano_wolf(series: &[Vec<f64>], resamples: &Resamples) -> Vec<Stepdown> {
    let family = Family::of(series, resamples.dates());
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by(|&a, &b| family.t[b].total_cmp(&family.t[a]));
    // Resamples that reach the statistic of a strategy: alone, and as the largest of those not yet ordered before it.
    let (mut alone, mut largest) = (vec![0_usize; series.len()], vec![0_usize; series.len()]);
    for row in resamples.rows() {
        let drawn = family.resample(row);
        let mut maximum = f64::NEG_INFINITY;
        for &k in order.iter().rev() {
            maximum = maximum.max(drawn[k]);
            alone[k] += usize::from(drawn[k] >= family.t[k]);
            largest[k] += usize::from(maximum >= family.t[k]);
        }
    }
    let p = |count: usize| (1 + count) as f64 / (resamples.count() + 1) as f64;
    let mut results = vec![Stepdown { t: 0.0, p: 1.0, p_adjusted: 1.0 }; series.len()];
    let mut so_far = 0.0_f64;
    for k in order {
        so_far = so_far.max(p(largest[k]));
        if family.varies(k) {
            results[k] = Stepdown { t: family.t[k], p: p(alone[k]), p_adjusted: so_far };
        }
    }
    results
}

/// Deviations of strategies from their means, by date.
struct Family {
    /// `[n, N]`.
    deviations: Vec<f64>,
    t: Vec<f64>,
    /// Sums of squares below which a series counts as flat.
    flat: Vec<f64>,
    dates: usize,
}

impl Family {
    fn of(series: &[Vec<f64>], dates: usize) -> Self {
        let strategies = series.len();
        let mut deviations = vec![0.0; dates * strategies];
        let (mut t, mut flat) = (Vec::new(), Vec::new());
        for (k, x) in series.iter().enumerate() {
            assert_eq!(x.len(), dates, "a value per date");
            let center = mean(x);
            x.iter().enumerate().for_each(|(date, x)| deviations[date * strategies + k] = x - center);
            // The rounding of equal values leaves a sum of this order.
            flat.push(1e-24 * center * center * dates as f64);
            let squares: f64 = x.iter().map(|x| (x - center).powi(2)).sum();
            t.push(if squares <= flat[k] { 0.0 } else { statistic(dates as f64, center * dates as f64, squares) });
        }
        Self { deviations, t, flat, dates }
    }

    fn varies(&self, k: usize) -> bool {
        let strategies = self.t.len();
        let squares: f64 = self.deviations.iter().skip(k).step_by(strategies).map(|d| d * d).sum();
        squares > self.flat[k]
    }

    /// Returns the studentised statistics of a resample. A flat one counts as having no statistic.
    fn resample(&self, row: &[u32]) -> Vec<f64> {
        let strategies = self.t.len();
        let mut counts = vec![0_u32; self.dates];
        row.iter().for_each(|&date| counts[date as usize] += 1);
        let (mut sums, mut squares) = (vec![0.0; strategies], vec![0.0; strategies]);
        for (count, deviations) in counts.iter().zip(self.deviations.chunks_exact(strategies.max(1))) {
            if *count == 0 {
                continue;
            }
            let count = f64::from(*count);
            for ((sum, square), d) in sums.iter_mut().zip(&mut squares).zip(deviations) {
                let weighted = count * d;
                *sum += weighted;
                *square += weighted * d;
            }
        }
        let n = self.dates as f64;
        let of = |k: usize| {
            let spread = squares[k] - sums[k] * sums[k] / n;
            // Without variance a statistic is 0, which stands for neither side.
            if spread <= 1e-12 * squares[k].max(self.flat[k]) { 0.0 } else { statistic(n, sums[k], spread) }
        };
        (0..strategies).map(of).collect()
    }
}

/// Returns `√n · mean / deviation` from a sum over `n` values and their squared deviations from the mean.
fn statistic(n: f64, sum: f64, squared_deviations: f64) -> f64 {
    sum / n.sqrt() / (squared_deviations / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        goldens::{b, near},
        resample::{Blocks, tests::golden_rows},
    };

    #[test]
    fn adjusted_p_values_are_those_of_the_reference() {
        let found = romano_wolf(&b(), &golden_rows());
        let t = [-2.185_737_14, -1.903_947_51, -0.346_951_99, 1.700_195_98, 1.602_132_45, 1.442_923_78];
        let adjusted = [0.999_001, 0.999_001, 0.961_039, 0.236_763, 0.236_763, 0.236_763];
        let single = [0.986_014, 0.973_027, 0.606_394, 0.085_914, 0.061_938, 0.044_955];
        for (k, result) in found.iter().enumerate() {
            near(result.t, t[k], 5e-9);
            assert_eq!(
                format!("{:.6} {:.6}", result.p_adjusted, result.p),
                format!("{:.6} {:.6}", adjusted[k], single[k])
            );
        }
        // The p-values are counts of a thousand resamples: 236 of them here.
        near(found[3].p_adjusted, 237.0 / 1001.0, 1e-12);
    }

    #[test]
    fn a_flat_strategy_is_never_chosen_and_changes_nothing() {
        let (mut series, rows) = (b(), golden_rows());
        let alone = romano_wolf(&series, &rows);
        series.push(vec![0.1; 60]);
        let found = romano_wolf(&series, &rows);
        assert_eq!(found[6], Stepdown { t: 0.0, p: 1.0, p_adjusted: 1.0 });
        assert_eq!(found[3], alone[3]);
        assert_eq!(romano_wolf(&[], &rows), []);
    }

    #[test]
    fn false_alarms_are_as_rare_as_promised() {
        use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
        use rand_distr::{Distribution, StandardNormal};
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let alarms = (0..400_u64).filter(|world| {
            let mut pnl = || -> f64 { StandardNormal.sample(&mut rng) };
            let common: Vec<f64> = (0..60).map(|_| pnl()).collect();
            let series: Vec<Vec<f64>> = (0..20).map(|_| common.iter().map(|x| x + pnl()).collect()).collect();
            let found = romano_wolf(&series, &Resamples::draw(60, 199, Blocks::Stationary(1.0), *world));
            found.iter().any(|result| result.p_adjusted <= 0.05)
        });
        let alarms = alarms.count();
        assert!((8..=34).contains(&alarms), "{alarms} of 400 at 5 %");
    }
}
