//! Metrics of one training epoch of a forecaster.

use serde::{Deserialize, Serialize};

use crate::forecast::{RegressionScores, Scores};

/// Metrics of one pass over the training samples, scored on all validation samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Learning rate of its last minibatch.
    pub learning_rate: f64,
    /// Mean training loss over its minibatches, with dropout.
    pub train_loss: f64,
    /// Mean loss over the validation samples, without dropout.
    pub validation_loss: f64,
    /// Mean norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Norm of the parameter change, relative to the parameter norm.
    pub movement: f64,
    /// Score for early stopping, larger is better.
    pub score: f64,
    /// Validation scores of each target; `None` without a known outcome. `[M]`
    pub targets: Vec<Option<Scores>>,
}

impl Epoch {
    /// Returns the mean R² of the regression targets.
    pub fn mean_r2(&self) -> f64 {
        let (sum, count) = self.regressions().fold((0.0, 0.0), |(sum, count), scores| (sum + scores.r2, count + 1.0));
        sum / count
    }

    fn regressions(&self) -> impl Iterator<Item = &RegressionScores> {
        self.targets.iter().flatten().filter_map(Scores::regression)
    }

    /// Returns the epoch line of the legacy log, for the first target: the return of the first horizon.
    pub fn line(&self) -> String {
        let Some(scores) = self.regressions().next() else { return format!("Epoch {}", self.epoch) };
        let (ratio, std) = (100.0 * scores.std_ratio, scores.fit.pred_std);
        format!("Epoch {} | R²: {:.3} | Var Ratio: {ratio:.1}% | Pred Std: {std:.2}", self.epoch, scores.r2)
    }

    /// Returns the largest standard deviation of forecasts among the regression targets, as a share of the target's.
    pub(crate) fn max_std_ratio(&self) -> f64 {
        self.regressions().map(|scores| scores.std_ratio).fold(0.0, f64::max)
    }

    /// Returns whether the forecasts of every regression target are nearly constant.
    pub(crate) fn is_collapsed(&self, threshold: f64) -> bool {
        self.max_std_ratio() < threshold
    }

    pub(crate) fn is_finite(&self) -> bool {
        let losses = [self.train_loss, self.validation_loss, self.score];
        losses.iter().all(|loss| loss.is_finite())
            && self.targets.iter().flatten().all(|scores| scores.not_finite() == 0)
    }
}
