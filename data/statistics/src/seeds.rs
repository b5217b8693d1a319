//! Comparison of trainings over several seeds: interquartile mean and probability of improvement.

use crate::{
    bootstrap::ConfidenceInterval,
    mean,
    resample::{nearest_rank, sorted, stream},
};

/// Returns the interquartile mean: the mean of what is left when a quarter of the numbers, rounded down, is dropped at either
/// end; NaN for no number. It compares trainings; it is no measure of money, since it drops the tails that a buyer lives on.
///
/// ```
/// assert_eq!(statistics::interquartile_mean(&[-90.0, 1.0, 2.0, 50.0]), 1.5);
/// ```
///
/// # Source
/// Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice".
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let drop = values.len() / 4;
    let values = sorted(values.to_vec());
    mean(&values[drop..values.len() - drop])
}

/// Returns the probability that a training of `mine` beats one of `theirs`, both `[folds][seeds]`: the mean over folds of the
/// share of pairs that it wins, ties counted half. NaN without a fold.
///
/// # Panics
/// If the number of folds differs.
///
/// # Source
/// Agarwal et al. 2021.
pub fn probability_of_improvement(mine: &[Vec<f64>], theirs: &[Vec<f64>]) -> f64 {
    assert_eq!(mine.len(), theirs.len(), "the same folds");
    let won = |x: f64, y: f64| if x > y { 1.0 } else { 0.5 * f64::from(u8::from(x == y)) };
    let of_fold = |(mine, theirs): (&Vec<f64>, &Vec<f64>)| {
        mean(mine.iter().flat_map(|&x| theirs.iter().map(move |&y| won(x, y))))
    };
    mean(mine.iter().zip(theirs).map(of_fold))
}

/// Returns the interquartile mean of the results `[folds][seeds]` with its 95 % interval, for which seeds are drawn with
/// replacement in every fold. Returns `None` if a fold has fewer than two seeds.
pub fn interquartile_interval(results: &[Vec<f64>], resamples: usize, seed: u64) -> Option<ConfidenceInterval> {
    if results.is_empty() || results.iter().any(|fold| fold.len() < 2) {
        return None;
    }
    let found = sorted((0..resamples).map(|row| resampled(results, &mut stream(seed, row))).collect());
    let value = interquartile_mean(&results.concat());
    let (low, high) = (nearest_rank(&found, 0.025)?, nearest_rank(&found, 0.975)?);
    Some(ConfidenceInterval { value, low, high, blocks: results[0].len() })
}

/// Returns the interquartile mean of one resample.
fn resampled(results: &[Vec<f64>], uniform: &mut impl FnMut() -> f64) -> f64 {
    let mut draw = |fold: &[f64]| fold[((uniform() * fold.len() as f64) as usize).min(fold.len() - 1)];
    let drawn: Vec<f64> =
        results.iter().flat_map(|fold| (0..fold.len()).map(|_| draw(fold)).collect::<Vec<_>>()).collect();
    interquartile_mean(&drawn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldens::{SplitMix, near};

    /// Results by fold; the reference lists them by seed.
    fn folds(by_seed: [[f64; 3]; 5]) -> Vec<Vec<f64>> {
        (0..3).map(|fold| by_seed.iter().map(|seed| seed[fold]).collect()).collect()
    }

    fn x() -> Vec<Vec<f64>> {
        folds([[-3.2, 0.5, 1.0], [1.1, -0.4, 2.0], [0.3, 0.9, -1.5], [-0.7, 1.6, 0.2], [2.4, -0.1, 0.8]])
    }

    #[test]
    fn figures_are_those_of_rliable() {
        let y = folds([[-1.0, 0.1, 0.3], [-0.2, -0.9, 0.4], [-2.0, 0.3, -1.1], [0.6, -0.5, 0.1], [-0.4, 0.2, -0.6]]);
        near(interquartile_mean(&x().concat()), 0.477_777_777_8, 1e-9);
        near(interquartile_mean(&y.concat()), -0.211_111_111_1, 1e-9);
        near(probability_of_improvement(&x(), &y), 0.706_666_666_7, 1e-9);
        assert_eq!(probability_of_improvement(&x(), &x()), 0.5, "ties count half");
    }

    #[test]
    fn the_interval_is_that_of_the_reference() {
        let mut generator = SplitMix(99);
        let found = sorted((0..1000).map(|_| resampled(&x(), &mut || generator.uniform())).collect());
        near(nearest_rank(&found, 0.025).unwrap(), -0.188_888_888_9, 1e-9);
        near(nearest_rank(&found, 0.975).unwrap(), 1.088_888_888_9, 1e-9);
        let interval = interquartile_interval(&x(), 1000, 1).unwrap();
        assert!(interval.low < interval.value && interval.value < interval.high && interval.blocks == 5, "{interval}");
        assert_eq!(interquartile_interval(&[vec![1.0]], 1000, 1), None);
    }
}
