//! Bootstrap-t: confidence intervals of a mean and of a ratio from studentised resamples.

use crate::{
    Mean,
    bootstrap::ConfidenceInterval,
    resample::{Resamples, nearest_rank, sorted},
};

/// Fewest dates that are resampled.
pub const FEWEST_DATES: usize = 5;

/// Sum and number of the values of a date, such as the returns of its trades.
pub type DateSum = [f64; 2];

/// Returns the mean of all values with its 95 % interval; the values of a date depend on each other.
///
/// `dates` holds the sum and the number of the values of each date, in the order of time; a date without a value is
/// `[0, 0]`. With one value per date it is the interval of the mean of the dates. Returns `None` for fewer than five dates
/// with a value.
///
/// With `m` and `s` the mean and its standard error of the sample, `m*` and `s*` those of a resample of dates, and `q` the
/// quantiles of `(m* - m) / s*`, the interval is `[m - q(97.5 %) s, m - q(2.5 %) s]`. It follows the skew of P&L, which the
/// percentile interval and Student's do not.
///
/// # Panics
/// If `resamples` has another number of dates.
///
/// # Source
/// Efron & Tibshirani 1993, "An Introduction to the Bootstrap", section 12.5.
pub fn studentised_interval(dates: &[DateSum], resamples: &Resamples) -> Option<ConfidenceInterval> {
    let one_by_one = |rows: &[DateSum]| Mean::of_sums(rows.iter().copied());
    let whole = one_by_one(dates).filter(|mean| mean.observations >= FEWEST_DATES)?;
    assert_eq!(dates.len(), resamples.dates(), "a sum per date");
    let mut drawn = vec![[0.0; 2]; dates.len()];
    let studentised = resamples.rows().filter_map(|row| {
        drawn.iter_mut().zip(row).for_each(|(sum, &date)| *sum = dates[date as usize]);
        let of_row = one_by_one(&drawn)?;
        let distance = of_row.value - whole.value;
        // A resample of one date over and over has no spread: nothing is learned from it but its side.
        let t = if of_row.error > 0.0 { distance / of_row.error } else { distance.signum() * f64::INFINITY };
        Some(if distance == 0.0 { 0.0 } else { t })
    });
    let t = sorted(studentised.collect());
    let end = |share| {
        nearest_rank(&t, share).map(|t| if whole.error > 0.0 { whole.value - t * whole.error } else { whole.value })
    };
    Some(ConfidenceInterval { value: whole.value, low: end(0.975)?, high: end(0.025)?, blocks: whole.observations })
}

/// Returns a statistic of a series with its 95 % percentile interval, for statistics without a standard error, such as a
/// Sharpe ratio. Returns `None` if the statistic is undefined.
///
/// # Panics
/// If `resamples` has another number of dates.
pub fn percentile_interval(
    pnl: &[f64],
    resamples: &Resamples,
    statistic: impl Fn(&[f64]) -> Option<f64>,
) -> Option<ConfidenceInterval> {
    let value = statistic(pnl)?;
    let found = sorted(resamples.statistics(pnl, statistic));
    let (low, high) = (nearest_rank(&found, 0.025)?, nearest_rank(&found, 0.975)?);
    Some(ConfidenceInterval { value, low, high, blocks: pnl.len() })
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::{
        Moments, bootstrap_interval,
        goldens::{b, near},
        max_drawdown, mean, quantile,
        resample::{Blocks, tests::golden_rows},
    };

    fn by_date(pnl: &[f64]) -> Vec<DateSum> {
        pnl.iter().map(|x| [*x, 1.0]).collect()
    }

    #[test]
    fn intervals_are_those_of_the_reference() {
        let (series, rows) = (b(), golden_rows());
        let pnl = &series[5];
        let percentile = percentile_interval(pnl, &rows, |x| Some(mean(x))).unwrap();
        near(percentile.value, 5.5, 1e-12);
        near(percentile.low, -0.483_333_3, 1e-7);
        near(percentile.high, 11.966_666_7, 1e-7);
        let studentised = studentised_interval(&by_date(pnl), &rows).unwrap();
        assert_eq!((studentised.value, studentised.blocks), (5.5, 60));
        near(studentised.low, -0.986_112_917, 1e-9);
        near(studentised.high, 11.855_316_073, 1e-9);
        let sharpe = percentile_interval(pnl, &rows, |x| Moments::of(x).map(|m| m.sharpe())).unwrap();
        near(sharpe.low, -0.016_433_19, 1e-8);
        near(sharpe.high, 0.406_564_59, 1e-8);
        let mut drawdowns = rows.statistics(pnl, |x| Some(max_drawdown(x)));
        assert_eq!(max_drawdown(pnl), 109.0);
        assert_eq!((quantile(&mut drawdowns, 0.5), nearest_rank(&sorted(drawdowns), 0.95)), (117.0, Some(218.0)));
    }

    #[test]
    fn values_of_a_date_are_drawn_together() {
        let rows = Resamples::draw(30, 999, Blocks::Stationary(1.0), 1);
        let single: Vec<DateSum> = (0..30).map(|i| [f64::from(i * 7 % 30), 1.0]).collect();
        let double: Vec<DateSum> = single.iter().map(|[sum, n]| [2.0 * sum, 2.0 * n]).collect();
        assert_eq!(studentised_interval(&single, &rows), studentised_interval(&double, &rows));
        let with_gaps: Vec<DateSum> =
            single.iter().enumerate().map(|(i, x)| if i < 26 { [0.0; 2] } else { *x }).collect();
        assert_eq!(studentised_interval(&with_gaps, &rows), None, "four dates with a value");
        let equal = studentised_interval(&[[3.0, 1.0]; 30], &rows).unwrap();
        assert_eq!((equal.low, equal.value, equal.high), (3.0, 3.0, 3.0));
    }

    /// P&L of a date with the skew of an option buyer: a lognormal number less its mean.
    fn buyer(rng: &mut ChaCha8Rng) -> f64 {
        let z: f64 = StandardNormal.sample(rng);
        (0.6 * z).exp() - 0.18_f64.exp()
    }

    /// Counts the worlds in which the intervals of the mean cover 0: bootstrap-t, and the interval of sums.
    fn covered(dates: usize, worlds: u64) -> [u32; 2] {
        let mut rng = ChaCha8Rng::seed_from_u64(dates as u64);
        let mut covered = [0; 2];
        for world in 0..worlds {
            let pnl: Vec<f64> = (0..dates).map(|_| buyer(&mut rng)).collect();
            let rows = Resamples::draw(dates, 999, Blocks::Stationary(1.0), rng.random());
            let by_sums = bootstrap_interval(&by_date(&pnl), |[sum, n]: &[f64; 2]| Some(sum / n), world);
            let both = [studentised_interval(&by_date(&pnl), &rows), by_sums];
            for (count, interval) in covered.iter_mut().zip(both) {
                *count += u32::from(interval.is_some_and(|x| x.low <= 0.0 && 0.0 <= x.high));
            }
        }
        covered
    }

    #[test]
    fn skewed_pnl_is_covered_as_often_as_promised() {
        // Plain percentiles cover 80 % of these worlds at five dates.
        for (dates, least) in [(5, 0.9), (10, 0.91), (20, 0.925), (60, 0.93)] {
            let [studentised, sums] = covered(dates, 1000).map(|count| f64::from(count) / 1000.0);
            assert!((least..=0.97).contains(&studentised), "{studentised} of {dates} dates");
            assert!(sums >= least - 0.04, "sums: {sums} of {dates} dates");
        }
    }
}
