//! Paired comparison of two forecasters on the same samples: errors that both share cancel.

use statistics::{ConfidenceInterval, bootstrap_interval, ratio};

use super::{
    measure::explained,
    outcomes::{Outcomes, Pairs},
};

/// Seed of the bootstrap.
const SEED: u64 = 0;

/// Returns the gain in R² of forecasts `mine` over forecasts `theirs` `[N]` on the same samples, with a confidence
/// interval over dates. Returns `None` for fewer than five dates or a non-finite forecast.
///
/// # Panics
/// If lengths differ.
pub fn r2_gain(mine: &Outcomes<'_>, theirs: &[f32]) -> Option<ConfidenceInterval> {
    let (a, b) = (Pairs::of(mine)?, Pairs::of(&Outcomes { predicted: theirs, ..*mine })?);
    if a.not_finite + b.not_finite > 0 {
        return None;
    }
    let centre = a.mean(|_, y| y);
    let row = |i: usize, p: f64, y: f64| {
        let other = f64::from(b.values[i].0);
        [1.0, y - centre, (y - centre).powi(2), (y - p).powi(2), (y - other).powi(2)]
    };
    let gain = |&[n, y, yy, own, other]: &[f64; 5]| Some(explained(n, y, yy, own)? - explained(n, y, yy, other)?);
    bootstrap_interval(&a.sums(row), gain, SEED)
}

/// Returns the share of the squared error of forecasts `theirs` `[N]` that forecasts `mine` save on the same samples, with a
/// confidence interval over dates: R² against another predictor, such as the last value. Returns `None` for fewer than five
/// dates or a non-finite forecast of either.
///
/// # Panics
/// If lengths differ.
pub fn r2_over(mine: &Outcomes<'_>, theirs: &[f32]) -> Option<ConfidenceInterval> {
    let (a, b) = (Pairs::of(mine)?, Pairs::of(&Outcomes { predicted: theirs, ..*mine })?);
    if a.not_finite + b.not_finite > 0 {
        return None;
    }
    let row = |i: usize, p: f64, y: f64| [(y - p).powi(2), (y - f64::from(b.values[i].0)).powi(2)];
    bootstrap_interval(&a.sums(row), |&[own, other]: &[f64; 2]| ratio(other - own, other), SEED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{RegressionScores, TargetKind};

    #[test]
    fn a_gain_is_the_difference_of_scores_with_a_narrower_interval() {
        let actual: Vec<f32> = (0..400).map(|i| ((i * 7919) % 400) as f32 / 200.0 - 1.0).collect();
        let block: Vec<u32> = (0..400).map(|i| i / 10).collect();
        let of = |share: f32| {
            actual.iter().enumerate().map(|(i, y)| share * y + 0.1 * (i as f32).sin()).collect::<Vec<f32>>()
        };
        let (better, worse) = (of(0.5), of(0.45));
        let outcomes = |predicted| Outcomes { predicted, actual: &actual, block: &block, train_mean: 0.0 };
        let r2 = |predicted| RegressionScores::with_intervals(TargetKind::Return, &outcomes(predicted)).unwrap();
        let gain = r2_gain(&outcomes(&better), &worse).unwrap();
        let (a, b) = (r2(&better), r2(&worse));
        assert!((gain.value - (a.r2 - b.r2)).abs() < 1e-12);
        let alone = a.intervals.unwrap().r2.unwrap();
        assert!(gain.low > 0.0 && gain.high - gain.low < (alone.high - alone.low) / 3.0, "{gain:?} {alone:?}");
        assert_eq!(r2_gain(&outcomes(&better), &vec![f32::NAN; 400]), None);
        // Over a constant forecast of the mean it is R² itself; over itself it is nothing.
        let over = |theirs: &[f32]| r2_over(&outcomes(&better), theirs).unwrap().value;
        let mean = statistics::mean(actual.iter().map(|&y| f64::from(y))) as f32;
        assert!((over(&[mean; 400]) - a.r2).abs() < 1e-6 && over(&better) == 0.0);
        assert_eq!(r2_over(&outcomes(&better), &vec![f32::NAN; 400]), None);
    }
}
