//! Goodness of fit of predictions to outcomes: explained variance, variance ratio, slope.

use serde::{Deserialize, Serialize};

/// Fit of predictions to their outcomes. One number alone cannot distinguish flat predictions from wrong ones: with
/// `EV` the explained variance, `VR` the variance ratio and `b` the slope, `EV = VR · (2b - 1)`, and calibrated
/// predictions have `b = 1` and `EV = VR`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GoodnessOfFit {
    /// `1 - Var(outcome - prediction) / Var(outcome)`; 0 if all outcomes are equal.
    pub explained_variance: f64,
    /// `Var(prediction) / Var(outcome)`; 0 if all outcomes are equal.
    pub variance_ratio: f64,
    /// `Cov(prediction, outcome) / Var(prediction)`, the rise of outcomes per unit of prediction; 0 if all predictions
    /// are equal.
    pub slope: f64,
    /// Standard deviation of the predictions.
    pub pred_std: f64,
    /// Mean of the predictions.
    pub pred_mean: f64,
    /// Smallest prediction.
    pub pred_min: f64,
    /// Largest prediction.
    pub pred_max: f64,
    /// Standard deviation of the outcomes.
    pub outcome_std: f64,
    /// Number of pairs.
    pub samples: u64,
}

impl GoodnessOfFit {
    /// Compares pairs of prediction and outcome, in double precision and in their order. Returns `None` for no pair.
    pub fn of(pairs: impl Iterator<Item = (f32, f32)> + Clone) -> Option<Self> {
        let (mut n, mut sum_p, mut sum_y) = (0u64, 0.0, 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (p, y) in pairs.clone() {
            let p = f64::from(p);
            (n, sum_p, sum_y) = (n + 1, sum_p + p, sum_y + f64::from(y));
            (low, high) = (low.min(p), high.max(p));
        }
        let count = n as f64;
        let (mean_p, mean_y) = (sum_p / count, sum_y / count);
        let (mut pp, mut yy, mut py) = (0.0, 0.0, 0.0);
        for (p, y) in pairs {
            let (p, y) = (f64::from(p) - mean_p, f64::from(y) - mean_y);
            (pp, yy, py) = (pp + p * p, yy + y * y, py + p * y);
        }
        let over = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        (n > 0).then(|| Self {
            explained_variance: over(2.0 * py - pp, yy),
            variance_ratio: over(pp, yy),
            slope: over(py, pp),
            pred_std: (pp / count).sqrt(),
            pred_mean: mean_p,
            pred_min: low,
            pred_max: high,
            outcome_std: (yy / count).sqrt(),
            samples: n,
        })
    }

    /// Returns true if the predictions are one constant but for rounding, while the outcomes vary.
    pub fn is_constant(&self) -> bool {
        let scale = self.pred_mean.abs().max(self.outcome_std);
        self.outcome_std > 0.0 && self.pred_std <= NOISE * scale
    }
}

/// Largest relative spread that rounding leaves in equal numbers, for single-precision sums of some hundred terms.
const NOISE: f64 = 1e-5;

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(p: &[f32], y: &[f32]) -> GoodnessOfFit {
        GoodnessOfFit::of(p.iter().copied().zip(y.iter().copied())).unwrap()
    }

    #[test]
    fn perfect_constant_and_wrong_predictions_differ() {
        let outcome = [1.0, 2.0, 3.0];
        let perfect = fit(&outcome, &outcome);
        assert_eq!((perfect.explained_variance, perfect.variance_ratio, perfect.slope), (1.0, 1.0, 1.0));
        let constant = fit(&[7.0; 3], &outcome);
        assert_eq!((constant.explained_variance, constant.pred_std, constant.slope), (0.0, 0.0, 0.0));
        let wrong = fit(&[3.0, 2.0, 1.0], &outcome);
        assert_eq!((wrong.explained_variance, wrong.slope), (-3.0, -1.0));
        assert_eq!(fit(&outcome, &[5.0; 3]).explained_variance, 0.0, "nothing to explain");
        assert_eq!((wrong.pred_min, wrong.pred_max, wrong.pred_mean, wrong.samples), (1.0, 3.0, 2.0, 3));
        assert!(GoodnessOfFit::of(std::iter::empty()).is_none());
    }

    #[test]
    fn the_three_numbers_are_tied_by_their_identity() {
        let p: Vec<f32> = (0..200).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
        let y: Vec<f32> = (0..200).map(|i| 0.3 * p[i] + ((i * 53) % 97) as f32 / 40.0).collect();
        let fit = fit(&p, &y);
        let identity = fit.variance_ratio * (2.0 * fit.slope - 1.0);
        assert!((fit.explained_variance - identity).abs() < 1e-12, "{fit:?}");
    }

    #[test]
    fn a_small_true_spread_is_not_a_constant() {
        let y: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
        let small: Vec<f32> = y.iter().map(|y| -0.2 + 1e-3 * y).collect();
        assert!(!fit(&small, &y).is_constant(), "a deviation of 0.1 % of the outcome's");
        let rounded: Vec<f32> = (0..1000).map(|i| -0.2 + (i % 3) as f32 * 1.5e-8).collect();
        assert!(fit(&rounded, &y).is_constant());
        assert!(!fit(&[1.0; 4], &[2.0; 4]).is_constant(), "the outcomes do not vary");
    }
}
