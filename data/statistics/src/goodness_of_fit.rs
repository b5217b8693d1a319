//! How good the critic's values are: one set of numbers against the targets that it learns, one against what really came.

use serde::{Deserialize, Serialize};

/// A prediction set beside what it predicts. One number alone cannot tell a flat critic from one that is wrong: with `EV`
/// the explained variance, `VR` the variance ratio and `b` the slope, `EV = VR · (2b - 1)`, and a calibrated critic has
/// `b = 1` and `EV = VR`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// 1 - Var(outcome - prediction) / Var(outcome); 0 when all outcomes are equal.
    pub explained_variance: f64,
    /// Var(prediction) / Var(outcome); 0 when all outcomes are equal.
    pub variance_ratio: f64,
    /// Cov(prediction, outcome) / Var(prediction): by how much outcomes rise with predictions; 0 for equal predictions.
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
    /// Pairs.
    pub samples: u64,
}

impl Fit {
    /// Compares predictions with outcomes, in double precision and in their order; nothing for no pair.
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

    /// Returns whether the predictions are one constant but for rounding: no state tells the critic anything.
    pub fn is_constant(&self) -> bool {
        let scale = self.pred_mean.abs().max(self.outcome_std);
        self.outcome_std > 0.0 && self.pred_std <= NOISE * scale
    }
}

/// Spread, as a share of their size, that single-precision sums of some hundred terms leave in equal numbers.
const NOISE: f64 = 1e-5;

/// What really came of each step of a rollout: the discounted rewards to the end of its episode, where that lies in the
/// rollout and was not a cut. `[T · N]`, not a number elsewhere; all slices are `[T, N]`.
pub(crate) fn realised_returns(lanes: usize, reward: &[f32], ends: (&[bool], &[bool]), gamma: f64, out: &mut [f32]) {
    let (terminated, truncated) = ends;
    let mut after = vec![f64::NAN; lanes];
    for time in (0..reward.len() / lanes).rev() {
        for (lane, after) in after.iter_mut().enumerate() {
            let sample = time * lanes + lane;
            let rest = match (terminated[sample], truncated[sample]) {
                (true, _) => 0.0,
                (_, true) => f64::NAN,
                _ => *after,
            };
            *after = f64::from(reward[sample]) + gamma * rest;
            out[sample] = *after as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(p: &[f32], y: &[f32]) -> Fit {
        Fit::of(p.iter().copied().zip(y.iter().copied())).unwrap()
    }

    #[test]
    fn the_perfect_the_constant_and_the_wrong_critic_are_told_apart() {
        let outcome = [1.0, 2.0, 3.0];
        let perfect = fit(&outcome, &outcome);
        assert_eq!((perfect.explained_variance, perfect.variance_ratio, perfect.slope), (1.0, 1.0, 1.0));
        let constant = fit(&[7.0; 3], &outcome);
        assert_eq!((constant.explained_variance, constant.pred_std, constant.slope), (0.0, 0.0, 0.0));
        let wrong = fit(&[3.0, 2.0, 1.0], &outcome);
        assert_eq!((wrong.explained_variance, wrong.slope), (-3.0, -1.0));
        assert_eq!(fit(&outcome, &[5.0; 3]).explained_variance, 0.0, "nothing to explain");
        assert_eq!((wrong.pred_min, wrong.pred_max, wrong.pred_mean, wrong.samples), (1.0, 3.0, 2.0, 3));
        assert!(Fit::of(std::iter::empty()).is_none());
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
        assert!(!fit(&[1.0; 4], &[2.0; 4]).is_constant(), "there was nothing to tell");
    }

    #[test]
    fn returns_are_known_back_from_an_end_and_unknown_before_a_cut() {
        // Two lanes, four steps: lane 0 ends at step 2, lane 1 is cut at step 1.
        let reward = [1.0, 10.0, 2.0, 20.0, 4.0, 30.0, 8.0, 40.0];
        let mut terminated = [false; 8];
        let mut truncated = [false; 8];
        (terminated[4], truncated[3], terminated[7]) = (true, true, true);
        let mut out = [0.0; 8];
        realised_returns(2, &reward, (&terminated, &truncated), 0.5, &mut out);
        assert_eq!([out[0], out[2], out[4]], [3.0, 4.0, 4.0]);
        assert!(out[6].is_nan() && out[1].is_nan() && out[3].is_nan());
        assert_eq!([out[5], out[7]], [50.0, 40.0]);
    }
}
